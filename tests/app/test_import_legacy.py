"""`notejam import-legacy`: a legacy database with all its traps, and nothing of it lost in silence."""

import hashlib
import hmac
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from notejam.legacy import importer
from notejam.models import LegacyImport, Note, Pad, User
from sqlalchemy import create_engine, select, text
from sqlalchemy.orm import Session

from tests.app.store import MakeApp, MakeDatabase, Store
from tests.app.website import PASSWORD, Auth

SCHEMA = """
CREATE TABLE "user" (id INTEGER PRIMARY KEY, email VARCHAR(120), password VARCHAR(36));
CREATE TABLE pad (id INTEGER PRIMARY KEY, name VARCHAR(100), user_id INTEGER);
CREATE TABLE note (id INTEGER PRIMARY KEY, name VARCHAR(100), text TEXT, created_at TIMESTAMP,
                   updated_at TIMESTAMP, user_id INTEGER, pad_id INTEGER);
"""
# As Werkzeug 0.8 made it: HMAC-SHA1 with the salt as its key.
HASH = f"sha1$Xq8aFv3z${hmac.new(b'Xq8aFv3z', PASSWORD.encode(), hashlib.sha1).hexdigest()}"
DAY = "2013-05-06 07:08:09.123456"
DATES = (DAY, DAY)


