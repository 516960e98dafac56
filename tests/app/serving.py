"""The app as a process of its own, for the tests of how it is served."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.app.postgres_server import find_free_port

START_SECONDS = 60
GUNICORN = (sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py")
Start = Callable[..., "tuple[subprocess.Popen[str], int]"]


def get(port: int, path: str) -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def wait_for_text(path: Path, text: str, *, times: int = 1) -> None:
    deadline = time.monotonic() + START_SECONDS
    while path.read_text(encoding="utf-8").count(text) < times:
        assert time.monotonic() < deadline, path.read_text(encoding="utf-8")
        time.sleep(0.02)


@contextmanager
def servers(folder: Path, output: Path) -> Iterator[Start]:
    """Start servers and wait until they answer; afterwards end what is left of them."""
    started: list[subprocess.Popen[str]] = []

    def run(command: list[str], environment: dict[str, str]) -> tuple[subprocess.Popen[str], int]:
        port = find_free_port()
        with output.open("w", encoding="utf-8") as stream:
            process = subprocess.Popen(
                [part.replace("PORT", str(port)) for part in command],
                cwd=folder,
                # Without metrics unless asked for: several tests may run on one machine.
                env={"PATH": os.environ["PATH"], "NOTEJAM_METRICS_PORT": "0", **environment},
                stdout=stream,
                stderr=subprocess.STDOUT,
                text=True,
            )
        started.append(process)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                if get(port, "/healthz")[0] == 200:
                    return process, port
            except OSError:
                pass
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"did not start:\n{output.read_text(encoding='utf-8')}")
            time.sleep(0.05)

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
