"""Accounts: sign up, sign in, sign out, and the change of a password."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from werkzeug.exceptions import TooManyRequests

from notejam import identity, metrics, passwords, rate_limits, security
from notejam.db import db, email_key
from notejam.forms import SettingsForm, SignInForm, SignUpForm, text_of
from notejam.identity import signed_in_user
from notejam.models import User, random_key
from notejam.writes import change

blueprint = Blueprint("accounts", __name__)


@blueprint.route("/signup/", methods=["GET", "POST"])
def sign_up() -> ResponseReturnValue:
    """Open an account. It signs nobody in."""
    form = SignUpForm()
    if form.validate_on_submit():
        rate_limits.use(rate_limits.sign_up())
        user = User(email=text_of(form.email), password=passwords.hash_password(text_of(form.password)))
        db.session.add(user)
        try:
            # The index decides, not a look beforehand: two people may ask at the same moment.
            db.session.commit()
        except IntegrityError:
            db.session.rollback()
            form.email.errors = ["User with this email is already signed up"]
        else:
            flash("Account is created. Now you can sign in.", "success")
            return redirect(url_for("accounts.sign_in"))
    return render_template("accounts/sign_up.html", form=form)


@blueprint.route("/signin/", methods=["GET", "POST"])
def sign_in() -> ResponseReturnValue:
    """Begin a session."""
    form = SignInForm()
    if form.validate_on_submit():
        try:
            user = _authenticate(text_of(form.email), text_of(form.password))
        except TooManyRequests:
            metrics.count_sign_in("limited")
            raise
        metrics.count_sign_in("wrong" if user is None else "ok")
        if user is not None:
            identity.sign_in(user)
            flash("You are signed in!", "success")
            return redirect(security.next_page(default=url_for("notes.index")))
        flash("Wrong email or password", "error")
    return render_template("accounts/sign_in.html", form=form)


@blueprint.route("/signout/", methods=["GET", "POST"])
def sign_out() -> ResponseReturnValue:
    """End the session: at once for a person who asked on this site, else after a button.

    A link or picture on another site, or a browser that fetches ahead, must not sign anybody out.
    """
    asked_here = (
        request.method == "GET" and not security.comes_from_elsewhere() and not security.is_prefetch()
    )
    if request.method == "POST" or asked_here:
        identity.sign_out()
        return redirect(url_for("accounts.sign_in"))
    return render_template("accounts/sign_out.html")


@blueprint.route("/settings/", methods=["GET", "POST"])
def settings() -> ResponseReturnValue:
    """Change the password. Every other session of the person ends; this one goes on, under a new name."""
    user = signed_in_user()
    form = SettingsForm()
    is_valid = form.validate_on_submit()
    if form.is_submitted() and not form.old_password.errors:
        if _authenticate(user.email, text_of(form.old_password)) is None:
            form.old_password.errors = ["Incorrect old password"]
        elif is_valid:
            if _change_password(user, text_of(form.new_password)):
                flash("Your password is successfully changed.", "success")
                return redirect(url_for("notes.index"))
            flash("Your password was changed elsewhere. Please sign in again.", "error")
            return redirect(url_for("accounts.sign_in"))
    return render_template("accounts/settings.html", form=form)


def _authenticate(email: str, password: str) -> User | None:
    """Find the account with this email and password.

    Without such an account it takes as long. Raises TooManyRequests after too many wrong passwords. At most
    as many as have a turn at the same moment can pass beyond the limit, and none of them is told so.
    """
    allowances = rate_limits.sign_in_of(email)
    # Before the turn: whoever waits for a database that is away must not hold up the others.
    user = db.session.scalar(select(User).where(email_key(User.email) == email.lower()))
    db.session.commit()
    with passwords.turn():
        rate_limits.check(allowances)
        db.session.commit()  # no connection is held while the hash is made
        is_right = passwords.check_password(None if user is None else user.password, password)
    if user is None or not is_right:
        rate_limits.use(allowances)
        return None
    rate_limits.forgive_sign_ins(email)
    if passwords.needs_rehash(user.password):
        _rehash(user, password)
    if user.session_key is None:
        user.session_key = random_key()
    db.session.commit()
    return user


def _rehash(user: User, password: str) -> None:
    """Keep the hash as new ones are made, unless the password was changed meanwhile."""
    db.session.commit()
    fresh = passwords.hash_password(password)
    db.session.execute(
        update(User).where(User.id == user.id, User.password == user.password).values(password=fresh)
    )


def _change_password(user: User, password: str) -> bool:
    """Change the password, unless it was changed at the same moment; that has ended this session."""
    fresh, key = passwords.hash_password(password), random_key()
    changed = change(
        update(User)
        .where(User.id == user.id, User.session_key == user.session_key)
        .values(password=fresh, session_key=key)
    )
    db.session.commit()
    if changed:
        identity.sign_in(user)
    return bool(changed)
