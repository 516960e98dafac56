"""Engines: how the app connects, and how it tells a database that is away from a fault of its own."""

from __future__ import annotations

import sqlite3
from typing import Any, cast

from sqlalchemy import URL, Dialect, Engine, create_engine, event, exc
from sqlalchemy.engine.interfaces import DBAPIConnection, ExceptionContext
from sqlalchemy.pool import ConnectionPoolEntry

from notejam.patience import Patience

# What libpq is told, unless the address itself says otherwise: give up on a server that does not answer,
# notice one that has gone (a failed primary sends no goodbye), and never take a replica for the primary. Not
# `read-write`: a primary that refuses writes while its volume is full still answers reads.
POSTGRES_DEFAULTS = {
    "connect_timeout": "3",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "6000",
    "target_session_attrs": "primary",
    "application_name": "notejam",
}
# Of several addresses any replica will do, and none is asked before the others.
REPLICA_DEFAULTS = {
    **POSTGRES_DEFAULTS,
    "connect_timeout": "2",
    "target_session_attrs": "prefer-standby",
    "load_balance_hosts": "random",
}
STATEMENT_TIMEOUT = "20s"  # below gunicorn's graceful_timeout, so that a stuck query cannot outlast a drain
READ_ONLY_TRANSACTION = "25006"


def make_engine(
    url: URL,
    *,
    pool_size: int,
    statement_timeout: str = STATEMENT_TIMEOUT,
    replica: bool = False,
    application_name: str = "notejam",
    patience: Patience | None = None,
    autocommit: bool = False,
) -> Engine:
    """Make the engine. It connects at first use, so an app starts without its database.

    With `autocommit` each statement stands alone: reading needs no BEGIN and no ROLLBACK, a third of all that
    is said between app and database. Errors never carry the values of a statement, which people wrote.
    """
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, hide_parameters=True)
        event.listen(engine, "connect", _prepare_sqlite)
        return engine
    offered = {**(REPLICA_DEFAULTS if replica else POSTGRES_DEFAULTS), "application_name": application_name}
    defaults = {name: value for name, value in offered.items() if name not in url.query}
    if "options" not in url.query:
        defaults["options"] = f"-c statement_timeout={statement_timeout}"
    engine = create_engine(
        url,
        connect_args=defaults,
        hide_parameters=True,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=5,
        pool_recycle=1800,
        pool_pre_ping=True,
        **({"isolation_level": "AUTOCOMMIT"} if autocommit else {}),
    )
    event.listen(engine, "handle_error", _drop_demoted)
    if patience is not None:
        _wait_with(patience, engine)
    return engine


def with_transactions(engine: Engine) -> Engine:
    """Make a view of an engine with `autocommit`, on the same pool, whose connections have transactions."""
    if engine.dialect.name == "sqlite":
        return engine
    return engine.execution_options(isolation_level="READ COMMITTED")


def _wait_with(patience: Patience, engine: Engine) -> None:
    """Let every new connection of the engine be made with patience."""

    def connect(dialect: Dialect, _: ConnectionPoolEntry, args: list[Any], kw: dict[str, Any]) -> Any:
        return patience.connect(
            lambda: dialect.connect(*args, **kw),
            cast("type[Exception]", dialect.loaded_dbapi.OperationalError),
        )

    event.listen(engine, "do_connect", connect)


def _prepare_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    sqlite = cast("sqlite3.Connection", connection)
    sqlite.create_function("notejam_lower", 1, str.lower, deterministic=True)
    for pragma in ("foreign_keys=ON", "journal_mode=WAL", "busy_timeout=5000"):
        sqlite.execute(f"PRAGMA {pragma}")


def _drop_demoted(context: ExceptionContext) -> None:
    """Part with every connection when one turns out to lead to a server that is no primary any more.

    Such a connection is alive, so that a ping finds no fault with it.
    """
    if getattr(context.original_exception, "sqlstate", None) == READ_ONLY_TRANSACTION:
        context.is_disconnect = True


def is_unavailable(error: exc.SQLAlchemyError) -> bool:
    """Tell "the database is away, try again" (a failover, a restart) from a fault of the app.

    During a switchover a connection may outlive its server's role and meet a read-only transaction.
    """
    if isinstance(error, (exc.OperationalError, exc.TimeoutError)):
        return True
    if not isinstance(error, exc.DBAPIError):
        return False
    return error.connection_invalidated or getattr(error.orig, "sqlstate", None) == READ_ONLY_TRANSACTION
