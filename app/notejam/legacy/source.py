"""Reading a legacy database: SQLite or Postgres, without ever writing to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from click import ClickException
from sqlalchemy import URL, Connection, create_engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from notejam.commands import explain
from notejam.environment import ConfigError

SETTING = "LEGACY_DATABASE_URL"
EXAMPLE = f"{SETTING}=sqlite:////data/notejam.db"
KINDS: Mapping[str, tuple[str, ...]] = {
    "user": ("id", "email", "password"),
    "pad": ("id", "name", "user_id"),
    "note": ("id", "name", "text", "created_at", "updated_at", "user_id", "pad_id"),
}


class Source:
    """A legacy database, open."""

    def __init__(self, connection: Connection) -> None:
        """Find the tables; raises ClickException when one is missing."""
        self._connection = connection
        inspector = inspect(connection)
        there = set(inspector.get_table_names())
        self._tables = {}
        for kind, wanted in KINDS.items():
            table = next((name for name in (kind, f"{kind}s") if name in there), None)
            if table is None:
                others = ", ".join(sorted(there)) or "none at all"
                raise ClickException(f"the legacy database has no table {kind}; it has {others}")
            columns = {column["name"] for column in inspector.get_columns(table)}
            missing = [name for name in wanted if name not in columns]
            if missing:
                raise ClickException(f"the legacy table {table} has no column {', '.join(missing)}")
            self._tables[kind] = self._quoted(table)

    def count(self, kind: str, after: int) -> int:
        """Count the rows that come after an id."""
        query = f"SELECT count(*) FROM {self._tables[kind]} WHERE id > :after"  # noqa: S608 - a name of ours
        return int(self._connection.scalar(text(query), {"after": after}) or 0)

    def batches(self, kind: str, after: int, size: int) -> Iterator[list[Mapping[str, Any]]]:
        """Read the rows that come after an id, in the order of their ids."""
        names = ", ".join(self._quoted(name) for name in KINDS[kind])
        query = text(
            f"SELECT {names} FROM {self._tables[kind]} WHERE id > :after ORDER BY id LIMIT :size"  # noqa: S608
        )
        while True:
            found = self._connection.execute(query, {"after": after, "size": size}).mappings().all()
            if not found:
                return
            yield [dict(row) for row in found]
            after = int(found[-1]["id"])

    def _quoted(self, name: str) -> str:
        return self._connection.dialect.identifier_preparer.quote_identifier(name)


@contextmanager
def open_source(url: URL) -> Iterator[Source]:
    """Open a legacy database to read it as it is now; raises ClickException."""
    is_sqlite = url.get_backend_name() == "sqlite"
    if is_sqlite:
        path = Path(str(url.database)).absolute()
        if not path.is_file():
            raise ConfigError(SETTING, f"names a file that does not exist: {path}", EXAMPLE)
        url = url.set(database=f"file:{path}").update_query_dict({"mode": "ro", "uri": "true"})
    engine = create_engine(url, hide_parameters=True)
    try:
        with engine.connect() as connection:
            if not is_sqlite:
                connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
            source = Source(connection)
            if is_sqlite:
                # From here on as bytes: what is not UTF-8 must not stop the import.
                cast("sqlite3.Connection", connection.connection.dbapi_connection).text_factory = bytes
            yield source
    except SQLAlchemyError as error:
        raise ClickException(f"the legacy database: {explain(error)}") from error
    finally:
        engine.dispose()


def describe(url: URL) -> str:
    """Name a database in the record of imports: where it is, without who asks."""
    if url.get_backend_name() == "sqlite":
        return f"sqlite:{Path(str(url.database)).absolute()}"
    hosts = url.query.get("host") or f"{url.host or 'localhost'}:{url.port or 5432}"
    return f"postgresql:{hosts if isinstance(hosts, str) else ','.join(hosts)}/{url.database}"
