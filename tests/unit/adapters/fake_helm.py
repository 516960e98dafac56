"""A program that stands in for helm: writes down how it was called and answers from files.

answers/COMMAND holds what it prints, answers/COMMAND.err what it says on stderr before it fails.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

here = Path(__file__).parent
command = sys.argv[1]
calls = here / "calls"
calls.mkdir(exist_ok=True)


def note(**more: object) -> None:
    # A name of its own for each process: two may write at once.
    (calls / f"{time.monotonic_ns()}-{os.getpid()}-{len(more)}").write_text(
        json.dumps({"args": sys.argv[1:], "pid": os.getpid(), **more})
    )


if command == "version":
    sys.stdout.write((here / "version").read_text())
    raise SystemExit(0)

note(
    stdin=None if sys.stdin.isatty() else sys.stdin.read(),
    group=os.getpgid(0),
    env={key: value for key, value in os.environ.items() if key.startswith("HELM_")},
)
if (here / "hang").exists():

    def end(*_: object) -> None:
        note(signal="TERM")
        if (here / "hang").read_text() == "deaf":
            return
        sys.stderr.write("Error: context canceled\n")
        raise SystemExit(1)

    signal.signal(signal.SIGTERM, end)
    (here / "ready").write_text(str(os.getpid()))
    while True:
        time.sleep(0.01)
answer = here / "answers" / command
failure = here / "answers" / f"{command}.err"
if failure.exists():
    sys.stderr.buffer.write(failure.read_bytes())
    raise SystemExit(1)
sys.stdout.write(answer.read_text() if answer.exists() else "{}")
