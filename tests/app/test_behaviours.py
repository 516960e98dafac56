"""The behaviours that every version of notejam is tested for, each by its name."""

from collections.abc import Callable

import pytest
from notejam.models import Note, Pad, User

from tests.app.store import Store
from tests.app.website import PASSWORD, Auth, Page, Visitor

REQUIRED = ["This field is required."]
NEW = "harbour-lantern-7"
SIGN_IN = "/signin/?next="

ComeIn = Callable[[User], Visitor]


def names(page: Page) -> list[str]:
    return page.texts("td.note a")


# Signup


def test_signup_success(auth: Auth, store: Store) -> None:
    page = auth.sign_up()

    assert page.location == "/signin/"
    assert len(store.all(User)) == 1


def test_signup_fail_required_fields(auth: Auth, store: Store) -> None:
    assert auth.visitor.post("/signup/").errors == {
        "email": REQUIRED,
        "password": REQUIRED,
        "repeat_password": REQUIRED,
    }
    assert store.all(User) == []


@pytest.mark.usefixtures("ann")
def test_signup_fail_email_exists(auth: Auth) -> None:
    assert auth.sign_up().errors == {"email": ["User with this email is already signed up"]}


def test_signup_fail_invalid_email(auth: Auth) -> None:
    assert auth.sign_up("invalid email").errors == {"email": ["Invalid email address."]}


def test_signup_fail_passwords_dont_match(auth: Auth) -> None:
    page = auth.sign_up(repeat="another-password")

    assert page.errors == {"repeat_password": ["Your passwords do not match"]}


# Signin


@pytest.mark.usefixtures("ann")
def test_signin_success(auth: Auth) -> None:
    page = auth.sign_in()

    assert page.location == "/"
    assert auth.visitor.follow(page).flashes == [("success", "You are signed in!")]


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize(
    ("email", "password"), [("nobody@example.com", PASSWORD), ("ann@example.com", "wrong password")]
)
def test_signin_fail_unknown_user_and_wrong_credentials(auth: Auth, email: str, password: str) -> None:
    page = auth.sign_in(email, password)

    assert page.status == 200
    assert page.flashes == [("error", "Wrong email or password")]


def test_signin_fail_required_fields(auth: Auth) -> None:
    assert auth.visitor.post("/signin/").errors == {"email": REQUIRED, "password": REQUIRED}


def test_signin_fail_invalid_email(auth: Auth) -> None:
    assert auth.sign_in("invalid email").errors == {"email": ["Invalid email address."]}


# Pads


def test_pad_create_success(signed_in: Visitor, store: Store) -> None:
    assert signed_in.post("/pads/create/", {"name": "pad"}).location == "/"
    assert [pad.name for pad in store.all(Pad)] == ["pad"]


def test_pad_create_fail_required_name(signed_in: Visitor, store: Store) -> None:
    assert signed_in.post("/pads/create/", {"name": ""}).errors == {"name": REQUIRED}
    assert store.all(Pad) == []


def test_pad_create_fail_anonymous_user(client: Visitor, store: Store) -> None:
    assert client.get("/pads/create/").location == SIGN_IN + "%2Fpads%2Fcreate%2F"
    token = client.token_for("/signin/")
    assert client.post_raw("/pads/create/", {"csrf_token": token, "name": "pad"}).status == 302
    assert store.all(Pad) == []


def test_pad_edit_success(signed_in: Visitor, store: Store, ann: User) -> None:
    pad = store.pad(ann, "pad")

    page = signed_in.post(f"/pads/{pad.id}/edit/", {"name": "new pad"})
    assert page.location == f"/pads/{pad.id}/"
    assert [pad.name for pad in store.all(Pad)] == ["new pad"]


def test_pad_edit_fail_required_name(signed_in: Visitor, store: Store, ann: User) -> None:
    pad = store.pad(ann, "pad")

    assert signed_in.post(f"/pads/{pad.id}/edit/", {"name": ""}).errors == {"name": REQUIRED}


