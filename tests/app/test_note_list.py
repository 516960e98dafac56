"""The list of all notes, its order, and the sidebar."""

import pytest
from notejam.models import Note, Pad, User
from sqlalchemy.orm import Session

from tests.app.store import Clock, Store
from tests.app.website import Page, Visitor


def names(page: Page) -> list[str]:
    return [link.get_text() for link in page.html.select("table.notes td.note a")]


def test_empty_list(signed_in: Visitor) -> None:
    page = signed_in.get("/")

    assert (page.title, page.heading) == ("All notes (0)", "notejam: All notes (0)")
    assert page.texts("main p.empty") == ["Create your first note."]
    assert not page.html.select("table.notes")
    [button] = page.html.select("a.button")
    assert (button.get_text(), button["href"]) == ("New note", "/notes/create/")


def test_list(signed_in: Visitor, store: Store, ann: User, bob: User) -> None:
    note = store.note(ann, "Mine")
    store.note(bob, "Not mine")

    page = signed_in.get("/")
    assert page.title == "All notes (1)"
    assert names(page) == ["Mine"]
    assert page.html.select("td.note a")[0]["href"] == f"/notes/{note.id}/"
    assert page.texts("td.pad") == ["No pad"]
    assert not page.html.select("td.pad a")
    assert page.texts("td.date") == ["Today at 12:30"]
    assert page.html.select("td.date time")[0]["datetime"] == "2026-03-14T12:30:00+00:00"
    assert page.texts("table.notes th") == ["Note ↓ ↑", "Pad", "Last modified ↓ ↑"]
    assert page.texts("a.button") == ["New note"]


def test_arrows_are_there_at_all_times(signed_in: Visitor, store: Store, ann: User) -> None:
    store.note(ann)
    wanted = [
        ("↓", "/?order=name"),
        ("↑", "/?order=-name"),
        ("↓", "/?order=updated_at"),
        ("↑", "/?order=-updated_at"),
    ]

    for order in ("", "?order=name", "?order=-updated_at", "?order=nonsense"):
        page = signed_in.get(f"/{order}")
        assert [(a.get_text(), a["href"]) for a in page.html.select("th a.sort_arrow")] == wanted


@pytest.fixture
def three(store: Store, ann: User, clock: Clock) -> None:
    for name in ("b", "a", "C"):
        store.note(ann, name)
        clock.advance(minutes=1)


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("name", "a b C"),
        ("-name", "C b a"),
        ("updated_at", "b a C"),
        ("-updated_at", "C a b"),
        ("", "C a b"),
        ("nonsense", "C a b"),
        ("NAME", "C a b"),
        ("name%00", "C a b"),
    ],
)
def test_order(signed_in: Visitor, order: str, expected: str) -> None:
    assert names(signed_in.get(f"/?order={order}")) == expected.split()


def test_names_sort_alike_on_every_database(signed_in: Visitor, store: Store, ann: User) -> None:
    expected = [
        "-x",
        "10",
        "9",
        "_",
        "a",
        "A",
        "AB",
        "b",
        "B",
        "b c",
        "z",
        "Z",
        "ß",
        "ä",
        "Ä",
        "é",
        "É",
        "я",
        "Я",
        "名",
    ]
    for name in sorted(expected, key=lambda name: (name.lower() == name, name), reverse=True):
        store.note(ann, name)

    found = names(signed_in.get("/?order=name"))
    assert [name.lower() for name in found] == [name.lower() for name in expected]


def test_equal_names_go_by_id(signed_in: Visitor, store: Store, ann: User) -> None:
    notes = [store.note(ann, name) for name in ("same", "Same", "SAME")]

    for order in ("name", "-name"):
        links = signed_in.get(f"/?order={order}").html.select("td.note a")
        assert [a["href"] for a in links] == [f"/notes/{note.id}/" for note in notes]


def test_sidebar(signed_in: Visitor, store: Store, ann: User, bob: User) -> None:
    page = signed_in.get("/")
    assert page.texts("h4#logo") == ["My pads"]
    assert page.texts("nav p.empty") == ["No pads"]
    assert not page.html.select("nav ul")
    [new_pad] = [link for link in page.html.select("aside a") if link.get_text() == "New pad"]
    assert new_pad["href"] == "/pads/create/"

    for name in ("work", "Garden", "Garden"):
        store.pad(ann, name)
    store.pad(bob, "Bob's")
    page = signed_in.get("/notes/create/")
    assert page.texts("nav ul li a") == ["Garden", "Garden", "work"]
    assert page.texts("select[name=pad] option") == ["-" * 9, "Garden", "Garden", "work"]


def test_pad_goes_with_its_notes(store: Store, ann: User) -> None:
    store.note(ann, "kept")
    pad = store.pad(ann, "Garden")
    store.note(ann, "gone", pad=pad)
    with Session(store.engine) as session:
        session.delete(session.get_one(Pad, pad.id))
        session.commit()

    assert [note.name for note in store.all(Note)] == ["kept"]
