"""When a stage has what it is to get, judged by what is live and what is recorded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from releaser.core.model import Bundle, Facts, Phase
from releaser.core.pins import merge_pins
from releaser.core.plan import (
    Action,
    ApplyStep,
    PinStep,
    Plan,
    VerifyStep,
    find_running,
    make_promotion_plan,
)
from tests.unit.builders import (
    APP,
    CHARTS,
    DB,
    NOW,
    V1,
    V2,
    V3,
    digest,
    make_facts,
    make_promotion,
    make_values,
    minutes,
    with_release,
    with_target,
)


def applies(plan: Plan) -> dict[str, ApplyStep]:
    return {step.release: step for step in plan.steps if isinstance(step, ApplyStep)}


def titles(plan: Plan) -> list[str]:
    return [step.title for step in plan.steps]


def test_the_same_bundle_verified_and_pinned_changes_nothing() -> None:
    plan = make_promotion_plan(make_facts(V2), V2)
    assert plan.is_unchanged
    assert {step.action for step in applies(plan).values()} == {Action.UNCHANGED}
    assert not [step for step in plan.steps if isinstance(step, VerifyStep | PinStep)]
    assert plan.reason == "production already runs 2.0.0, verified: nothing to change"


REBUNDLED = replace(V2, digest=digest("the same charts and images, bundled again"))


@pytest.mark.parametrize(
    ("facts", "bundle", "reason"),
    [
        (make_facts(V2, promotions=()), V2, "production gets 2.0.0; no verified bundle runs there"),
        (
            make_facts(V2, tested=REBUNDLED),
            REBUNDLED,
            "production runs another bundle of the same version 2.0.0 and gets this one",
        ),
        *(
            (
                make_facts(V2, promotions=(make_promotion(V2, ago=5, phase=phase), make_promotion(V2))),
                V2,
                "production runs 2.0.0; its last promotion did not end well, so verify again",
            )
            for phase in (Phase.RUNNING, Phase.ERRORED, Phase.ABORTED, Phase.FAILED)
        ),
        (
            make_facts(V2, promotions=(make_promotion(V2, phase=Phase.FAILED),)),
            V2,
            "production gets 2.0.0; no verified bundle runs there",
        ),
    ],
    ids=["no record", "another digest", "running", "errored", "aborted", "failed again", "only failed"],
)
def test_what_is_live_but_not_recorded_as_verified_is_verified_and_not_applied(
    facts: Facts, bundle: Bundle, reason: str
) -> None:
    plan = make_promotion_plan(facts, bundle)
    assert not plan.is_unchanged
    assert {step.action for step in applies(plan).values()} == {Action.UNCHANGED}
    assert VerifyStep("http://production.test must answer as 2.0.0") in plan.steps
    assert plan.reason == reason


def test_a_failed_promotion_that_was_rolled_back_leaves_the_former_bundle_verified() -> None:
    facts = make_facts(V1, tested=V1, promotions=(make_promotion(V2, phase=Phase.FAILED), make_promotion(V1)))
    facts = with_release(facts, APP, revision=3, description="Rollback to 1")
    assert make_promotion_plan(facts, V1).is_unchanged


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"status": "failed"}, "revision 1 is failed"),
        ({"chart_version": "0.9.0"}, "chart 0.9.0 -> 2.0.0"),
        ({"values": {}}, "2 values differ"),
        ({"description": "somebody's chart sha256:00"}, "chart 2.0.0 has another digest"),
    ],
)
def test_a_release_that_somebody_changed_by_hand_is_brought_back(change: dict[str, Any], reason: str) -> None:
    plan = make_promotion_plan(with_release(make_facts(V2), APP, **change), V2)
    assert applies(plan)["notejam"].action is Action.UPGRADE
    assert applies(plan)["notejam"].reason == reason
    assert not plan.is_unchanged


def test_changed_values_of_the_same_bundle_are_applied() -> None:
    facts = make_facts(V2, values={"notejam": make_values(APP, V2, replicas=5), "postgres-ha": {}})
    plan = make_promotion_plan(facts, V2)
    assert applies(plan)["notejam"].changes == ("replicas: 5 (new)",)
    assert plan.reason == "production runs 2.0.0, and what it runs differs from its values"


def test_lost_pins_alone_are_written_without_verifying() -> None:
    plan = make_promotion_plan(make_facts(V2, pins={}), V2)
    assert not plan.is_unchanged
    assert titles(plan) == ["unchanged notejam-db", "unchanged notejam", "pin bundle"]
    assert plan.steps[-1].reason == "records 2.0.0"
    assert plan.reason == "production already runs 2.0.0; only the pins are to be written"


def test_only_the_files_whose_pins_differ_are_written() -> None:
    values = {"notejam": {"image": {"repository": "elsewhere"}}, "postgres-ha": make_values(DB, V2)}
    pins = [
        step
        for step in make_promotion_plan(make_facts(V2, values=values), V2).steps
        if isinstance(step, PinStep)
    ]
    assert [(step.file, step.changes, step.reason) for step in pins] == [
        ("notejam", ("image.repository", "image.digest"), "image.repository, image.digest to be written")
    ]


# --- which bundle runs ---


def test_what_runs_is_the_newest_success_that_is_live() -> None:
    good, newer = make_promotion(V2, ago=30), make_promotion(V3, ago=10)
    facts = make_facts(V2, promotions=(newer, good, make_promotion(V1)))
    assert find_running(facts.target, CHARTS) is good


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.SUCCEEDED])
def test_a_bundle_that_did_not_succeed_does_not_run_verified(phase: Phase) -> None:
    facts = make_facts(V2, promotions=(make_promotion(V2, phase=phase),))
    assert find_running(facts.target, CHARTS) is None


@pytest.mark.parametrize(
    "change",
    [
        {"chart_version": "9.9.9"},
        {"status": "failed"},
        {"status": "pending-upgrade"},
        {"values": make_values(APP, V1)},
        {"values": {"image": "registry.test/notejam/app"}},
        {"values": {}},
        {"description": f"bundle 2.0.0, chart {digest('another chart')}"},
    ],
)
def test_a_release_that_is_not_as_the_bundle_left_it_runs_nothing_verified(change: dict[str, Any]) -> None:
    assert find_running(with_release(make_facts(V2), APP, **change).target, CHARTS) is None


def test_a_stage_without_one_of_its_releases_runs_nothing_verified() -> None:
    facts = make_facts(V2)
    only = {"notejam": facts.target.releases["notejam"]}
    assert find_running(with_target(facts, releases=only).target, CHARTS) is None


@pytest.mark.parametrize(
    "lacking",
    [{"charts": {"notejam": V2.charts["notejam"]}}, {"images": {"postgres": V2.images["postgres"]}}],
)
def test_a_bundle_that_lacks_a_part_of_the_pipeline_does_not_run(lacking: dict[str, Any]) -> None:
    facts = make_facts(V2, promotions=(make_promotion(replace(V2, **lacking)),))
    assert find_running(facts.target, CHARTS) is None


# --- the fingerprint ---


def test_time_alone_does_not_change_the_fingerprint() -> None:
    facts = make_facts(V1)
    later = replace(facts, now=NOW + minutes(7))
    assert make_promotion_plan(facts, V2).fingerprint == make_promotion_plan(later, V2).fingerprint


@pytest.mark.parametrize(
    "other",
    [
        with_release(make_facts(V1), APP, revision=2),
        with_release(make_facts(V1), DB, status="failed"),
        with_release(make_facts(V1), APP, chart_version="1.5.0"),
        make_facts(V1, values={"notejam": {"replicas": 2}}),
        make_facts(V1, pins=merge_pins({}, {("version",): "1.0.0"})),
        make_facts(),
    ],
    ids=["revision", "status", "chart", "values", "pins", "releases"],
)
def test_other_grounds_have_another_fingerprint(other: Facts) -> None:
    mine = make_promotion_plan(make_facts(V1), V2).fingerprint
    assert make_promotion_plan(other, V2).fingerprint != mine


def test_another_bundle_has_another_fingerprint() -> None:
    facts = make_facts(V2)
    assert make_promotion_plan(facts, V2).fingerprint != make_promotion_plan(facts, REBUNDLED).fingerprint
