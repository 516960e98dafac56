"""The pages of long lists, and what they cost."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from notejam.engine import make_engine
from notejam.models import Note, Pad, User
from notejam.note_lists import ORDERS, PAGE_SIZE, count_pages, make_links, read_page
from sqlalchemy import URL, event, insert, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from tests.app.store import Clock, Store
from tests.app.website import Page, Visitor


def names(page: Page) -> list[str]:
    return [link.get_text() for link in page.html.select("table.notes td.note a")]


def links(page: Page) -> dict[str, str]:
    return {link.get_text(): str(link["href"]) for link in page.html.select("div.pagination a")}


Fill = Callable[..., None]


@pytest.fixture
def fill(store: Store, ann: User, clock: Clock) -> Fill:
    """Give Ann many notes at once, named 00000, 00001 and so on, the first one the oldest."""

    def fill(count: int, pad: Pad | None = None) -> None:
        rows = []
        for number in range(count):
            clock.advance(seconds=1)
            dates = {"created_at": clock(), "updated_at": clock()}
            owner = {"user_id": ann.id, "pad_id": pad.id if pad else None}
            rows.append({"name": f"{number:05}", "text": "x", **dates, **owner})
        with Session(store.engine) as session:
            if rows:
                session.execute(insert(Note), rows)
            session.commit()

    return fill


def test_a_page_has_fifty(signed_in: Visitor, fill: Fill) -> None:
    fill(120)
    first = signed_in.get("/?order=name")
    last = signed_in.get("/?order=name&page=3")

    assert (first.title, last.title) == ("All notes (120)", "All notes (120)")
    assert names(first) == [f"{number:05}" for number in range(50)]
    assert names(last) == [f"{number:05}" for number in range(100, 120)]
    assert links(first) == {
        "2": "/?order=name&page=2",
        "3": "/?order=name&page=3",
        "Next": "/?order=name&page=2",
    }
    assert first.texts("div.pagination [aria-current=page]") == ["1"]
    assert links(signed_in.get("/?page=2")) == {
        "Previous": "/",
        "1": "/",
        "3": "/?page=3",
        "Next": "/?page=3",
    }


def test_pages_hold_every_note_once(signed_in: Visitor, store: Store, ann: User) -> None:
    """Also where everything that is sorted by is equal."""
    for _ in range(2 * PAGE_SIZE + 1):
        store.note(ann, "same")

    for order in ("name", "-name", "updated_at", "-updated_at"):
        pages = [signed_in.get(f"/?order={order}&page={page}") for page in (1, 2, 3)]
        found = [link["href"] for page in pages for link in page.html.select("td.note a")]
        assert len(found) == len(set(found)) == 2 * PAGE_SIZE + 1


def test_pages_of_a_pad(signed_in: Visitor, store: Store, ann: User, fill: Fill) -> None:
    pad = store.pad(ann, "Garden")
    fill(51, pad)
    fill(3)
    page = signed_in.get(f"/pads/{pad.id}/?page=2&order=-name")

    assert page.title == "Garden (51)"
    assert names(page) == ["00000"]
    assert links(page) == {
        "Previous": f"/pads/{pad.id}/?order=-name",
        "1": f"/pads/{pad.id}/?order=-name",
    }


@pytest.mark.parametrize(("count", "pages"), [(0, 0), (50, 0), (51, 2)])
def test_a_single_page_has_no_links(signed_in: Visitor, fill: Fill, count: int, pages: int) -> None:
    fill(count)

    assert len(signed_in.get("/").html.select("div.pagination")) == (1 if pages else 0)


@pytest.mark.parametrize(
    ("page", "first"),
    [
        *((page, "00000") for page in ("", "0", "-1", "x", "1.5", "%00", "%ff", "٢", "2 ", "9" * 10)),
        *((page, "00050") for page in ("2", "02", "3", "999999999")),
    ],
)
def test_a_page_that_is_none(signed_in: Visitor, fill: Fill, page: str, first: str) -> None:
    """Beyond the end is the last page: after a deletion the address of a page may be one too far."""
    fill(60)
    found = signed_in.get(f"/?order=name&page={page}")

    assert found.status == 200
    assert names(found)[0] == first


@pytest.mark.parametrize(
    ("page", "pages", "expected"),
    [
        (1, 1, "1"),
        (1, 3, "1 2 3"),
        (1, 9, "1 2 3 … 9"),
        (4, 9, "1 2 3 4 5 6 … 9"),
        (5, 9, "1 2 3 4 5 6 7 8 9"),
        (6, 9, "1 … 4 5 6 7 8 9"),
        (50, 200, "1 … 48 49 50 51 52 … 200"),
    ],
)
def test_links(page: int, pages: int, expected: str) -> None:
    assert " ".join(str(number or "…") for number in make_links(page, pages)) == expected


@given(st.integers(1, 300), st.integers(1, 300))
def test_links_lead_everywhere(page: int, pages: int) -> None:
    page = min(page, pages)
    found = make_links(page, pages)
    numbers = [number for number in found if number]

    assert numbers == sorted(set(numbers))
    assert {1, page, pages} <= set(numbers) <= set(range(1, pages + 1))
    assert len(found) <= 9
    for before, gap, after in zip(found, found[1:], found[2:], strict=False):
        if gap is None:
            assert before is not None
            assert after is not None
            assert after - before > 2


@given(st.text(max_size=15))
def test_any_text_is_some_page(page: str) -> None:
    assert 1 <= read_page(page) < 10**9


@given(st.integers(0, 10**6))
def test_the_last_page_is_not_empty(total: int) -> None:
    pages = count_pages(total)

    assert (pages - 1) * PAGE_SIZE < max(total, 1) <= pages * PAGE_SIZE


@contextmanager
def counted(app: Flask) -> Iterator[list[str]]:
    """Collect the statements that the app sends."""
    statements: list[str] = []

    def note(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    engine = app.extensions["notejam.engine"]
    event.listen(engine, "before_cursor_execute", note)
    yield statements
    event.remove(engine, "before_cursor_execute", note)


def test_a_page_costs_four_queries_for_any_number_of_notes(
    app: Flask, signed_in: Visitor, store: Store, ann: User, fill: Fill
) -> None:
    pads = [store.pad(ann, f"pad {number}") for number in range(20)]
    costs: dict[str, list[int]] = {}
    for more in (10, 9_990):
        fill(more // 2)
        fill(more // 2, pads[0])
        for path in (
            "/",
            "/?page=2",
            "/?order=name&page=999",
            f"/pads/{pads[0].id}/?page=1",
            f"/pads/{pads[0].id}/?page=3",
        ):
            with counted(app) as statements:
                page = signed_in.get(path)
            assert page.status == 200
            assert len(statements) <= 4, statements
            assert not any("notes.text" in statement for statement in statements), "texts may be long"
            costs.setdefault(path, []).append(len(statements))
    assert signed_in.get("/").title == "All notes (10000)"
    assert all(few == many for few, many in costs.values()), costs


@pytest.mark.parametrize(
    ("order", "index"),
    [("name", "notes_user_name"), ("-name", "notes_user_name"), ("-updated_at", "notes_user_updated")],
)
def test_an_index_gives_the_order(postgres_database: URL, order: str, index: str) -> None:
    """So a page of a long list reads fifty rows and sorts none, or a few of the same name."""
    query = select(Note.id).where(Note.user_id == 1).order_by(*ORDERS[order]).limit(50)
    words = query.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})
    engine = make_engine(postgres_database, pool_size=1)
    with engine.connect() as connection:
        connection.execute(
            text("SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off")
        )
        plan = "\n".join(connection.execute(text(f"EXPLAIN {words}")).scalars())
    engine.dispose()

    assert index in plan
    assert "->  Sort" not in plan
