"""A legacy database to fill, and what the import made of it."""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from click.testing import Result
from notejam.models import LegacyImport
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.app.store import Store
from tests.app.website import PASSWORD

SCHEMA = """
CREATE TABLE "user" (id INTEGER PRIMARY KEY, email VARCHAR(120), password VARCHAR(36));
CREATE TABLE pad (id INTEGER PRIMARY KEY, name VARCHAR(100), user_id INTEGER);
CREATE TABLE note (id INTEGER PRIMARY KEY, name VARCHAR(100), text TEXT, created_at TIMESTAMP,
                   updated_at TIMESTAMP, user_id INTEGER, pad_id INTEGER);
"""
# As Werkzeug 0.8 made it: HMAC-SHA1 with the salt as its key.
HASH = f"sha1$Xq8aFv3z${hmac.new(b'Xq8aFv3z', PASSWORD.encode(), hashlib.sha1).hexdigest()}"
DAY = "2013-05-06 07:08:09.123456"
DATES = (DAY, DAY)


class Legacy:
    """A legacy database to fill."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.executescript(SCHEMA)

    @property
    def dsn(self) -> str:
        return f"sqlite:///{self.path}"

    def add(self, table: str, *rows: Sequence[Any]) -> None:
        for row in rows:
            marks = ", ".join("?" * len(row))
            self.connection.execute(f'INSERT INTO "{table}" VALUES ({marks})', row)  # noqa: S608 - ours


Import = Callable[..., Result]


def record_of(store: Store) -> dict[tuple[str, int], str]:
    with Session(store.engine) as session:
        return {(row.kind, row.legacy_id): row.outcome for row in session.scalars(select(LegacyImport))}
