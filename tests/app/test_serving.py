"""The app as a process: gunicorn as the image starts it, and the one command for developers."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.app.postgres_server import find_free_port
from tests.app.serving import GUNICORN, START_SECONDS, Start, get, wait_for_text
from tests.app.store import SECRET, MakeDatabase


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
        [*GUNICORN, "--bind", f"127.0.0.1:{find_free_port()}", "notejam.wsgi:app"],
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
