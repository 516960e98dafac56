"""What `status` says below its table."""

from __future__ import annotations

from typing import Any

import pytest

from releaser.core.model import Phase
from releaser.status import StageStatus, make_notes


def make_row(stage: str, version: str, phase: str = Phase.SUCCEEDED, message: str = "") -> StageStatus:
    return StageStatus(
        stage=stage,
        version=version,
        commit="",
        verified=None,
        releases={},
        health="healthy",
        is_healthy=True,
        url="",
        last_phase=phase,
        last_message=message,
    )


def note(*versions: str) -> list[str]:
    names = ("development", "testing", "production")
    return make_notes([make_row(name, version) for name, version in zip(names, versions, strict=False)])


@pytest.mark.parametrize(
    ("versions", "notes"),
    [
        ((), []),
        (("",), []),
        (("", "", ""), []),
        (("1.0.0", "1.0.0", "1.0.0"), ["all stages run 1.0.0"]),
        (
            ("1.1.0", "1.0.0", "1.0.0"),
            ["testing runs 1.0.0, development has 1.1.0: releaser promote --to testing"],
        ),
        (
            ("1.2.0", "1.1.0", ""),
            [
                "testing runs 1.1.0, development has 1.2.0: releaser promote --to testing",
                "production runs nothing verified, testing has 1.1.0: releaser promote --to production",
            ],
        ),
        # nothing can be promoted from a stage that has nothing verified
        (("", "1.0.0", "1.0.0"), []),
    ],
)
def test_a_stage_that_differs_from_the_one_before_is_named_with_the_command(
    versions: tuple[str, ...], notes: list[str]
) -> None:
    assert note(*versions) == notes


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        ({"phase": Phase.SUCCEEDED}, []),
        ({"phase": ""}, []),
        (
            {"phase": Phase.FAILED, "message": "no such image"},
            ["testing: the last promotion failed: no such image"],
        ),
        ({"phase": Phase.ERRORED, "message": "away"}, ["testing: the last promotion errored: away"]),
        ({"phase": Phase.ABORTED}, ["testing: the last promotion aborted"]),
        (
            {"phase": Phase.RUNNING},
            ["testing: a promotion is running or was cut off: releaser history testing"],
        ),
    ],
)
def test_a_last_promotion_that_did_not_succeed_is_named(last: dict[str, Any], expected: list[str]) -> None:
    assert make_notes([make_row("testing", "", **last)]) == expected


def test_a_failed_promotion_does_not_hide_that_all_stages_are_the_same() -> None:
    rows = [make_row("testing", "1.0.0"), make_row("production", "1.0.0", Phase.FAILED, "bad")]
    assert make_notes(rows) == ["production: the last promotion failed: bad", "all stages run 1.0.0"]
