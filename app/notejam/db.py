"""The database: one engine an app, one session a request."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, cast

from flask import Flask, current_app, g, has_request_context, request
from sqlalchemy import DateTime, Dialect, Engine, exc
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import String, TypeDecorator

from notejam.config import Settings
from notejam.engine import make_engine, with_transactions
from notejam.patience import Patience
from notejam.schema import APPLICATION_NAME, needed_revision


class Database:
    """The engine of the current app and the session of the current request."""

    def init_app(self, app: Flask, settings: Settings) -> None:
        """Give the app its engine."""
        app.extensions["notejam.engine"] = make_engine(
            settings.database_url,
            pool_size=settings.threads,
            application_name=f"{APPLICATION_NAME} {needed_revision()}",
            patience=Patience(settings.database_wait_seconds, threads=settings.threads),
            autocommit=True,
        )
        app.extensions["notejam.transactions"] = with_transactions(app.extensions["notejam.engine"])
        app.teardown_appcontext(self._close)

    @property
    def engine(self) -> Engine:
        """The engine of the current app. What is done with a connection of it is one transaction."""
        return cast("Engine", current_app.extensions["notejam.transactions"])

    @property
    def session(self) -> Session:
        """The session of the current request, begun at first use.

        Objects stay readable after a commit: a page may speak of what has just been deleted. A page that only
        shows something does without transactions.
        """
        if "database_session" not in g:
            shows = has_request_context() and request.method in {"GET", "HEAD"}
            engine = current_app.extensions["notejam.engine"] if shows else self.engine
            g.database_session = Session(engine, expire_on_commit=False)
        return cast("Session", g.database_session)

    def forget(self) -> None:
        """Begin anew with another connection; what was loaded before is not to be used."""
        self._close(None)

    @staticmethod
    def _close(_: BaseException | None) -> None:
        session: Session | None = g.pop("database_session", None)
        if session is not None:
            # A connection that broke during the request may refuse its rollback; the pool drops it.
            with suppress(exc.DBAPIError):
                session.close()


db = Database()


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
