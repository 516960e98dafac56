"""Lists of notes: their orders and their pages. A page costs two queries at most, for any number of notes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from flask import request
from sqlalchemy import ColumnElement, Select, bindparam, func, select

from notejam.addresses import NOTE, PAD
from notejam.db import name_key
from notejam.models import Note, Pad
from notejam.replicas import reader

PAGE_SIZE = 50
DEFAULT_ORDER = "-updated_at"
# Tables, not classes: rows of a list become no objects of the session, which costs half of the time.
_notes, _pads = Note.__table__.c, Pad.__table__.c
ORDERS: Mapping[str, tuple[ColumnElement[Any], ...]] = MappingProxyType(
    {
        "name": (name_key(_notes.name).asc(), _notes.id.asc()),
        "-name": (name_key(_notes.name).desc(), _notes.id.asc()),
        "updated_at": (_notes.updated_at.asc(), _notes.id.asc()),
        "-updated_at": (_notes.updated_at.desc(), _notes.id.desc()),
    }
)


class Row(NamedTuple):
    """A note as a list shows it: without its text, which may be long."""

    id: int
    name: str
    updated_at: datetime
    pad_id: int | None
    pad_name: str | None

    @property
    def address(self) -> str:
        """The address of the note."""
        return NOTE % self.id

    @property
    def pad_address(self) -> str:
        """The address of its pad."""
        return PAD % self.pad_id


@dataclass(frozen=True)
class NoteList:
    """One page of a list, and how many notes and pages there are in all."""

    rows: Sequence[Row]
    total: int
    page: int
    order: str

    @property
    def pages(self) -> int:
        """The number of pages; an empty list has one."""
        return count_pages(self.total)

    def address_of(self, page: int) -> dict[str, str | int]:
        """Return the query of a page: what goes without saying is left out."""
        order = {} if self.order == DEFAULT_ORDER else {"order": self.order}
        return {**order, "page": page} if page > 1 else {**order}

    @property
    def links(self) -> list[int | None]:
        """The pages to link to: the first, the last, those around this one; None is a gap."""
        return make_links(self.page, self.pages)


def count_pages(total: int) -> int:
    """Count the pages that so many notes take."""
    return max(1, -(-total // PAGE_SIZE))


def make_links(page: int, pages: int) -> list[int | None]:
    """Choose the pages to link to. A gap stands for at least two pages."""
    wanted = {1, pages, *range(page - 2, page + 3)}
    wanted |= {3 - 1} if page - 2 == 3 else set()  # noqa: PLR2004 - one page is no gap
    wanted |= {pages - 1} if page + 2 == pages - 2 else set()
    links: list[int | None] = []
    for number in sorted(number for number in wanted if 1 <= number <= pages):
        if links and links[-1] != number - 1:
            links.append(None)
        links.append(number)
    return links


def _owned(*, in_pad: bool) -> ColumnElement[bool]:
    mine = _notes.user_id == bindparam("user")
    return mine & (_notes.pad_id == bindparam("pad")) if in_pad else mine


def _count(*, in_pad: bool) -> Select[Any]:
    return select(func.count()).select_from(Note.__table__).where(_owned(in_pad=in_pad))


def _page(order: str, *, in_pad: bool) -> Select[Any]:
    count = _count(in_pad=in_pad)
    columns = (_notes.id, _notes.name, _notes.updated_at, _notes.pad_id, _pads.name.label("pad_name"))
    query = select(*columns, count.scalar_subquery()).outerjoin(Pad.__table__, _pads.id == _notes.pad_id)
    query = query.where(_owned(in_pad=in_pad))
    return query.order_by(*ORDERS[order]).limit(bindparam("limit")).offset(bindparam("offset"))


# Made once: to put a statement together takes longer than to run it.
_COUNTS = {in_pad: _count(in_pad=in_pad) for in_pad in (False, True)}
_PAGES = {(order, in_pad): _page(order, in_pad=in_pad) for order in ORDERS for in_pad in (False, True)}


def load(user_id: int, pad_id: int | None = None) -> NoteList:
    """Load the page that the address of the current request asks for, of a person's notes or of one pad's.

    An unknown order is the default one; what is no page is the first, and a page beyond the end is the last.
    """
    order = request.args.get("order", DEFAULT_ORDER)
    order = order if order in ORDERS else DEFAULT_ORDER
    page = read_page(request.args.get("page", ""))
    in_pad, whose = pad_id is not None, {"user": user_id, "pad": pad_id}
    total = None
    if page > 1:
        total = reader().scalar(_COUNTS[in_pad], whose) or 0
        page = min(page, count_pages(total))
    part = {"limit": PAGE_SIZE, "offset": (page - 1) * PAGE_SIZE}
    found = reader().execute(_PAGES[order, in_pad], whose | part).all()
    if total is None:
        total = found[0][-1] if found else 0
    return NoteList([Row(*row[:-1]) for row in found], total, page, order)


def read_page(text: str) -> int:
    """Read the number of a page; whatever is none counts as the first."""
    return max(1, int(text)) if re.fullmatch(r"[0-9]{1,9}", text) else 1
