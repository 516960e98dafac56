"""Lists of notes: their orders and their pages. A page costs two queries at most, for any number of notes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from flask import request
from sqlalchemy import ColumnElement, func, select

from notejam.db import name_key
from notejam.models import Note, Pad
from notejam.replicas import reader

PAGE_SIZE = 50
DEFAULT_ORDER = "-updated_at"
ORDERS: Mapping[str, tuple[ColumnElement[Any], ...]] = MappingProxyType(
    {
        "name": (name_key(Note.name).asc(), Note.id.asc()),
        "-name": (name_key(Note.name).desc(), Note.id.asc()),
        "updated_at": (Note.updated_at.asc(), Note.id.asc()),
        "-updated_at": (Note.updated_at.desc(), Note.id.desc()),
    }
)


@dataclass(frozen=True)
class Row:
    """A note as a list shows it: without its text, which may be long."""

    id: int
    name: str
    updated_at: datetime
    pad_id: int | None
    pad_name: str | None


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


def load(owned: ColumnElement[bool]) -> NoteList:
    """Load the page of a list that the address of the current request asks for.

    An unknown order is the default one; what is no page is the first, and a page beyond the end is the last.
    """
    order = request.args.get("order", DEFAULT_ORDER)
    order = order if order in ORDERS else DEFAULT_ORDER
    page = read_page(request.args.get("page", ""))
    count = select(func.count()).select_from(Note).where(owned)
    total = None
    if page > 1:
        total = reader().scalar(count) or 0
        page = min(page, count_pages(total))
    columns = (Note.id, Note.name, Note.updated_at, Note.pad_id, Pad.name.label("pad_name"))
    query = select(*columns, count.scalar_subquery()).outerjoin(Pad, Pad.id == Note.pad_id).where(owned)
    found = (
        reader().execute(query.order_by(*ORDERS[order]).limit(PAGE_SIZE).offset((page - 1) * PAGE_SIZE)).all()
    )
    if total is None:
        total = found[0][-1] if found else 0
    return NoteList([Row(*row[:-1]) for row in found], total, page, order)


def read_page(text: str) -> int:
    """Read the number of a page; whatever is none counts as the first."""
    return max(1, int(text)) if re.fullmatch(r"[0-9]{1,9}", text) else 1
