"""The container engine after a crash: containers whose processes died without it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.console import Console
from local.settings import read_settings
from local.workshop import Workshop

NAME = "notejam-crashed"


@pytest.fixture
def workshop() -> Iterator[Workshop]:
    settings = read_settings(os.environ, Path(__file__).parents[2])
    made = Workshop(settings, Console())
    if not made.registry.runs():
        pytest.skip("the registry is not a container of this machine, so there is no image to run")
    yield made
    if made.engine.inspect(NAME):
        made.engine.remove(NAME)


def test_a_container_whose_processes_died_is_removed(workshop: Workshop) -> None:
    engine = workshop.engine
    image = engine.inspect(workshop.settings.registry_name)["ImageName"]
    engine.run("run", "-d", "--name", NAME, image)
    state = engine.inspect(NAME)["State"]
    for process in (state.get("ConmonPid"), state["Pid"]):  # podman's monitor first: it must not tell
        if process:
            os.kill(process, signal.SIGKILL)
    engine.remove(NAME)
    assert not engine.inspect(NAME)
