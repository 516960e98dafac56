"""Whole promotions against a world in memory: no process, no network, no clock."""

from __future__ import annotations

import pytest

from releaser.core.model import Phase, Stage
from releaser.core.plan import Action, ApplyStep
from releaser.errors import (
    BlockedError,
    InputError,
    LockedError,
    NeedsAPersonError,
    PromotionFailedError,
    UnavailableError,
)
from tests.flow.conftest import Driver
from tests.flow.fakes import FakeWorld, digest


def charts(world: FakeWorld, stage: str) -> list[str]:
    """Return the chart version and status of every revision of the app."""
    return [f"{revision.chart} {revision.status}" for revision in world.revisions[stage, "notejam"]]


def test_a_bundle_moves_through_all_stages(driver: Driver, world: FakeWorld) -> None:
    driver.promote("development", "1.0.0")
    driver.promote("testing")
    done = driver.promote("production")

    assert done is not None
    assert done.phase is Phase.SUCCEEDED
    assert charts(world, "production") == ["1.0.0 deployed"]
    values = world.revisions["production", "notejam"][0].values
    assert values["image"]["digest"] == digest("app-1.0.0")
    assert world.files["production", "notejam"]["image"]["digest"] == digest("app-1.0.0")
    assert world.files["production", "bundle"]["version"] == "1.0.0"


def test_the_database_comes_first_and_the_record_before_each_step(driver: Driver, world: FakeWorld) -> None:
    driver.promote("development", "1.0.0")

    done = [event for event in world.events if event != "lock"]
    assert done[0] == "save Running"
    database, app = (
        world.events.index(f"apply development/{name}") for name in ("notejam-db 1.0.0", "notejam 1.0.0")
    )
    assert database < app
    assert world.events[database - 2] == "save Running install notejam-db"
    assert world.events[-1] == "unlock"
    assert world.events[-2].startswith("pin")


def test_a_change_of_the_app_leaves_the_database_alone(live: Driver) -> None:
    plan = live.plan("testing")

    actions = {step.release: step.action for step in plan.steps if isinstance(step, ApplyStep)}
    assert actions == {"notejam-db": Action.UNCHANGED, "notejam": Action.UPGRADE}


def test_the_same_bundle_again_changes_nothing(live: Driver, world: FakeWorld) -> None:
    live.promote("testing")
    world.events.clear()

    plan = live.plan("testing")
    assert plan.is_unchanged
    assert "already runs 1.1.0" in plan.reason
    assert live.promote("testing") is None
    assert world.events == []


def test_lost_pins_are_written_again_and_nothing_else(live: Driver, world: FakeWorld) -> None:
    world.files["testing", "notejam"] = {}
    saved = len(world.promotions["testing"])
    live.promote("testing", "1.0.0")

    assert [event for event in world.events if event not in {"lock", "unlock"}] == ["pin testing/notejam"]
    assert len(world.promotions["testing"]) == saved


def test_a_bundle_that_the_previous_stage_has_not_verified_is_blocked(live: Driver) -> None:
    plan = live.plan("production", "1.1.0")

    assert [gate.name for gate in plan.blocking] == ["previous stage"]
    assert plan.blocking[0].reason == "1.1.0 has never run in testing"
    assert plan.blocking[0].hint == "releaser promote --to testing --version 1.1.0"


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("migration", "cannot be pulled: manifest unknown"),
        ("crash", "exits with code 3 at every start"),
        ("slow", "is not rolled out after 300 s"),
        ("verify", "/version says version 'stale', not '1.1.0'"),
        ("helm", "the server does not like it"),
    ],
)
def test_a_bad_release_is_named_and_rolled_back(
    live: Driver, world: FakeWorld, fault: str, cause: str
) -> None:
    world.fail, world.fail_stage = fault, "testing"

    with pytest.raises(PromotionFailedError, match=cause) as caught:
        live.promote("testing")

    assert "notejam is back at revision 1" in caught.value.message
    assert charts(world, "testing")[-1] == "1.0.0 deployed"
    record = world.fetch_promotions(live.pipeline.stage("testing"))[0]
    assert record.phase is Phase.FAILED
    assert cause in record.message
    assert world.files["testing", "notejam"]["image"]["digest"] == digest("app-1.0.0")
    assert world.locks == {}
    world.fail = ""
    assert live.plan("testing", "1.0.0").is_unchanged


def test_what_failed_is_shown_before_it_is_rolled_back(live: Driver, world: FakeWorld) -> None:
    world.fail, world.fail_stage = "crash", "testing"

    with pytest.raises(PromotionFailedError):
        live.promote("testing")

    shown = next(number for number, text in enumerate(world.said) if "last words of notejam-2-x" in text)
    back = next(number for number, text in enumerate(world.said) if text.startswith("-> roll back"))
    assert shown < back


def test_a_migration_that_cannot_run_fails_at_once_and_helm_is_ended(live: Driver, world: FakeWorld) -> None:
    world.fail, world.fail_stage = "migration", "testing"
    before = world.now_

    with pytest.raises(PromotionFailedError):
        live.promote("testing")

    assert "helm stopped" in world.events
    assert (world.now_ - before).total_seconds() < 60


def test_a_failed_bundle_does_not_go_on(live: Driver, world: FakeWorld) -> None:
    world.fail, world.fail_stage = "crash", "testing"
    with pytest.raises(PromotionFailedError):
        live.promote("testing")
    world.fail = ""

    gate = live.plan("production", "1.1.0").blocking[0]
    assert gate.reason.startswith("1.1.0 failed in testing: Deployment notejam")


