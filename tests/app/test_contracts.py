"""Migrations that take something away: found, marked, refused while it is needed, and told to older code."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click import ClickException
from notejam import schema
from notejam.contracts import check_migration
from notejam.db import make_engine
from sqlalchemy import URL, Engine, inspect

from tests.app.store import MakeApp

Later = Callable[..., None]
MIGRATION = '''"""A later one."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"
branch_labels = None
depends_on = None
{mark}


def upgrade() -> None:
    """Do it."""
    {body}


def downgrade() -> None:
    """Take it back."""
    op.drop_table("anything")
'''


def write(folder: Path, revision: str, body: str, mark: str = "") -> Path:
    path = folder / f"v{revision}_later.py"
    before = f"{int(revision) - 1:04d}"
    path.write_text(
        MIGRATION.format(revision=revision, before=before, body=body, mark=mark), encoding="utf-8"
    )
    return path


def test_what_there_is_takes_nothing_away(app_folder: Path) -> None:
    paths = sorted((app_folder / "notejam/migrations/versions").glob("v*.py"))

    assert len(paths) >= 3
    assert [problem for path in paths for problem in check_migration(path)] == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("op.drop_table('notes')", "drop_table takes something away"),
        ("op.drop_column('notes', 'text')", "drop_column takes something away"),
        ("op.drop_constraint('x', 'notes')", "drop_constraint takes something away"),
        ("op.drop_index('x')", "drop_index takes something away"),
        ("op.rename_table('notes', 'n')", "rename_table takes something away"),
        ("op.alter_column('notes', 'text', nullable=False)", "alter_column(nullable=...) changes"),
        (
            "op.alter_column('notes', 'text', new_column_name='t')",
            "alter_column(new_column_name=...) changes",
        ),
        ("op.alter_column('notes', 'text', type_=sa.String(9))", "alter_column(type_=...) changes"),
        (
            "op.add_column('notes', sa.Column('x', sa.Text, nullable=False))",
            "a new column that must be filled",
        ),
        ("op.create_unique_constraint('x', 'notes', ['name'])", "create_unique_constraint demands"),
        ("op.create_check_constraint('x', 'notes', 'true')", "create_check_constraint demands"),
        ("op.create_foreign_key('x', 'notes', 'pads', ['a'], ['b'])", "create_foreign_key demands"),
        ("op.create_index('x', 'notes', ['name'], unique=True)", "a unique index demands"),
        ("op.execute('ALTER TABLE notes DROP COLUMN text')", "execute() runs DROP"),
        ("op.get_bind().execute(sa.text('alter table notes rename to n'))", "execute() runs RENAME"),
        ("op.execute(f'ALTER TABLE notes ALTER COLUMN {1} SET NOT NULL')", "execute() runs NOT NULL"),
        ("op.execute(statement())", "a statement that cannot be read"),
        (
            "with op.batch_alter_table('notes') as batch:\n        batch.drop_column('text')",
            "drop_column takes something away",
        ),
    ],
)
def test_what_takes_away_must_say_from_when_on_it_may(tmp_path: Path, body: str, problem: str) -> None:
    [found] = check_migration(write(tmp_path, "0004", body))

    assert problem in found
    assert found.startswith("v0004_later.py:")
    assert check_migration(write(tmp_path, "0004", body, mark='safe_from = "0003"')) == []


@pytest.mark.parametrize(
    "body",
    [
        "op.create_table('new', sa.Column('id', sa.Integer, nullable=False))",
        "op.create_table('new')\n    op.create_index('x', 'new', ['id'], unique=True)",
        "op.create_index('x', 'notes', ['name'])",
        "op.add_column('notes', sa.Column('x', sa.Text))",
        "op.add_column('notes', sa.Column('x', sa.Text, nullable=False, server_default=''))",
        "op.alter_column('notes', 'text', nullable=True)",
        "op.execute('UPDATE notes SET x = 1')",
        "op.execute('CREATE INDEX x ON notes (name)')",
    ],
)
def test_what_only_adds_needs_no_mark(tmp_path: Path, body: str) -> None:
    assert check_migration(write(tmp_path, "0004", body)) == []


@pytest.mark.parametrize("mark", ['"0004"', '"0009"', "4", "None and 1"])
def test_a_mark_names_a_revision_before(tmp_path: Path, mark: str) -> None:
    problems = check_migration(write(tmp_path, "0004", "op.drop_table('notes')", mark=f"safe_from = {mark}"))

    assert len(problems) == 1
    assert "safe_from" in problems[0]


@pytest.fixture
def later(tmp_path: Path, app_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Later]:
    """Turn this code into that of a later release with these migrations: revision, body, mark."""
    shutil.copytree(app_folder / "notejam/migrations", tmp_path / "migrations")
    config = schema.config()
    config.set_main_option("script_location", str(tmp_path / "migrations"))

    def add(*migrations: tuple[str, str, str]) -> None:
        for migration in migrations:
            write(tmp_path / "migrations/versions", *migration)
        monkeypatch.setattr(schema, "config", lambda: config)
        schema.known_revisions.cache_clear()

    yield add
    monkeypatch.undo()
    schema.known_revisions.cache_clear()


MARK = 'safe_from = "0004"'
NO_LONGER_USED = ("0004", "pass", "")
GONE = ("0005", "op.drop_column('notes', 'text')", MARK)


@pytest.fixture
def engine(own_database: URL) -> Iterator[Engine]:
    made = make_engine(own_database, pool_size=1)
    yield made
    made.dispose()


def test_not_while_a_running_version_uses_it(make_app: MakeApp, postgres_database: URL, later: Later) -> None:
    running = make_app(postgres_database)
    assert running.test_client().get("/readyz").status_code == 200, "and so it is connected"
    later(NO_LONGER_USED, GONE)
    result = make_app(postgres_database).test_cli_runner().invoke(args=["db", "upgrade"])

    assert result.exit_code == 1
    assert (
        "revision 0005 takes away what a running version uses: that one needs revision 0003" in result.output
    )
    assert "First release a version that needs 0004 everywhere" in result.output
    assert "Traceback" not in result.output

    running.extensions["notejam.engine"].dispose()
    result = make_app(postgres_database).test_cli_runner().invoke(args=["db", "upgrade"])
    assert (result.exit_code, result.output) == (0, "The schema is at revision 0005.\n")


def test_a_running_version_that_does_without_is_no_hindrance(
    make_app: MakeApp, postgres_database: URL, later: Later
) -> None:
    later(NO_LONGER_USED)
    make_app(postgres_database).test_cli_runner().invoke(args=["db", "upgrade"])
    running = make_app(postgres_database)
    assert running.test_client().get("/readyz").status_code == 200
    later(GONE)

    result = make_app(postgres_database).test_cli_runner().invoke(args=["db", "upgrade"])
    assert (result.exit_code, result.output) == (0, "The schema is at revision 0005.\n")


def test_without_a_mark_it_never_runs(engine: Engine, later: Later) -> None:
    later(("0004", "op.drop_column('notes', 'text')", ""))

    with pytest.raises(ClickException, match="drop_column takes something away"):
        schema.upgrade(engine)
    assert "text" in {column["name"] for column in inspect(engine).get_columns("notes")}


def test_older_code_learns_what_it_cannot_do_without(
    make_app: MakeApp, own_database: URL, engine: Engine, later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    later(NO_LONGER_USED, ("0005", "pass", ""), ("0006", "op.drop_column('notes', 'text')", MARK))
    assert schema.upgrade(engine) == "The schema is at revision 0006.\n".strip()
    with engine.connect() as connection:
        assert schema.status_of(connection).state is schema.State.CURRENT
        monkeypatch.undo()
        schema.known_revisions.cache_clear()
        status = schema.status_of(connection)
    assert (status.needs, status.tolerates, status.live) == ("0003", "0005", "0006")

    response = make_app(own_database).test_client().get("/readyz")
    assert response.status_code == 503
    assert response.json == {"status": "not ready", "checks": {"database": "ok", "schema": "too far ahead"}}


def test_older_code_works_with_what_only_adds(
    engine: Engine, later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    later(NO_LONGER_USED, ("0005", "pass", 'safe_from = "0003"'))
    schema.upgrade(engine)
    monkeypatch.undo()
    schema.known_revisions.cache_clear()
    with engine.connect() as connection:
        status = schema.status_of(connection)

    assert (status.needs, status.tolerates, status.live) == ("0003", "0005", "0005")
    assert status.state is schema.State.AHEAD