class Legacy:
    """A legacy database to fill."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.executescript(SCHEMA)

    @property
    def dsn(self) -> str:
        return f"sqlite:///{self.path}"

    def add(self, table: str, *rows: Sequence[Any]) -> None:
        for row in rows:
            marks = ", ".join("?" * len(row))
            self.connection.execute(f'INSERT INTO "{table}" VALUES ({marks})', row)  # noqa: S608 - ours


@pytest.fixture
def legacy(tmp_path: Path) -> Iterator[Legacy]:
    made = Legacy(tmp_path / "legacy.db")
    yield made
    made.connection.close()


Import = Callable[..., Result]


def record_of(store: Store) -> dict[tuple[str, int], str]:
    with Session(store.engine) as session:
        return {(row.kind, row.legacy_id): row.outcome for row in session.scalars(select(LegacyImport))}


@pytest.fixture
def run(app: Flask, legacy: Legacy) -> Import:
    def invoke(*options: str, dsn: str = legacy.dsn) -> Result:
        return app.test_cli_runner().invoke(args=["notejam", "import-legacy", dsn, *options])

    return invoke


def test_a_sound_database_comes_over_whole(run: Import, legacy: Legacy, store: Store) -> None:
    legacy.add("user", (3, "Ann@example.com", HASH), (7, "bob@example.com", HASH))
    legacy.add("pad", (2, "Garden", 3), (9, "Garden", 7))
    legacy.add("note", (5, "Roses", "prune\r\nthem 🌹", *DATES, 3, 2), (6, "Alone", "text", *DATES, 7, 0))
    result = run()

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


def test_people_sign_in_with_their_old_password(run: Import, legacy: Legacy, auth: Auth) -> None:
    legacy.add("user", (1, "ann@example.com", HASH))
    run()

    assert auth.sign_in().status == 302
    assert auth.visitor.get("/").status == 200


TRAPS: dict[str, tuple[tuple[Any, ...], str, dict[str, Any]]] = {
    "no name": ((10, None, "t", *DATES, 1, 0), "it had no name", {"name": "Untitled"}),
    "blank name": ((10, " \t ", "t", *DATES, 1, 0), "it had no name", {"name": "Untitled"}),
    "no text": ((10, "n", None, *DATES, 1, 0), "it had no text", {"text": ""}),
    "no dates": ((10, "n", "t", None, None, 1, 0), "it had no date", {}),
    "half a date": ((10, "n", "t", "yesterday", DAY, 1, 0), "it had no date", {}),
    "no such pad": ((10, "n", "t", *DATES, 1, 77), "its pad does not exist", {"pad_id": None}),
    "somebody else's pad": ((10, "n", "t", *DATES, 1, 2), "in somebody else's pad", {"pad_id": None}),
    "no owner": ((10, "n", "t", *DATES, None, 1), "went to the owner of its pad", {}),
    "a long name": (
        (10, "x" * 300, "t", *DATES, 1, 0),
        "its name was cut",
        {"name": "x" * 254 + "…", "text": "x" * 300 + "\n\nt"},
    ),
    "NUL": ((10, "a\0b", "c\0d", *DATES, 1, 0), "control characters", {"name": "a b", "text": "cd"}),
    "no UTF-8": ((10, "n", b"caf\xe9", *DATES, 1, 0), "not UTF-8", {"text": "caf\ufffd"}),
    "a long text": ((10, "n", "x" * (1024 * 1024 + 1), *DATES, 1, 0), "longer than a form", {}),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_notes_are_mended(run: Import, legacy: Legacy, store: Store, tmp_path: Path, trap: str) -> None:
    row, reason, expected = TRAPS[trap]
    legacy.add("user", (1, "ann@example.com", HASH), (2, "bob@example.com", HASH))
    legacy.add("pad", (1, "Ann's", 1), (2, "Bob's", 2))
    legacy.add("note", row)
    result = run("--report", str(tmp_path / "report"))

    assert "notes  1 brought over, 1 of them mended; 0 refused" in result.output
    assert reason in result.output
    [note] = store.all(Note)
    assert {name: getattr(note, name) for name in expected} == expected
    assert note.user_id == store.all(User)[0].id
    [line] = (tmp_path / "report").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["row"]["id"] == 10


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ((10, "n", "t", *DATES, None, 0), "it has no owner"),
        ((10, "n", "t", *DATES, 0, 77), "it has no owner"),
        ((10, "n", "t", *DATES, 99, 1), "its owner does not exist"),
        ((10, "n", "t", *DATES, 3, 0), "its owner was refused"),
    ],
)
def test_orphans_are_refused_and_reported(
    run: Import, legacy: Legacy, store: Store, tmp_path: Path, row: tuple[Any, ...], reason: str
) -> None:
    legacy.add("user", (1, "ann@example.com", HASH), (3, None, HASH))
    legacy.add("note", row)
    result = run("--report", str(tmp_path / "report"))

    assert f"1 refused: {reason} (note 10)" in result.output
    assert store.all(Note) == []
    report = (tmp_path / "report").read_text(encoding="utf-8")
    assert json.loads(report.splitlines()[-1])["row"]["text"] == "t", "the note can be had back"
    assert HASH not in report
    assert (tmp_path / "report").stat().st_mode & 0o777 == 0o600
    assert record_of(store)["note", 10] == f"refused: {reason}"


@pytest.mark.parametrize(
    ("email", "refused"),
    [(None, True), (" ", True), ("no address", True), ("x" * 70 + "@example.com", True), (" a@b.cc ", False)],
)
def test_emails_that_nobody_could_sign_in_with(
    run: Import, legacy: Legacy, store: Store, email: str | None, refused: bool
) -> None:
    legacy.add("user", (1, email, HASH))
    run()

    assert [user.email for user in store.all(User)] == ([] if refused else ["a@b.cc"])


@pytest.mark.parametrize("stored", [None, "", "plain", "md5$salt$00", "sha1$$00", "x" * 300])
def test_passwords_that_cannot_be_checked(
    run: Import, legacy: Legacy, store: Store, auth: Auth, stored: str | None
) -> None:
    legacy.add("user", (1, "ann@example.com", stored))
    result = run()

    assert "a reset link sets one" in result.output
    assert store.all(User)[0].password == "!"
    assert auth.sign_in(password="!").status == 200


TWINS = ((1, "Ann@example.com", HASH), (2, "bob@example.com", HASH), (4, "ann@EXAMPLE.com", HASH))


@pytest.mark.parametrize("batch", ["1", "500"])
def test_emails_that_differ_in_case_alone(run: Import, legacy: Legacy, store: Store, batch: str) -> None:
    legacy.add("user", *TWINS)
    legacy.add("note", (1, "n", "t", *DATES, 4, 0))
    result = run("--batch", batch)

    assert "1 refused: an earlier account has the same email but for case (user 4)" in result.output
    assert "1 refused: its owner was refused (note 1)" in result.output
    assert [user.email for user in store.all(User)] == ["Ann@example.com", "bob@example.com"]


@pytest.mark.parametrize("batch", ["1", "500"])
def test_twins_become_one_where_that_is_asked_for(
    run: Import, legacy: Legacy, store: Store, batch: str
) -> None:
    legacy.add("user", *TWINS)
    legacy.add("note", (1, "n", "t", *DATES, 4, 0))
    result = run("--batch", batch, "--merge-accounts")

    assert "users  3 brought over, 1 of them mended; 0 refused" in result.output
    assert [user.email for user in store.all(User)] == ["Ann@example.com", "bob@example.com"]
    assert store.all(Note)[0].user_id == store.all(User)[0].id


def test_an_account_that_was_here_before_gets_nobodys_notes(
    run: Import, legacy: Legacy, store: Store, ann: User
) -> None:
    """Whoever signed up with the email need not be the one who had it."""
    legacy.add("user", (1, ann.email.upper(), HASH))
    legacy.add("note", (1, "n", "t", *DATES, 1, 0))
    result = run("--merge-accounts")

    assert "its email is already signed up here" in result.output
    assert store.all(Note) == []


def test_a_dry_run_says_the_same_and_writes_nothing(run: Import, legacy: Legacy, store: Store) -> None:
    legacy.add("user", *TWINS)
    legacy.add("pad", (1, None, 1), (2, "x" * 101, 4))
    legacy.add(
        "note", (1, "n", "t", *DATES, 1, 1), (2, "n", "t", *DATES, None, 1), (3, "n", "t", *DATES, 4, 2)
    )
    dry = run("--dry-run", "--merge-accounts").output
    assert (store.all(User), store.all(Pad), store.all(Note), record_of(store)) == ([], [], [], {})
    real = run("--merge-accounts").output

    assert dry.replace("Nothing was written. It would be:", "Done.") == real
    assert len(store.all(Note)) == 3


def test_it_goes_on_where_it_was_stopped(
    run: Import, legacy: Legacy, store: Store, monkeypatch: pytest.MonkeyPatch
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
        assert run("--batch", "2").output.endswith("Aborted!\n")
        assert len(record_of(store)) == 2 * batches - batches // 4, "seven rows are four batches"
    monkeypatch.undo()
    result = run("--batch", "2")

    assert result.exit_code == 0
    assert "Went on with an earlier import, after user 7, pad 7, note 7." in result.output
    assert [user.email for user in store.all(User)] == [f"u{n}@example.com" for n in range(1, 8)]
    assert [pad.name for pad in store.all(Pad)] == [f"p{n}" for n in range(1, 8)]
    owners = {user.id: user.email[1] for user in store.all(User)}
    assert [(note.name, owners[note.user_id]) for note in store.all(Note)] == [
        (f"n{n}", str(n)) for n in range(1, 8)
    ]


def test_an_account_deleted_between_two_runs_stays_deleted(
    run: Import, legacy: Legacy, app: Flask, store: Store
) -> None:
    legacy.add("user", (1, "ann@example.com", HASH))
    run()
    app.test_cli_runner().invoke(args=["notejam", "delete-user", "--yes", "ann@example.com"])
    legacy.add("note", (1, "n", "t", *DATES, 1, 0))
    result = run()

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
def test_no_such_source(run: Import, dsn: str, message: str) -> None:
    result = run(dsn=dsn)

    assert result.exit_code == 1
    assert message in result.output
    assert "hunter2" not in result.output
    assert "Traceback" not in result.output


def test_another_kind_of_database(run: Import, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE things (id INTEGER)")
    connection.close()
    result = run(dsn=f"sqlite:///{tmp_path / 'other.db'}")

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
