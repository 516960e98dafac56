"""What the user sees: one line per step, and a sign of life while one runs."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Self, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_QUIET_SECONDS = 15.0
_WIDTH = 100


def describe_seconds(seconds: float) -> str:
    """Write a duration as people do: 0.4 s, 12 s, 3 min 05 s."""
    if seconds < 10:  # noqa: PLR2004 - below ten seconds the tenth says something
        return f"{seconds:.1f} s"
    if seconds < 120:  # noqa: PLR2004 - two minutes
        return f"{seconds:.0f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


class Console:
    """Prints lines; keeps the line of a running step apart on a terminal."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        """Take where to print."""
        self.out = out
        self.live = out.isatty()
        self._lock = threading.RLock()
        self._shown = ""

    def line(self, text: str = "") -> None:
        """Print a line that stays."""
        with self._lock:
            self._wipe()
            self.out.write(text + "\n")
            self.out.flush()

    def note(self, text: str) -> None:
        """Print something about the running step."""
        self.line(f"        {text}")

    def show(self, text: str) -> None:
        """Show a line that is replaced by the next; only on a terminal."""
        with self._lock:
            self._wipe()
            self._shown = text[: _WIDTH + 20]
            self.out.write(self._shown)
            self.out.flush()

    def _wipe(self) -> None:
        if self._shown:
            self.out.write("\r\x1b[K")
            self._shown = ""


class Ticker:
    """Shows that something goes on: every second on a terminal, every 15 seconds in a log."""

    def __init__(self, console: Console, title: str, last_line: Callable[[], str]) -> None:
        """Take the title of what runs, and a way to ask for the last line of its output."""
        self.console = console
        self.title = title
        self.last_line = last_line
        self.started = time.monotonic()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        self._end.set()
        self._thread.join()

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.started

    def _run(self) -> None:
        pause = 1.0 if self.console.live else _QUIET_SECONDS
        while not self._end.wait(pause):
            text = f"        {describe_seconds(self.elapsed):>11}  {self.last_line()}"[:_WIDTH]
            if self.console.live:
                self.console.show(f"{self.title}{text[7:]}")
            else:
                self.console.line(text)
