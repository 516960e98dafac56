"""Notes: create and view."""

import pytest
from notejam.models import NOTE_TEXT_MAX_BYTES, Note, User
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from tests.app.store import Clock, Store
from tests.app.website import Page, Visitor

REQUIRED = ["This field is required."]
CONTROL = ["Control characters are not allowed."]


def create(visitor: Visitor, path: str = "/notes/create/", **fields: str) -> Page:
    return visitor.post(path, {"name": "A note", "text": "Its text", "pad": "0"} | fields)


# Create


def test_create_page(signed_in: Visitor) -> None:
    page = signed_in.get("/notes/create/")

    assert (page.status, page.title, page.heading) == (200, "New note", "notejam: New note")
    assert page.texts("form label") == ["Name", "Note", "Pad"]
    assert page.html.select("form input[type=submit]")[0]["value"] == "Save"
    options = page.html.select("select[name=pad] option")
    assert [(option["value"], option.get_text()) for option in options] == [("0", "-" * 9)]


def test_create(signed_in: Visitor, store: Store, ann: User, clock: Clock) -> None:
    page = create(signed_in, name=" Shopping ", text="milk\r\n\teggs\r\n")

    assert (page.status, page.location) == (302, "/")
    home = signed_in.follow(page)
    assert home.flashes == [("success", "Note is successfully created")]
    assert (home.title, home.heading) == ("All notes (1)", "notejam: All notes (1)")
    [note] = store.all(Note)
    assert (note.name, note.text) == (" Shopping ", "milk\r\n\teggs\r\n"), "values are kept as typed"
    assert (note.user_id, note.pad_id) == (ann.id, None)
    assert note.created_at == note.updated_at == clock()


@pytest.mark.parametrize("blank", ["", "   ", "\t \r\n"])
def test_create_required(signed_in: Visitor, store: Store, blank: str) -> None:
    page = create(signed_in, name=blank, text=blank)

    assert page.status == 200
    assert page.errors == {"name": REQUIRED, "text": REQUIRED}
    assert store.all(Note) == []


def test_create_anonymous(client: Visitor, store: Store) -> None:
    token = client.get("/signin/").token
    page = client.post_raw("/notes/create/", {"csrf_token": token, "name": "x", "text": "y", "pad": "0"})

    assert page.status == 302
    assert store.all(Note) == []


def test_create_in_own_pad(signed_in: Visitor, store: Store, ann: User) -> None:
    pad = store.pad(ann, "Garden")

    assert create(signed_in, pad=str(pad.id)).status == 302
    assert [note.pad_id for note in store.all(Note)] == [pad.id]
    assert signed_in.get("/").texts("td.pad") == ["Garden"]


def test_create_in_anothers_pad(signed_in: Visitor, store: Store, bob: User) -> None:
    foreign = store.pad(bob, "Bob's")

    page = create(signed_in, pad=str(foreign.id))
    assert page.status == 200
    assert page.errors["pad"][0].startswith("Not a valid choice")
    assert "Bob's" not in page.response.get_data(as_text=True)
    assert store.all(Note) == []


@pytest.mark.parametrize("pad", ["999", "x", "", "-1", "00", "9" * 30, "1\x00", None])
def test_create_in_no_such_pad(signed_in: Visitor, store: Store, pad: str | None) -> None:
    token = signed_in.token_for("/notes/create/")
    fields = {"csrf_token": token, "name": "A", "text": "b"} | ({} if pad is None else {"pad": pad})
    page = signed_in.post_raw("/notes/create/?pad=0", fields)

    assert page.status == 200
    assert page.errors["pad"][0].startswith("Not a valid choice")
    assert store.all(Note) == []


def test_create_while_the_pad_is_deleted(signed_in: Visitor, store: Store, ann: User) -> None:
    pad = store.pad(ann, "Garden")
    token = signed_in.token_for("/notes/create/")

    def delete_pad(session: Session, *_: object) -> None:
        if session.get_bind() is not store.engine:
            with store.engine.begin() as connection:
                connection.execute(text("DELETE FROM pads"))

    event.listen(Session, "before_flush", delete_pad)
    try:
        page = signed_in.post_raw(
            "/notes/create/", {"csrf_token": token, "name": "A", "text": "b", "pad": str(pad.id)}
        )
    finally:
        event.remove(Session, "before_flush", delete_pad)

    assert page.status == 200
    assert page.errors["pad"] == ["Not a valid choice"]
    assert page.html.select("textarea")[0].get_text().strip() == "b"


