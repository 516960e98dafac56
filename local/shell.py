"""The one door to other programs: every command is logged, and none outlives this process."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sh

from local.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TAIL = 4000
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class Shell:
    """Runs programs with one environment; the output goes to a log and the last line to whoever shows it."""

    def __init__(self, environment: Mapping[str, str], log: Path | None = None) -> None:
        """Take the whole environment of the programs; nothing is inherited behind the back."""
        self.environment = dict(environment)
        self.log = log
        self.last_line = ""

    def with_log(self, log: Path) -> Shell:
        """Return the same door, writing to another log."""
        return Shell(self.environment, log)

    def find(self, program: str) -> str | None:
        """Path of a program, or None."""
        for folder in self.environment.get("PATH", os.defpath).split(os.pathsep):
            path = Path(folder) / program
            if path.is_file() and os.access(path, os.X_OK):
                return str(path)
        return None

    def run(
        self,
        *argv: str | Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        stdin: str = "",
    ) -> str:
        """Run a program to its end and return what it wrote to its standard output."""
        words = [str(word) for word in argv]
        program = words[0] if "/" in words[0] else self.find(words[0])
        if program is None or not Path(program).exists():
            raise CommandError(f"{words[0]} is not on PATH", hint=f"install {words[0]}, then run this again")
        out: list[str] = []
        both: list[str] = []
        started = time.monotonic()
        self._note(f"$ {' '.join(words)}")
        self.last_line = _short(words)
        options: dict[str, Any] = {
            "_out": self._reader(out, both),
            "_err": self._reader(both),
            "_in": stdin,
            "_env": {**self.environment, **(env or {})},
            "_cwd": str(cwd) if cwd else None,
            "_timeout": timeout,
            "_tty_out": False,
            "_decode_errors": "replace",
            "_preexec_fn": _end_with_parent,
            "_bg": True,
            "_bg_exc": False,
        }
        process = sh.Command(program)(*words[1:], **options)
        try:
            process.wait()
        except sh.TimeoutException:
            raise CommandError(f"{_short(words)} took longer than {timeout:g} s", "".join(both)) from None
        except sh.ErrorReturnCode as error:
            raise CommandError(
                f"{_short(words)} ended with {error.exit_code}", "".join(both)[-_TAIL:]
            ) from None
        except BaseException:
            _stop(process)
            raise
        self._note(f"# {time.monotonic() - started:.1f} s")
        return "".join(out)

    def run_attached(self, *argv: str | Path, cwd: Path, env: Mapping[str, str]) -> int:
        """Run a program that talks to the user itself, and return its exit code."""
        words = [str(word) for word in argv]
        options: dict[str, Any] = {
            "_out": sys.stdout,
            "_err": sys.stderr,
            "_in": "",
            "_env": {**self.environment, **env},
            "_cwd": str(cwd),
            "_tty_out": False,
            "_preexec_fn": _end_with_parent,
            "_bg": True,
            "_bg_exc": False,
        }
        sys.stdout.flush()
        process = sh.Command(words[0])(*words[1:], **options)
        try:
            process.wait()
        except sh.ErrorReturnCode as error:
            return int(error.exit_code)
        except BaseException:
            _stop(process)
            raise
        return 0

    def works(self, *argv: str | Path, timeout: float = 30, env: Mapping[str, str] | None = None) -> bool:
        """Whether a program can be run and ends well."""
        try:
            self.run(*argv, timeout=timeout, env=env)
        except CommandError:
            return False
        return True

    def _reader(self, *into: list[str]) -> Callable[[str], None]:
        def read(line: str) -> None:
            for lines in into:
                lines.append(line)
            if any(character.isalnum() for character in line):  # a lone brace tells nobody anything
                self.last_line = line.strip()
            self._note(line.rstrip("\n"))

        return read

    def _note(self, line: str) -> None:
        if self.log is not None:
            with self.log.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


def _short(words: list[str]) -> str:
    text = " ".join([Path(words[0]).name, *words[1:]])
    return text if len(text) <= 100 else text[:97] + "..."  # noqa: PLR2004 - one line of a terminal


def _end_with_parent() -> None:
    """Ask the kernel to end the program when this process dies, even by kill -9: no orphan builds on."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _stop(process: Any) -> None:
    try:
        process.signal(signal.SIGTERM)
        process.wait(timeout=10)
    except (sh.ErrorReturnCode, OSError):
        return
    except sh.TimeoutException:
        process.kill()