def test_a_first_install_that_fails_is_left_for_a_person(driver: Driver, world: FakeWorld) -> None:
    world.fail, world.fail_stage = "crash", "development"

    with pytest.raises(NeedsAPersonError, match="notejam, notejam-db: no revision before"):
        driver.promote("development", "1.0.0")

    assert charts(world, "development") == ["1.0.0 deployed"]


def test_a_rollback_that_fails_needs_a_person(live: Driver, world: FakeWorld) -> None:
    world.fail, world.fail_stage = "crash", "testing"
    world.on_event = lambda event: (
        setattr(world, "fail", "rollback") if event.startswith("rollback") else None
    )

    with pytest.raises(NeedsAPersonError, match="could not be rolled back"):
        live.promote("testing")


def test_an_api_that_stays_away_is_not_called_a_failure(live: Driver, world: FakeWorld) -> None:
    world.on_event = lambda event: setattr(world, "fail", "api away") if "apply testing" in event else None

    with pytest.raises(UnavailableError) as caught:
        live.promote("testing")

    assert "run the same command" in caught.value.hint
    assert world.fetch_promotions(live.pipeline.stage("testing"))[0].phase is Phase.ERRORED
    assert not [event for event in world.events if event.startswith("rollback")]


def test_a_second_person_is_told_who_is_at_work(live: Driver, world: FakeWorld) -> None:
    stage = live.pipeline.stage("testing")
    world.acquire_lock(stage, "bob@desk (p9)")

    gate = live.plan("testing").blocking[0]
    assert (gate.name, gate.reason) == ("lock", "bob@desk (p9) holds it since 0 s")


def test_a_lock_taken_between_plan_and_apply_stops_before_any_change(live: Driver, world: FakeWorld) -> None:
    stage = live.pipeline.stage("testing")
    real = world.ensure_namespace
    object.__setattr__(world, "ensure_namespace", lambda s: (world.acquire_lock(stage, "bob"), real(s))[1])

    with pytest.raises(LockedError):
        live.promote("testing")
    assert not [event for event in world.events if event.startswith(("apply", "save"))]


def test_a_stage_that_moved_since_the_plan_is_left_alone(live: Driver, world: FakeWorld) -> None:
    real = world.ensure_namespace

    def ensure(stage: Stage) -> bool:
        world.revisions["testing", "notejam"][-1].status = "superseded"
        world.revisions["testing", "notejam"].append(
            type(world.revisions["testing", "notejam"][0])("9.9.9", {}, "deployed")
        )
        return real(stage)

    object.__setattr__(world, "ensure_namespace", ensure)
    with pytest.raises(BlockedError, match="has changed since the plan was made"):
        live.promote("testing")
    assert not [event for event in world.events if event.startswith("apply")]


def test_a_lost_lock_stops_the_work(live: Driver, world: FakeWorld) -> None:
    world.on_event = lambda event: setattr(world, "lock_lost", True) if event == "save Running" else None

    with pytest.raises(UnavailableError, match="lock of testing was lost"):
        live.promote("testing")


def test_rollback_goes_to_the_bundle_before_and_back_again(live: Driver, world: FakeWorld) -> None:
    live.rollback("development")
    assert charts(world, "development")[-1] == "1.0.0 deployed"
    assert world.files["development", "bundle"]["version"] == "1.0.0"

    live.promote("development", "1.1.0")
    assert charts(world, "development")[-1] == "1.1.0 deployed"


def test_rollback_with_nothing_before_says_so(live: Driver) -> None:
    with pytest.raises(BlockedError, match="ran nothing verified before"):
        live.rollback("production")


def test_the_first_stage_needs_a_version(driver: Driver) -> None:
    with pytest.raises(InputError, match="--version: development is the first stage"):
        driver.promote("development")


def test_a_version_that_was_never_built_is_refused(driver: Driver) -> None:
    with pytest.raises(InputError, match=r"bundle 7\.7\.7 is not in"):
        driver.promote("development", "7.7.7")


def test_a_bundle_whose_parts_are_gone_is_blocked(live: Driver, world: FakeWorld) -> None:
    world.missing = ("registry.test/notejam/app@sha256:00",)
    gate = live.plan("testing").blocking[0]
    assert gate.reason == "not in the registry: registry.test/notejam/app@sha256:00"


def test_what_a_killed_promotion_left_broken_is_rolled_back_by_the_next(
    live: Driver, world: FakeWorld
) -> None:
    """The broken version is live and equal to the plan; the former revision is in the cut-off record."""

    class KillError(BaseException):
        pass

    def kill(event: str) -> None:
        if event == "sleep" and world.revisions["testing", "notejam"][-1].chart == "1.1.0":
            raise KillError

    world.fail_stage, world.on_event = "testing", kill
    with pytest.raises(KillError):
        live.promote("testing")
    world.revisions["testing", "notejam"][0].status = "superseded"
    world.revisions["testing", "notejam"][-1].status = "deployed"
    world.on_event, world.fail = lambda _: None, "crash"
    world.now_ = world.now_.replace(hour=12)

    with pytest.raises(PromotionFailedError, match="notejam is back at revision 1"):
        live.promote("testing")

    assert charts(world, "testing")[-1] == "1.0.0 deployed"
