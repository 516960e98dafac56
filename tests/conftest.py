"""For all tests: a test that starts a process says so with `@pytest.mark.process`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any, NoReturn

import pytest

FREE = ("cluster", "faults", "charts", "app")
"""Folders whose tests are about programs that run: all of them may start processes."""
LONG = ("cluster/test_promotion.py", "faults", "cluster")
"""Where several processes share the tests, these begin first: the longest one decides when all are done."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort the tests of a worker process; each file stays together."""
    if hasattr(config, "workerinput"):
        items.sort(
            key=lambda item: next((at for at, part in enumerate(LONG) if part in item.nodeid), len(LONG))
        )


@pytest.fixture(autouse=True)
def _no_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forbid processes in tests that are not marked, so that a fake cannot be forgotten unseen."""
    folder = Path(request.node.path).relative_to(request.config.rootpath / "tests").parts[0]
    if folder not in FREE and request.node.get_closest_marker("process") is None:

        def refuse(*args: Any, **_: Any) -> NoReturn:
            message = f"this test starts a process without the mark `process`: {args[:1]}"
            raise AssertionError(message)

        monkeypatch.setattr(subprocess, "Popen", refuse)
        monkeypatch.setattr(os, "fork", refuse)
        monkeypatch.setattr(os, "posix_spawn", refuse)
