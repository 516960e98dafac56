"""Accounts: sign up, sign in, sign out."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from notejam import identity, passwords, security
from notejam.db import db, email_key
from notejam.forms import SignInForm, SignUpForm, text_of
from notejam.models import User

blueprint = Blueprint("accounts", __name__)


@blueprint.route("/signup/", methods=["GET", "POST"])
def sign_up() -> ResponseReturnValue:
    """Open an account. It signs nobody in."""
    form = SignUpForm()
    if form.validate_on_submit():
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
        user = db.session.scalar(select(User).where(email_key(User.email) == text_of(form.email).lower()))
        stored = user.password if user else None
        if passwords.check_password(stored, text_of(form.password)) and user:
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
