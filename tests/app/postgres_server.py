"""A throw-away PostgreSQL server for the tests: real, on loopback, in a temporary folder."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL

from tests.app.postgres_container import IMAGE, run_container

BINARIES = Path("/usr/lib/postgresql")
START_SECONDS = 60
# The tests' data need not survive a crash.
FAST = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "shared_buffers=32MB",
    "max_connections=40",
)


def find_binaries() -> Path:
    """Find the newest installed server."""
    found = [path.parent for path in BINARIES.glob("*/bin/postgres")]
    on_path = shutil.which("postgres")
    if on_path:
        found.append(Path(on_path).parent)
    if not found:
        pytest.fail(
            "These tests run on a real PostgreSQL server, and none is installed.\n"
            "On Debian: apt-get install postgresql (only its programs are used; the tests start their own "
            "server on a free port and remove it)",
            pytrace=False,
        )
    return max(found, key=lambda path: int(path.parent.name) if path.parent.name.isdigit() else 0)


class PostgresServer:
    """A running server; makes and drops databases."""

    def __init__(self, port: int, password: str) -> None:
        self._url = URL.create("postgresql+psycopg", "postgres", password, "127.0.0.1", port, "postgres")

    def url(self, database: str) -> URL:
        return self._url.set(database=database)

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            self.url(database).set(drivername="postgresql").render_as_string(hide_password=False),
            autocommit=True,
        )

    def execute(self, statement: str, database: str = "postgres") -> None:
        with self.connect(database) as connection:
            connection.execute(statement.encode())

    @contextmanager
    def database(self, name: str, template: str = "template0") -> Iterator[URL]:
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        try:
            yield self.url(name)
        finally:
            self.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def run_postgres() -> Iterator[PostgresServer]:
    """Start a server, and remove every trace of it afterwards.

    It is the released image's own where that is at hand, otherwise this machine's.
    """
    image = os.environ.get(IMAGE)
    if image:
        port = find_free_port()
        with run_container(image, port, FAST, _wait_until_listening) as password:
            yield PostgresServer(port, password)
        return
    with make_folder() as folder:
        password = secrets.token_hex(16)
        make_data(folder / "data", password)
        with running(folder / "data") as (port, _):
            yield PostgresServer(port, password)


def server_account() -> str | None:
    """The server refuses to run as root."""
    return "postgres" if os.geteuid() == 0 else None


@contextmanager
def make_folder() -> Iterator[Path]:
    """Make a folder for the data of servers."""
    folder = Path(tempfile.mkdtemp(prefix="notejam-postgres-"))
    try:
        account = server_account()
        if account:
            shutil.chown(folder, account, account)
        yield folder
    finally:
        shutil.rmtree(folder)


def make_data(data: Path, password: str) -> None:
    """Make what a new server needs."""
    account = server_account()
    password_file = data.parent / "password"
    password_file.write_text(password, encoding="utf-8")
    if account:
        shutil.chown(password_file, account, account)
    # A language's own collation, unlike SQLite's: the app must not depend on the server's.
    run_program(
        *("initdb", "--pgdata", data, "--username=postgres", "--encoding=UTF8", "--no-sync"),
        *("--auth=scram-sha-256", f"--pwfile={password_file}"),
        *("--locale=C", "--locale-provider=icu", "--icu-locale=en-US"),
        folder=data.parent,
    )


def run_program(name: str, *words: str | Path, folder: Path, **environment: str) -> None:
    """Run one of PostgreSQL's programs as the server's account."""
    subprocess.run(
        [find_binaries() / name, *words],
        check=True,
        user=server_account(),
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


@contextmanager
def running(data: Path, *more: str, port: int | None = None) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run a server on this data, and yield its port and its process."""
    port = port or find_free_port()
    options = [f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={data.parent}"]
    options += [*FAST, *more]
    log = data.parent / f"{data.name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(find_binaries() / "postgres", "-D", data),
                *(part for option in options for part in ("-c", option)),
            ],
            user=server_account(),
            cwd=data.parent,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_listening(
            port,
            lambda: log.read_text(encoding="utf-8", errors="replace"),
            lives=lambda: process.poll() is None,
        )
        yield port, process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)  # "fast": end the sessions, then stop
        process.wait(timeout=START_SECONDS)


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_listening(
    port: int, log: Callable[[], str], *, lives: Callable[[], bool] = lambda: True
) -> None:
    deadline = time.monotonic() + START_SECONDS
    while lives() and time.monotonic() < deadline:
        try:
            # Any answer of the server will do, even "no such user": then it takes connections.
            psycopg.connect(
                host="127.0.0.1", port=port, user="nobody", password="x", dbname="x", connect_timeout=2
            )
        except psycopg.OperationalError as error:
            if "authentication failed" in str(error):
                return
        time.sleep(0.05)
    raise RuntimeError(f"PostgreSQL did not start:\n{log()}")
