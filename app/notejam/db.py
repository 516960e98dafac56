"""The database: one engine an app, one session a request."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, cast

from flask import Flask, current_app, g
from sqlalchemy import URL, DateTime, Dialect, Engine, create_engine, event, exc
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import String, TypeDecorator

from notejam.config import Settings

# What libpq is told, unless the address itself says otherwise: give up on a server that does not answer,
# notice one that has gone (a failed primary sends no goodbye), and never take a replica for the primary.
POSTGRES_DEFAULTS = {
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "6000",
    "target_session_attrs": "read-write",
    "application_name": "notejam",
}
STATEMENT_TIMEOUT = "20s"  # below gunicorn's graceful_timeout, so that a stuck query cannot outlast a drain
READ_ONLY_TRANSACTION = "25006"


def make_engine(url: URL, *, pool_size: int, statement_timeout: str = STATEMENT_TIMEOUT) -> Engine:
    """Make the engine. It connects at first use, so an app starts without its database."""
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url)
        event.listen(engine, "connect", _prepare_sqlite)
        return engine
    defaults = {name: value for name, value in POSTGRES_DEFAULTS.items() if name not in url.query}
    if "options" not in url.query:
        defaults["options"] = f"-c statement_timeout={statement_timeout}"
    return create_engine(
        url,
        connect_args=defaults,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=5,
        pool_recycle=1800,
        pool_pre_ping=True,
    )


def _prepare_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    sqlite = cast("sqlite3.Connection", connection)
    sqlite.create_function("notejam_lower", 1, str.lower, deterministic=True)
    for pragma in ("foreign_keys=ON", "journal_mode=WAL", "busy_timeout=5000"):
        sqlite.execute(f"PRAGMA {pragma}")


class Database:
    """The engine of the current app and the session of the current request."""

    def init_app(self, app: Flask, settings: Settings) -> None:
        """Give the app its engine."""
        app.extensions["notejam.engine"] = make_engine(settings.database_url, pool_size=settings.threads)
        app.teardown_appcontext(self._close)

    @property
    def engine(self) -> Engine:
        """The engine of the current app."""
        return cast("Engine", current_app.extensions["notejam.engine"])

    @property
    def session(self) -> Session:
        """The session of the current request, begun at first use.

        Objects stay readable after a commit: a page may speak of what has just been deleted.
        """
        if "database_session" not in g:
            g.database_session = Session(self.engine, expire_on_commit=False)
        return cast("Session", g.database_session)

    @staticmethod
    def _close(_: BaseException | None) -> None:
        session: Session | None = g.pop("database_session", None)
        if session is not None:
            # A connection that broke during the request may refuse its rollback; the pool drops it.
            with suppress(exc.DBAPIError):
                session.close()


db = Database()


def is_unavailable(error: exc.SQLAlchemyError) -> bool:
    """Tell "the database is away, try again" (a failover, a restart) from a fault of the app.

    During a switchover a connection may outlive its server's role and meet a read-only transaction.
    """
    if isinstance(error, (exc.OperationalError, exc.TimeoutError)):
        return True
    if not isinstance(error, exc.DBAPIError):
        return False
    return error.connection_invalidated or getattr(error.orig, "sqlstate", None) == READ_ONLY_TRANSACTION


class UtcDateTime(TypeDecorator[datetime]):
    """An instant: aware on the way in and out, kept in UTC. SQLite knows no zones and gets the bare time."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Hand over an instant in UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone is not an instant")
        instant = value.astimezone(UTC)
        return instant.replace(tzinfo=None) if dialect.name == "sqlite" else instant

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Read an instant back in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class email_key(GenericFunction[str]):  # noqa: N801 - reads as the SQL function it is
    """An email for comparison. Emails are ASCII here, so every database folds them alike.

    The collation is pinned: in a Turkish database plain lower('I') would be a dotless i.
    """

    type = String()
    inherit_cache = True


class name_key(GenericFunction[str]):  # noqa: N801 - reads as the SQL function it is
    """A name for sorting: without regard to case in any alphabet, then by code point.

    Collations differ between servers, so a bare ORDER BY name would sort differently on each.
    """

    type = String()
    inherit_cache = True


@compiles(email_key)
def _email_key(element: email_key, compiler: SQLCompiler, **kw: Any) -> str:
    return f"lower({compiler.process(element.clauses, **kw)})"


@compiles(email_key, "postgresql")
def _email_key_postgres(element: email_key, compiler: SQLCompiler, **kw: Any) -> str:
    return f'lower({compiler.process(element.clauses, **kw)} COLLATE "C")'


@compiles(name_key)
def _name_key(element: name_key, compiler: SQLCompiler, **kw: Any) -> str:
    return f"notejam_lower({compiler.process(element.clauses, **kw)})"


@compiles(name_key, "postgresql")
def _name_key_postgres(element: name_key, compiler: SQLCompiler, **kw: Any) -> str:
    return f'lower({compiler.process(element.clauses, **kw)} COLLATE "und-x-icu") COLLATE "C"'
