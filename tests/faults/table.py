"""Writes the table of the last run of every case into docs/postgres-ha-faults.md.

make test-faults && python -m tests.faults.table
"""

from __future__ import annotations

import re
import sys

from tests.faults.database import ROOT
from tests.faults.ledger import Report
from tests.faults.record import FILE, Record

PAGE = ROOT / "docs" / "postgres-ha-faults.md"
BETWEEN = re.compile(r"(<!-- faults: begin\b[^>]*-->\n).*(<!-- faults: end -->\n)", re.DOTALL)
NAMES = {"chart": "chart", "postgresql": "PostgreSQL", "patroni": "Patroni", "kubernetes": "Kubernetes"}
HEAD = (
    "| case | gap held | gap new | acknowledged | lost | in doubt | timelines | writers at once |",
    "|---|---|---|---|---|---|---|---|",
)


class PageError(Exception):
    """The page has no place for the table."""


def make_part(record: Record) -> str:
    """Return what the page says of a run."""
    about = record.about
    commit = f", commit {about['commit']}" if "commit" in about else ""
    versions = ", ".join(f"{name} {about[key]}" for key, name in NAMES.items() if key in about)
    lines = [f"Single runs of {about['date']}{commit}: {versions}.", "", *HEAD]
    return "\n".join([*lines, *(_row(report) for report in record.reports)]) + "\n"


def _row(report: Report) -> str:
    lost = f"**{report.lost}**" if report.lost else "0"
    words = [report.case, f"{report.held_gap:.2f} s", f"{report.new_gap:.2f} s", report.acknowledged, lost]
    words += [report.in_doubt, report.timelines, report.writers_at_once]
    return f"| {' | '.join(str(word) for word in words)} |"


def fill(page: str, part: str) -> str:
    """Put it between the marks; raise PageError where they are not there."""
    filled, count = BETWEEN.subn(lambda found: found[1] + part + found[2], page)
    if count != 1:
        raise PageError("the marks <!-- faults: begin --> and <!-- faults: end --> are not in the page")
    return filled


def main() -> None:
    """Write the page."""
    try:
        record = Record.parse(FILE.read_text(encoding="utf-8"))
        PAGE.write_text(fill(PAGE.read_text(encoding="utf-8"), make_part(record)), encoding="utf-8")
    except FileNotFoundError as error:
        sys.exit(f"error: there is no {error.filename}\nhelp:  make test-faults")
    except PageError as error:
        sys.exit(f"error: {PAGE}: {error}")
    except (ValueError, KeyError, TypeError) as error:
        sys.exit(f"error: {FILE} is not what the suite writes: {error!r}\nhelp:  make test-faults")
    sys.stdout.write(f"{PAGE}: {len(record.reports)} cases\n")


if __name__ == "__main__":
    main()
