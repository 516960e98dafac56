"""What must be true before a promotion, and the words for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from releaser.core.gates import (
    FOREIGN_PENDING,
    Gate,
    check_artifacts,
    check_lock,
    check_releases,
    check_verified,
    describe_age,
    make_gates,
)
from releaser.core.model import Facts, Image, Lock, Phase, Promotion
from tests.unit.builders import (
    APP,
    NOW,
    PRODUCTION,
    TESTING,
    V1,
    V2,
    digest,
    make_facts,
    make_lock,
    make_promotion,
    make_stage_facts,
    minutes,
    seconds,
    with_release,
    with_target,
)

# --- the previous stage ---


def check_source(*promotions: Promotion) -> Gate:
    return check_verified(make_stage_facts(TESTING, promotions=promotions), V2, NOW)


def test_what_the_previous_stage_verified_may_go_on() -> None:
    gate = check_source(make_promotion(V2, ago=14))
    assert gate == Gate("previous stage", True, "testing verified 2.0.0 12 min ago")


def test_a_verification_without_an_end_is_as_old_as_its_beginning() -> None:
    assert check_source(make_promotion(V2, ago=14, finished=None)).reason.endswith(" 14 min ago")


def test_a_bundle_that_was_replaced_since_may_still_go_on() -> None:
    assert check_source(make_promotion(V1, ago=5), make_promotion(V2, ago=60)).passed


def test_a_later_failure_does_not_take_the_verification_back() -> None:
    assert check_source(make_promotion(V2, ago=5, phase=Phase.FAILED), make_promotion(V2)).passed


def test_what_never_ran_there_is_promoted_there_first() -> None:
    gate = check_source(make_promotion(V1))
    assert gate == Gate(
        "previous stage",
        False,
        "2.0.0 has never run in testing",
        "releaser promote --to testing --version 2.0.0",
    )


def test_the_version_alone_is_not_enough() -> None:
    assert not check_source(make_promotion(replace(V2, digest=digest("another 2.0.0")))).passed


@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.ERRORED, Phase.ABORTED])
def test_what_did_not_end_well_there_stays_there(phase: Phase) -> None:
    gate = check_source(make_promotion(V2, phase=phase, message="the migration failed"))
    assert gate == Gate(
        "previous stage",
        False,
        f"2.0.0 {phase.lower()} in testing: the migration failed",
        "mend it, then: releaser promote --to testing --version 2.0.0",
    )


def test_what_failed_without_a_word_says_so() -> None:
    gate = check_source(make_promotion(V2, phase=Phase.FAILED))
    assert gate.reason == "2.0.0 failed in testing: no message"


def test_what_has_not_ended_there_is_waited_for() -> None:
    gate = check_source(make_promotion(V2, phase=Phase.RUNNING, finished=None))
    assert gate == Gate(
        "previous stage",
        False,
        "the promotion of 2.0.0 to testing has not ended",
        "wait for it: releaser history testing; if it died: releaser promote --to testing --version 2.0.0",
    )


# --- the lock ---


def check(lock: Lock | None) -> Gate:
    return check_lock(make_stage_facts(PRODUCTION, lock=lock), NOW)


def test_a_stage_that_nobody_holds_is_free() -> None:
    assert check(None) == Gate("lock", True, "free")
    assert check(make_lock(holder="", taken=minutes(1), renewed=seconds(1))) == Gate("lock", True, "free")


def test_a_renewed_lock_blocks_and_names_its_holder() -> None:
    gate = check(make_lock(taken=minutes(5), renewed=seconds(29)))
    assert not gate.passed
    assert gate.reason == "bob@desk (p9) holds it since 5 min"
    assert gate.hint == "wait for it to end: releaser history production"


def test_a_lock_that_is_not_renewed_any_more_is_open() -> None:
    gate = check(make_lock(taken=minutes(5), renewed=seconds(30)))
    assert gate == Gate("lock", True, "bob@desk (p9) took it 5 min ago and is gone")


# --- artifacts ---


def test_all_artifacts_are_counted() -> None:
    gate = check_artifacts(make_facts(), V2)
    assert gate == Gate("artifacts", True, "2 charts and 2 images found in registry.test/notejam")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"charts": {"notejam": V2.charts["notejam"]}}, "bundle 2.0.0 names no chart postgres-ha"),
        ({"images": {}}, "bundle 2.0.0 names no image postgres, no image app"),
        (
            {"charts": {}, "images": {"app": Image("app", "")}},
            "bundle 2.0.0 names no chart postgres-ha, no chart notejam, no image postgres",
        ),
    ],
)
def test_a_bundle_must_name_all_that_the_pipeline_needs(change: dict[str, Any], reason: str) -> None:
    gate = check_artifacts(make_facts(), replace(V2, **change))
    assert gate == Gate("artifacts", False, reason, "build it again")


def test_what_the_registry_does_not_hold_is_named() -> None:
    gate = check_artifacts(make_facts(missing=("a@sha256:1", "b@sha256:2")), V2)
    assert gate == Gate("artifacts", False, "not in the registry: a@sha256:1, b@sha256:2", "push them again")


# --- Helm operations of others ---


def make_pending(updated: timedelta | None, *promotions: Promotion, status: str = "pending-upgrade") -> Facts:
    facts = with_target(make_facts(V1), promotions=promotions)
    return with_release(facts, APP, status=status, updated=None if updated is None else NOW - updated)


def test_releases_at_rest_are_counted() -> None:
    assert check_releases(make_facts()).reason == "0 of 2 installed, none busy"
    assert check_releases(make_facts(V1)) == Gate("releases", True, "2 of 2 installed, none busy")


@pytest.mark.parametrize("status", ["deployed", "failed", "superseded", "uninstalled"])
def test_what_somebody_else_has_ended_a_moment_ago_does_not_block(status: str) -> None:
    assert check_releases(make_pending(seconds(1), make_promotion(V1), status=status)).passed


@pytest.mark.parametrize("status", ["pending-install", "pending-upgrade", "pending-rollback", "uninstalling"])
def test_somebody_else_s_young_operation_blocks(status: str) -> None:
    gate = check_releases(make_pending(minutes(4), make_promotion(V1), status=status))
    assert gate == Gate(
        "releases",
        False,
        f"notejam is {status} for 4 min: somebody else runs helm",
        "wait for it to end; after 10 min it counts as dead",
    )


def test_a_first_promotion_is_blocked_by_somebody_else_s_helm() -> None:
    assert not check_releases(make_pending(seconds(1))).passed


@pytest.mark.parametrize(
    ("updated", "passed"),
    [(FOREIGN_PENDING - seconds(1), False), (FOREIGN_PENDING, True), (minutes(600), True), (None, True)],
)
def test_somebody_else_s_operation_counts_as_dead_after_ten_minutes(
    updated: timedelta | None, passed: bool
) -> None:
    assert check_releases(make_pending(updated, make_promotion(V1))).passed is passed


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.ERRORED, Phase.ABORTED, Phase.FAILED])
def test_what_our_own_cut_off_promotion_left_does_not_block(phase: Phase) -> None:
    finished = None if phase is Phase.RUNNING else NOW - minutes(1)
    cut_off = make_promotion(V2, ago=5, phase=phase, finished=finished)
    assert check_releases(make_pending(minutes(4), cut_off, make_promotion(V1))).passed


@pytest.mark.parametrize(
    "promotion",
    [
        make_promotion(V2, ago=60, phase=Phase.ABORTED),
        make_promotion(V2, ago=60, phase=Phase.FAILED),
        make_promotion(V2, ago=1, phase=Phase.RUNNING, finished=None),
        make_promotion(V2, ago=5),
    ],
    ids=["after ours was aborted", "after ours failed", "before ours began", "while ours succeeded"],
)
def test_what_began_outside_our_cut_off_promotion_is_somebody_else_s(promotion: Promotion) -> None:
    assert not check_releases(make_pending(minutes(4), promotion)).passed


def test_an_operation_of_unknown_age_does_not_block_after_ours_was_cut_off() -> None:
    assert check_releases(make_pending(None, make_promotion(V2, ago=5, phase=Phase.ABORTED))).passed


def test_times_that_were_rounded_still_count_as_ours() -> None:
    cut_off = make_promotion(V2, ago=5, phase=Phase.ABORTED, finished=NOW - minutes(4))
    assert check_releases(make_pending(minutes(4) - seconds(2), cut_off)).passed
    assert not check_releases(make_pending(minutes(4) - seconds(3), cut_off)).passed
    assert check_releases(make_pending(minutes(5) + seconds(2), cut_off)).passed
    assert not check_releases(make_pending(minutes(5) + seconds(3), cut_off)).passed


# --- all of them ---


def test_gates_are_read_in_order() -> None:
    names = [gate.name for gate in make_gates(make_facts(V1), V2)]
    assert names == ["previous stage", "lock", "artifacts", "releases"]


def test_the_first_stage_has_no_previous_one() -> None:
    names = [gate.name for gate in make_gates(replace(make_facts(V1), source=None), V2)]
    assert names == ["lock", "artifacts", "releases"]


# --- ages ---


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (timedelta(seconds=-5), "0 s"),
        (timedelta(0), "0 s"),
        (timedelta(seconds=89.9), "89 s"),
        (timedelta(seconds=90), "1 min"),
        (timedelta(minutes=89, seconds=59), "89 min"),
        (timedelta(minutes=90), "1 h"),
        (timedelta(hours=47, minutes=59), "47 h"),
        (timedelta(hours=48), "2 days"),
        (timedelta(days=400), "400 days"),
    ],
)
def test_an_age_is_said_as_people_say_it(age: timedelta, text: str) -> None:
    assert describe_age(age) == text


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=9999)))
def test_an_age_is_never_overstated_and_never_off_by_half(age: timedelta) -> None:
    count, unit = describe_age(age).split()
    seconds_each = {"s": 1, "min": 60, "h": 3600, "days": 86400}[unit]
    said = timedelta(seconds=int(count) * seconds_each)
    assert said <= age < said + timedelta(seconds=seconds_each)
