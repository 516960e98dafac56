"""Who is asking: the account behind the session cookie.

The cookie names the account, the account's key at the time, and the session itself. A new key (with a new
password) ends every session of the account; signing out ends one, wherever its cookie was copied to.
"""

from __future__ import annotations

from typing import cast

from flask import Flask, current_app, g, session
from sqlalchemy import bindparam, exists, select
from sqlalchemy.exc import SQLAlchemyError

from notejam.dates import now
from notejam.db import db
from notejam.engine import is_unavailable
from notejam.models import EndedSession, User, random_key
from notejam.writes import insert, sweep

USER_ID = "user"
USER_KEY = "key"
SESSION_ID = "id"

# Made once: every page asks for this.
_OWNER_OF_SESSION = select(User).where(
    User.id == bindparam("user"),
    User.session_key == bindparam("key"),
    ~exists().where(EndedSession.id == bindparam("session")),
)


def sign_in(user: User) -> None:
    """Begin a session of this person. Nothing of the visitor's session before goes on into it."""
    if user.session_key is None:
        raise ValueError("an account without a key can have no session")
    session.clear()
    session[USER_ID] = user.id
    session[USER_KEY] = user.session_key
    session[SESSION_ID] = random_key()
    g.signed_in_user = user


def sign_out() -> None:
    """End the session, and with it every copy of its cookie."""
    session_id = session.get(SESSION_ID)
    session.clear()
    g.signed_in_user = None
    if isinstance(session_id, str):
        try:
            _end(session_id)
        except SQLAlchemyError as error:
            # The browser forgets its cookie all the same: a person must be able to leave.
            if not is_unavailable(error):
                raise
            current_app.logger.warning("a session could not be ended", exc_info=error)


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
    user_id, key, session_id = (session.get(name) for name in (USER_ID, USER_KEY, SESSION_ID))
    if not isinstance(user_id, int) or not isinstance(key, str) or not isinstance(session_id, str):
        return None
    return db.session.scalar(_OWNER_OF_SESSION, {"user": user_id, "key": key, "session": session_id})


def _end(session_id: str) -> None:
    instant = now()
    ended = {"id": session_id, "expires_at": instant + current_app.permanent_session_lifetime}
    db.session.execute(insert(EndedSession).values(ended).on_conflict_do_nothing())
    sweep(EndedSession, instant)
    db.session.commit()


def init_app(app: Flask) -> None:
    """Let templates ask who is signed in."""
    app.add_template_global(current_user)
