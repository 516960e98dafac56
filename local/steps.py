"""Steps, and the one runner that carries them out in order."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from local.console import Console, Ticker, describe_seconds
from local.errors import CommandError, LocalError
from releaser.errors import ReleaserError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import FrameType

    from local.shell import Shell

_TAIL_LINES = 20
INTERRUPTED = 130


@dataclass(frozen=True)
class Verdict:
    """Whether a step has anything to do, and why, in words for the user."""

    is_done: bool
    reason: str


class Step(Protocol):
    """One thing to bring about. Looking must be cheap; running must be safe after any interruption."""

    name: str

    def look(self) -> Verdict:
        """Say whether it is there already."""

    def run(self) -> str:
        """Bring it about, and return what came of it."""


@dataclass
class FunctionStep:
    """A step made of two functions."""

    name: str
    look: Callable[[], Verdict]
    run: Callable[[], str]


@dataclass
class Outcome:
    """How a run went."""

    changed: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


class StepFailedError(LocalError):
    """A step failed; it has been told."""


class Runner:
    """Looks at each step and runs those that are not done; says what, why, and how long it took."""

    def __init__(self, console: Console, shell: Shell, logs: Path, command: str) -> None:
        """Take the door whose log is set for each step, and the command that continues after a failure."""
        self.console = console
        self.shell = shell
        self.logs = logs
        self.command = command

    def run(self, steps: Sequence[Step]) -> Outcome:
        """Carry out the steps in order; the first failure ends it."""
        self.logs.mkdir(parents=True, exist_ok=True)
        outcome = Outcome()
        for number, step in enumerate(steps, start=1):
            started = time.monotonic()
            changed = self._one(f"[{number:>2}/{len(steps)}] {step.name:<16}", step)
            outcome.seconds[step.name] = time.monotonic() - started
            if changed:
                outcome.changed.append(step.name)
        return outcome

    def _one(self, title: str, step: Step) -> bool:
        log = self.logs / f"{step.name.replace(' ', '-')}.log"
        log.write_text("", encoding="utf-8")
        self.shell.log = log
        self.shell.last_line = ""
        with Ticker(self.console, title, lambda: self.shell.last_line) as ticker:
            try:
                verdict = step.look()
                if verdict.is_done:
                    self._say(title, "unchanged", ticker.elapsed, verdict.reason)
                    return False
                self.console.line(f"{title} {verdict.reason} ...")
                result = step.run()
            except (LocalError, ReleaserError) as error:
                self._fail(title, error, log, ticker.elapsed)
                raise StepFailedError(str(error)) from None
            except KeyboardInterrupt:
                self._say(title, "stopped", ticker.elapsed, f"to go on from here: {self.command}")
                raise
        self._say(title, "done", ticker.elapsed, result)
        return True

    def _say(self, title: str, word: str, seconds: float, text: str) -> None:
        self.console.line(f"{title} {word} ({describe_seconds(seconds)}): {text}")

    def _fail(self, title: str, error: LocalError | ReleaserError, log: Path, seconds: float) -> None:
        console = self.console
        console.line(f"{title} FAILED after {describe_seconds(seconds)}: {error}")
        if isinstance(error, CommandError):
            lines = error.output.rstrip().splitlines()
            for line in lines[-_TAIL_LINES:]:
                console.note(f"| {line}")
        console.note(f"output: {log}")
        hint = getattr(error, "hint", "")
        if hint:
            console.note(f"help:   {hint}")
        console.note(f"next:   {self.command}   (goes on from here)")


def stop_on_sigterm() -> None:
    """Treat an ordinary kill like Ctrl-C: the running program is ended, and the user is told how to go on."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
