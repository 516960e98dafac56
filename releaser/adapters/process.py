"""The one place that starts programs.

Each runs in a process group of its own: a Ctrl-C at the terminal reaches the releaser alone, and
ending a program ends whatever it has started.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from releaser.errors import InputError, UnavailableError

GRACE = 20.0  # seconds between TERM and KILL


@dataclass(frozen=True)
class Finished:
    """A program that has ended; `returncode` is negative when a signal ended it."""

    returncode: int
    stdout: bytes
    stderr: bytes


class Started:
    """A program at work. Its output is read all the time, so it never waits for us."""

    def __init__(
        self, args: Sequence[str], stdin: bytes | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        self._program = args[0]
        try:
            self._process = subprocess.Popen(
                args,
                stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=env,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise InputError(
                f"{self._program} is not installed", "install it, or add its folder to PATH"
            ) from error
        except PermissionError as error:
            raise InputError(f"{self._program} may not be run", f"try: chmod +x {self._program}") from error
        except OSError as error:
            raise InputError(f"{self._program} cannot be run: {error.strerror}") from error
        self._output = (b"", b"")
        self._reader = threading.Thread(target=self._read, args=(stdin,), daemon=True)
        self._reader.start()

    def _read(self, stdin: bytes | None) -> None:
        with contextlib.suppress(ValueError, OSError):  # stop() closes what nobody reads any more
            self._output = self._process.communicate(stdin)

    def is_done(self) -> bool:
        """Whether it has ended and all its output is here."""
        return not self._reader.is_alive()

    def wait(self, timeout: float | None = None) -> Finished | None:
        """Wait for its end; None when it is still at work after `timeout` seconds."""
        self._reader.join(timeout)
        if self._reader.is_alive():
            return None
        stdout, stderr = self._output
        return Finished(self._process.wait(), stdout, stderr)

    def stop(self, grace: float = GRACE) -> None:
        """End the whole group: TERM, then KILL after `grace` seconds. Returns when it is gone."""
        if self.is_done():
            return  # its number may be another's by now
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(grace)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._process.wait()
        # A child that outlived the program still holds its pipes.
        self._reader.join(1)
        if self._reader.is_alive():
            self._signal(signal.SIGKILL)
            self._reader.join(1)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def run(
    args: Sequence[str],
    *,
    stdin: bytes | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 60,
) -> Finished:
    """Run a program to its end, or end it after `timeout` seconds."""
    started = Started(args, stdin, env)
    try:
        finished = started.wait(timeout)
    except BaseException:
        started.stop(grace=1)
        raise
    if finished is None:
        started.stop(grace=1)
        raise UnavailableError(f"{args[0]} did not end within {timeout:g} s")
    return finished
