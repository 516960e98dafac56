"""Sign-up."""

import threading

import pytest
from flask import Flask
from notejam import passwords
from notejam.models import EMAIL_MAX, User

from tests.app.store import Store
from tests.app.website import PASSWORD, Auth, Visitor

REQUIRED = ["This field is required."]


def test_page(stranger: Visitor) -> None:
    page = stranger.get("/signup/")

    assert (page.status, page.title, page.heading) == (200, "Sign Up", "notejam: Sign Up")
    assert page.texts("form label") == ["Email", "Password", "Repeat Password"]
    assert page.html.select("form input[type=submit]")[0]["value"] == "Sign up"
    assert page.texts(".sign-in-out-block a") == ["Sign up", "Sign in"]
    assert not page.html.select("#logo")


def test_success(auth: Auth, store: Store) -> None:
    page = auth.sign_up("Ann@Example.com")

    assert (page.status, page.location) == (302, "/signin/")
    assert auth.visitor.follow(page).flashes == [("success", "Account is created. Now you can sign in.")]
    [user] = store.all(User)
    assert user.email == "Ann@Example.com", "stored as typed"
    assert user.password.startswith("scrypt:")
    assert PASSWORD not in user.password
    assert auth.visitor.get("/").status == 302, "nobody is signed in by it"


def test_required_fields(stranger: Visitor) -> None:
    page = Auth(stranger).sign_up("", "", "")

    assert page.status == 200
    assert page.errors == {"email": REQUIRED, "password": REQUIRED, "repeat_password": REQUIRED}


def test_white_space_counts_as_empty(stranger: Visitor) -> None:
    assert Auth(stranger).sign_up("  ", " \t ", "   ").errors == {
        "email": REQUIRED,
        "password": REQUIRED,
        "repeat_password": REQUIRED,
    }


@pytest.mark.parametrize("email", ["ann@example.com", "ANN@example.COM"])
def test_email_exists(auth: Auth, ann: User, store: Store, email: str) -> None:
    page = auth.sign_up(email)

    assert page.status == 200
    assert page.errors == {"email": ["User with this email is already signed up"]}
    assert page.html.select("input[name=email]")[0]["value"] == email
    assert [user.id for user in store.all(User)] == [ann.id]


def test_two_at_the_same_moment(app: Flask, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2, timeout=20)

    def hash_together(_: str) -> str:
        both.wait()
        return "scrypt:x"

    monkeypatch.setattr(passwords, "hash_password", hash_together)
    statuses: list[int] = []

    def sign_up() -> None:
        statuses.append(Auth(Visitor(app.test_client())).sign_up().status)

    threads = [threading.Thread(target=sign_up) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [200, 302]
    assert len(store.all(User)) == 1


@pytest.mark.parametrize(
    "email",
    [
        *(
            "ann",
            "ann@",
            "@example.com",
            "ann@example",
            "ann@exa mple.com",
            "ann@example.com ",
            "ann@@example.com",
        ),
        *(
            "ann@example..com",
            "ann@-example.com",
            "ann@example.com\n",
            "a\x00b@example.com",
            "änn@example.com",
        ),
        "ann@example.com, bob@example.com",
    ],
)
def test_invalid_email(stranger: Visitor, email: str) -> None:
    page = Auth(stranger).sign_up(email)

    assert page.status == 200
    assert page.errors == {"email": ["Invalid email address."]}


def test_passwords_differ(stranger: Visitor) -> None:
    page = Auth(stranger).sign_up(password=PASSWORD, repeat=PASSWORD + "x")

    assert page.errors == {"repeat_password": ["Your passwords do not match"]}
    assert [field.get("value", "") for field in page.html.select("input[type=password]")] == ["", ""]


@pytest.mark.parametrize(
    ("password", "error"),
    [
        ("violet7", "Use at least 8 characters."),
        ("v" * 129, "Use at most 128 characters."),
        ("v" * 100_000, "Use at most 128 characters."),
        ("iloveyou", "This password is too common."),
        ("Password123", "This password is too common."),
        ("violet\x00anchor", "Control characters are not allowed."),
    ],
)
def test_password_policy(stranger: Visitor, password: str, error: str) -> None:
    page = Auth(stranger).sign_up(password=password)

    assert page.status == 200
    assert page.errors["password"] == [error]


@pytest.mark.parametrize("password", ["violet 8", "v1" * 64, "пароль из слов", "  spaces around  "])
def test_passwords_that_pass_are_not_changed(auth: Auth, password: str) -> None:
    assert auth.sign_up(password=password).status == 302
    assert auth.sign_in(password=password.strip() + "!").status == 200
    assert auth.sign_in(password=password).status == 302


def test_email_length(auth: Auth, store: Store) -> None:
    longest = "a" * (EMAIL_MAX - len("@example.com")) + "@example.com"

    assert auth.sign_up("a" + longest).errors == {"email": ["Use at most 75 characters."]}
    assert auth.sign_up(longest).status == 302
    assert [user.email for user in store.all(User)] == [longest]
