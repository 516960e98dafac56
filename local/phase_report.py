"""A pytest plugin: how long each phase took, above pytest's own last line."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from local.console import describe_seconds

if TYPE_CHECKING:
    import pytest

NOTES = "NOTEJAM_TEST_NOTES"
"""Variable in which the runner tells what came before pytest."""
_STARTED = time.monotonic()
_SECONDS: dict[str, float] = defaultdict(float)
_COUNTS: dict[str, int] = defaultdict(int)
_FILES: dict[str, float] = defaultdict(float)
SLOWEST = 8


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add a part of a test to its phase."""
    file = report.nodeid.split("::", 1)[0]
    parts = Path(file).parts
    phase = parts[1] if len(parts) > 1 else parts[0]
    _SECONDS[phase] += report.duration
    _COUNTS[phase] += report.when == "call"
    _FILES[file] += report.duration


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write the table."""
    terminalreporter.section("durations")
    for note in filter(None, os.environ.get(NOTES, "").splitlines()):
        terminalreporter.write_line(note)
    for phase, seconds in _SECONDS.items():
        # Where several processes share the tests, their times add up to more than the clock's.
        terminalreporter.write_line(f"{phase:<10} {describe_seconds(seconds)} for {_COUNTS[phase]} tests")
    for file in sorted(_FILES, key=lambda one: -_FILES[one])[:SLOWEST]:
        terminalreporter.write_line(f"  {describe_seconds(_FILES[file]):<14} {file}")
    terminalreporter.write_line(f"pytest     {describe_seconds(time.monotonic() - _STARTED)} in all")
