"""What is kept: people, their pads, their notes."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from notejam.db import UtcDateTime, email_key

ID_MAX = 2**31 - 1  # what the id columns hold; a larger number in an address is just a missing page
EMAIL_MAX = 75
PAD_NAME_MAX = 100
NOTE_NAME_MAX = 255
NOTE_TEXT_MAX_BYTES = 1024 * 1024


def random_key() -> str:
    """Make a key that nobody can guess."""
    return secrets.token_hex(16)


class Base(DeclarativeBase):
    """The base of every table."""


class User(Base):
    """A person with an account."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(EMAIL_MAX))
    password: Mapped[str] = mapped_column(String(255))  # a hash; scrypt's has 162 characters
    # Changes with the password; every session and reset link holds it. Only people who signed up at a pod of
    # a release before this column have none, until they sign in.
    session_key: Mapped[str | None] = mapped_column(String(32), default=random_key)


# Emails are unique without regard to case and stored as typed.
Index("users_email_unique", email_key(User.email), unique=True)


class Pad(Base):
    """A named collection of notes. Names may repeat."""

    __tablename__ = "pads"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(PAD_NAME_MAX))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))

    __table_args__ = (Index("pads_user", "user_id"),)


@dataclass(frozen=True)
class OwnPad:
    """A pad of the person who asks, as the sidebar and forms need it."""

    id: int
    name: str


class Note(Base):
    """A note of one person, in one pad or in none. It goes when its pad goes."""

    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(NOTE_NAME_MAX))
    text: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    pad_id: Mapped[int | None] = mapped_column(ForeignKey("pads.id", ondelete="CASCADE"))

    pad: Mapped[Pad | None] = relationship()

    __table_args__ = (
        Index("notes_user_updated", "user_id", "updated_at", "id"),
        Index("notes_pad", "pad_id"),
        Index("notes_pad_updated", "pad_id", "updated_at", "id"),
    )


# The order by name_key(). SQLite cannot keep an index on a function of ours. The migration adds COLLATE "C",
# which Postgres leaves out when Alembic asks for the expression, so it is left out here, too.
for _index, _owner in (("notes_user_name", Note.user_id), ("notes_pad_name", Note.pad_id)):
    Index(_index, _owner, text('lower(name COLLATE "und-x-icu")'), Note.id).ddl_if(dialect="postgresql")


class EndedSession(Base):
    """A session that somebody signed out of, kept for as long as its cookie could be shown again."""

    __tablename__ = "ended_sessions"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (Index("ended_sessions_expiry", "expires_at"),)


class RateLimit(Base):
    """How often something was tried since its window began; the id is a hash of what and by whom."""

    __tablename__ = "rate_limits"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    count: Mapped[int]
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (Index("rate_limits_expiry", "expires_at"),)


class LegacyImport(Base):
    """What became of a row of a legacy database: the import goes on where it stopped."""

    __tablename__ = "legacy_imports"

    source: Mapped[str] = mapped_column(Text, primary_key=True)
    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    legacy_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    new_id: Mapped[int | None] = mapped_column(BigInteger)
    outcome: Mapped[str] = mapped_column(Text)


class SchemaContract(Base):
    """A migration that took something away; only code that needs `safe_from` or later does without."""

    __tablename__ = "schema_contracts"

    revision: Mapped[str] = mapped_column(String(32), primary_key=True)
    safe_from: Mapped[str] = mapped_column(String(32))
