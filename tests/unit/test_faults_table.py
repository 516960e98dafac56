"""The tables of the fault suite and of the pauses, in the page about faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.ledger import Report
from tests.faults.record import Record, read_versions
from tests.faults.table import PAGE, PageError, fill, make_part, make_pauses

ABOUT = {
    "date": "2031-02-03",
    "commit": "abc1234",
    "chart": "0.9.0",
    "postgresql": "17.12",
    "patroni": "4.0.7",
}
CALM = Report("switchover", 1.006, 0.9, 120, 0, 1, 2, 1)
LOSSY = Report("control", 4.0, float("inf"), 99, 7, 0, 2, 1)
PART = """\
Single runs of 2031-02-03, commit abc1234: chart 0.9.0, PostgreSQL 17.12, Patroni 4.0.7.

| case | gap held | gap new | acknowledged | lost | in doubt | timelines | writers at once |
|---|---|---|---|---|---|---|---|
| switchover | 1.01 s | 0.90 s | 120 | 0 | 1 | 2 | 1 |
| control | 4.00 s | inf s | 99 | **7** | 0 | 2 | 1 |
"""
PAUSES = """\
2031-02-03, commit abc1234: chart 0.9.0, PostgreSQL 17.12, Patroni 4.0.7.
Rows lost in all of it: 2. Writers at once: 1.

| case | aim | held, median | each run | new, median | each run | loop, stolen, load |
|---|---|---|---|---|---|---|
| SIGKILL of postgres | 5 s | 1.50 s | 1.20, 1.50, 9.00 | 2.00 s | 2.00 | 35 ms, 0 %, 12 |
| rolling change of the pods | 5 s | 1.50 s | 1.20, 1.50, 9.00 | 2.00 s | 2.00 | 35 ms, 0 %, 12 |
"""


def test_a_row_for_each_report_and_what_they_are_about() -> None:
    assert make_part(Record(dict(ABOUT), [CALM, LOSSY])) == PART


def test_what_is_not_known_is_left_out() -> None:
    first = make_part(Record({"date": "2031-02-03", "chart": "0.9.0"}, [CALM])).splitlines()[0]
    assert first == "Single runs of 2031-02-03: chart 0.9.0."


def test_a_record_survives_its_file() -> None:
    record = Record(dict(ABOUT), [CALM, LOSSY])
    assert Record.parse(record.dump()) == record


def test_only_what_is_between_the_marks_changes() -> None:
    page = "before\n<!-- faults: begin (who writes it) -->\nold\n<!-- faults: end -->\nafter\n"
    filled = fill(page, "faults", PART)
    assert filled == page.replace("old\n", PART)
    assert fill(filled, "faults", PART) == filled


@pytest.mark.parametrize(
    "page", ["", "<!-- faults: begin -->\n", "<!-- faults: end -->\n<!-- faults: begin -->\n"]
)
def test_a_page_without_the_marks_is_refused(page: str) -> None:
    with pytest.raises(PageError, match="the marks"):
        fill(page, "faults", PART)


@pytest.mark.parametrize(("name", "part"), [("faults", PART), ("failover", PAUSES)])
def test_the_page_has_the_marks(name: str, part: str) -> None:
    assert part in fill(Path(PAGE).read_text(encoding="utf-8"), name, part)


def test_a_row_for_each_case_and_its_runs() -> None:
    machine = {"loop_ms": 35.4, "stolen_percent": 0.0, "load": 11.6}
    calm = {"case": "kill", "aim": 5.0, "held": 1.5, "held_runs": [1.2, 1.5, 9], "new": 2, "new_runs": [2.0]}
    calm |= {"machine": machine, "lost": 0, "writers_at_once": 1}
    rolling = {**calm, "case": "rolling", "lost": 2}
    assert make_pauses({"about": ABOUT, "results": [calm, rolling]}) == PAUSES


def test_versions_are_read_from_what_the_programs_say() -> None:
    said = "postgres (PostgreSQL) 17.12 (Debian 17.12-1)\npatroni 4.0.7\n"
    assert read_versions(said) == {"postgresql": "17.12", "patroni": "4.0.7"}
    assert read_versions("sh: not found") == {}
