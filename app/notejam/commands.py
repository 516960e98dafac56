"""The command group `flask --app notejam db`. It needs DATABASE_URL and no other setting."""

from __future__ import annotations

import time
from pathlib import Path

import click
from alembic import command
from flask.cli import with_appcontext
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from notejam import contracts, schema
from notejam.db import db

RETRY_SECONDS = 1.0


@click.group("db")
def database() -> None:
    """Look after the schema of the database."""


@database.command()
@click.option(
    "--wait", default=30, show_default=True, help="Seconds to wait for a database that does not answer."
)
@click.argument("revision", default="head")
@with_appcontext
def upgrade(wait: int, revision: str) -> None:
    """Bring the schema up to what this code needs."""
    try:
        _wait_for(db.engine, deadline=time.monotonic() + wait)
        click.echo(schema.upgrade(db.engine, revision))
    except SQLAlchemyError as error:
        raise click.ClickException(explain(error)) from error


@database.command()
@with_appcontext
def current() -> None:
    """Tell how the schema stands to the code."""
    try:
        with db.engine.connect() as connection:
            state = schema.state_of(connection)
    except SQLAlchemyError as error:
        raise click.ClickException(explain(error)) from error
    click.echo(f"{state.value} (this code needs revision {schema.needed_revision()})")


@database.command()
def check() -> None:
    """Check that no migration takes away what an older release uses, unless it says from when on it may."""
    problems = [
        line for script in schema.pending(None) for line in contracts.check_migration(Path(script.path))
    ]
    if problems:
        raise click.ClickException("\n".join(problems))
    click.echo("No migration takes anything away before its time.")


@database.command()
@click.argument("message")
@with_appcontext
def revision(message: str) -> None:
    """Write a new migration from the difference between the models and the database."""
    made = schema.config()
    following = f"{int(schema.needed_revision()) + 1:04d}"
    with db.engine.connect() as connection:
        made.attributes["connection"] = connection
        command.revision(made, message, autogenerate=True, rev_id=following)


def _wait_for(engine: Engine, *, deadline: float) -> None:
    """Return once the database answers; after the deadline, raise what it said last."""
    told = False
    while True:
        try:
            engine.connect().close()
        except OperationalError:
            if time.monotonic() >= deadline:
                raise
            if not told:
                click.echo("Waiting for the database.")
                told = True
            time.sleep(RETRY_SECONDS)
        else:
            return


def explain(error: SQLAlchemyError) -> str:
    """Say what the database said, without the statement and its values."""
    reason = str(error.orig).strip() if isinstance(error, DBAPIError) else str(error)
    return f"the database refused: {reason}"
