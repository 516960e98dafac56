"""What is kept: people, their pads, their notes."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from notejam.db import UtcDateTime, email_key

EMAIL_MAX = 75
PAD_NAME_MAX = 100
NOTE_NAME_MAX = 255
NOTE_TEXT_MAX_BYTES = 1024 * 1024


class Base(DeclarativeBase):
    """The base of every table."""


class User(Base):
    """A person with an account."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(EMAIL_MAX))
    password: Mapped[str] = mapped_column(String(255))  # a hash; scrypt's has 162 characters


# Emails are unique without regard to case and stored as typed.
Index("users_email_unique", email_key(User.email), unique=True)


class Pad(Base):
    """A named collection of notes. Names may repeat."""

    __tablename__ = "pads"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(PAD_NAME_MAX))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))

    __table_args__ = (Index("pads_user", "user_id"),)


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
    )
