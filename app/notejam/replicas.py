"""Reads from replicas, without anybody missing what they wrote themselves.

After every request of a signed-in person that may have changed something, the session cookie takes note of
how far the primary's log had come. A replica serves that person's pages once it has come as far; until then
the primary does, as it does when the replica is away. Who is asking is always asked of the primary: a session
that was ended stays ended. A second device of the same person may be behind by as much as the replica is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import cast

from flask import Flask, Response, current_app, g, request, session
from sqlalchemy import Connection, Engine, exc, text
from sqlalchemy.orm import Session
from werkzeug.exceptions import InternalServerError

from notejam import identity
from notejam.config import Settings
from notejam.db import db
from notejam.engine import make_engine
from notejam.logs import reason_of
from notejam.metrics import metrics

WRITTEN = "written"
# Later than any place in any log.
NEVER = 2**63
REST_SECONDS = 5.0
SAFE_METHODS = frozenset({"GET", "HEAD"})

_PRIMARY_PLACE = text("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")
# A replica that was promoted is a primary, and has no place of replay to tell.
_REPLICA_PLACE = text(
    "SELECT ((CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END)"
    " - '0/0')::bigint"
)


class Replica:
    """The replicas, as one process sees them."""

    def __init__(self, engine: Engine, *, now: Callable[[], float] = time.monotonic) -> None:
        """Ask these replicas."""
        self.engine = engine
        self._now = now
        self._rests_until = 0.0

    def open(self, written: int) -> Session | None:
        """Open a session on a replica that has come this far, or return None."""
        if not self.rested() or written >= NEVER:
            return None
        connection = None
        try:
            connection = self.engine.connect()
            if self._has(connection, written):
                return Session(connection, expire_on_commit=False)
        except exc.SQLAlchemyError as error:
            self.rest(error)
        if connection is not None:
            connection.close()
        return None

    def rested(self) -> bool:
        """Whether it is worth asking the replicas again."""
        return self._now() >= self._rests_until

    def rest(self, error: exc.SQLAlchemyError) -> None:
        """Do without replicas for a while: to ask again each time would slow every page."""
        self._rests_until = self._now() + REST_SECONDS
        current_app.logger.warning("reading from the primary: the replica failed: %s", reason_of(error))

    @staticmethod
    def _has(connection: Connection, written: int) -> bool:
        # A server's log only grows, so what a connection has told once goes on to be true.
        if connection.info.get("place", -1) < written:
            connection.info["place"] = connection.scalar(_REPLICA_PLACE) or -1
        return bool(connection.info.get("place", -1) >= written)


def reader() -> Session:
    """Return the session for reads that need not be newer than what the person has seen or written."""
    if "reader_session" not in g:
        g.reader_session = _open()
    return cast("Session", g.reader_session or db.session)


def forget() -> None:
    """Read from the primary from here on, and close what is open on a replica."""
    close(None)
    g.reader_session = None


def _open() -> Session | None:
    replica = cast("Replica | None", current_app.extensions["notejam.replica"])
    if replica is None or request.method not in SAFE_METHODS:
        return None
    written = session.get(WRITTEN, 0)
    opened = replica.open(written if isinstance(written, int) else NEVER)
    metrics().reads.labels("replica" if opened else "primary").inc()
    return opened


def close(_: BaseException | None) -> None:
    """Give the connection back."""
    opened: Session | None = g.pop("reader_session", None)
    if opened is not None:
        connection = cast("Connection", opened.get_bind())
        try:
            opened.close()
            connection.close()
        except exc.DBAPIError:
            connection.invalidate()


def take_note(response: Response) -> Response:
    """Keep in the cookie how far the primary's log has come, where the person may have written to it."""
    if request.method in SAFE_METHODS or identity.USER_ID not in session:
        return response
    place = NEVER
    if response.status_code < InternalServerError.code:  # else nobody knows what was written
        try:
            place = db.session.scalar(_PRIMARY_PLACE) or NEVER
        except exc.SQLAlchemyError as error:
            current_app.logger.warning("the primary did not tell its place in the log: %s", reason_of(error))
    session[WRITTEN] = place
    return response


def init_app(app: Flask, settings: Settings) -> None:
    """Let pages read from the replicas, if there are any."""
    app.extensions["notejam.replica"] = None
    if settings.database_replica_url is not None:
        engine = make_engine(
            settings.database_replica_url, pool_size=settings.threads, replica=True, autocommit=True
        )
        app.extensions["notejam.replica"] = Replica(engine)
        app.after_request(take_note)
    app.teardown_appcontext(close)
