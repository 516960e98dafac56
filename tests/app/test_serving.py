"""The app as a process: gunicorn as the image starts it, and the one command for developers."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.app.store import SECRET, MakeDatabase

START_SECONDS = 60
GUNICORN = (sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(port: int, path: str) -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


Start = Callable[..., "tuple[subprocess.Popen[str], int]"]


@pytest.fixture
def start(app_folder: Path, tmp_path: Path) -> Iterator[Start]:
    """Start a server and wait until it answers; afterwards end what is left of it."""
    started: list[subprocess.Popen[str]] = []

    def run(command: list[str], environment: dict[str, str]) -> tuple[subprocess.Popen[str], int]:
        port = free_port()
        with (tmp_path / "output").open("w", encoding="utf-8") as output:
            process = subprocess.Popen(
                [part.replace("PORT", str(port)) for part in command],
                cwd=app_folder,
                env={"PATH": os.environ["PATH"], **environment},
                stdout=output,
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
                pytest.fail(f"did not start:\n{(tmp_path / 'output').read_text(encoding='utf-8')}")
            time.sleep(0.05)

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()


def wait_for_text(path: Path, text: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while text not in path.read_text(encoding="utf-8"):
        assert time.monotonic() < deadline, path.read_text(encoding="utf-8")
        time.sleep(0.02)


def test_gunicorn_finishes_what_it_began(start: Start, make_database: MakeDatabase, tmp_path: Path) -> None:
    with make_database("sqlite") as url:
        process, port = start(
            [*GUNICORN, "--bind", "127.0.0.1:PORT", "notejam.wsgi:app"],
            {"DATABASE_URL": str(url), "SECRET_KEY": SECRET, "WEB_CONCURRENCY": "1", "NOTEJAM_THREADS": "2"},
        )
        assert get(port, "/readyz")[0] == 200
        with socket.create_connection(("127.0.0.1", port), timeout=20) as begun:
            begun.sendall(
                b"POST /signin/ HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 11\r\n"
                b"Content-Type: application/x-www-form-urlencoded\r\n\r\n"
            )
            assert begun.recv(4096).startswith(b"HTTP/1.1 100"), "the request is in a thread's hands"
            process.terminate()
            wait_for_text(tmp_path / "output", "Handling signal: term")
            begun.sendall(b"email=a&b=c")
            answer = begun.recv(4096)
        assert process.wait(timeout=30) == 0

    assert answer.startswith(b"HTTP/1.1 400")
    entries = [json.loads(line) for line in (tmp_path / "output").read_text(encoding="utf-8").splitlines()]
    assert all({"time", "severity", "message"} <= set(entry) for entry in entries)
    requests = [entry["httpRequest"] for entry in entries if "httpRequest" in entry]
    assert [(entry["requestUrl"], entry["status"]) for entry in requests] == [("/signin/", 400)], "no probes"


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "notejam: DATABASE_URL is not set"),
        ({"DATABASE_URL": "sqlite:////tmp/x"}, "notejam: SECRET_KEY is not set"),
        (
            {"DATABASE_URL": "sqlite:////tmp/x", "SECRET_KEY": SECRET, "WEB_CONCURRENCY": "0"},
            "notejam: WEB_CONCURRENCY must be a whole number from 1 to 64",
        ),
    ],
)
def test_gunicorn_does_not_start_with_a_wrong_setting(
    app_folder: Path, environment: dict[str, str], message: str
) -> None:
    result = subprocess.run(
        [*GUNICORN, "--bind", f"127.0.0.1:{free_port()}", "notejam.wsgi:app"],
        cwd=app_folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )

    lines = (result.stdout + result.stderr).splitlines()
    assert result.returncode == 1
    assert lines[0] == message
    assert len(lines) == 2
    assert lines[1].startswith("  for example: ")


def test_the_command_for_developers(start: Start, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-m", "notejam", "--port", "PORT"]
    instance = tmp_path / "instance"
    keys = []
    for _ in range(2):
        process, port = start(command, {"NOTEJAM_INSTANCE": str(instance)})
        assert get(port, "/readyz")[0] == 200
        keys.append((instance / "secret-key").read_text(encoding="utf-8"))
        process.terminate()
        process.wait(timeout=30)

    assert keys[0] == keys[1]
    assert len(keys[0]) == 64
    assert (instance / "secret-key").stat().st_mode & 0o777 == 0o600
    assert (instance / "notejam.sqlite").exists()
    assert (instance / ".gitignore").read_text(encoding="utf-8") == "*\n"
