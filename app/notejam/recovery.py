"""A forgotten password: a link by mail, which works once and for an hour."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from email.message import EmailMessage
from functools import partial
from typing import cast

from flask import (
    Blueprint,
    Response,
    after_this_request,
    current_app,
    flash,
    redirect,
    render_template,
    url_for,
)
from flask.typing import ResponseReturnValue
from itsdangerous import BadData, URLSafeSerializer
from sqlalchemy import select, update

from notejam import mail, passwords, rate_limits
from notejam.config import Settings
from notejam.dates import now
from notejam.db import db, email_key
from notejam.forms import ForgotForm, NewPasswordForm, text_of
from notejam.models import User, random_key
from notejam.writes import change

blueprint = Blueprint("recovery", __name__)

LINK_LASTS = timedelta(hours=1)


@blueprint.route("/forgot-password/", methods=["GET", "POST"])
def forgot_password() -> ResponseReturnValue:
    """Send a link to choose a new password, if there is such an account; answer alike if there is none."""
    form = ForgotForm()
    if form.validate_on_submit():
        email = text_of(form.email)
        rate_limits.use(rate_limits.forgot(email))
        user = db.session.scalar(select(User).where(email_key(User.email) == email.lower()))
        _send_after_answer(None if user is None else partial(_make_mail, _settings(), user, now()))
        flash("Find new password in your inbox", "success")
        return redirect(url_for("notes.index"))
    return render_template("recovery/forgot_password.html", form=form)


@blueprint.route("/reset-password/<token>/", methods=["GET", "POST"])
def reset_password(token: str) -> ResponseReturnValue:
    """Choose a new password by the link of a mail."""
    user = _owner_of(token)
    form = NewPasswordForm()
    if user is not None and form.validate_on_submit():
        if _replace_password(user, text_of(form.new_password)):
            flash("Your password is successfully changed.", "success")
            return redirect(url_for("accounts.sign_in"))
        user = None
    if user is None:
        flash("This link is not valid any more", "error")
        return redirect(url_for("recovery.forgot_password"))
    return render_template("recovery/reset_password.html", form=form)


def make_link(settings: Settings, user: User, instant: datetime) -> str:
    """Make the link to choose a new password for an account."""
    claims = [user.id, _fingerprint(user), int((instant + LINK_LASTS).timestamp())]
    return f"{settings.external_url}/reset-password/{_serializer(settings).dumps(claims)}/"


def _make_mail(settings: Settings, user: User, instant: datetime) -> EmailMessage:
    return mail.reset_mail(settings, user.email, make_link(settings, user, instant))


def _send_after_answer(make: mail.Make | None) -> None:
    """Begin to send when the answer is out: the time that it takes tells nobody whether there is a mail."""
    outbox = mail.outbox()

    @after_this_request
    def send(response: Response) -> Response:
        response.call_on_close(partial(outbox.add, make))
        return response


def _owner_of(token: str) -> User | None:
    """Find whose link this is, as long as it is valid."""
    try:
        claims = _serializer(_settings()).loads(token)
    except BadData:
        return None
    match claims:
        case [int(user_id), str(fingerprint), int(expiry)] if now().timestamp() < expiry:
            user = db.session.get(User, user_id)
            return user if user is not None and fingerprint == _fingerprint(user) else None
    return None


def _replace_password(user: User, password: str) -> bool:
    """Change the password, unless the link was used meanwhile: of two at once, one wins."""
    db.session.commit()  # no connection is held while the hash is made
    changed = change(
        update(User)
        .where(User.id == user.id, User.session_key.is_not_distinct_from(user.session_key))
        .values(password=passwords.hash_password(password), session_key=random_key())
    )
    rate_limits.forgive_sign_ins(user.email)
    db.session.commit()
    return changed == 1


def _fingerprint(user: User) -> str:
    """Tie a link to the account's key, which changes with the password."""
    return hashlib.sha256(f"{user.email} {user.session_key}".encode()).hexdigest()[:16]


def _serializer(settings: Settings) -> URLSafeSerializer:
    keys = [*settings.secret_key_fallbacks, settings.secret_key or ""]
    return URLSafeSerializer(
        keys, salt="notejam reset password", signer_kwargs={"digest_method": hashlib.sha256}
    )


def _settings() -> Settings:
    return cast("Settings", current_app.extensions["notejam.settings"])
