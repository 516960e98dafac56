"""Pads: create, view, edit, delete."""

from collections.abc import Callable

import pytest
from notejam.models import PAD_NAME_MAX, Note, Pad, User

from tests.app.store import Clock, Store
from tests.app.website import Page, Visitor

REQUIRED = ["This field is required."]
CONTROL = ["Control characters are not allowed."]
NO_PADS = ["0", "-1", "abc", "1.5", "999", str(2**31 - 1), str(2**31), "9" * 40, "%00", "1%00", "%ff"]


def names(page: Page) -> list[str]:
    return [link.get_text() for link in page.html.select("table.notes td.note a")]


def test_create_page(signed_in: Visitor) -> None:
    page = signed_in.get("/pads/create/")

    assert (page.status, page.title, page.heading) == (200, "New pad", "notejam: New pad")
    assert page.texts("form label") == ["Name"]
    assert page.html.select("form input[type=submit]")[0]["value"] == "Save"
    assert page.html.select("#logo")


def test_create(signed_in: Visitor, store: Store, ann: User) -> None:
    page = signed_in.post("/pads/create/", {"name": " Garden "})

    assert (page.status, page.location) == (302, "/")
    assert signed_in.follow(page).flashes == [("success", "Pad is successfully created")]
    assert [(pad.name, pad.user_id) for pad in store.all(Pad)] == [(" Garden ", ann.id)]


def test_names_may_repeat(signed_in: Visitor, store: Store) -> None:
    for _ in range(2):
        assert signed_in.post("/pads/create/", {"name": "Garden"}).status == 302

    assert [pad.name for pad in store.all(Pad)] == ["Garden", "Garden"]


@pytest.mark.parametrize(
    ("name", "errors"),
    [
        ("", REQUIRED),
        (" \t ", REQUIRED),
        ("\u2003", REQUIRED),
        ("x" * 101, ["Use at most 100 characters."]),
        ("a\x00b", CONTROL),
        ("a\nb", CONTROL),
        ("a\x85b", CONTROL),
    ],
)
def test_create_and_edit_refused(
    signed_in: Visitor, store: Store, ann: User, name: str, errors: list[str]
) -> None:
    pad = store.pad(ann, "Garden")
    for path in ("/pads/create/", f"/pads/{pad.id}/edit/"):
        page = signed_in.post(path, {"name": name})
        assert page.status == 200
        assert page.errors == {"name": errors}
        assert page.html.select("input[name=name]")[0]["value"] == name

    assert [pad.name for pad in store.all(Pad)] == ["Garden"]


@pytest.mark.parametrize("name", ["x" * PAD_NAME_MAX, "\U0001f345" * PAD_NAME_MAX, "سلام", "<b>&amp;</b>"])
def test_names_are_kept_as_typed(signed_in: Visitor, store: Store, name: str) -> None:
    assert signed_in.post("/pads/create/", {"name": name}).status == 302
    [pad] = store.all(Pad)
    page = signed_in.get(f"/pads/{pad.id}/")

    assert pad.name == name
    assert (page.title, page.heading) == (f"{name} (0)", f"notejam: {name} (0)")
    assert [link.get_text() for link in page.html.select("nav ul li a")] == [name]


def test_view(signed_in: Visitor, store: Store, ann: User, clock: Clock) -> None:
    pad, other = store.pad(ann, "Garden"), store.pad(ann, "Work")
    for name, where in (("b", pad), ("A", pad), ("elsewhere", other), ("nowhere", None)):
        store.note(ann, name, pad=where)
        clock.advance(minutes=1)

    page = signed_in.get(f"/pads/{pad.id}/")
    assert (page.status, page.title, page.heading) == (200, "Garden (2)", "notejam: Garden (2)")
    assert names(page) == ["A", "b"]
    assert page.texts("table.notes th") == ["Note ↓ ↑", "Last modified ↓ ↑"]
    assert not page.html.select("td.pad")
    assert [(a.get_text(), a["href"]) for a in page.html.select("a.sort_arrow")] == [
        ("↓", f"/pads/{pad.id}/?order=name"),
        ("↑", f"/pads/{pad.id}/?order=-name"),
        ("↓", f"/pads/{pad.id}/?order=updated_at"),
        ("↑", f"/pads/{pad.id}/?order=-updated_at"),
    ]
    links = {link.get_text(): link["href"] for link in page.html.select("main a:not(.sort_arrow)")}
    assert links["New note"] == f"/notes/create/?pad={pad.id}"
    assert links["Pad settings"] == f"/pads/{pad.id}/edit/"


@pytest.mark.parametrize(
    ("order", "expected"),
    [("name", "A b"), ("-name", "b A"), ("updated_at", "b A"), ("-updated_at", "A b"), ("x", "A b")],
)
def test_order(signed_in: Visitor, store: Store, ann: User, clock: Clock, order: str, expected: str) -> None:
    pad = store.pad(ann, "Garden")
    for name in ("b", "A"):
        store.note(ann, name, pad=pad)
        clock.advance(minutes=1)

    assert names(signed_in.get(f"/pads/{pad.id}/?order={order}")) == expected.split()


