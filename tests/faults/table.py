"""Writes the tables of the last runs into docs/postgres-ha-faults.md: of every case, and of the pauses.

make test-faults bench-failover && python -m tests.faults.table
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.faults.database import ROOT
from tests.faults.ledger import Report
from tests.faults.record import FAILOVER, FILE, Record

PAGE = ROOT / "docs" / "postgres-ha-faults.md"
NAMES = {"chart": "chart", "postgresql": "PostgreSQL", "patroni": "Patroni", "kubernetes": "Kubernetes"}
HEAD = (
    "| case | gap held | gap new | acknowledged | lost | in doubt | timelines | writers at once |",
    "|---|---|---|---|---|---|---|---|",
)
PAUSES = (
    "| case | aim | held, median | each run | new, median | each run | loop, stolen, load |",
    "|---|---|---|---|---|---|---|",
)
CASES = {
    "switchover": "switchover by command",
    "delete": "graceful delete of the primary",
    "kill": "SIGKILL of postgres",
    "force-delete": "force-delete",
    "node-stop": "stop of the primary's node",
    "rolling": "rolling change of the pods",
}


class PageError(Exception):
    """The page has no place for the table."""


def make_part(record: Record) -> str:
    """Return what the page says of a run of the suite."""
    lines = [f"Single runs of {_origin(record.about)}.", "", *HEAD]
    return "\n".join([*lines, *(_row(report) for report in record.reports)]) + "\n"


def make_pauses(found: Mapping[str, Any]) -> str:
    """Return what the page says of a run of the benchmark."""
    results = found["results"]
    lost = sum(int(result["lost"]) for result in results)
    writers = max(int(result["writers_at_once"]) for result in results)
    said = f"Rows lost in all of it: {lost}. Writers at once: {writers}."
    lines = [f"{_origin(found['about'])}.", said, "", *PAUSES]
    return "\n".join([*lines, *(_pause(result) for result in results)]) + "\n"


def _origin(about: Mapping[str, str]) -> str:
    commit = f", commit {about['commit']}" if "commit" in about else ""
    versions = ", ".join(f"{name} {about[key]}" for key, name in NAMES.items() if key in about)
    return f"{about['date']}{commit}: {versions}"


def _row(report: Report) -> str:
    lost = f"**{report.lost}**" if report.lost else "0"
    words = [report.case, f"{report.held_gap:.2f} s", f"{report.new_gap:.2f} s", report.acknowledged, lost]
    words += [report.in_doubt, report.timelines, report.writers_at_once]
    return f"| {' | '.join(str(word) for word in words)} |"


def _pause(result: Mapping[str, Any]) -> str:
    words = [CASES[result["case"]], f"{result['aim']:g} s"]
    for mode in ("held", "new"):
        runs = ", ".join(f"{seconds:.2f}" for seconds in result[f"{mode}_runs"])
        words += [f"{result[mode]:.2f} s", runs]
    machine = result["machine"]
    words.append(f"{machine['loop_ms']:.0f} ms, {machine['stolen_percent']:g} %, {machine['load']:.0f}")
    return f"| {' | '.join(words)} |"


def fill(page: str, name: str, part: str) -> str:
    """Put it between the marks of this name; raise PageError where they are not there."""
    between = re.compile(rf"(<!-- {name}: begin\b[^>]*-->\n).*(<!-- {name}: end -->\n)", re.DOTALL)
    filled, count = between.subn(lambda found: found[1] + part + found[2], page)
    if count != 1:
        raise PageError(f"the marks <!-- {name}: begin --> and <!-- {name}: end --> are not in the page")
    return filled


SOURCES: dict[str, tuple[Path, str, Callable[[str], str]]] = {
    "faults": (FILE, "make test-faults", lambda text: make_part(Record.parse(text))),
    "failover": (FAILOVER, "make bench-failover", lambda text: make_pauses(json.loads(text))),
}


def main() -> None:
    """Write what there is into the page."""
    there = {name: source for name, source in SOURCES.items() if source[0].exists()}
    if not there:
        files = " and no ".join(str(file) for file, *_ in SOURCES.values())
        sys.exit(f"error: there is no {files}\nhelp:  make test-faults, or make bench-failover")
    page = PAGE.read_text(encoding="utf-8")
    for name, (file, command, make) in there.items():
        try:
            page = fill(page, name, make(file.read_text(encoding="utf-8")))
        except PageError as error:
            sys.exit(f"error: {PAGE}: {error}")
        except (ValueError, KeyError, TypeError) as error:
            sys.exit(f"error: {file} is not what `{command}` writes: {error!r}\nhelp:  {command}")
    PAGE.write_text(page, encoding="utf-8")
    sys.stdout.write(f"{PAGE}: {', '.join(there)}\n")


if __name__ == "__main__":
    main()
