"""The command group `notejam`: accounts, their data, and the state of the schema."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskCliRunner
from notejam.models import Note, Pad, User
from sqlalchemy import URL

from tests.app.store import NOWHERE, MakeApp, Store
from tests.app.test_health import set_revision
from tests.app.website import PASSWORD, Auth


def notejam(runner: FlaskCliRunner, *words: str, typed: str | None = None) -> tuple[int, str]:
    result = runner.invoke(args=["notejam", *words], input=typed)
    assert "Traceback" not in result.output
    return result.exit_code, result.output


def test_create_a_user(runner: FlaskCliRunner, auth: Auth) -> None:
    code, output = notejam(runner, "create-user", "Ann@example.com", typed=f"{PASSWORD}\n")

    assert (code, output) == (0, "The account Ann@example.com is open.\n")
    assert auth.sign_in("ann@example.com").status == 302


@pytest.mark.parametrize(
    ("email", "typed", "message"),
    [
        ("ann", f"{PASSWORD}\n", "email: Invalid email address."),
        ("x" * 70 + "@example.com", f"{PASSWORD}\n", "email: Use at most 75 characters."),
        ("ann@example.com", "short\n", "password: Use at least 8 characters."),
        ("ann@example.com", "password1\n", "password: This password is too common."),
        ("ann@example.com", "", "password: This field is required."),
        ("BOB@example.com", f"{PASSWORD}\n", "there is already an account with the email BOB@example.com"),
    ],
)
def test_accounts_that_cannot_be_opened(
    runner: FlaskCliRunner, store: Store, bob: User, email: str, typed: str, message: str
) -> None:
    assert notejam(runner, "create-user", email, typed=typed) == (1, f"Error: {message}\n")
    assert [user.id for user in store.all(User)] == [bob.id]


def test_delete_a_user_and_all_that_is_theirs(
    runner: FlaskCliRunner, store: Store, ann: User, bob: User
) -> None:
    pad = store.pad(ann, "Garden")
    store.note(ann, pad=pad)
    store.note(ann)
    kept = store.note(bob)

    code, output = notejam(runner, "delete-user", "ANN@example.com", typed="n\n")
    assert (code, "Aborted!" in output) == (1, True)
    assert len(store.all(Note)) == 3
    code, output = notejam(runner, "delete-user", "ANN@example.com", typed="y\n")
    assert code == 0
    assert output.endswith("Deleted ann@example.com with 1 pads and 2 notes.\n")
    assert [user.id for user in store.all(User)] == [bob.id]
    assert store.all(Pad) == []
    assert [note.id for note in store.all(Note)] == [kept.id]


@pytest.mark.parametrize("command", [("delete-user", "--yes"), ("export-user",)])
def test_nobody_has_that_email(runner: FlaskCliRunner, command: tuple[str, ...]) -> None:
    message = "Error: there is no account with the email nobody@example.com\n"
    assert notejam(runner, *command, "nobody@example.com") == (1, message)


@pytest.fixture
def exported(store: Store, ann: User, bob: User) -> dict[str, Any]:
    pad = store.pad(ann, "Garden")
    store.note(bob, "not hers")
    notes = [store.note(ann, f"n{n}", 'two\nlines "and" 🌹', pad if n % 2 else None) for n in range(3)]
    instant = "2026-03-14T12:30:00+00:00"
    return {
        "email": "ann@example.com",
        "pads": [{"id": pad.id, "name": "Garden"}],
        "notes": [
            {
                "id": note.id,
                "name": note.name,
                "text": note.text,
                "pad": note.pad_id,
                "created_at": instant,
                "updated_at": instant,
            }
            for note in notes
        ],
    }


def test_export_a_user(runner: FlaskCliRunner, exported: dict[str, Any], ann: User) -> None:
    code, output = notejam(runner, "export-user", "ann@example.com")

    assert (code, json.loads(output)) == (0, exported)
    assert ann.password not in output


def test_export_to_a_file(runner: FlaskCliRunner, exported: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "ann.json"
    assert notejam(runner, "export-user", "ann@example.com", "--output", str(path)) == (0, "")

    assert json.loads(path.read_text(encoding="utf-8")) == exported
    assert path.stat().st_mode & 0o777 == 0o600
    code, output = notejam(runner, "export-user", "ann@example.com", "--output", str(path))
    assert (code, output) == (1, f"Error: {path} cannot be made: File exists\n")


def test_schema(make_app: MakeApp, own_database: URL) -> None:
    runner = make_app(own_database).test_cli_runner()
    code, output = notejam(runner, "schema")
    assert code == 0
    assert json.loads(output) == {
        "needs": "0003",
        "tolerates": "0003",
        "live": "0003",
        "state": "ok",
        "contracts": [],
    }
    set_revision(own_database, "0007")

    code, output = notejam(runner, "schema")
    answer = json.loads(output)
    assert (code, answer["needs"], answer["tolerates"], answer["live"]) == (0, "0003", "0007", "0007")
    assert answer["state"] == "ahead"


def test_schema_of_an_empty_database(make_app: MakeApp, empty_database: URL) -> None:
    code, output = notejam(make_app(empty_database).test_cli_runner(), "schema")

    answer = json.loads(output)
    assert (code, answer["live"], answer["state"]) == (3, None, "missing")


@pytest.mark.parametrize("words", [("schema",), ("export-user", "ann@example.com")])
def test_without_a_database(make_app: MakeApp, words: tuple[str, ...]) -> None:
    code, output = notejam(make_app(NOWHERE).test_cli_runner(), *words)

    assert code == 1
    assert "the database refused: connection failed" in output
    assert "Try again when the database answers." in output
    assert "secret" not in output


def test_as_the_image_has_it(app_folder: Path, tmp_path: Path) -> None:
    """`flask notejam ...`: the image sets FLASK_APP."""
    result = subprocess.run(
        [sys.executable, "-m", "flask", "notejam", "schema"],
        cwd=app_folder,
        env={"PATH": os.environ["PATH"], "FLASK_APP": "notejam", "DATABASE_URL": f"sqlite:///{tmp_path}/n"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (result.returncode, json.loads(result.stdout)["state"]) == (3, "missing")
