"""A primary and a streaming replica, both real. The primary can be lost, and the replica promoted."""

from __future__ import annotations

import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import URL

from tests.app.postgres_server import PostgresServer, make_data, make_folder, run_program, running

SETTLE_SECONDS = 30


class PostgresPair:
    """Two servers of one cluster."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack, self._password = folder, stack, secrets.token_hex(16)
        make_data(folder / "primary", self._password)
        # With both, an acknowledged commit is in the logs of two servers.
        self._primary_port: int | None = None
        self.start_primary()
        run_program(
            *("pg_basebackup", "--pgdata", folder / "replica", "--write-recovery-conf", "--no-sync"),
            *("--host=127.0.0.1", f"--port={self._primary_port}", "--username=postgres", "--checkpoint=fast"),
            folder=folder,
            PGPASSWORD=self._password,
        )
        self._replica_port: int | None = None
        self.start_replica()
        self.wait_for_replica()
        self.primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.primary.execute("SELECT pg_reload_conf()")

    def _run(self, name: str, *options: str, port: int | None = None) -> tuple[int, subprocess.Popen[bytes]]:
        return self._stack.enter_context(running(self._folder / name, *options, port=port))

    def start_primary(self) -> None:
        """Start it, the second time under the same address."""
        options = ("synchronous_commit=on", "max_wal_senders=4")
        self._primary_port, self._primary = self._run("primary", *options, port=self._primary_port)
        self.primary = PostgresServer(self._primary_port, self._password)

    def stop_primary(self) -> None:
        """End it in good order: it sends the replica the whole log."""
        self._primary.send_signal(signal.SIGINT)
        self._primary.wait(SETTLE_SECONDS)

    @property
    def is_primary_running(self) -> bool:
        """Whether it has neither been stopped nor lost."""
        return self._primary.poll() is None

    @property
    def replica_folder(self) -> Path:
        """Its data."""
        return self._folder / "replica"

    def start_replica(self) -> None:
        """Start it, the second time under the same address."""
        self._replica_port, self._replica = self._run("replica", port=self._replica_port)
        self.replica = PostgresServer(self._replica_port, self._password)

    def stop_replica(self) -> None:
        self.primary.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
        self.primary.execute("SELECT pg_reload_conf()")
        self._replica.send_signal(signal.SIGINT)
        self._replica.wait(SETTLE_SECONDS)

    def lose_primary(self) -> None:
        """End it at once, without a goodbye to anybody."""
        self._primary.send_signal(signal.SIGQUIT)
        self._primary.wait(SETTLE_SECONDS)

    def promote(self) -> None:
        self.replica.execute("SELECT pg_promote(wait => true)")

    def pause_replay(self) -> None:
        """Let the replica fall behind: it still receives the log, and so acknowledges commits."""
        self.replica.execute("SELECT pg_wal_replay_pause()")
        wait_until(
            lambda: self._ask(self.replica, "SELECT pg_get_wal_replay_pause_state()") == "paused",
            "the replay to pause",
        )

    def resume_replay(self) -> None:
        self.replica.execute("SELECT pg_wal_replay_resume()")
        self.wait_for_replica()

    def wait_for_replica(self) -> None:
        """Wait until the replica shows what has been committed so far."""
        place = self._ask(self.primary, "SELECT pg_current_wal_insert_lsn()")
        query = f"SELECT pg_last_wal_replay_lsn() >= '{place}'"
        wait_until(lambda: self._ask(self.replica, query) is True, "the replica to come as far")

    def wait_for_stream(self) -> None:
        """Wait until the replica follows the primary."""
        query = "SELECT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')"
        wait_until(lambda: self._ask(self.replica, query) is True, "the replica to follow")

    @staticmethod
    def _ask(server: PostgresServer, query: str) -> object:
        with server.connect() as connection:
            row = connection.execute(query.encode()).fetchone()
            return row[0] if row else None

    def url_of_both(self, database: str) -> URL:
        """The address of whichever is the primary."""
        first, second = self.primary.url(database), self.replica.url(database)
        hosts = tuple(f"{url.host}:{url.port}" for url in (first, second))
        return first.set(host=None, port=None).update_query_dict({"host": hosts})


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition that another process brings about."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


@contextmanager
def run_pair() -> Iterator[PostgresPair]:
    with make_folder() as folder, ExitStack() as stack:
        yield PostgresPair(folder, stack)
