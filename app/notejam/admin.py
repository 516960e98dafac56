"""The command group `flask --app notejam notejam`: accounts and data, without a browser.

Passwords are never arguments: other users of the machine can read those.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import IO, NoReturn

import click
from flask.cli import with_appcontext
from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from notejam import commands, contracts, forms, passwords, schema
from notejam.db import db, email_key
from notejam.engine import is_unavailable
from notejam.legacy.command import import_legacy
from notejam.models import Note, Pad, User

BATCH = 100
EXIT_NOT_READY = 3


@click.group("notejam")
def administration() -> None:
    """Look after accounts and data."""


administration.add_command(import_legacy)


class _Refused(click.ClickException):
    """What was asked for cannot be done; the message says why."""


def _fail_for(error: SQLAlchemyError) -> NoReturn:
    hint = "\nTry again when the database answers." if is_unavailable(error) else ""
    raise _Refused(f"{commands.explain(error)}{hint}") from error


def _check(what: str, value: str, rules: Iterable[Callable[..., None]]) -> str:
    """Hold a value to the rules of the forms."""
    problem = forms.problem_with(value, rules)
    if problem:
        raise _Refused(f"{what}: {problem}")
    return value


def _find(email: str) -> User:
    try:
        user = db.session.scalar(select(User).where(email_key(User.email) == email.lower()))
    except SQLAlchemyError as error:
        _fail_for(error)
    if user is None:
        raise _Refused(f"there is no account with the email {email}")
    return user


def _read_password() -> str:
    """Ask for a password, or take the first line of standard input where nobody can be asked."""
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")


@administration.command("create-user")
@click.argument("email")
@with_appcontext
def create_user(email: str) -> None:
    """Open an account. The password is asked for, or read from standard input."""
    _check("email", email, forms.EMAIL_RULES)
    password = _check("password", _read_password(), forms.NEW_PASSWORD_RULES)
    db.session.add(User(email=email, password=passwords.hash_password(password)))
    try:
        db.session.commit()
    except IntegrityError:
        raise _Refused(f"there is already an account with the email {email}") from None
    except SQLAlchemyError as error:
        _fail_for(error)
    click.echo(f"The account {email} is open.")


@administration.command("delete-user")
@click.argument("email")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_appcontext
def delete_user(email: str, yes: bool) -> None:
    """Delete an account with all its pads and notes, for good."""
    user = _find(email)
    pads = db.session.scalar(select(func.count()).select_from(Pad).where(Pad.user_id == user.id))
    notes = db.session.scalar(select(func.count()).select_from(Note).where(Note.user_id == user.id))
    what = f"{user.email} with {pads} pads and {notes} notes"
    db.session.commit()
    if not yes:
        click.confirm(f"Delete {what}, for good?", abort=True)
    try:
        db.session.execute(delete(User).where(User.id == user.id))
        db.session.commit()
    except SQLAlchemyError as error:
        _fail_for(error)
    click.echo(f"Deleted {what}.")


@administration.command("export-user")
@click.argument("email")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A new file, for its owner's eyes only, in place of standard output.",
)
@with_appcontext
def export_user(email: str, output: Path | None) -> None:
    """Write all data of an account as JSON: its email, pads and notes."""
    user = _find(email)
    with _open(output) as stream:
        try:
            _write(user, stream)
        except SQLAlchemyError as error:
            _fail_for(error)


def _open(output: Path | None) -> AbstractContextManager[IO[str]]:
    if output is None:
        return nullcontext(sys.stdout)
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise _Refused(f"{output} cannot be made: {error.strerror}") from error
    return os.fdopen(descriptor, "w", encoding="utf-8")


def _write(user: User, stream: IO[str]) -> None:
    """Write note by note: all of them at once might not fit into memory."""

    def dump(value: object) -> str:
        return json.dumps(value, ensure_ascii=False)

    pads = db.session.scalars(select(Pad).where(Pad.user_id == user.id).order_by(Pad.id))
    stream.write(f'{{"email": {dump(user.email)},\n "pads": [')
    stream.write(",".join(f"\n  {dump({'id': pad.id, 'name': pad.name})}" for pad in pads))
    stream.write('],\n "notes": [')
    notes = select(Note).where(Note.user_id == user.id).order_by(Note.id)
    joint = ""
    for note in db.session.scalars(notes.execution_options(yield_per=BATCH)):
        entry = {
            "id": note.id,
            "name": note.name,
            "text": note.text,
            "pad": note.pad_id,
            "created_at": note.created_at.isoformat(),
            "updated_at": note.updated_at.isoformat(),
        }
        stream.write(f"{joint}\n  {dump(entry)}")
        db.session.expunge(note)
        joint = ","
    stream.write("]}\n")


@administration.command("schema")
@with_appcontext
def show_schema() -> None:
    """Print as JSON which revision this code needs, the newest it tolerates, and the live one.

    `contracts` are the migrations of this code that take something away, each with the revision that code
    must need to do without. Exit code 3: this code cannot serve with the live schema.
    """
    try:
        with db.engine.connect() as connection:
            status = schema.status_of(connection)
    except SQLAlchemyError as error:
        _fail_for(error)
    marks = [asdict(mark) for mark in contracts.contracts_in(schema.pending(None))]
    answer = {**asdict(status), "state": status.state.value, "contracts": marks}
    click.echo(json.dumps(answer))
    if not status.state.is_enough:
        sys.exit(EXIT_NOT_READY)
