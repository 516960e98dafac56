from __future__ import annotations

import io
from pathlib import Path

import pytest

from local.console import Console, describe_seconds
from local.errors import CommandError, LocalError
from local.shell import Shell
from local.steps import FunctionStep, Runner, StepFailedError, Verdict

NAMES = ("cluster", "registry", "image app", "charts", "bundle")


class World:
    """What steps bring about, and where they are stopped."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.stop_in = ""
        self.stop_with: BaseException = KeyboardInterrupt()

    def steps(self) -> list[FunctionStep]:
        return [self._step(name) for name in NAMES]

    def _step(self, name: str) -> FunctionStep:
        def look() -> Verdict:
            return Verdict(
                is_done=name in self.done, reason=f"{name} is{'' if name in self.done else ' not'} there"
            )

        def run() -> str:
            if name == self.stop_in:
                raise self.stop_with
            self.done.append(name)
            return f"{name} made"

        return FunctionStep(name, look, run)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def runner(tmp_path: Path, out: io.StringIO) -> Runner:
    return Runner(Console(out), Shell({}), tmp_path / "logs", "make up")


def test_every_step_is_told(world: World, runner: Runner, out: io.StringIO) -> None:
    outcome = runner.run(world.steps())
    assert outcome.changed == list(NAMES)
    for number, name in enumerate(NAMES, start=1):
        assert f"[ {number}/5] {name:<16} done (" in out.getvalue()


def test_a_second_run_changes_nothing(world: World, runner: Runner, out: io.StringIO) -> None:
    runner.run(world.steps())
    out.truncate(0)
    assert runner.run(world.steps()).changed == []
    assert out.getvalue().count("unchanged") == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("error", [KeyboardInterrupt(), LocalError("broken")])
def test_a_run_that_was_stopped_anywhere_goes_on(
    world: World, runner: Runner, out: io.StringIO, name: str, error: BaseException
) -> None:
    world.stop_in, world.stop_with = name, error
    with pytest.raises((KeyboardInterrupt, StepFailedError)):
        runner.run(world.steps())
    assert "make up" in out.getvalue().splitlines()[-1]
    world.stop_in = ""
    runner.run(world.steps())
    assert world.done == list(NAMES)


def test_a_failure_says_what_where_and_how_to_go_on(
    world: World, runner: Runner, out: io.StringIO, tmp_path: Path
) -> None:
    output = "".join(f"line {number}\n" for number in range(30))
    world.stop_in, world.stop_with = (
        "registry",
        CommandError("podman run ended with 125", output, "free the port"),
    )
    with pytest.raises(StepFailedError):
        runner.run(world.steps())
    text = out.getvalue()
    assert "FAILED" in text
    assert "podman run ended with 125" in text
    assert "| line 29" in text
    assert "| line 10" in text
    assert "| line 9\n" not in text
    assert str(tmp_path / "logs" / "registry.log") in text
    assert "help:   free the port" in text
    assert "next:   make up" in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.96, "10.0 s"), (12.3, "12 s"), (119.4, "119 s"), (185, "3 min 05 s")],
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert describe_seconds(seconds) == text
