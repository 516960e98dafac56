"""Which bundle a rollback goes to, and what it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from releaser.core.model import Facts, Move, Phase, Promotion
from releaser.core.plan import PinStep, Plan, RevertStep, VerifyStep
from releaser.core.rollback import find_rollback, make_rollback_plan
from tests.unit.builders import (
    APP,
    CHARTS,
    V1,
    V2,
    V3,
    digest,
    make_bundle,
    make_facts,
    make_lock,
    make_promotion,
    make_release,
    make_values,
    minutes,
    seconds,
    with_release,
    with_target,
)

BUNDLES = {bundle.version[0]: bundle for bundle in (V1, V2, V3)}
PHASES = {"!": Phase.FAILED, "?": Phase.ERRORED, "x": Phase.ABORTED, "~": Phase.RUNNING}
KEPT = {"notejam-db": {1: "1.0.0"}, "notejam": {1: "1.0.0", 2: "2.0.0"}}


def make_history(text: str) -> tuple[Promotion, ...]:
    """Promotions from oldest to newest as words: 1 promoted, r1 rolled back to; ! ? x ~ did not end well."""
    words = text.split()
    return tuple(
        make_promotion(
            BUNDLES[word.strip("r!?x~")],
            id=word,
            ago=10 * (len(words) - number),
            kind="rollback" if word.startswith("r") else "promotion",
            phase=PHASES.get(word[-1], Phase.SUCCEEDED),
        )
        for number, word in enumerate(words)
    )[::-1]


def find(history: str, live: str, version: str | None = None) -> int | None:
    """The place in the history of what a rollback of the stage goes to, None when there is nothing."""
    promotions = make_history(history)
    facts = make_facts(BUNDLES[live] if live else None, promotions=promotions)
    found = find_rollback(facts.target, CHARTS, version)
    return None if found is None else len(promotions) - 1 - promotions.index(found)


@pytest.mark.parametrize(
    ("history", "live", "expected"),
    [
        ("1 2", "2", 0),
        ("1 2 3", "3", 1),
        ("1", "1", None),
        ("", "", None),
        # the newest record of a bundle knows its revisions
        ("1 1 2", "2", 1),
        ("1 2 2", "2", 0),
        # a promotion that did not succeed is nothing to go back to, nor from
        ("1 2!", "1", None),
        ("1 2 3!", "2", 0),
        ("1 2! 3", "3", 0),
        ("1 2? 3", "3", 0),
        ("1 2x 3", "3", 0),
        # what a rollback has left is not gone back to
        ("1 2 3 r2", "2", 0),
        ("1 2 3 r2 r1", "1", None),
        ("1 2 r1", "1", None),
        ("1 2 r1 3", "3", 2),
        ("1 2 3 r2 2", "2", 0),
        # named and promoted again, it counts again
        ("1 2 r1 r2", "2", 2),
        ("1 2 r1 2", "2", 2),
        ("1 2 1", "1", 1),
        # somebody brought an older one back with helm
        ("1 2 3", "2", 0),
        ("1 2", "1", None),
        # what runs is not known: the newest that was verified
        ("1 2 3!", "3", 1),
        ("1 2 3~", "3", 1),
        ("1 2 3!", "", 1),
    ],
)
def test_a_rollback_goes_to_what_ran_verified_before(history: str, live: str, expected: int | None) -> None:
    assert find(history, live) == expected


@pytest.mark.parametrize(
    ("history", "live", "version", "expected"),
    [
        ("1 2 3", "3", "1.0.0", 0),
        ("1 2 3", "3", "2.0.0", 1),
        ("1 2 1 3", "3", "1.0.0", 2),
        # also one that a rollback or helm has left
        ("1 2 r1", "1", "2.0.0", 1),
        ("1 2", "1", "2.0.0", 1),
        ("1 2 3!", "3", "1.0.0", 0),
        # not what runs, what never succeeded, or what never was there
        ("1 2", "2", "2.0.0", None),
        ("1 2! 3", "3", "2.0.0", None),
        ("1 3", "3", "2.0.0", None),
    ],
)
def test_a_rollback_by_version_goes_to_its_newest_verified_promotion(
    history: str, live: str, version: str, expected: int | None
) -> None:
    assert find(history, live, version) == expected


@given(st.lists(st.sampled_from(["1", "2", "3", "r1", "r2", "r3", "1!", "2?", "3x"]), min_size=1, max_size=9))
def test_rolling_back_again_and_again_comes_to_an_end_and_never_stays(history: list[str]) -> None:
    live = next((word.strip("r") for word in reversed(history) if word[-1].isdigit()), "")
    for _ in range(len(history) + 1):
        place = find(" ".join(history), live)
        if place is None:
            return
        target = history[place].strip("r")
        assert target != live
        assert target.isdigit()
        history, live = [*history, f"r{target}"], target
    pytest.fail(f"goes round in circles: {history}")


# --- the plan ---


def plan_rollback(facts: Facts, to: Promotion, kept: Mapping[str, Mapping[int, str]] = KEPT) -> Plan:
    return make_rollback_plan(facts, to, kept)


def make_moved(runs: str = "2") -> Facts:
    """Production that was promoted from 1.0.0, revision 1, to 2.0.0, revision 2."""
    promotions = (make_promotion(V2, ago=10, revisions=(1, 2)), make_promotion(V1, ago=60))
    return with_release(make_facts(BUNDLES[runs], promotions=promotions), APP, revision=2)


def test_only_what_differs_is_rolled_back_to_its_recorded_revision() -> None:
    plan = plan_rollback(make_moved(), make_promotion(V1))

    old, new = (bundle.images["app"].digest[:19] for bundle in (V2, V1))
    assert plan.steps[:2] == (
        RevertStep(APP, 2, 1, (f"image.digest: {old} -> {new}",), "chart 2.0.0 -> 1.0.0"),
        VerifyStep("http://production.test must answer as 1.0.0"),
    )
    assert [step.file for step in plan.steps if isinstance(step, PinStep)] == ["notejam", "bundle"]
    assert (plan.kind, plan.former, plan.bundle) == ("rollback", "2.0.0", V1)
    assert plan.reason == "production goes from 2.0.0 back to 1.0.0"
    assert plan.blocking == ()
    assert not plan.is_unchanged


def test_the_app_goes_back_before_its_database() -> None:
    newer = make_bundle("2.0.0", database="2.0.0")
    plan = plan_rollback(make_facts(newer), make_promotion(V1))
    assert [step.title for step in plan.steps[:3]] == [
        "roll back notejam from revision 1 to 1",
        "roll back notejam-db from revision 1 to 1",
        "verify",
    ]


def test_from_a_state_that_nobody_verified_it_says_so() -> None:
    facts = make_moved()
    plan = plan_rollback(with_target(facts, promotions=facts.target.promotions[1:]), make_promotion(V1))
    assert (plan.former, plan.reason) == ("", "production goes from an unverified state back to 1.0.0")


def test_another_chart_of_the_same_version_is_rolled_back_too() -> None:
    release = make_release(APP, V1, description=f"bundle 1.0.0, chart {digest('rebuilt')}", revision=2)
    facts = make_facts(V1)
    facts = with_target(facts, releases={**facts.target.releases, "notejam": release})
    assert plan_rollback(facts, make_promotion(V1)).steps[0].title == "roll back notejam from revision 2 to 1"


def test_a_cut_off_operation_of_ours_is_rolled_back_over() -> None:
    facts = with_release(make_moved(), APP, status="pending-upgrade", revision=3, values=make_values(APP, V3))
    plan = plan_rollback(facts, make_promotion(V1))
    assert plan.steps[0].title == "roll back notejam from revision 3 to 1"
    assert plan.blocking == ()


@pytest.mark.parametrize(
    ("kept", "moves", "reason"),
    [
        ({}, {}, "notejam: Helm no longer keeps revision 1 with chart 1.0.0"),
        (
            {"notejam": {2: "1.0.0"}},
            {},
            "notejam: Helm no longer keeps revision 1 with chart 1.0.0",
        ),
        # the history was deleted and began anew: revision 1 is another chart now
        (
            {"notejam": {1: "3.0.0"}},
            {},
            "notejam: Helm no longer keeps revision 1 with chart 1.0.0",
        ),
        (KEPT, {"moves": {}}, "notejam: no revision is recorded for 1.0.0"),
        (KEPT, {"moves": {"notejam": Move(1, None)}}, "notejam: no revision is recorded for 1.0.0"),
    ],
    ids=["no history", "pruned", "began anew", "nothing recorded", "never ended"],
)
def test_a_revision_that_cannot_be_gone_back_to_blocks(
    kept: Mapping[str, Mapping[int, str]], moves: dict[str, Any], reason: str
) -> None:
    plan = plan_rollback(make_moved(), make_promotion(V1, **moves), kept)

    assert [(gate.name, gate.reason) for gate in plan.blocking] == [("revision", reason)]
    assert plan.blocking[0].hint == "releaser promote --to production --version 1.0.0"
    assert not [step for step in plan.steps if isinstance(step, RevertStep)]


def test_a_release_that_is_gone_blocks() -> None:
    facts = make_moved()
    facts = with_target(facts, releases={"notejam-db": facts.target.releases["notejam-db"]})
    assert plan_rollback(facts, make_promotion(V1)).blocking[0].reason == "notejam is not installed"


@pytest.mark.parametrize(
    ("lacking", "reason"),
    [
        (
            {"charts": {"notejam": V1.charts["notejam"]}},
            "bundle 1.0.0 names no chart postgres-ha",
        ),
        ({"images": {}}, "bundle 1.0.0 names no image postgres, no image app"),
    ],
)
def test_a_bundle_from_before_the_pipeline_had_its_charts_blocks(
    lacking: dict[str, Any], reason: str
) -> None:
    plan = plan_rollback(make_moved(), make_promotion(replace(V1, **lacking)))
    assert [(gate.name, gate.reason) for gate in plan.blocking] == [("artifacts", reason)]
    assert [step.title for step in plan.steps] == ["verify"]


def test_a_stage_without_a_url_is_verified_by_its_pods() -> None:
    facts = make_moved()
    facts = with_target(facts, stage=replace(facts.target.stage, url=""))
    steps = plan_rollback(facts, make_promotion(V1)).steps
    assert VerifyStep("the pods must answer as 1.0.0") in steps


def test_a_recorded_revision_is_not_missed_when_nothing_is_to_be_rolled_back() -> None:
    """The database runs what it ran, so that nobody needs to know under which revision."""
    plan = plan_rollback(make_moved(), make_promotion(V1, moves={"notejam": Move(None, 1)}))
    assert plan.blocking == ()


def test_the_lock_of_somebody_else_blocks() -> None:
    facts = with_target(make_moved(), lock=make_lock(taken=minutes(2), renewed=seconds(1)))
    assert [gate.name for gate in plan_rollback(facts, make_promotion(V1)).blocking] == ["lock"]


def test_somebody_else_s_helm_blocks() -> None:
    facts = make_moved()
    facts = with_release(facts, APP, status="pending-upgrade", updated=facts.now - seconds(5))
    assert [gate.name for gate in plan_rollback(facts, make_promotion(V1)).blocking] == ["releases"]


def test_the_same_charts_in_another_bundle_are_verified_and_recorded() -> None:
    again = replace(V2, version="1.9.0", digest=digest("the same, bundled before"))
    plan = plan_rollback(make_moved(), make_promotion(again))
    assert not plan.is_unchanged
    assert [step.title for step in plan.steps] == ["verify", "pin bundle"]
