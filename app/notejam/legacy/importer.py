"""Bringing over accounts, then pads, then notes, in batches.

Each batch and the record of what became of its rows are one transaction, so an import that was stopped goes
on after the last whole batch. A dry run decides everything the same way and writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any

from sqlalchemy import Engine, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from notejam.db import email_key
from notejam.legacy.mend import Ids, Mended, Raw, RefusedError, mend_note, mend_pad, mend_user
from notejam.legacy.report import Report
from notejam.legacy.source import KINDS, Source
from notejam.models import Base, LegacyImport, Note, Pad, User

ATTEMPTS = 3
MODELS: Mapping[str, type[Base]] = {"user": User, "pad": Pad, "note": Note}
AS_IT_WAS, MENDED, REFUSED = "as it was", "mended", "refused"
Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


@dataclass(frozen=True)
class Options:
    """How to bring rows over."""

    name: str  # of the source, in the record
    batch: int
    zone: tzinfo
    now: datetime
    dry_run: bool = False
    merge: bool = False  # accounts whose emails differ in case alone become one


@dataclass
class _Outcome:
    row: Raw
    made: Mended | None = None
    refusal: str = ""
    joined: int | None = None  # the account of the same import that this one became part of

    @property
    def word(self) -> str:
        if self.made is None:
            return REFUSED
        return MENDED if self.made.mends else AS_IT_WAS

    @property
    def reasons(self) -> list[str]:
        return [self.refusal] if self.made is None else self.made.mends


@dataclass
class Importer:
    """One run."""

    source: Source
    engine: Engine
    options: Options
    report: Report
    ids: Ids = field(default_factory=lambda: Ids({}, {}, {}))
    _last: dict[str, int] = field(default_factory=dict)
    _emails: dict[str, int] = field(default_factory=dict)  # of this import, to the new id
    _pretended: int = 0

    def run(self, progress: Progress) -> None:
        """Bring over what is not there yet."""
        with Session(self.engine) as session:
            self._read_record(session)
        for kind in KINDS:
            after = self._last.get(kind, 0)
            with progress(kind, self.source.count(kind, after)) as advance:
                for rows in self.source.batches(kind, after, self.options.batch):
                    self._batch(kind, rows)
                    advance(len(rows))

    @property
    def begun_before(self) -> dict[str, int]:
        """The last row of each kind that an earlier run dealt with."""
        return dict(self._last)

    def _read_record(self, session: Session) -> None:
        record, mine = LegacyImport, LegacyImport.source == self.options.name
        for kind, last in session.execute(
            select(record.kind, func.max(record.legacy_id)).where(mine).group_by(record.kind)
        ):
            self._last[kind] = last
        if not self._last:
            return
        # What was deleted here since counts as refused: it does not come back.
        users = dict(session.execute(select(User.id, email_key(User.email))).all())
        owners = dict(session.execute(select(Pad.id, Pad.user_id)).all())
        for kind, ids, existing in (
            ("user", self.ids.users, set(users)),
            ("pad", self.ids.pads, set(owners)),
        ):
            pairs = select(record.legacy_id, record.new_id).where(mine, record.kind == kind)
            ids.update((legacy, new if new in existing else None) for legacy, new in session.execute(pairs))
        self._emails = {users[new]: new for new in self.ids.users.values() if new is not None}
        self.ids.owners.update((new, owners[new]) for new in self.ids.pads.values() if new is not None)

    def _batch(self, kind: str, rows: list[Mapping[str, Any]]) -> None:
        for attempt in range(ATTEMPTS):
            with Session(self.engine, expire_on_commit=False) as session:
                try:
                    outcomes = self._decide(kind, rows, session)
                    new = (
                        self._pretend(outcomes)
                        if self.options.dry_run
                        else self._write(kind, outcomes, session)
                    )
                except IntegrityError:
                    # Somebody signed up with one of these emails a moment ago, or removed an account.
                    session.rollback()
                    if attempt == ATTEMPTS - 1:
                        raise
                    continue
                details = [(one.row, one.word, one.reasons) for one in outcomes if one.word != AS_IT_WAS]
                # First the details, then the commit: in doubt they stand there twice.
                self.report.write(kind, details)
                if not self.options.dry_run:
                    session.commit()
            self.remember(kind, outcomes, new)
            return

    def _decide(self, kind: str, rows: Iterable[Raw], session: Session) -> list[_Outcome]:
        outcomes = [self._mend(kind, row) for row in rows]
        if kind == "user":
            self._settle_emails(outcomes, session)
        return outcomes

    def _mend(self, kind: str, row: Raw) -> _Outcome:
        try:
            if kind == "user":
                return _Outcome(row, mend_user(row))
            if kind == "pad":
                return _Outcome(row, mend_pad(row, self.ids))
            return _Outcome(row, mend_note(row, self.ids, zone=self.options.zone, now=self.options.now))
        except RefusedError as error:
            return _Outcome(row, refusal=str(error))

    def _settle_emails(self, outcomes: list[_Outcome], session: Session) -> None:
        """Give each email to the first account that has it."""
        keys = [one.made.values["email"].lower() for one in outcomes if one.made]
        taken = set(session.scalars(select(email_key(User.email)).where(email_key(User.email).in_(keys))))
        first: set[str] = set()
        for one in outcomes:
            if one.made is None:
                continue
            key = one.made.values["email"].lower()
            of_this_import = key in self._emails or key in first
            if of_this_import and self.options.merge:
                one.made.mends.append(
                    "it became part of an earlier account whose email differs in case alone"
                )
                one.joined = self._emails.get(key, 0)
            elif of_this_import:
                one.made, one.refusal = None, "an earlier account has the same email but for case"
            elif key in taken:
                one.made, one.refusal = None, "its email is already signed up here"
            else:
                first.add(key)

    def _pretend(self, outcomes: list[_Outcome]) -> list[int | None]:
        """Give rows numbers as if they had been written; below zero, so that no real row has them."""
        new: list[int | None] = []
        for one in outcomes:
            self._pretended -= 1
            new.append(self._pretended if one.made else None)
        return self._with_joined(outcomes, new)

    def _write(self, kind: str, outcomes: list[_Outcome], session: Session) -> list[int | None]:
        objects = [
            MODELS[kind](**one.made.values) if one.made and one.joined is None else None for one in outcomes
        ]
        session.add_all([each for each in objects if each is not None])
        session.flush()
        # Users, pads and notes all have an id; what they share is only the base class of all tables.
        ids = [None if each is None else each.id for each in objects]  # type: ignore[attr-defined]
        new = self._with_joined(outcomes, ids)
        session.add_all(
            LegacyImport(
                source=self.options.name,
                kind=kind,
                legacy_id=one.row["id"],
                new_id=new_id,
                outcome=": ".join([one.word, *filter(None, ["; ".join(one.reasons)])]),
            )
            for one, new_id in zip(outcomes, new, strict=True)
        )
        session.flush()
        return new

    def _with_joined(self, outcomes: list[_Outcome], new: list[int | None]) -> list[int | None]:
        """Fill in the ids of the accounts that others became part of, some of them within this batch."""
        own = {
            one.made.values["email"].lower(): new_id
            for one, new_id in zip(outcomes, new, strict=True)
            if one.made and one.joined is None and "email" in one.made.values
        }
        return [
            (one.joined or own[one.made.values["email"].lower()])
            if one.made and one.joined is not None
            else each
            for one, each in zip(outcomes, new, strict=True)
        ]

    def remember(self, kind: str, outcomes: list[_Outcome], new: list[int | None]) -> None:
        """Keep what rows to come need to know of a batch that is done."""
        for one, new_id in zip(outcomes, new, strict=True):
            legacy = int(one.row["id"])
            self.report.add(kind, legacy, one.word, one.reasons)
            if kind == "user":
                self.ids.users[legacy] = new_id
                if one.made and new_id is not None and one.joined is None:
                    self._emails[one.made.values["email"].lower()] = new_id
            elif kind == "pad":
                self.ids.pads[legacy] = new_id
                if one.made and new_id is not None:
                    self.ids.owners[new_id] = one.made.values["user_id"]
