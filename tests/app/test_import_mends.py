"""`notejam import-legacy`: the traps of legacy data, and nothing of it lost in silence."""

import json
from pathlib import Path
from typing import Any

import pytest
from notejam.models import Note, User

from tests.app.legacy_database import DATES, DAY, HASH, Import, Legacy, record_of
from tests.app.store import Store
from tests.app.website import Auth

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
def test_notes_are_mended(
    run_import: Import, legacy: Legacy, store: Store, tmp_path: Path, trap: str
) -> None:
    row, reason, expected = TRAPS[trap]
    legacy.add("user", (1, "ann@example.com", HASH), (2, "bob@example.com", HASH))
    legacy.add("pad", (1, "Ann's", 1), (2, "Bob's", 2))
    legacy.add("note", row)
    result = run_import("--report", str(tmp_path / "report"))

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
    run_import: Import, legacy: Legacy, store: Store, tmp_path: Path, row: tuple[Any, ...], reason: str
) -> None:
    legacy.add("user", (1, "ann@example.com", HASH), (3, None, HASH))
    legacy.add("note", row)
    result = run_import("--report", str(tmp_path / "report"))

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
    run_import: Import, legacy: Legacy, store: Store, email: str | None, refused: bool
) -> None:
    legacy.add("user", (1, email, HASH))
    run_import()

    assert [user.email for user in store.all(User)] == ([] if refused else ["a@b.cc"])


@pytest.mark.parametrize("stored", [None, "", "plain", "md5$salt$00", "sha1$$00", "x" * 300])
def test_passwords_that_cannot_be_checked(
    run_import: Import, legacy: Legacy, store: Store, auth: Auth, stored: str | None
) -> None:
    legacy.add("user", (1, "ann@example.com", stored))
    result = run_import()

    assert "a reset link sets one" in result.output
    assert store.all(User)[0].password == "!"
    assert auth.sign_in(password="!").status == 200