def test_pad_edit_fail_another_user(signed_in: Visitor, store: Store, bob: User) -> None:
    pad = store.pad(bob, "pad")
    token = signed_in.token_for("/pads/create/")

    assert signed_in.post_raw(f"/pads/{pad.id}/edit/", {"csrf_token": token, "name": "x"}).status == 404
    assert [pad.name for pad in store.all(Pad)] == ["pad"]


def test_pad_view_by_owner(signed_in: Visitor, store: Store, ann: User) -> None:
    assert signed_in.get(f"/pads/{store.pad(ann, 'pad').id}/").title == "pad (0)"


def test_pad_view_fail_not_an_owner(signed_in: Visitor, store: Store, bob: User) -> None:
    assert signed_in.get(f"/pads/{store.pad(bob, 'pad').id}/").status == 404


def test_pad_delete_success(signed_in: Visitor, store: Store, ann: User) -> None:
    assert signed_in.post(f"/pads/{store.pad(ann, 'pad').id}/delete/").location == "/"
    assert store.all(Pad) == []


def test_pad_delete_fail_another_user(signed_in: Visitor, store: Store, bob: User) -> None:
    pad = store.pad(bob, "pad")
    token = signed_in.token_for("/pads/create/")

    assert signed_in.post_raw(f"/pads/{pad.id}/delete/", {"csrf_token": token}).status == 404
    assert len(store.all(Pad)) == 1


# Notes


def note_fields(pad: int = 0, name: str = "note") -> dict[str, str]:
    return {"name": name, "text": "text", "pad": str(pad)}


def test_note_create_success(signed_in: Visitor, store: Store) -> None:
    assert signed_in.post("/notes/create/", note_fields()).location == "/"
    assert [note.name for note in store.all(Note)] == ["note"]


def test_note_create_fail_required_fields(signed_in: Visitor, store: Store) -> None:
    page = signed_in.post("/notes/create/", {"name": "", "text": "", "pad": "0"})

    assert page.errors == {"name": REQUIRED, "text": REQUIRED}
    assert store.all(Note) == []


def test_note_create_fail_another_users_pad(signed_in: Visitor, store: Store, bob: User) -> None:
    page = signed_in.post("/notes/create/", note_fields(store.pad(bob, "pad").id))

    assert page.errors["pad"][0].startswith("Not a valid choice")
    assert store.all(Note) == []


def test_note_create_fail_anonymous_user(client: Visitor, store: Store) -> None:
    token = client.token_for("/signin/")
    page = client.post_raw("/notes/create/", note_fields() | {"csrf_token": token})

    assert page.location == SIGN_IN + "%2Fnotes%2Fcreate%2F"
    assert store.all(Note) == []


def test_note_edit_success(signed_in: Visitor, store: Store, ann: User) -> None:
    note = store.note(ann)

    assert signed_in.post(f"/notes/{note.id}/edit/", note_fields(name="new name")).location == "/"
    assert [note.name for note in store.all(Note)] == ["new name"]


def test_note_edit_fail_required_fields(signed_in: Visitor, store: Store, ann: User) -> None:
    page = signed_in.post(f"/notes/{store.note(ann).id}/edit/", {"name": "", "text": "", "pad": "0"})

    assert page.errors == {"name": REQUIRED, "text": REQUIRED}


def test_note_edit_fail_into_another_users_pad(
    signed_in: Visitor, store: Store, ann: User, bob: User
) -> None:
    note, pad = store.note(ann), store.pad(bob, "pad")

    page = signed_in.post(f"/notes/{note.id}/edit/", note_fields(pad.id))
    assert page.errors["pad"][0].startswith("Not a valid choice")
    assert [note.pad_id for note in store.all(Note)] == [None]


def test_note_edit_fail_another_user(signed_in: Visitor, store: Store, bob: User) -> None:
    note = store.note(bob, "Bob's")
    fields = note_fields() | {"csrf_token": signed_in.token_for("/notes/create/")}

    assert signed_in.post_raw(f"/notes/{note.id}/edit/", fields).status == 404
    assert [note.name for note in store.all(Note)] == ["Bob's"]


