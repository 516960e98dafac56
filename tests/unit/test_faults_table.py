"""The table of the fault suite's reports, in the page about faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.ledger import Report
from tests.faults.record import Record, read_versions
from tests.faults.table import PAGE, PageError, fill, make_part

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
    filled = fill(page, PART)
    assert filled == page.replace("old\n", PART)
    assert fill(filled, PART) == filled


@pytest.mark.parametrize(
    "page", ["", "<!-- faults: begin -->\n", "<!-- faults: end -->\n<!-- faults: begin -->\n"]
)
def test_a_page_without_the_marks_is_refused(page: str) -> None:
    with pytest.raises(PageError, match="the marks"):
        fill(page, PART)


def test_the_page_has_the_marks() -> None:
    assert PART in fill(Path(PAGE).read_text(encoding="utf-8"), PART)


def test_versions_are_read_from_what_the_programs_say() -> None:
    said = "postgres (PostgreSQL) 17.12 (Debian 17.12-1)\npatroni 4.0.7\n"
    assert read_versions(said) == {"postgresql": "17.12", "patroni": "4.0.7"}
    assert read_versions("sh: not found") == {}
