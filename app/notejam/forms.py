"""The forms: their fields, their limits, and what they say when a value does not pass.

Values are kept as they were typed: never trimmed, never cut.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

from flask import request
from flask_wtf import FlaskForm  # type: ignore[import-untyped] # ships no types
from wtforms import EmailField, Field, Form, PasswordField, SelectField, StringField, TextAreaField
from wtforms.validators import EqualTo, StopValidation

from notejam import passwords
from notejam.models import EMAIL_MAX, NOTE_NAME_MAX, NOTE_TEXT_MAX_BYTES, PAD_NAME_MAX, Note, OwnPad

NO_PAD = "0"

# The address rule of HTML's email fields, with a dot in the host: ASCII, no spaces, no quotes.
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_EMAIL = re.compile(rf"[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]+@{_LABEL}(?:\.{_LABEL})+")
# Postgres cannot store NUL, and no other control character has a place in a name. Half a surrogate pair
# has no UTF-8 form at all.
_NOT_IN_A_LINE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_NOT_IN_A_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


class Required:
    """Something other than white space."""

    field_flags = {"required": True}  # noqa: RUF012 - WTForms reads it from the class

    def __call__(self, form: Form, field: Field) -> None:  # noqa: ARG002 - WTForms' signature
        """Check a field."""
        if not field.data or not field.data.strip():
            raise StopValidation("This field is required.")


class PlainText:
    """No control characters; line breaks and tabs only where lines make sense."""

    def __init__(self, *, lines: bool = False) -> None:
        """Choose whether line breaks pass."""
        self._forbidden = _NOT_IN_A_TEXT if lines else _NOT_IN_A_LINE

    def __call__(self, form: Form, field: Field) -> None:  # noqa: ARG002 - WTForms' signature
        """Check a field."""
        if self._forbidden.search(field.data):
            raise StopValidation("Control characters are not allowed.")


class AtMost:
    """A limit in characters.

    WTForms' own Length would also set `maxlength`, with which browsers cut a pasted text in silence.
    """

    def __init__(self, limit: int) -> None:
        """Set the limit."""
        self._limit = limit

    def __call__(self, form: Form, field: Field) -> None:  # noqa: ARG002 - WTForms' signature
        """Check a field."""
        if len(field.data) > self._limit:
            raise StopValidation(f"Use at most {self._limit} characters.")


def check_text_size(form: Form, field: Field) -> None:  # noqa: ARG001 - WTForms' signature
    """Check the size of a note's text as it is stored."""
    if len(field.data.encode()) > NOTE_TEXT_MAX_BYTES:
        raise StopValidation("Use at most 1 MiB of text.")


def check_email(form: Form, field: Field) -> None:  # noqa: ARG001 - WTForms' signature
    """Check the shape of an email address."""
    if not _EMAIL.fullmatch(field.data):
        raise StopValidation("Invalid email address.")


def check_new_password(form: Form, field: Field) -> None:  # noqa: ARG001 - WTForms' signature
    """Check a password that somebody wants to use from now on."""
    if len(field.data) < passwords.SHORTEST:
        raise StopValidation(f"Use at least {passwords.SHORTEST} characters.")
    if passwords.is_common(field.data):
        raise StopValidation("This password is too common.")


EMAIL_RULES = (Required(), AtMost(EMAIL_MAX), check_email)
PASSWORD_RULES = (Required(), AtMost(passwords.LONGEST), PlainText())
NEW_PASSWORD_RULES = (*PASSWORD_RULES, check_new_password)
NEW_PASSWORD = {"autocomplete": "new-password"}
NAME_AUTOCOMPLETE = {"autocomplete": "off"}


def problem_with(value: str, rules: Iterable[Callable[..., None]]) -> str | None:
    """Hold a value that comes from no form to the rules of one; say what is wrong with it."""
    try:
        for rule in rules:
            rule(None, SimpleNamespace(data=value))
    except StopValidation as error:
        return str(error)
    return None


def text_of(field: StringField) -> str:
    """Read a field of a form that was found valid."""
    if field.data is None:
        raise ValueError(f"{field.name} is empty in a form that counts as valid")
    return field.data


class PostForm(FlaskForm):  # type: ignore[misc] # Flask-WTF ships no types
    """A form that is filled by the plain form body of a POST and by nothing else.

    Flask-WTF would also take files and JSON, whose values are not strings.
    """

    class Meta(FlaskForm.Meta):  # type: ignore[misc] # Flask-WTF ships no types
        """How WTForms handles the form."""

        def wrap_formdata(self, form: Any, formdata: Any) -> Any:  # noqa: ARG002 - WTForms' signature
            """Choose what fills the form."""
            return request.form if request.method == "POST" else None


class SignInForm(PostForm):
    """Sign in."""

    email = EmailField("Email", EMAIL_RULES, render_kw={"autocomplete": "username"})
    password = PasswordField("Password", PASSWORD_RULES, render_kw={"autocomplete": "current-password"})


class SignUpForm(PostForm):
    """Open an account."""

    email = EmailField("Email", EMAIL_RULES, render_kw={"autocomplete": "username"})
    password = PasswordField("Password", NEW_PASSWORD_RULES, render_kw=NEW_PASSWORD)
    repeat_password = PasswordField(
        "Repeat Password",
        [*PASSWORD_RULES, EqualTo("password", "Your passwords do not match")],
        render_kw=NEW_PASSWORD,
    )


class NewPasswordForm(PostForm):
    """Choose a new password by the link of a mail."""

    new_password = PasswordField("New Password", NEW_PASSWORD_RULES, render_kw=NEW_PASSWORD)
    repeat_new_password = PasswordField(
        "Repeat New Password",
        [*PASSWORD_RULES, EqualTo("new_password", "Your passwords don't match")],
        render_kw=NEW_PASSWORD,
    )


class SettingsForm(NewPasswordForm):
    """Change the password: the new one, and the one before."""

    old_password = PasswordField(
        "Old Password", PASSWORD_RULES, render_kw={"autocomplete": "current-password"}
    )


class ForgotForm(PostForm):
    """Ask for a link to choose a new password."""

    email = EmailField("Email", EMAIL_RULES, render_kw={"autocomplete": "username"})


class PadForm(PostForm):
    """Name a pad."""

    name = StringField("Name", [Required(), AtMost(PAD_NAME_MAX), PlainText()], render_kw=NAME_AUTOCOMPLETE)

    def show(self, pad: OwnPad) -> None:
        """Fill in what is stored, on a form that is not filled yet."""
        if request.method != "POST":
            self.name.data = pad.name


class NoteForm(PostForm):
    """Write a note."""

    name = StringField("Name", [Required(), AtMost(NOTE_NAME_MAX), PlainText()], render_kw=NAME_AUTOCOMPLETE)
    text = TextAreaField(
        "Note", [Required(), PlainText(lines=True), check_text_size], render_kw={"rows": "12"}
    )
    pad = SelectField("Pad", coerce=str)

    def offer_pads(self, pads: Iterable[OwnPad], chosen: str | None = None) -> None:
        """Offer these pads, and on a form that is not filled yet choose one of them."""
        self.pad.choices = [(NO_PAD, "-" * 9), *((str(pad.id), pad.name) for pad in pads)]
        if request.method != "POST":
            self.pad.data = chosen

    def show(self, note: Note) -> None:
        """Fill in what is stored, on a form that is not filled yet."""
        if request.method != "POST":
            self.name.data, self.text.data = note.name, note.text

    @property
    def pad_id(self) -> int | None:
        """The pad that was chosen, once the form is valid."""
        return None if self.pad.data == NO_PAD else int(self.pad.data)