@pytest.mark.parametrize("wanted", ["own", "foreign", "999", "x", "", "9" * 30])
def test_preselected_pad(signed_in: Visitor, store: Store, ann: User, bob: User, wanted: str) -> None:
    own, foreign = store.pad(ann, "Garden"), store.pad(bob, "Bob's")
    query = {"own": str(own.id), "foreign": str(foreign.id)}.get(wanted, wanted)

    page = signed_in.get(f"/notes/create/?pad={query}")
    selected = [option["value"] for option in page.html.select("option[selected]")]
    assert page.status == 200
    assert selected == ([str(own.id)] if wanted == "own" else [])


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({"name": "x" * 256}, {"name": ["Use at most 255 characters."]}),
        ({"name": "a\x00b"}, {"name": CONTROL}),
        ({"name": "a\nb"}, {"name": CONTROL}),
        ({"name": "a\x1b[31m"}, {"name": CONTROL}),
        ({"text": "a\x00b"}, {"text": CONTROL}),
        ({"text": "a\x0bb"}, {"text": CONTROL}),
        ({"text": "x" * (NOTE_TEXT_MAX_BYTES + 1)}, {"text": ["Use at most 1 MiB of text."]}),
        ({"text": "ä" * (NOTE_TEXT_MAX_BYTES // 2 + 1)}, {"text": ["Use at most 1 MiB of text."]}),
    ],
    ids=["long", "nul", "line", "escape", "text-nul", "text-control", "text-long", "text-long-bytes"],
)
def test_create_refused(
    signed_in: Visitor, store: Store, fields: dict[str, str], errors: dict[str, list[str]]
) -> None:
    page = create(signed_in, **fields)

    assert page.status == 200
    assert page.errors == errors
    assert store.all(Note) == []


def test_create_at_the_limits(signed_in: Visitor, store: Store) -> None:
    name, body = "Ω" * 255, "€" * (NOTE_TEXT_MAX_BYTES // 3)

    assert create(signed_in, name=name, text=body).status == 302
    assert [(note.name, note.text) for note in store.all(Note)] == [(name, body)]


def test_create_at_the_limits_as_multipart(signed_in: Visitor, store: Store) -> None:
    body = "x" * NOTE_TEXT_MAX_BYTES
    fields = {"csrf_token": signed_in.token_for("/notes/create/"), "name": "A", "pad": "0", "text": body}
    parts = [f'--b\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items()]
    kind = "multipart/form-data; boundary=b"
    page = signed_in.post_raw("/notes/create/", "".join([*parts, "--b--\r\n"]).encode(), content_type=kind)

    assert page.status == 302
    assert [note.text for note in store.all(Note)] == [body]


# View


def test_view(signed_in: Visitor, store: Store, ann: User) -> None:
    note = store.note(ann, "<i>Name</i> & co", "<script>alert(1)</script>\n  two spaces")

    page = signed_in.get(f"/notes/{note.id}/")
    assert (page.status, page.title, page.heading) == (200, "<i>Name</i> & co", "notejam: <i>Name</i> & co")
    assert page.html.select("div.note")[0].get_text() == "<script>alert(1)</script>\n  two spaces"
    assert not page.html.select("script, i")
    assert page.texts("p.hidden-text") == ["Last edited at Today at 12:30"]


def test_view_of_another_person(signed_in: Visitor, store: Store, bob: User) -> None:
    note = store.note(bob, "Bob's secret")

    page = signed_in.get(f"/notes/{note.id}/")
    assert page.status == 404
    assert "secret" not in page.response.get_data(as_text=True)


@pytest.mark.parametrize(
    "note", ["1", "0", "-1", "abc", "1.5", str(2**31 - 1), str(2**31), "9" * 40, "%00", "1%00"]
)
def test_view_of_no_note(signed_in: Visitor, note: str) -> None:
    page = signed_in.get(f"/notes/{note}/")

    assert (page.status, page.heading) == (404, "notejam: Page not found")


@pytest.mark.parametrize("path", ["/", "/notes/1/"])
def test_pages_that_take_no_form(signed_in: Visitor, path: str) -> None:
    page = signed_in.post_raw(path, {})

    assert page.status == 405
    assert "GET" in page.response.headers["Allow"]
