"""Notes: edit, move, delete."""

from collections.abc import Callable

import pytest
from flask import Flask
from notejam.models import Note, Pad, User
from sqlalchemy import delete, event
from sqlalchemy.orm import Session

from tests.app.store import Clock, Store
from tests.app.website import Page, Visitor

REQUIRED = ["This field is required."]


def fields_of(page: Page) -> dict[str, str]:
    """What a browser would send if nothing were typed: line breaks go as CR LF."""
    chosen = page.html.select("option[selected]")
    text = page.html.select("textarea")[0].get_text().replace("\r\n", "\n").removeprefix("\n")
    return {
        "name": str(page.html.select("input[name=name]")[0]["value"]),
        "text": text.replace("\n", "\r\n"),
        "pad": str(chosen[0]["value"]) if chosen else "0",
    }


def edit(visitor: Visitor, note: Note, **changes: str) -> Page:
    path = f"/notes/{note.id}/edit/"
    return visitor.post(path, fields_of(visitor.get(path)) | changes)


def test_links(signed_in: Visitor, store: Store, ann: User) -> None:
    note = store.note(ann)
    page = signed_in.get(f"/notes/{note.id}/")

    [change] = page.html.select("a.button")
    assert (change.get_text(), change["href"]) == ("Edit", f"/notes/{note.id}/edit/")
    [remove] = page.html.select("a.delete-note")
    assert (remove.get_text(), remove["href"]) == ("Delete it", f"/notes/{note.id}/delete/")


def test_edit_page(signed_in: Visitor, store: Store, ann: User) -> None:
    pad = store.pad(ann, "Garden")
    note = store.note(ann, "Name", "\n\nText", pad=pad)
    page = signed_in.get(f"/notes/{note.id}/edit/")

    assert (page.status, page.title, page.heading) == (200, "Name", "notejam: Name")
    assert page.texts("form label") == ["Name", "Note", "Pad"]
    assert fields_of(page) == {"name": "Name", "text": "\r\n\r\nText", "pad": str(pad.id)}


def test_edit(signed_in: Visitor, store: Store, ann: User, clock: Clock) -> None:
    note = store.note(ann, "Name", "Text")
    created = clock()
    clock.advance(hours=1)
    page = edit(signed_in, note, name="New name", text="New text")

    assert (page.status, page.location) == (302, "/")
    assert signed_in.follow(page).flashes == [("success", "Note is successfully updated")]
    [stored] = store.all(Note)
    assert (stored.name, stored.text) == ("New name", "New text")
    assert (stored.created_at, stored.updated_at) == (created, clock())


@pytest.mark.parametrize("text", ["one\ntwo\n", "one\r\ntwo\r\n", "\none", "one\rtwo", "  two  "])
def test_saving_unchanged_values_does_not_count(
    signed_in: Visitor, store: Store, ann: User, clock: Clock, text: str
) -> None:
    note = store.note(ann, " Name ", text, pad=store.pad(ann, "Garden"))
    before = clock()
    clock.advance(hours=1)

    assert edit(signed_in, note).status == 302
    [stored] = store.all(Note)
    assert (stored.name, stored.text, stored.updated_at) == (" Name ", text, before)


def test_moving_counts(signed_in: Visitor, store: Store, ann: User, clock: Clock) -> None:
    pad = store.pad(ann, "Garden")
    note = store.note(ann)
    clock.advance(hours=1)
    page = edit(signed_in, note, pad=str(pad.id))

    assert page.location == f"/pads/{pad.id}/", "by the new pad"
    assert signed_in.follow(page).texts("td.note a") == [note.name]
    [stored] = store.all(Note)
    assert (stored.pad_id, stored.updated_at) == (pad.id, clock())
    assert edit(signed_in, note, pad="0").location == "/"
    assert store.all(Note)[0].pad_id is None


@pytest.mark.parametrize("blank", ["", " \t\r\n"])
def test_edit_required(signed_in: Visitor, store: Store, ann: User, blank: str) -> None:
    note = store.note(ann, "Name", "Text")
    page = edit(signed_in, note, name=blank, text=blank)

    assert page.status == 200
    assert page.errors == {"name": REQUIRED, "text": REQUIRED}
    assert page.title == "Name"
    assert [(stored.name, stored.text) for stored in store.all(Note)] == [("Name", "Text")]


def test_missing_fields_are_not_the_old_values(signed_in: Visitor, store: Store, ann: User) -> None:
    path = f"/notes/{store.note(ann).id}/edit/"
    page = signed_in.post_raw(path, {"csrf_token": signed_in.token_for(path)})

    assert page.errors["name"] == page.errors["text"] == REQUIRED
    assert page.errors["pad"][0].startswith("Not a valid choice")


@pytest.mark.parametrize("pad", ["foreign", "999", "x", "", "-1", "9" * 30])
def test_edit_into_a_pad_that_is_not_theirs(
    signed_in: Visitor, store: Store, ann: User, bob: User, pad: str
) -> None:
    note = store.note(ann)
    foreign = store.pad(bob, "Bob's")
    page = edit(signed_in, note, pad=str(foreign.id) if pad == "foreign" else pad)

    assert page.status == 200
    assert page.errors["pad"][0].startswith("Not a valid choice")
    assert store.all(Note)[0].pad_id is None


