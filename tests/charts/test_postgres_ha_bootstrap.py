"""The script that Patroni runs once, on a real server: it makes the application's role and database."""

import os
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.app.postgres_server import PostgresServer, find_binaries, make_data, make_folder, running

SCRIPT = Path(__file__).resolve().parents[2] / "charts" / "postgres-ha" / "image" / "post_bootstrap.sh"
PASSWORD = "it's \\ clear text"
# All that the values allow and that writes statements down.
TALKATIVE = (
    "shared_preload_libraries=pg_stat_statements,auto_explain",
    "log_statement=all",
    "log_min_duration_statement=0",
    "log_min_duration_sample=0",
    "log_transaction_sample_rate=1",
    "log_min_error_statement=debug5",
    "debug_print_parse=on",
    "debug_print_rewritten=on",
    "debug_print_plan=on",
    "auto_explain.log_min_duration=0",
)


@dataclass
class Fresh:
    """A server without the role, its log, and the script for it."""

    server: PostgresServer
    log: Path
    url: str
    env: dict[str, str]

    def bootstrap(self, **env: str) -> subprocess.CompletedProcess[str]:
        command = [str(SCRIPT), self.url]
        return subprocess.run(
            command, env=self.env | env, capture_output=True, text=True, timeout=60, check=False
        )

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.server.connect() as connection:
            return connection.execute(query.encode()).fetchall()


def start(*options: str) -> Iterator[Fresh]:
    with make_folder() as folder:
        password = secrets.token_hex(16)
        make_data(folder / "data", password)
        file = folder / "app-password"
        file.write_text(PASSWORD)
        env = {"APP_USER": "app", "APP_DATABASE": "app-data", "APP_PASSWORD_FILE": str(file)}
        env |= {"PGPASSWORD": password, "PATH": f"{find_binaries()}:{os.environ['PATH']}"}
        with running(folder / "data", *options) as (port, _):
            url = f"host=127.0.0.1 port={port} user=postgres dbname=postgres"
            yield Fresh(PostgresServer(port, password), folder / "data.log", url, env)


@pytest.fixture
def plain() -> Iterator[Fresh]:
    yield from start()


@pytest.fixture
def talkative() -> Iterator[Fresh]:
    yield from start(*TALKATIVE)


def tells(text: str) -> bool:
    """Whether the password is in a text: as it is, as a literal, or byte by byte as in a parse tree."""
    literal = PASSWORD.replace("'", "''").replace("\\", "\\\\")
    forms = (PASSWORD, literal, " ".join(str(byte) for byte in PASSWORD.encode()))
    # A tree is broken into lines anywhere.
    return any("".join(form.split()) in "".join(text.split()) for form in forms)


def test_the_application_can_log_in_and_nobody_else(plain: Fresh) -> None:
    done = plain.bootstrap()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    psycopg.connect(plain.url, user="app", password=PASSWORD, dbname="app-data").close()
    assert plain.rows("SELECT has_database_privilege('public', 'app-data', 'CONNECT')") == [(False,)]
    # What is there stays.
    assert plain.bootstrap().returncode == 0


def test_the_password_is_kept_nowhere(talkative: Fresh) -> None:
    assert talkative.bootstrap().returncode == 0
    assert not tells(talkative.log.read_text())
    talkative.server.execute("CREATE EXTENSION pg_stat_statements")
    kept = talkative.rows("SELECT query FROM pg_stat_statements")
    assert not any(tells(query) for (query,) in kept)
    # The server does write down what others say.
    assert any("pg_stat_statements" in query for (query,) in kept)
    assert "SELECT query FROM pg_stat_statements" in talkative.log.read_text()


def test_the_password_is_kept_nowhere_when_it_fails(talkative: Fresh) -> None:
    # A name that is reserved: Postgres refuses the statement that has the password.
    done = talkative.bootstrap(APP_USER="pg_app")
    assert done.returncode
    said = done.stdout + done.stderr + talkative.log.read_text()
    assert 'role name "pg_app" is reserved' in said
    assert not tells(said)