def test_empty_pad(signed_in: Visitor, store: Store, ann: User) -> None:
    page = signed_in.get(f"/pads/{store.pad(ann, 'Garden').id}/")

    assert page.title == "Garden (0)"
    assert page.texts("main p.empty") == ["Create first note in the pad."]
    assert not page.html.select("table.notes")
    assert page.texts("main a") == ["New note", "Pad settings"]


def test_edit(signed_in: Visitor, store: Store, ann: User) -> None:
    pad = store.pad(ann, "Garden")
    path = f"/pads/{pad.id}/edit/"
    page = signed_in.get(path)

    assert (page.title, page.heading) == ("Garden", "notejam: Garden")
    assert page.html.select("input[name=name]")[0]["value"] == "Garden"
    assert page.html.select("input[type=submit]")[0]["value"] == "Save"
    [delete] = page.html.select("a.red")
    assert (delete.get_text(), delete["href"]) == ("Delete pad", f"/pads/{pad.id}/delete/")

    refused = signed_in.post(path, {"name": " "})
    assert refused.title == "Garden", "the stored name"
    saved = signed_in.post(path, {"name": "Yard"})
    assert saved.location == f"/pads/{pad.id}/"
    after = signed_in.follow(saved)
    assert after.title == "Yard (0)"
    assert after.flashes == [("success", "Pad is successfully updated")]


def test_edit_without_a_name_is_not_the_old_name(signed_in: Visitor, store: Store, ann: User) -> None:
    path = f"/pads/{store.pad(ann, 'Garden').id}/edit/"
    page = signed_in.post_raw(path, {"csrf_token": signed_in.token_for(path)})

    assert page.errors == {"name": REQUIRED}


def test_delete(signed_in: Visitor, store: Store, ann: User) -> None:
    pad = store.pad(ann, "Garden")
    store.note(ann, "gone", pad=pad)
    store.note(ann, "kept")
    path = f"/pads/{pad.id}/delete/"
    page = signed_in.get(path)

    assert (page.title, page.heading) == ("Garden", "notejam: Garden")
    assert page.texts("main form p")[0] == "Are you sure you want to delete Garden?"
    assert page.html.select("input[type=submit]")[0]["value"] == "Yes, delete I want to delete it"
    [cancel] = page.html.select("main form a")
    assert (cancel.get_text(), cancel["href"]) == ("Cancel", f"/pads/{pad.id}/")
    assert len(store.all(Pad)) == 1, "a GET deletes nothing"

    deleted = signed_in.post(path)
    assert (deleted.status, deleted.location) == (302, "/")
    assert signed_in.follow(deleted).flashes == [("success", "Pad is successfully deleted")]
    assert store.all(Pad) == []
    assert [note.name for note in store.all(Note)] == ["kept"]
    assert signed_in.get(path).status == 404


@pytest.mark.parametrize("page", ["", "edit/", "delete/"])
def test_another_persons_pad_is_not_there(
    signed_in: Visitor, store: Store, bob: User, come_in: Callable[[User], Visitor], page: str
) -> None:
    pad = store.pad(bob, "Bob's")
    path = f"/pads/{pad.id}/{page}"
    token = signed_in.token_for("/pads/create/")
    answers = [signed_in.get(path)]
    if page:
        answers.append(signed_in.post_raw(path, {"csrf_token": token, "name": "taken"}))

    for answer in answers:
        assert (answer.status, answer.heading) == (404, "notejam: Page not found")
        assert "Bob" not in answer.response.get_data(as_text=True)
    assert [pad.name for pad in store.all(Pad)] == ["Bob's"]
    assert come_in(bob).get(path).status == 200


@pytest.mark.parametrize("pad", NO_PADS)
def test_no_such_pad(signed_in: Visitor, pad: str) -> None:
    token = signed_in.token_for("/pads/create/")

    assert signed_in.get(f"/pads/{pad}/").status == 404
    for page in ("edit", "delete"):
        assert signed_in.get(f"/pads/{pad}/{page}/").status == 404
        fields = {"csrf_token": token, "name": "x"}
        assert signed_in.post_raw(f"/pads/{pad}/{page}/", fields).status == 404


def test_a_pad_takes_no_form(signed_in: Visitor, store: Store, ann: User) -> None:
    page = signed_in.post_raw(f"/pads/{store.pad(ann, 'Garden').id}/", {})

    assert (page.status, page.heading) == (405, "notejam: Not possible here")


@pytest.mark.parametrize("page", ["edit", "delete"])
def test_forms_need_a_token(signed_in: Visitor, store: Store, ann: User, page: str) -> None:
    pad = store.pad(ann, "Garden")

    assert signed_in.post_raw(f"/pads/{pad.id}/{page}/", {"name": "Yard"}).status == 400
    assert [pad.name for pad in store.all(Pad)] == ["Garden"]
