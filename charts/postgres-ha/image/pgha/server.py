"""PostgreSQL servers that the import Job talks to, and the questions that it asks both."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

USER_TABLES = """
    SELECT schemaname, tablename FROM pg_tables
    WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2
"""
SEQUENCES = """
    SELECT schemaname || '.' || sequencename, coalesce(last_value, 0) FROM pg_sequences
    WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1
"""


@dataclass(frozen=True)
class Server:
    """Where a database is, and who connects."""

    host: str
    port: str
    database: str
    user: str
    password: str
    sslmode: str
    authority: str = ""

    def environment(self) -> dict[str, str]:
        """Return it for libpq's programs: no password among the arguments."""
        found = {
            "PGHOST": self.host,
            "PGPORT": self.port,
            "PGDATABASE": self.database,
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
            "PGSSLMODE": self.sslmode,
            "PGCONNECT_TIMEOUT": "5",
        }
        return found | ({"PGSSLROOTCERT": self.authority} if self.authority else {})

    def connect(self) -> Any:
        """Open a connection that commits each statement."""
        more = {"sslrootcert": self.authority} if self.authority else {}
        return psycopg.connect(
            host=self.host, port=self.port, dbname=self.database, user=self.user, password=self.password,
            sslmode=self.sslmode, connect_timeout=5, autocommit=True, **more,
        )  # fmt: skip

    def __str__(self) -> str:
        """Name it for people."""
        return f"{self.host}:{self.port}/{self.database}"


def read_servers(env: Mapping[str, str]) -> tuple[Server, Server]:
    """Take source and target from the Job's environment."""
    source, target = (
        Server(
            host=env[f"{side}_HOST"],
            port=env.get(f"{side}_PORT", "5432"),
            database=env[f"{side}_DATABASE"],
            user=env[f"{side}_USER"],
            password=env[f"{side}_PASSWORD"],
            sslmode=env.get(f"{side}_SSLMODE", "prefer"),
            authority=env.get(f"{side}_CA", ""),
        )
        for side in ("SOURCE", "TARGET")
    )
    return source, target


def rows(connection: Any, query: Any, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return what a query finds."""
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return list(cursor.fetchall()) if cursor.description else []


def value(connection: Any, query: str) -> Any:
    """Return the one value of a query."""
    return rows(connection, query)[0][0]


def count_rows(connection: Any) -> dict[str, int]:
    """Return the number of rows of each table."""
    found = {}
    for schema, table in rows(connection, USER_TABLES):
        query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table))
        found[f"{schema}.{table}"] = int(rows(connection, query)[0][0])
    return found
