"""What people and programs read. The texts are in tests/golden/console; GOLDEN_UPDATE=1 rewrites them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from releaser.console import Console, plan_document, to_json
from releaser.core.model import Move, Phase
from releaser.core.plan import Plan, make_promotion_plan
from releaser.core.rollback import make_rollback_plan
from releaser.errors import InputError, NeedsAPersonError
from releaser.status import StageStatus
from tests.unit.builders import (
    APP,
    DB,
    NOW,
    V1,
    V2,
    V3,
    digest,
    make_facts,
    make_lock,
    make_promotion,
    make_values,
    minutes,
    seconds,
    with_release,
    with_target,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "console"
SECRET = "Correct-Horse-9"
ESCAPE = "\x1b"


@pytest.fixture(autouse=True)
def _no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


class Printed:
    """A console whose clock a test can set, and what it printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.time = 0.0
        self.capsys = capsys
        self.text = Console(as_json=False, clock=lambda: self.time)
        self.json = Console(as_json=True, clock=lambda: self.time)

    def read(self) -> tuple[str, str]:
        printed = self.capsys.readouterr()
        return printed.out, printed.err


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    return Printed(capsys)


def check_golden(name: str, text: str) -> None:
    path = GOLDEN / name
    text = "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
    if os.environ.get("GOLDEN_UPDATE"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.is_file(), f"{path} is missing: run once with GOLDEN_UPDATE=1"
    assert text == path.read_text(encoding="utf-8"), f"{path} differs: GOLDEN_UPDATE=1 rewrites it"


# --- plans ---


def make_plans() -> Iterator[tuple[str, Plan]]:
    yield (
        "first",
        make_promotion_plan(make_facts(values={"notejam": {"replicas": 3, "session": {"key": "x"}}}), V2),
    )
    yield "upgrade", make_promotion_plan(make_facts(V1), V2)
    yield "unchanged", make_promotion_plan(make_facts(V2), V2)
    yield "pins", make_promotion_plan(make_facts(V2, pins={}), V2)
    cut_off = make_promotion(V2, ago=5, phase=Phase.ABORTED, moves={"notejam": Move(3, None)})
    pending = with_release(make_facts(V1), APP, status="pending-upgrade", revision=4, good_revision=3)
    yield "repair", make_promotion_plan(with_target(pending, promotions=(cut_off, make_promotion(V1))), V2)
    blocked = with_target(
        make_facts(V1, missing=(f"registry.test/notejam/app@{digest('gone')}",)),
        lock=make_lock(taken=minutes(5), renewed=seconds(3)),
    )
    yield "blocked", make_promotion_plan(blocked, V3)
    former = make_promotion(V1)
    live = with_release(make_facts(V2), APP, revision=2)
    yield "rollback", make_rollback_plan(live, former, {"notejam": {1: "1.0.0", 2: "2.0.0"}})
    yield "rollback-blocked", make_rollback_plan(live, former, {"notejam": {2: "2.0.0"}})


PLANS = dict(make_plans())


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_is_read_as_gates_and_steps_with_their_reasons(name: str, printed: Printed) -> None:
    printed.text.plan(PLANS[name])
    out, err = printed.read()
    check_golden(f"plan-{name}.txt", out)
    assert err == ""
    assert ESCAPE not in out


@pytest.mark.parametrize("name", ["upgrade", "repair", "rollback", "blocked"])
def test_a_plan_is_one_document_for_programs(name: str, printed: Printed) -> None:
    printed.json.plan(PLANS[name])
    assert printed.read() == ("", ""), "the command prints the document once it knows the outcome"

    printed.json.document(plan_document(replace(PLANS[name], fingerprint="0" * 16), changed=False))
    out, err = printed.read()
    check_golden(f"plan-{name}.json", out)
    assert err == ""


def test_the_outcome_is_part_of_the_document() -> None:
    document = plan_document(PLANS["upgrade"], changed=True, promotion=make_promotion(V2, id="p7"))
    assert document["changed"] is True
    assert document["promotion"]["id"] == "p7"
    assert document["promotion"]["phase"] == "Succeeded"
    assert document["promotion"]["started"] == "2026-01-05T11:00:00+00:00"
    assert document["promotion"]["moves"]["notejam"] == {"before": None, "after": 1}
    assert plan_document(PLANS["upgrade"], changed=False)["promotion"] is None


def test_neither_text_nor_document_holds_a_secret(printed: Printed) -> None:
    values = {"password": SECRET, "extraEnv": [{"name": "API_TOKEN", "value": SECRET}]}
    facts = make_facts(
        V1, values={"notejam": make_values(APP, V1, **values), "postgres-ha": {"token": SECRET}}
    )
    plan = make_promotion_plan(facts, V2)
    printed.text.plan(plan)
    printed.json.document(plan_document(plan, changed=False))
    out, _ = printed.read()
    assert out.count("(hidden)") == 6
    assert SECRET not in out


def test_a_plan_has_no_line_that_is_broken_in_a_pipe(printed: Printed) -> None:
    plan = replace(PLANS["unchanged"], reason="word " * 99 + "end")
    printed.text.plan(plan)
    assert printed.read()[0].splitlines()[0].endswith("word end")


# --- while it runs ---


def test_progress_goes_to_standard_error_with_its_seconds(printed: Printed) -> None:
    console = printed.text
    console.step("upgrade notejam")
    printed.time = 3.9
    console.progress("notejam: 1 of 3 updated, 2 available; notejam-7c starts")
    printed.time = 12.2
    console.done("notejam 3 of 3 available")
    console.step("verify")
    printed.time = 130.0
    console.progress(f"notejam-7c/web runs app@{digest('x')}")
    console.failure("it is not well", ["first line", "  second line"])
    console.note("for people only")
    out, err = printed.read()
    assert out == ""
    check_golden("progress.txt", err)


def test_the_last_words_of_a_program_cannot_command_the_terminal(printed: Printed) -> None:
    printed.text.failure("bad", ["\x1b[31mred\x1b[0m\x1b[2J\x07 and green\r"])
    assert printed.read()[1] == "   failed: bad\n      red and green\n"


def test_an_error_says_what_and_what_to_type_next(printed: Printed) -> None:
    printed.text.error(NeedsAPersonError("it failed\nand could not be rolled back", "releaser status"))
    printed.text.error(InputError("--version: '1' is not a semantic version"))
    out, err = printed.read()
    assert out == ""
    check_golden("errors.txt", err)


def test_an_error_is_a_document_too_when_programs_read(printed: Printed) -> None:
    printed.json.error(InputError("no such stage", "known stages: a, b"))
    out, err = printed.read()
    assert json.loads(out) == {"error": "no such stage", "hint": "known stages: a, b", "exit_code": 2}
    assert err == "error: no such stage\nnext:  known stages: a, b\n"


def test_text_that_looks_like_markup_is_text(printed: Printed) -> None:
    printed.text.step("[bold]x[/bold] [1]")
    printed.text.note("[/]")
    assert printed.read()[1] == "-> [bold]x[/bold] [1]\n[/]\n"


# --- tables ---


def make_row(stage: str, **changes: Any) -> StageStatus:
    row = StageStatus(
        stage=stage,
        version="2.0.0",
        commit=V2.commit,
        verified=NOW - minutes(12),
        releases={
            "notejam-db": "1.0.0 (revision 1, deployed)",
            "notejam": "2.0.0 (revision 4, deployed)",
        },
        health="healthy",
        is_healthy=True,
        url=f"http://{stage}.test",
        last_phase=Phase.SUCCEEDED,
        last_message="",
    )
    return replace(row, **changes)


ROWS = [
    make_row("development"),
    make_row("testing", health="notejam: 1 of 3 updated, 3 available", is_healthy=False),
    make_row("production", version="", verified=None, releases={}, url="", health="notejam is not installed"),
]
NOTES = ["production runs nothing verified, testing has 2.0.0: releaser promote --to production"]


def test_the_stages_are_a_table_and_notes(printed: Printed) -> None:
    printed.text.status(ROWS, NOTES, NOW)
    out, err = printed.read()
    check_golden("status.txt", out)
    assert err == ""


def test_the_stages_are_a_document(printed: Printed) -> None:
    printed.json.status(ROWS, NOTES, NOW)
    document = json.loads(printed.read()[0])
    assert document["notes"] == NOTES
    assert [row["stage"] for row in document["stages"]] == ["development", "testing", "production"]
    assert document["stages"][0]["verified"] == "2026-01-05T11:48:00+00:00"
    assert document["stages"][2]["verified"] is None


HISTORY = [
    make_promotion(V2, ago=9, phase=Phase.RUNNING, finished=None, former="1.0.0"),
    make_promotion(
        V2, ago=60, phase=Phase.FAILED, former="1.0.0", message="Deployment web: image cannot be pulled"
    ),
    make_promotion(V1, ago=90, kind="rollback", former="2.0.0"),
    make_promotion(V1, ago=4000),
]


def test_the_history_is_a_table(printed: Printed) -> None:
    printed.text.history(HISTORY)
    check_golden("history.txt", printed.read()[0])


def test_the_history_is_a_document(printed: Printed) -> None:
    printed.json.history(HISTORY)
    document = json.loads(printed.read()[0])
    assert [promotion["phase"] for promotion in document["promotions"]] == [
        "Running",
        "Failed",
        "Succeeded",
        "Succeeded",
    ]


def test_an_empty_history_says_so(printed: Printed) -> None:
    printed.text.history([])
    assert printed.read()[0] == "no promotions yet\n"
    printed.json.history([])
    assert json.loads(printed.read()[0]) == {"promotions": []}


def test_a_table_in_a_pipe_breaks_no_words(printed: Printed) -> None:
    message = "and ".join(f"reason{number}" for number in range(99))
    printed.text.history([replace(HISTORY[0], message=message)])
    assert message in printed.read()[0]


def test_a_terminal_gets_colours_and_tables_of_its_width(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    Console(as_json=False).status(ROWS, [], NOW)
    out = capsys.readouterr().out
    assert f"{ESCAPE}[31m" in out
    assert max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in out.splitlines()) <= 80


# --- JSON ---


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (None, None),
        (datetime(2026, 1, 5, tzinfo=UTC), "2026-01-05T00:00:00+00:00"),
        (timedelta(minutes=1.5), 90.0),
        (Phase.FAILED, "Failed"),
        ((1, "a"), [1, "a"]),
        ({("image", "digest"): "x"}, {"image.digest": "x"}),
        ({"a": {"b": [Phase.RUNNING]}}, {"a": {"b": ["Running"]}}),
        (DB, {"name": "postgres-ha", "release": "notejam-db", "images": {"postgres": "image"}}),
    ],
)
def test_data_of_the_model_becomes_json(data: object, expected: object) -> None:
    assert to_json(data) == expected


def test_every_document_of_a_plan_has_the_same_keys_and_can_be_written() -> None:
    documents = [plan_document(plan, changed=False) for plan in PLANS.values()]
    assert len({tuple(json.loads(json.dumps(document))) for document in documents}) == 1
    assert [name for name, plan in PLANS.items() if plan_document(plan, changed=False)["blocked"]] == [
        "blocked",
        "rollback-blocked",
    ]
