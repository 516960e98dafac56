"""Who is asking: the account behind the session cookie."""

from __future__ import annotations

import hashlib
import hmac
from typing import cast

from flask import Flask, current_app, g, session

from notejam.db import db
from notejam.models import User

USER_ID = "user"
FINGERPRINT = "fingerprint"


def sign_in(user: User) -> None:
    """Begin a session of this person. Nothing of the visitor's session before goes on into it."""
    session.clear()
    session[USER_ID] = user.id
    session[FINGERPRINT] = _fingerprint(user)
    g.signed_in_user = user


def sign_out() -> None:
    """End the session."""
    session.clear()
    g.signed_in_user = None


def forget() -> None:
    """Look the person up anew when somebody asks."""
    g.pop("signed_in_user", None)


def current_user() -> User | None:
    """Find who is signed in: once a request, and only if a page asks."""
    if "signed_in_user" not in g:
        g.signed_in_user = _load()
    return cast("User | None", g.signed_in_user)


def signed_in_user() -> User:
    """Find who is signed in, on a page that security.guard() lets nobody else see."""
    user = current_user()
    if user is None:
        raise RuntimeError("this page is listed as public, yet needs a person")
    return user


def _load() -> User | None:
    user_id = session.get(USER_ID)
    if not isinstance(user_id, int):
        return None
    user = db.session.get(User, user_id)
    if user is None or not hmac.compare_digest(_fingerprint(user), str(session.get(FINGERPRINT))):
        return None
    return user


def _fingerprint(user: User) -> str:
    """Tie a session to the password it began with: a change of password ends all the others."""
    key = cast("str", current_app.secret_key).encode()
    return hmac.new(key, f"session {user.id} {user.password}".encode(), hashlib.sha256).hexdigest()[:32]


def init_app(app: Flask) -> None:
    """Let templates ask who is signed in."""
    app.add_template_global(current_user)
