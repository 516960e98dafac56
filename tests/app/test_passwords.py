"""Hashes: of today, of the legacy app, of other times."""

import hashlib
import hmac

import pytest
from notejam import passwords
from notejam.models import User
from sqlalchemy import update
from sqlalchemy.orm import Session
from werkzeug.security import generate_password_hash

from tests.app.store import Store
from tests.app.website import PASSWORD, Auth


def legacy(password: str, salt: str = "aB3xY9kQ") -> str:
    """As Werkzeug 0.8 made it."""
    return f"sha1${salt}${hmac.new(salt.encode(), password.encode(), hashlib.sha1).hexdigest()}"


def check(stored: str | None, password: str) -> bool:
    with passwords.turn():
        return passwords.check_password(stored, password)


@pytest.fixture
def keep(store: Store, ann: User) -> "Keep":
    return Keep(store, ann)


class Keep:
    """Sets and reads what is stored for Ann."""

    def __init__(self, store: Store, user: User) -> None:
        self.store, self.user = store, user

    def write(self, **values: str | None) -> None:
        with Session(self.store.engine) as session:
            session.execute(update(User).where(User.id == self.user.id).values(**values))
            session.commit()

    def read(self) -> User:
        [user] = self.store.all(User)
        return user


def test_a_known_legacy_hash() -> None:
    """Written down, so that the check and the maker above cannot err together."""
    stored = "sha1$salt1234$" + "48a3fbe8ed2ab64ff19cfc4ef7d56e4a8ef7bb0e"

    assert check(legacy("correct horse"), "correct horse")
    assert not check(stored, "correct horse"), "another hash"


@pytest.mark.parametrize("password", ["violet", PASSWORD, "пароль", "a" * 128])
def test_a_legacy_hash_is_good_once(auth: Auth, keep: Keep, password: str) -> None:
    """Also for passwords that the policy would refuse today."""
    keep.write(password=legacy(password))
    assert auth.sign_in(keep.user.email, password + "x").status == 200
    assert keep.read().password.startswith("sha1$"), "a wrong password changes nothing"

    assert auth.sign_in(keep.user.email, password).status == 302
    assert auth.visitor.get("/").status == 200
    assert keep.read().password.startswith(passwords.METHOD)
    assert auth.sign_in(keep.user.email, password).status == 302
    assert auth.sign_in(keep.user.email, password + "x").status == 200


@pytest.mark.parametrize(
    "stored",
    [
        *("", "x", "sha1$", "sha1$$", "sha1$a$b$c", "sha1$aB3xY9kQ$", "sha1$$" + "0" * 40, "sha1$é$ü"),
        *("md5$a$b", "plain$$violet-anchor-42", PASSWORD, "!", "scrypt:x$a$b", "scrypt:1:2$a$b", "scrypt:"),
        *("scrypt:1024:8:1$salt", "scrypt:3:8:1$a$b", "pbkdf2:sha256:x$a$b", "pbkdf2:nothing:1$a$b"),
        "scrypt:1073741824:8:1$a$b",
    ],
)
def test_damaged_hashes_let_nobody_in(auth: Auth, keep: Keep, stored: str) -> None:
    keep.write(password=stored)

    assert auth.sign_in(keep.user.email).status == 200


@pytest.mark.parametrize("method", ["scrypt:2048:8:1", "pbkdf2:sha256:1000", "pbkdf2:sha1:1000"])
def test_older_kinds_are_renewed(auth: Auth, keep: Keep, method: str) -> None:
    keep.write(password=generate_password_hash(PASSWORD, method=method))

    assert auth.sign_in(keep.user.email).status == 302
    assert keep.read().password.startswith(passwords.METHOD)


def test_a_current_hash_stays(auth: Auth, keep: Keep) -> None:
    before = keep.read()
    auth.sign_in(keep.user.email)

    assert (keep.read().password, keep.read().session_key) == (before.password, before.session_key)


def test_somebody_without_a_session_key_gets_one(auth: Auth, keep: Keep) -> None:
    """They signed up at a pod of the release before the key."""
    keep.write(session_key=None)
    assert auth.sign_in(keep.user.email).status == 302

    assert auth.visitor.get("/").status == 200
    assert len(keep.read().session_key or "") == 32


@pytest.mark.parametrize("stored", [None, legacy(PASSWORD), "x", "scrypt:", "current"])
def test_each_check_costs_one_hash_of_today(monkeypatch: pytest.MonkeyPatch, stored: str | None) -> None:
    """So the time tells neither whether there is an account nor how old it is."""
    stored = passwords.hash_password(PASSWORD) if stored == "current" else stored
    check(None, "x")  # makes nobody's hash, once a process
    made: list[str] = []
    derive = hashlib.scrypt

    def count(*arguments: object, **options: object) -> bytes:
        made.append(f"scrypt:{options['n']}:{options['r']}:{options['p']}")
        return derive(*arguments, **options)  # type: ignore[arg-type] # as they came

    monkeypatch.setattr(hashlib, "scrypt", count)
    check(stored, "wrong")

    assert made == [passwords.METHOD]
