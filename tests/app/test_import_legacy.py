"""`notejam import-legacy`: the whole of it, again and again, from anywhere."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from notejam.legacy import importer
from notejam.models import Note, Pad, User
from sqlalchemy import create_engine, text

from tests.app.legacy_database import DATES, HASH, SCHEMA, Import, Legacy, record_of
from tests.app.store import MakeApp, MakeDatabase, Store
from tests.app.website import Auth


def test_a_sound_database_comes_over_whole(run_import: Import, legacy: Legacy, store: Store) -> None:
    legacy.add("user", (3, "Ann@example.com", HASH), (7, "bob@example.com", HASH))
    legacy.add("pad", (2, "Garden", 3), (9, "Garden", 7))
    legacy.add("note", (5, "Roses", "prune\r\nthem 🌹", *DATES, 3, 2), (6, "Alone", "text", *DATES, 7, 0))
    result = run_import()

    assert result.exit_code == 0, result.output
    assert "users  2 brought over, 0 of them mended; 0 refused" in result.output
    assert "notes  2 brought over, 0 of them mended; 0 refused" in result.output
    ann, bob = store.all(User)
    assert (ann.email, ann.password, bob.email) == ("Ann@example.com", HASH, "bob@example.com")
    garden, _ = store.all(Pad)
    roses, alone = store.all(Note)
    assert (roses.name, roses.text, roses.user_id, roses.pad_id) == (
        "Roses",
        "prune\r\nthem 🌹",
        ann.id,
        garden.id,
    )
    assert (alone.user_id, alone.pad_id) == (bob.id, None)
    assert roses.updated_at == datetime(2013, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)


def test_people_sign_in_with_their_old_password(run_import: Import, legacy: Legacy, auth: Auth) -> None:
    legacy.add("user", (1, "ann@example.com", HASH))
    run_import()

    assert auth.sign_in().status == 302
    assert auth.visitor.get("/").status == 200


TWINS = ((1, "Ann@example.com", HASH), (2, "bob@example.com", HASH), (4, "ann@EXAMPLE.com", HASH))


@pytest.mark.parametrize("batch", ["1", "500"])
def test_emails_that_differ_in_case_alone(
    run_import: Import, legacy: Legacy, store: Store, batch: str
) -> None:
    legacy.add("user", *TWINS)
    legacy.add("note", (1, "n", "t", *DATES, 4, 0))
    result = run_import("--batch", batch)

    assert "1 refused: an earlier account has the same email but for case (user 4)" in result.output
    assert "1 refused: its owner was refused (note 1)" in result.output
    assert [user.email for user in store.all(User)] == ["Ann@example.com", "bob@example.com"]


@pytest.mark.parametrize("batch", ["1", "500"])
def test_twins_become_one_where_that_is_asked_for(
    run_import: Import, legacy: Legacy, store: Store, batch: str
) -> None:
    legacy.add("user", *TWINS)
    legacy.add("note", (1, "n", "t", *DATES, 4, 0))
    result = run_import("--batch", batch, "--merge-accounts")

    assert "users  3 brought over, 1 of them mended; 0 refused" in result.output
    assert [user.email for user in store.all(User)] == ["Ann@example.com", "bob@example.com"]
    assert store.all(Note)[0].user_id == store.all(User)[0].id


def test_an_account_that_was_here_before_gets_nobodys_notes(
    run_import: Import, legacy: Legacy, store: Store, ann: User
) -> None:
    """Whoever signed up with the email need not be the one who had it."""
    legacy.add("user", (1, ann.email.upper(), HASH))
    legacy.add("note", (1, "n", "t", *DATES, 1, 0))
    result = run_import("--merge-accounts")

    assert "its email is already signed up here" in result.output
    assert store.all(Note) == []


def test_a_dry_run_says_the_same_and_writes_nothing(run_import: Import, legacy: Legacy, store: Store) -> None:
    legacy.add("user", *TWINS)
    legacy.add("pad", (1, None, 1), (2, "x" * 101, 4))
    legacy.add(
        "note", (1, "n", "t", *DATES, 1, 1), (2, "n", "t", *DATES, None, 1), (3, "n", "t", *DATES, 4, 2)
    )
    dry = run_import("--dry-run", "--merge-accounts").output
    assert (store.all(User), store.all(Pad), store.all(Note), record_of(store)) == ([], [], [], {})
    real = run_import("--merge-accounts").output

    assert dry.replace("Nothing was written. It would be:", "Done.") == real
    assert len(store.all(Note)) == 3


def test_it_goes_on_where_it_was_stopped(
    run_import: Import, legacy: Legacy, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    legacy.add("user", *((n, f"u{n}@example.com", HASH) for n in range(1, 8)))
    legacy.add("pad", *((n, f"p{n}", n) for n in range(1, 8)))
    legacy.add("note", *((n, f"n{n}", "t", *DATES, n, n) for n in range(1, 8)))
    remember = importer.Importer.remember  # comes right after the commit of a batch

    def stop(self: importer.Importer, *batch: Any) -> None:
        remember(self, *batch)
        raise KeyboardInterrupt

    for batches in range(1, 13):
        monkeypatch.setattr(importer.Importer, "remember", stop)
        assert run_import("--batch", "2").output.endswith("Aborted!\n")
        assert len(record_of(store)) == 2 * batches - batches // 4, "seven rows are four batches"
    monkeypatch.undo()
    result = run_import("--batch", "2")

    assert result.exit_code == 0
    assert "Went on with an earlier import, after user 7, pad 7, note 7." in result.output
    assert [user.email for user in store.all(User)] == [f"u{n}@example.com" for n in range(1, 8)]
    assert [pad.name for pad in store.all(Pad)] == [f"p{n}" for n in range(1, 8)]
    owners = {user.id: user.email[1] for user in store.all(User)}
    assert [(note.name, owners[note.user_id]) for note in store.all(Note)] == [
        (f"n{n}", str(n)) for n in range(1, 8)
    ]


def test_an_account_deleted_between_two_runs_stays_deleted(
    run_import: Import, legacy: Legacy, app: Flask, store: Store
) -> None:
    legacy.add("user", (1, "ann@example.com", HASH))
    run_import()
    app.test_cli_runner().invoke(args=["notejam", "delete-user", "--yes", "ann@example.com"])
    legacy.add("note", (1, "n", "t", *DATES, 1, 0))
    result = run_import()

    assert "its owner was refused" in result.output
    assert store.all(User) == []


def test_from_postgres(make_database: MakeDatabase, make_app: MakeApp) -> None:
    with make_database("postgres", empty=True) as source, make_database("sqlite") as target:
        engine = create_engine(source)
        with engine.begin() as connection:
            for statement in SCHEMA.split(";"):
                if statement.strip():
                    connection.execute(text(statement))
            connection.execute(text("INSERT INTO \"user\" VALUES (1, 'ann@example.com', 'sha1$a$b')"))
            connection.execute(text("INSERT INTO note VALUES (1, 'n', 't', now(), NULL, 1, 0)"))
        dsn = source.set(drivername="postgresql").render_as_string(hide_password=False)
        result = make_app(target).test_cli_runner().invoke(args=["notejam", "import-legacy", dsn])
        with engine.connect() as connection:
            assert connection.scalar(text('SELECT count(*) FROM "user"')) == 1
        engine.dispose()

    assert result.exit_code == 0, result.output
    assert "notes  1 brought over, 1 of them mended" in result.output
    assert str(source.password) not in result.output


@pytest.mark.parametrize(
    ("dsn", "message"),
    [
        ("sqlite:////nowhere/x.db", "names a file that does not exist: /nowhere/x.db"),
        ("mysql://u:hunter2@h/d", "must begin with postgresql:// or sqlite:///"),
        (
            "postgresql://u:hunter2@127.0.0.1:1/d",
            "the legacy database: the database refused: connection failed",
        ),
    ],
)
def test_no_such_source(run_import: Import, dsn: str, message: str) -> None:
    result = run_import(dsn=dsn)

    assert result.exit_code == 1
    assert message in result.output
    assert "hunter2" not in result.output
    assert "Traceback" not in result.output


def test_another_kind_of_database(run_import: Import, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE things (id INTEGER)")
    connection.close()
    result = run_import(dsn=f"sqlite:///{tmp_path / 'other.db'}")

    assert (result.exit_code, result.output) == (
        1,
        "Error: the legacy database has no table user; it has things\n",
    )


def test_the_address_can_be_kept_out_of_the_arguments(
    app: Flask, legacy: Legacy, store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    legacy.add("user", (1, "ann@example.com", HASH))
    (tmp_path / "dsn").write_text(legacy.dsn + "\n", encoding="utf-8")
    runner = app.test_cli_runner()
    assert "LEGACY_DATABASE_URL is not set" in runner.invoke(args=["notejam", "import-legacy"]).output
    monkeypatch.setenv("LEGACY_DATABASE_URL_FILE", str(tmp_path / "dsn"))

    assert runner.invoke(args=["notejam", "import-legacy"]).exit_code == 0
    assert len(store.all(User)) == 1
