"""Ways to write: changes that are counted, inserts of what may be there already, removal of what is over."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, Delete, Update, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from notejam.db import db
from notejam.models import EndedSession, RateLimit

SWEEP_MAX = 200


def change(statement: Update | Delete) -> int:
    """Change or delete rows, and return how many there were."""
    return cast("CursorResult[Any]", db.session.execute(statement)).rowcount


def insert(table: type[EndedSession | RateLimit]) -> postgresql.Insert | sqlite.Insert:
    """Begin an INSERT that may go on with ON CONFLICT, in the words of the current database."""
    if db.engine.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def sweep(table: type[EndedSession | RateLimit], now: datetime) -> None:
    """Remove some of the rows that have expired; those which somebody else removes now are passed over."""
    expired = select(table.id).where(table.expires_at <= now).limit(SWEEP_MAX)
    db.session.execute(delete(table).where(table.id.in_(expired.with_for_update(skip_locked=True))))
