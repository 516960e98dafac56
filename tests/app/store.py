"""The database behind the app's back, a clock to set, and the kinds of fixtures."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from flask import Flask
from notejam import schema
from notejam.db import make_engine
from notejam.models import Base, Note, Pad, User
from sqlalchemy import URL, make_url
from sqlalchemy.orm import Session

NOWHERE = make_url("postgresql+psycopg://notejam:secret@127.0.0.1:1/notejam")
SECRET = "a secret of the tests, long enough"
DATABASES = ("sqlite", "postgres")
Row = TypeVar("Row", bound=Base)
MakeDatabase = Callable[..., AbstractContextManager[URL]]
MakeApp = Callable[..., Flask]


class Clock:
    """A clock that a test can set."""

    def __init__(self) -> None:
        self.instant = datetime(2026, 3, 14, 12, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.instant

    def advance(self, **by: float) -> None:
        self.instant += timedelta(**by)


class Store:
    """The database behind the app's back."""

    def __init__(self, url: URL, clock: Clock, password_hash: str) -> None:
        self.engine = make_engine(url, pool_size=2)
        self._clock = clock
        self._password_hash = password_hash

    def add(self, row: Row) -> Row:
        with Session(self.engine, expire_on_commit=False) as session:
            session.add(row)
            session.commit()
        return row

    def user(self, email: str) -> User:
        return self.add(User(email=email, password=self._password_hash))

    def pad(self, user: User, name: str) -> Pad:
        return self.add(Pad(name=name, user_id=user.id))

    def note(self, user: User, name: str = "A note", text: str = "Its text", pad: Pad | None = None) -> Note:
        instant = self._clock()
        dates = {"created_at": instant, "updated_at": instant}
        return self.add(Note(name=name, text=text, user_id=user.id, pad_id=pad.id if pad else None, **dates))

    def all(self, kind: type[Row]) -> list[Row]:
        with Session(self.engine) as session:
            return session.query(kind).order_by("id").all()


def migrate(url: URL) -> None:
    engine = make_engine(url, pool_size=1)
    schema.upgrade(engine)
    engine.dispose()
