"""Sign-in, and the session that it begins."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from notejam import passwords
from notejam.models import User
from sqlalchemy import URL
from sqlalchemy.orm import Session
from werkzeug.security import check_password_hash

from tests.app.store import MakeApp, Store
from tests.app.website import PASSWORD, Auth, Visitor

REQUIRED = ["This field is required."]
WRONG = [("error", "Wrong email or password")]


def test_page(stranger: Visitor) -> None:
    page = stranger.get("/signin/")

    assert (page.status, page.title, page.heading) == (200, "Sign In", "notejam: Sign In")
    assert page.texts("form label") == ["Email", "Password"]
    assert page.html.select("form input[type=submit]")[0]["value"] == "Sign in"
    assert not page.html.select("#logo")


@pytest.mark.parametrize("email", ["ann@example.com", "ANN@Example.com"])
def test_success(auth: Auth, ann: User, email: str) -> None:
    page = auth.sign_in(email)

    assert (page.status, page.location) == (302, "/")
    home = auth.visitor.follow(page)
    assert home.flashes == [("success", "You are signed in!")]
    assert home.texts(".sign-in-out-block .email") == [f"{ann.email}:"]
    assert "Sign out" in home.texts(".sign-in-out-block a")


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize(
    ("email", "password"), [("nobody@example.com", PASSWORD), ("ann@example.com", "violet-anchor-43")]
)
def test_unknown_user_and_wrong_password_look_the_same(auth: Auth, email: str, password: str) -> None:
    page = auth.sign_in(email, password)

    assert page.status == 200
    assert page.flashes == WRONG
    assert page.html.select("input[name=email]")[0]["value"] == email
    assert not page.html.select("input[name=password]")[0].get("value")
    assert auth.visitor.get("/").status == 302


@pytest.mark.usefixtures("ann")
def test_unknown_user_takes_as_long(auth: Auth, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []
    check = check_password_hash

    def record(stored: str, password: str) -> bool:
        checked.append(stored.split("$", maxsplit=1)[0])
        return check(stored, password)

    monkeypatch.setattr(passwords, "check_password_hash", record)
    auth.sign_in("nobody@example.com")
    auth.sign_in("ann@example.com", "violet-anchor-43")

    assert checked == ["scrypt:1024:8:1"] * 2, "one check of the same cost each"


def test_hashes_in_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "METHOD", "scrypt")
    stored = passwords.hash_password(PASSWORD)

    assert stored.startswith("scrypt:32768:8:1$")
    assert len(stored) == 162
    assert passwords.check_password(stored, PASSWORD)


def test_nobodys_hash_lets_nobody_in() -> None:
    assert not passwords.check_password(None, "")
    assert not passwords.check_password(None, PASSWORD)


def test_required_fields(stranger: Visitor) -> None:
    assert Auth(stranger).sign_in("", "").errors == {"email": REQUIRED, "password": REQUIRED}


def test_invalid_email(stranger: Visitor) -> None:
    assert Auth(stranger).sign_in("not an email").errors == {"email": ["Invalid email address."]}


def test_too_long(stranger: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "check_password_hash", None)  # is not even asked
    page = Auth(stranger).sign_in("a" * 70 + "@example.com", "x" * 1_000_000)

    assert page.status == 200
    assert page.errors == {
        "email": ["Use at most 75 characters."],
        "password": ["Use at most 128 characters."],
    }


def test_signed_in_people_may_open_the_pages(signed_in: Visitor) -> None:
    for path in ("/signin/", "/signup/"):
        page = signed_in.get(path)
        assert page.status == 200
        assert page.texts(".sign-in-out-block .email") == ["ann@example.com:"]


@pytest.mark.parametrize("path", ["/", "/notes/create/", "/notes/1/"])
def test_anonymous_is_sent_to_sign_in(stranger: Visitor, path: str) -> None:
    page = stranger.get(path)

    assert page.status == 302
    assert page.location == "/signin/?next=" + path.replace("/", "%2F")
    assert stranger.follow(page).flashes == [("message", "Please log in to access this page.")]


def test_the_reason_is_told_once(stranger: Visitor) -> None:
    for _ in range(3):
        stranger.get("/")

    assert stranger.get("/signin/").flashes == [("message", "Please log in to access this page.")]


def test_anonymous_post_is_sent_to_sign_in(stranger: Visitor) -> None:
    page = stranger.post_raw("/notes/create/", {"name": "x"})

    assert (page.status, page.location) == (302, "/signin/?next=%2Fnotes%2Fcreate%2F")


@pytest.mark.usefixtures("ann")
def test_next_is_honoured(auth: Auth) -> None:
    asked = auth.visitor.get("/?order=-name&x=a%20b")
    assert asked.location == "/signin/?next=%2F%3Forder%3D-name%26x%3Da%2520b"

    assert auth.sign_in(path=asked.location).location == "/?order=-name&x=a%20b"


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize(
    "target",
    [
        *(
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/%09/evil.example",
        ),
        *(
            "evil.example",
            "javascript:alert(1)",
            "",
            "/%0d%0aSet-Cookie:x=y",
            "///evil.example",
            "/%5Cevil.example",
        ),
        *("/signout/", "/signout/?x=1", "/" + "a" * 3000),
    ],
)
def test_next_leads_nowhere_else(auth: Auth, target: str) -> None:
    assert auth.sign_in(path=f"/signin/?next={target}").location == "/"


def test_cookie(make_app: MakeApp, database: URL, ann: User) -> None:
    for external, secure in (
        (None, False),
        ("http://notes.example.org", False),
        ("https://notes.example.org", True),
    ):
        client = Visitor(make_app(database, external_url=external).test_client())
        base = {"base_url": "https://localhost/"}
        token = client.get("/signin/", **base).token
        page = client.post_raw(
            "/signin/", {"csrf_token": token, "email": ann.email, "password": PASSWORD}, **base
        )
        cookie = page.response.headers["Set-Cookie"]
        assert page.status == 302
        assert "; HttpOnly" in cookie
        assert "; SameSite=Lax" in cookie
        assert ("; Secure" in cookie) == secure


def test_a_session_begins_anew(auth: Auth, ann: User) -> None:
    """A token that somebody planted before the sign-in is worth nothing after it."""
    token = auth.visitor.get("/signin/").token
    auth.sign_in(ann.email)

    assert auth.visitor.post_raw("/notes/create/", {"csrf_token": token}).status == 400


def test_a_session_ends_with_its_account(signed_in: Visitor, store: Store, ann: User) -> None:
    with Session(store.engine) as session:
        session.delete(session.get_one(User, ann.id))
        session.commit()

    assert signed_in.get("/").status == 302


@pytest.mark.parametrize("value", ["", "x", "a.b.c", "é", "eyJ1c2VyIjoxfQ.aaaa.bbbb"])
def test_a_made_up_cookie_is_nobody(stranger: Visitor, value: str) -> None:
    stranger.client.set_cookie("session", value)

    assert stranger.get("/").status == 302


def test_hashes_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many sign in at once, no more than two hashes (32 MiB each) are made at a time."""
    import threading

    running, most, lock = 0, 0, threading.Lock()

    def slow(*_: str, **__: str) -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1
        return "hash"

    monkeypatch.setattr(passwords, "generate_password_hash", slow)
    threads = [threading.Thread(target=passwords.hash_password, args=("x",)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == 2


def test_nobody_waits_for_a_database_with_a_turn_in_hand(
    stranger: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else two of them would hold up all threads, and the probe of the process with them."""
    turns: list[str] = []

    @contextmanager
    def turn() -> Iterator[None]:
        turns.append("taken")
        yield

    monkeypatch.setattr(passwords, "turn", turn)

    assert Auth(stranger).sign_in().status == 503
    assert turns == []