def test_note_view_by_owner(signed_in: Visitor, store: Store, ann: User) -> None:
    page = signed_in.get(f"/notes/{store.note(ann, 'note', 'text').id}/")

    assert (page.title, page.texts("div.note")) == ("note", ["text"])


def test_note_view_fail_not_an_owner(signed_in: Visitor, store: Store, bob: User) -> None:
    assert signed_in.get(f"/notes/{store.note(bob).id}/").status == 404


def test_note_delete_success(signed_in: Visitor, store: Store, ann: User) -> None:
    assert signed_in.post(f"/notes/{store.note(ann).id}/delete/").location == "/"
    assert store.all(Note) == []


def test_note_delete_fail_another_user(signed_in: Visitor, store: Store, bob: User) -> None:
    note = store.note(bob)
    token = signed_in.token_for("/pads/create/")

    assert signed_in.post_raw(f"/notes/{note.id}/delete/", {"csrf_token": token}).status == 404
    assert len(store.all(Note)) == 1


# Accounts


@pytest.mark.usefixtures("ann")
def test_forgot_password_success(client: Visitor) -> None:
    page = client.post("/forgot-password/", {"email": "ann@example.com"})

    assert page.location == "/"
    assert client.get("/signin/").flashes == [("success", "Find new password in your inbox")]


def test_forgot_password_fail_invalid_email(client: Visitor) -> None:
    page = client.post("/forgot-password/", {"email": "invalid email"})

    assert page.errors == {"email": ["Invalid email address."]}


def test_forgot_password_of_an_unregistered_email_tells_nothing(client: Visitor) -> None:
    page = client.post("/forgot-password/", {"email": "nobody@example.com"})

    assert page.location == "/"
    assert client.get("/signin/").flashes == [("success", "Find new password in your inbox")]


def settings(visitor: Visitor, old: str, new: str, repeat: str) -> Page:
    fields = {"old_password": old, "new_password": new, "repeat_new_password": repeat}
    return visitor.post("/settings/", fields)


def test_settings_success(signed_in: Visitor, auth: Auth) -> None:
    page = settings(signed_in, PASSWORD, NEW, NEW)

    assert page.location == "/"
    assert signed_in.follow(page).flashes == [("success", "Your password is successfully changed.")]
    auth.sign_out()
    assert auth.sign_in(password=NEW).status == 302


def test_settings_fail_empty(signed_in: Visitor) -> None:
    assert settings(signed_in, "", "", "").errors == {
        "old_password": REQUIRED,
        "new_password": REQUIRED,
        "repeat_new_password": REQUIRED,
    }


def test_settings_fail_wrong_current_password(signed_in: Visitor) -> None:
    page = settings(signed_in, "wrong password", NEW, NEW)

    assert page.errors == {"old_password": ["Incorrect old password"]}


def test_settings_fail_passwords_dont_match(signed_in: Visitor) -> None:
    page = settings(signed_in, PASSWORD, NEW, "another-password")

    assert page.errors == {"repeat_new_password": ["Your passwords don't match"]}


# Lists


def test_pad_page_lists_its_notes(signed_in: Visitor, store: Store, ann: User) -> None:
    pad = store.pad(ann, "pad")
    store.note(ann, "inside", pad=pad)
    store.note(ann, "outside")

    assert names(signed_in.get(f"/pads/{pad.id}/")) == ["inside"]


def test_note_moved_to_a_pad_appears_there(signed_in: Visitor, store: Store, ann: User) -> None:
    pad, note = store.pad(ann, "pad"), store.note(ann, "note")
    page = signed_in.post(f"/notes/{note.id}/edit/", note_fields(pad.id))

    assert page.location == f"/pads/{pad.id}/"
    assert names(signed_in.follow(page)) == ["note"]


def test_other_users_pages_show_nothing(store: Store, ann: User, bob: User, come_in: ComeIn) -> None:
    pad = store.pad(ann, "Ann's pad")
    store.note(ann, "Ann's note", pad=pad)
    stranger = come_in(bob)

    for path in ("/", "/notes/create/", "/pads/create/", "/settings/"):
        text = stranger.get(path).response.get_data(as_text=True)
        assert "Ann" not in text
    assert stranger.get("/").title == "All notes (0)"
