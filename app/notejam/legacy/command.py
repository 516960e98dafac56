"""`flask --app notejam notejam import-legacy`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast
from zoneinfo import ZoneInfo

import click
from flask.cli import with_appcontext
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from notejam import schema
from notejam.commands import explain
from notejam.database_url import parse_url
from notejam.dates import now
from notejam.db import db
from notejam.environment import ConfigError, read_text
from notejam.legacy.importer import Importer, Options
from notejam.legacy.report import Report
from notejam.legacy.source import EXAMPLE, KINDS, SETTING, describe, open_source

LOCK = schema.LOCK + 1  # one import at a time


@click.command("import-legacy")
@click.argument("dsn", required=False)
@click.option("--dry-run", is_flag=True, help="Write nothing; say what would be done.")
@click.option(
    "--merge-accounts", is_flag=True, help="Legacy accounts whose emails differ in case alone become one."
)
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="A file for the details.")
@click.option(
    "--batch", type=click.IntRange(1, 10_000), default=500, show_default=True, help="Rows at a time."
)
@click.option("--timezone", default="UTC", show_default=True, help="The zone of the legacy app's times.")
@click.option(
    "--source", "name", help="The name under which this database is recorded.  [default: its address]"
)
@with_appcontext
def import_legacy(
    dsn: str | None,
    dry_run: bool,
    merge_accounts: bool,
    report: Path | None,
    batch: int,
    timezone: str,
    name: str | None,
) -> None:
    """Bring over the accounts, pads and notes of a legacy database.

    DSN is sqlite:////path/to/file or postgresql://user@host/name. Without it, LEGACY_DATABASE_URL or the file
    that LEGACY_DATABASE_URL_FILE names is read: there a password is out of sight. A run that was stopped goes
    on when the same command is given again. The legacy database is only read.
    """
    address = dsn or read_text(os.environ, SETTING, EXAMPLE)
    if not address:
        raise ConfigError(SETTING, "is not set, and no DSN is given", EXAMPLE)
    url = parse_url(address, SETTING, EXAMPLE)
    try:
        zone = ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):
        raise click.BadParameter("not the name of a time zone", param_hint="--timezone") from None
    options = Options(name or describe(url), batch, zone, now(), dry_run=dry_run, merge=merge_accounts)
    summary = Report(report)
    with open_source(url) as source, _alone(db.engine):
        importer = Importer(source, db.engine, options, summary)
        try:
            importer.run(_bar)
        except SQLAlchemyError as error:
            raise click.ClickException(
                f"{explain(error)}\nGive the same command again to go on after the last whole batch."
            ) from error
    _tell(summary, importer.begun_before, dry_run=dry_run)
    if report is not None:
        click.echo(f"The rows that were mended or refused are in {report}.")


def _tell(summary: Report, begun_before: dict[str, int], *, dry_run: bool) -> None:
    if begun_before:
        rows = ", ".join(f"{kind} {begun_before[kind]}" for kind in KINDS if kind in begun_before)
        click.echo(f"Went on with an earlier import, after {rows}.")
    click.echo("Nothing was written. It would be:" if dry_run else "Done.")
    for line in summary.lines(iter(KINDS)):
        click.echo(line)


@contextmanager
def _bar(kind: str, length: int) -> Iterator[Callable[[int], None]]:
    with click.progressbar(length=length, label=f"{kind}s") as bar:
        yield cast("Callable[[int], None]", bar.update)


@contextmanager
def _alone(engine: Engine) -> Iterator[None]:
    """Keep other imports out."""
    if engine.dialect.name != "postgresql":
        yield
        return
    try:
        with engine.connect() as connection:
            connection.detach()  # from the pool: it ends with this block, and the lock with it
            if not connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": LOCK}):
                raise click.ClickException("another import is running; wait for its end")
            connection.commit()
            yield
    except SQLAlchemyError as error:
        raise click.ClickException(explain(error)) from error