def test_delete(signed_in: Visitor, store: Store, ann: User) -> None:
    pad = store.pad(ann, "Garden")
    for where, location in ((None, "/"), (pad, f"/pads/{pad.id}/")):
        note = store.note(ann, "<b>Old", pad=where)
        path = f"/notes/{note.id}/delete/"
        page = signed_in.get(path)
        assert (page.title, page.heading) == ("<b>Old", "notejam: <b>Old")
        assert page.texts("main form p")[0] == "Are you sure you want to delete <b>Old?"
        assert page.html.select("input[type=submit]")[0]["value"] == "Yes, delete I want to delete it"
        assert [(a.get_text(), a["href"]) for a in page.html.select("main form a")] == [
            ("Cancel", f"/notes/{note.id}/")
        ]
        assert len(store.all(Note)) == 1, "a GET deletes nothing"

        deleted = signed_in.post(path)
        assert (deleted.status, deleted.location) == (302, location)
        assert signed_in.follow(deleted).flashes == [("success", "Note is successfully deleted")]
        assert store.all(Note) == []
        assert signed_in.get(path).status == 404


@pytest.mark.parametrize("page", ["edit", "delete"])
def test_another_persons_note_is_not_there(
    signed_in: Visitor, store: Store, bob: User, come_in: Callable[[User], Visitor], page: str
) -> None:
    note = store.note(bob, "Bob's")
    path = f"/notes/{note.id}/{page}/"
    token = signed_in.token_for("/notes/create/")
    fields = {"csrf_token": token, "name": "x", "text": "y", "pad": "0"}

    for answer in (signed_in.get(path), signed_in.post_raw(path, fields)):
        assert (answer.status, answer.heading) == (404, "notejam: Page not found")
    assert [stored.name for stored in store.all(Note)] == ["Bob's"]
    assert come_in(bob).get(path).status == 200


@pytest.mark.parametrize("note", ["0", "-1", "abc", "999", "9" * 40, "%00", "%ff"])
def test_no_such_note(signed_in: Visitor, note: str) -> None:
    token = signed_in.token_for("/notes/create/")
    for page in ("edit", "delete"):
        assert signed_in.get(f"/notes/{note}/{page}/").status == 404
        assert signed_in.post_raw(f"/notes/{note}/{page}/", {"csrf_token": token}).status == 404


@pytest.mark.parametrize("page", ["edit", "delete"])
def test_forms_need_a_token(signed_in: Visitor, store: Store, ann: User, page: str) -> None:
    note = store.note(ann, "Name")

    fields = {"name": "x", "text": "y", "pad": "0"}
    assert signed_in.post_raw(f"/notes/{note.id}/{page}/", fields).status == 400
    assert [stored.name for stored in store.all(Note)] == ["Name"]


Meanwhile = Callable[[str, "type[Note | Pad]"], None]


@pytest.fixture
def meanwhile(app: Flask, store: Store) -> Meanwhile:
    """Delete everything of a kind just before the app's next statement of this beginning."""

    def arrange(beginning: str, kind: type[Note | Pad]) -> None:
        done = []

        def strike(_conn: object, _cursor: object, statement: str, *_: object) -> None:
            if statement.startswith(beginning) and not done:
                done.append(1)
                with Session(store.engine) as session:
                    session.execute(delete(kind))
                    session.commit()

        event.listen(app.extensions["notejam.engine"], "before_cursor_execute", strike)

    return arrange


@pytest.mark.parametrize(("page", "statement"), [("edit", "UPDATE notes"), ("delete", "DELETE FROM notes")])
def test_a_note_that_was_deleted_a_moment_ago(
    signed_in: Visitor, store: Store, ann: User, meanwhile: Meanwhile, page: str, statement: str
) -> None:
    path = f"/notes/{store.note(ann).id}/{page}/"
    fields = {"csrf_token": signed_in.token_for(path), "name": "New", "text": "y", "pad": "0"}
    meanwhile(statement, Note)

    assert signed_in.post_raw(path, fields).status == 404


def test_moving_into_a_pad_that_was_deleted_a_moment_ago(
    signed_in: Visitor, store: Store, ann: User, meanwhile: Meanwhile
) -> None:
    pad, note = store.pad(ann, "Garden"), store.note(ann)
    path = f"/notes/{note.id}/edit/"
    fields = {"csrf_token": signed_in.token_for(path), "name": "New", "text": "y", "pad": str(pad.id)}
    meanwhile("UPDATE notes", Pad)
    page = signed_in.post_raw(path, fields)

    assert page.status == 200
    assert page.errors["pad"] == ["Not a valid choice"]
    assert page.texts("select option") == ["-" * 9]
    assert page.texts("nav p.empty") == ["No pads"]
    assert store.all(Note)[0].name == note.name
