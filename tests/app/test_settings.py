"""Account settings: the change of a password, and what it ends."""

import threading
from collections.abc import Callable

import pytest
from notejam import passwords
from notejam.models import User

from tests.app.store import Store
from tests.app.website import PASSWORD, Auth, Page, Visitor

REQUIRED = ["This field is required."]
NEW = "harbour-lantern-7"


def change(visitor: Visitor, old: str = PASSWORD, new: str = NEW, repeat: str | None = None) -> Page:
    return visitor.post(
        "/settings/",
        {
            "old_password": old,
            "new_password": new,
            "repeat_new_password": new if repeat is None else repeat,
        },
    )


def test_page(signed_in: Visitor) -> None:
    page = signed_in.get("/settings/")

    assert (page.status, page.title, page.heading) == (200, "Account Settings", "notejam: Account Settings")
    assert page.texts("form label") == ["Old Password", "New Password", "Repeat New Password"]
    assert page.html.select("form input[type=submit]")[0]["value"] == "Save"
    assert not page.html.select("#logo")
    block = page.html.select(".sign-in-out-block")[0]
    assert [(a.get_text(), a["href"]) for a in block.select("a")] == [
        ("Account settings", "/settings/"),
        ("Sign out", "/signout/"),
    ]


def test_success(signed_in: Visitor, store: Store, ann: User, auth: Auth) -> None:
    page = change(signed_in)

    assert (page.status, page.location) == (302, "/")
    assert signed_in.follow(page).flashes == [("success", "Your password is successfully changed.")]
    [user] = store.all(User)
    assert user.password.startswith("scrypt:")
    assert user.password != ann.password
    auth.sign_out()
    assert auth.sign_in(ann.email).status == 200
    assert auth.sign_in(ann.email, NEW).status == 302


@pytest.mark.parametrize("blank", ["", "  ", "\t"])
def test_required(signed_in: Visitor, blank: str) -> None:
    assert change(signed_in, blank, blank).errors == {
        "old_password": REQUIRED,
        "new_password": REQUIRED,
        "repeat_new_password": REQUIRED,
    }


def test_wrong_old_password(signed_in: Visitor, store: Store, ann: User) -> None:
    page = change(signed_in, old="something else")

    assert page.status == 200
    assert page.errors == {"old_password": ["Incorrect old password"]}
    assert not [field for field in page.html.select("input[type=password]") if field.get("value")]
    assert store.all(User)[0].password == ann.password


def test_passwords_differ(signed_in: Visitor, store: Store, ann: User) -> None:
    page = change(signed_in, repeat=NEW + "x")

    assert page.errors == {"repeat_new_password": ["Your passwords don't match"]}
    assert store.all(User)[0].password == ann.password


def test_everything_wrong_is_told_at_once(signed_in: Visitor) -> None:
    assert change(signed_in, "something else", "short", "other").errors == {
        "old_password": ["Incorrect old password"],
        "new_password": ["Use at least 8 characters."],
        "repeat_new_password": ["Your passwords don't match"],
    }


@pytest.mark.parametrize(
    ("password", "error"),
    [
        ("violet7", "Use at least 8 characters."),
        ("v" * 129, "Use at most 128 characters."),
        ("password1", "This password is too common."),
        ("violet\x00anchor", "Control characters are not allowed."),
    ],
)
def test_password_policy(signed_in: Visitor, password: str, error: str) -> None:
    assert change(signed_in, new=password).errors["new_password"] == [error]


def test_other_sessions_end_and_this_one_goes_on(
    signed_in: Visitor, ann: User, come_in: Callable[[User], Visitor]
) -> None:
    other = come_in(ann)
    assert other.get("/").status == 200
    stolen = Visitor(signed_in.client.application.test_client())
    before = signed_in.client.get_cookie("session")
    assert before is not None
    stolen.client.set_cookie("session", before.value)
    token = signed_in.token_for("/settings/")
    with signed_in.client.session_transaction() as session:
        name = session["id"]

    assert change(signed_in).status == 302
    assert signed_in.get("/").status == 200
    with signed_in.client.session_transaction() as session:
        assert session["id"] != name, "under a new identifier"
    assert signed_in.post_raw("/pads/create/", {"csrf_token": token, "name": "x"}).status == 400
    for ended in (other, stolen):
        page = ended.get("/")
        assert (page.status, page.location) == (302, "/signin/?next=%2F")


def test_of_two_changes_at_the_same_moment_one_counts(
    signed_in: Visitor,
    ann: User,
    store: Store,
    come_in: Callable[[User], Visitor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = come_in(ann)
    hash_password = passwords.hash_password
    answers: list[int] = []

    def hash_after_the_other(password: str) -> str:
        monkeypatch.setattr(passwords, "hash_password", hash_password)
        first = threading.Thread(target=lambda: answers.append(change(other, new="first-of-the-two").status))
        first.start()
        first.join()
        return hash_password(password)

    monkeypatch.setattr(passwords, "hash_password", hash_after_the_other)
    page = change(signed_in, new="second-of-the-two")

    assert answers == [302]
    assert (page.status, page.location) == (302, "/signin/")
    assert signed_in.follow(page).flashes == [
        ("error", "Your password was changed elsewhere. Please sign in again.")
    ]
    [user] = store.all(User)
    with passwords.turn():
        assert passwords.check_password(user.password, "first-of-the-two")
    assert signed_in.get("/").status == 302


def test_signed_out_cookies_are_worth_nothing(signed_in: Visitor, auth: Auth) -> None:
    kept = signed_in.client.get_cookie("session")
    assert kept is not None
    auth.sign_out()
    copy = Visitor(signed_in.client.application.test_client())
    copy.client.set_cookie("session", kept.value)

    assert copy.get("/").status == 302


def test_signing_out_in_one_browser_leaves_the_other(
    signed_in: Visitor, ann: User, auth: Auth, come_in: Callable[[User], Visitor]
) -> None:
    other = come_in(ann)
    auth.sign_out()

    assert signed_in.get("/").status == 302
    assert other.get("/").status == 200


def test_the_form_needs_a_token(signed_in: Visitor, store: Store, ann: User) -> None:
    fields = {"old_password": PASSWORD, "new_password": NEW, "repeat_new_password": NEW}

    assert signed_in.post_raw("/settings/", fields).status == 400
    assert store.all(User)[0].password == ann.password
