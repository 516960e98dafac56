"""What a promotion will do to a stage, and the reasons that it gives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from releaser.core.model import Move, Phase, Promotion
from releaser.core.plan import (
    Action,
    ApplyStep,
    Plan,
    RepairStep,
    VerifyStep,
    find_running,
    make_promotion_plan,
)
from tests.unit.builders import (
    APP,
    CHARTS,
    DB,
    V1,
    V2,
    digest,
    make_bundle,
    make_facts,
    make_promotion,
    make_values,
    with_release,
    with_target,
)


def applies(plan: Plan) -> dict[str, ApplyStep]:
    return {step.release: step for step in plan.steps if isinstance(step, ApplyStep)}


def titles(plan: Plan) -> list[str]:
    return [step.title for step in plan.steps]


# --- what is done ---


def test_an_empty_stage_gets_the_database_first_then_the_app_then_is_verified_and_pinned() -> None:
    plan = make_promotion_plan(make_facts(), V2)

    assert titles(plan) == [
        "install notejam-db",
        "install notejam",
        "verify",
        "pin postgres-ha",
        "pin notejam",
        "pin bundle",
    ]
    assert {step.reason for step in applies(plan).values()} == {"not installed"}
    assert {step.before for step in applies(plan).values()} == {None}
    assert plan.blocking == ()
    assert plan.former == ""
    assert plan.reason == "production gets 2.0.0; no verified bundle runs there"


def test_a_new_app_leaves_the_database_alone_but_waits_for_it() -> None:
    plan = make_promotion_plan(make_facts(V1), V2)

    assert titles(plan) == [
        "unchanged notejam-db",
        "upgrade notejam",
        "verify",
        "pin notejam",
        "pin bundle",
    ]
    assert applies(plan)["notejam-db"].reason == "chart 1.0.0 and its values are live"
    assert applies(plan)["notejam"].reason == "chart 1.0.0 -> 2.0.0; 1 value differs"
    assert plan.former == "1.0.0"
    assert plan.reason == "production runs 1.0.0 and gets 2.0.0"


def test_helm_gets_the_stage_s_own_values_and_the_bundle_s_images() -> None:
    values = {"notejam": make_values(APP, V1, replicas=3), "postgres-ha": make_values(DB, V1)}
    plan = make_promotion_plan(make_facts(V1, values=values), V2)

    step = applies(plan)["notejam"]
    assert step.values == {
        "replicas": 3,
        "image": {"repository": "registry.test/notejam/app", "digest": V2.images["app"].digest},
    }
    assert step.artifact == V2.charts["notejam"]
    old, new = (bundle.images["app"].digest[:19] for bundle in (V1, V2))
    assert step.changes == (f"image.digest: {old} -> {new}", "replicas: 3 (new)")
    assert step.reason == "chart 1.0.0 -> 2.0.0; 2 values differ"


@pytest.mark.parametrize(
    "newest",
    [
        make_promotion(V1, moves={"notejam": Move(6, 7)}),
        make_promotion(V2, phase=Phase.FAILED, moves={"notejam": Move(5, None)}),
        make_promotion(V2, phase=Phase.ABORTED, moves={"notejam-db": Move(1, None)}),
        make_promotion(V2, phase=Phase.ERRORED, moves={"notejam": Move(None, None)}),
    ],
    ids=["succeeded", "failed and rolled back", "cut off before the app", "cut off when it was new"],
)
def test_the_revision_to_go_back_to_is_the_live_one(newest: Promotion) -> None:
    facts = with_release(make_facts(V1, promotions=(newest,)), APP, revision=7)
    step = applies(make_promotion_plan(facts, V2))["notejam"]
    assert (step.revision, step.before) == (7, 7)


def test_after_a_failed_revision_the_one_to_go_back_to_is_the_last_good_one() -> None:
    facts = with_release(make_facts(V1), APP, status="failed", revision=7, good_revision=5)
    step = applies(make_promotion_plan(facts, V1))["notejam"]
    assert (step.action, step.before, step.reason) == (Action.UPGRADE, 5, "revision 7 is failed")


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.ERRORED, Phase.ABORTED])
def test_what_a_cut_off_promotion_left_is_not_gone_back_to(phase: Phase) -> None:
    cut_off = make_promotion(V2, ago=5, phase=phase, moves={"notejam": Move(3, None)})
    facts = make_facts(V1, promotions=(cut_off, make_promotion(V1)))
    step = applies(make_promotion_plan(with_release(facts, APP, revision=4), V2))["notejam"]
    assert (step.revision, step.before) == (4, 3)


def test_the_same_chart_version_with_another_digest_is_applied() -> None:
    rebuilt = replace(
        V2,
        digest=digest("rebuilt"),
        charts={**V2.charts, "notejam": replace(V2.charts["notejam"], digest=digest("rebuilt chart"))},
    )
    plan = make_promotion_plan(make_facts(V2, tested=rebuilt), rebuilt)

    assert applies(plan)["notejam"].action is Action.UPGRADE
    assert applies(plan)["notejam"].reason == "chart 2.0.0 has another digest"
    assert applies(plan)["notejam-db"].action is Action.UNCHANGED
    assert plan.reason == "production runs another bundle of the same version 2.0.0 and gets this one"


def test_helm_s_own_rollback_names_no_digest_and_counts_as_the_chart_of_its_version() -> None:
    facts = with_release(make_facts(V2), APP, description="Rollback to 3", revision=5)
    assert make_promotion_plan(facts, V2).is_unchanged


@pytest.mark.parametrize(
    "lacking", [{"charts": {"postgres-ha": V2.charts["postgres-ha"]}}, {"images": {"app": V2.images["app"]}}]
)
def test_a_bundle_without_a_part_of_the_pipeline_is_blocked_and_applies_nothing(
    lacking: dict[str, Any],
) -> None:
    plan = make_promotion_plan(make_facts(V1), replace(V2, **lacking))
    assert [gate.name for gate in plan.blocking] == ["artifacts"]
    assert applies(plan) == {}


def test_a_bundle_with_exactly_what_the_pipeline_needs_is_applied() -> None:
    facts = make_facts(V1)
    facts = replace(facts, pipeline=replace(facts.pipeline, charts=(APP,)))
    only = replace(V2, charts={"notejam": V2.charts["notejam"]}, images={"app": V2.images["app"]})
    assert titles(make_promotion_plan(facts, only))[:2] == ["upgrade notejam", "verify"]


def test_a_stage_without_a_url_is_verified_by_its_pods() -> None:
    facts = make_facts(V1)
    facts = with_target(facts, stage=replace(facts.target.stage, url=""))
    assert VerifyStep("the pods must answer as 2.0.0") in make_promotion_plan(facts, V2).steps


def test_a_new_database_is_upgraded_before_the_app() -> None:
    bundle = make_bundle("2.0.0", database="2.0.0")
    plan = make_promotion_plan(make_facts(V1, tested=bundle), bundle)
    assert titles(plan)[:2] == ["upgrade notejam-db", "upgrade notejam"]


# --- repairs ---


def test_a_first_install_that_was_cut_off_is_forgotten_and_installed_again() -> None:
    facts = make_facts(V1, promotions=(make_promotion(V1, phase=Phase.RUNNING, moves={}),))
    plan = make_promotion_plan(with_release(facts, APP, status="pending-install"), V1)

    assert titles(plan)[1:3] == ["repair notejam", "install notejam"]
    repair = plan.steps[1]
    assert repair == RepairStep(
        "notejam",
        1,
        None,
        "an operation was cut off (pending-install): its record is forgotten, no revision was good",
    )
    assert applies(plan)["notejam"].before is None


@pytest.mark.parametrize("status", ["pending-upgrade", "pending-rollback"])
def test_an_upgrade_that_was_cut_off_is_rolled_back_before_the_next(status: str) -> None:
    cut_off = make_promotion(V2, ago=5, phase=Phase.ABORTED, moves={})
    facts = make_facts(V1, promotions=(cut_off, make_promotion(V1)))
    facts = with_release(facts, APP, status=status, revision=8, good_revision=7)
    plan = make_promotion_plan(facts, V2)

    assert titles(plan)[:3] == ["unchanged notejam-db", "repair notejam", "upgrade notejam"]
    repair = plan.steps[1]
    assert isinstance(repair, RepairStep)
    assert (repair.revision, repair.to) == (8, 7)
    assert repair.reason == f"an operation was cut off ({status}): back to revision 7"
    assert applies(plan)["notejam"].before == 7


def test_a_repair_goes_back_to_the_revision_before_a_cut_off_promotion() -> None:
    """Revision 7 was deployed by a promotion that died before anybody verified it; 6 was good."""
    cut_off = make_promotion(V2, ago=5, phase=Phase.RUNNING, moves={"notejam": Move(6, None)})
    facts = make_facts(V1, promotions=(cut_off, make_promotion(V1)))
    facts = with_release(facts, APP, status="pending-upgrade", revision=8, good_revision=7)
    repair = make_promotion_plan(facts, V2).steps[1]
    assert isinstance(repair, RepairStep)
    assert repair.to == 6


VALUES = st.dictionaries(
    st.sampled_from(["image", "replicas", "resources", "service"]),
    st.none() | st.integers() | st.text(max_size=5) | st.dictionaries(st.sampled_from("ab"), st.integers()),
)


@given(VALUES, VALUES)
def test_a_plan_that_was_carried_out_leaves_nothing_to_apply(
    database: dict[str, Any], app: dict[str, Any]
) -> None:
    facts = make_facts(V1, values={"postgres-ha": database, "notejam": app})
    steps = applies(make_promotion_plan(facts, V2))
    for chart in CHARTS:
        step = steps[chart.release]
        if step.action is Action.UNCHANGED:
            continue
        about = f"bundle 2.0.0, chart {step.artifact.digest}"
        facts = with_release(
            facts, chart, values=step.values, chart_version=step.artifact.version, description=about
        )
    after = make_promotion_plan(facts, V2)
    assert {step.action for step in applies(after).values()} == {Action.UNCHANGED}
    assert find_running(with_target(facts, promotions=(make_promotion(V2),)).target, CHARTS) is not None
