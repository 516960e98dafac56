"""Runs in a pod: writes numbers through the primary's Service, and keeps a ledger of what was acknowledged.

    writer.py RUN MEMBER...     until /tmp/stop-RUN exists

Three processes, each with a ledger /tmp/RUN-<mode>.ledger of lines `seq sent acknowledged address timeline`:
    held    one connection, as fast as it commits; connects again when it breaks
    new     a new connection for each row
    direct  every member by its own name, several times a second: whoever takes the row is a primary
A statement without an answer for STATEMENT_SECONDS is given up, and its row is in doubt. Each number is used
once.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing import Process
from pathlib import Path
from types import FrameType
from typing import Any

import psycopg

FOLDER = Path("/tmp")  # noqa: S108 - the pod's own
# libpq itself never waits less than two seconds.
CONNECT_SECONDS = 1.0
STATEMENT_SECONDS = 3.0
NEW_PAUSE = 0.02
DIRECT_PAUSE = 0.2
# Long enough for a Service that a switchover has just left without a member.
BEGIN_SECONDS = 30.0
RETRY_PAUSE = 0.02
TABLE = "CREATE TABLE IF NOT EXISTS ledger (run text, mode text, seq bigint, PRIMARY KEY (run, mode, seq))"
INSERT = (
    "INSERT INTO ledger VALUES (%s, %s, %s) "
    "RETURNING host(inet_server_addr()), left(pg_walfile_name(pg_current_wal_lsn()), 8)"
)


class GaveUpError(Exception):
    """No answer in time."""


def connect(host: str) -> psycopg.Connection[Any]:
    """Connect as an application does: with TLS, and little patience. The alarm is then the statement's."""
    signal.setitimer(signal.ITIMER_REAL, CONNECT_SECONDS)
    connection = psycopg.connect(
        host=host,
        user=os.environ["PGUSER"],
        password=os.environ["PGPASSWORD"],
        dbname=os.environ["PGDATABASE"],
        sslmode=os.environ.get("PGSSLMODE", "prefer"),
        tcp_user_timeout=2000,
        autocommit=True,
    )
    signal.setitimer(signal.ITIMER_REAL, STATEMENT_SECONDS)
    return connection


def give_up(_: int, __: FrameType | None) -> None:
    """End a statement that waits for ever."""
    raise GaveUpError


class Writer:
    """One mode."""

    def __init__(self, run: str, mode: str) -> None:
        self.run, self.mode = run, mode
        self.seq = 0
        self.stop = FOLDER / f"stop-{run}"
        self.ledger = (FOLDER / f"{run}-{mode}.ledger").open("w", buffering=1)
        self.errors = (FOLDER / f"{run}-{mode}.errors").open("w", buffering=1)
        signal.signal(signal.SIGALRM, give_up)

    def attempt(self, work: Callable[[], None]) -> bool:
        """Do it within the time; note why not."""
        signal.setitimer(signal.ITIMER_REAL, STATEMENT_SECONDS)
        try:
            work()
        except (psycopg.Error, GaveUpError) as error:
            signal.setitimer(signal.ITIMER_REAL, 0)
            text = " ".join(str(error).split()) or type(error).__name__
            self.errors.write(f"{time.time():.3f} {text}\n")
            return False
        signal.setitimer(signal.ITIMER_REAL, 0)
        return True

    def write(self, connection: psycopg.Connection[Any]) -> None:
        """Write one row, and enter it when it is acknowledged."""
        self.seq += 1
        sent = time.time()
        row = connection.execute(INSERT, (self.run, self.mode, self.seq)).fetchone()
        acknowledged = time.time()
        address, timeline = row or ("", "0")
        self.ledger.write(f"{self.seq} {sent:.6f} {acknowledged:.6f} {address} {int(timeline, 16)}\n")

    def held(self, host: str) -> None:
        """Keep one connection."""
        connection: psycopg.Connection[Any] | None = None
        while not self.stop.exists():
            if connection is None:
                made: list[psycopg.Connection[Any]] = []
                if not self.attempt(lambda made=made: made.append(connect(host))):  # type: ignore[misc]
                    time.sleep(RETRY_PAUSE)
                    continue
                connection = made[0]
            if not self.attempt(lambda connection=connection: self.write(connection)):  # type: ignore[misc]
                connection.close()
                connection = None

    def once(self, host: str) -> None:
        """Connect, write, leave."""
        with connect(host) as connection:
            self.write(connection)

    def new(self, host: str) -> None:
        """Connect for each row."""
        while not self.stop.exists():
            done = self.attempt(lambda: self.once(host))
            time.sleep(NEW_PAUSE if done else RETRY_PAUSE)

    def direct(self, members: list[str]) -> None:
        """Try every member."""
        while not self.stop.exists():
            for member in members:
                self.attempt(lambda member=member: self.once(member))  # type: ignore[misc]
            time.sleep(DIRECT_PAUSE)


def work(run: str, mode: str, where: list[str]) -> None:
    """Be one of the processes."""
    writer = Writer(run, mode)
    if mode == "direct":
        writer.direct(where)
    elif mode == "held":
        writer.held(where[0])
    else:
        writer.new(where[0])


def make_table(service: str) -> None:
    """Make the table, or raise what was last in the way."""
    signal.signal(signal.SIGALRM, give_up)
    deadline = time.monotonic() + BEGIN_SECONDS
    while True:
        try:
            with connect(service) as connection:
                connection.execute(TABLE)
        except (psycopg.Error, GaveUpError) as error:
            if time.monotonic() > deadline:
                raise
            sys.stderr.write(f"{time.time():.3f} {' '.join(str(error).split()) or type(error).__name__}\n")
        else:
            return
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        time.sleep(RETRY_PAUSE)


def main(run: str, members: list[str]) -> None:
    """Start the processes and wait for them."""
    service = os.environ["PGHOST"]
    make_table(service)
    places = {"held": [service], "new": [service], "direct": members}
    processes = [Process(target=work, args=(run, mode, where)) for mode, where in places.items()]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    (FOLDER / f"done-{run}").touch()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
