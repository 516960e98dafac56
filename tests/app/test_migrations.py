"""The schema and the command group `db`."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from notejam import create_app, schema
from notejam.config import ConfigError
from notejam.db import make_engine
from notejam.models import Base, User
from sqlalchemy import URL, inspect, text
from sqlalchemy.exc import IntegrityError, OperationalError

from tests.app.store import NOWHERE, MakeApp, MakeDatabase, Store
from tests.app.test_health import set_revision

# SQLAlchemy cannot read the index on an expression back from SQLite; on Postgres it is compared.
cannot_compare_on_sqlite = pytest.mark.filterwarnings(
    "ignore:Skipped unsupported reflection of expression-based index",
    "ignore:autogenerate skipping metadata-specified expression-based index",
)
DONE = "The schema is at revision 0003.\n"


def test_upgrade(make_app: MakeApp, empty_database: URL) -> None:
    app = make_app(empty_database, secret_key=None)
    runner = app.test_cli_runner()

    assert runner.invoke(args=["db", "current"]).output == "missing (this code needs revision 0003)\n"
    first = runner.invoke(args=["db", "upgrade"])
    assert (first.exit_code, first.output) == (0, DONE)
    assert runner.invoke(args=["db", "upgrade"]).output == DONE, "and again"
    assert runner.invoke(args=["db", "current"]).output == "ok (this code needs revision 0003)\n"
    assert app.test_client().get("/readyz").status_code == 200


def test_the_old_release_leaves_a_newer_schema_alone(make_app: MakeApp, own_database: URL) -> None:
    set_revision(own_database, "9999")
    result = make_app(own_database).test_cli_runner().invoke(args=["db", "upgrade"])

    assert (result.exit_code, result.output) == (0, "The schema is ahead of this code; nothing to do.\n")


@cannot_compare_on_sqlite
def test_models_and_migrations_agree(own_database: URL) -> None:
    engine = make_engine(own_database, pool_size=1)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_downgrade(own_database: URL) -> None:
    engine = make_engine(own_database, pool_size=1)
    with engine.connect() as connection:
        made = schema.config()
        made.attributes["connection"] = connection
        command.downgrade(made, "base")
        connection.commit()
        assert inspect(connection).get_table_names() == ["alembic_version"]
    assert schema.upgrade(engine) == DONE.strip()
    engine.dispose()


def test_emails_are_unique_without_case_in_the_database_itself(store: Store) -> None:
    store.add(User(email="ann@example.com", password="x"))
    with pytest.raises(IntegrityError):
        store.add(User(email="ANN@example.com", password="x"))


def test_the_look_up_of_an_email_uses_the_index(postgres_database: URL) -> None:
    engine = make_engine(postgres_database, pool_size=1)
    with engine.connect() as connection:
        connection.execute(text("SET enable_seqscan = off"))
        plan = connection.execute(
            text("""EXPLAIN SELECT * FROM users WHERE lower(email COLLATE "C") = 'a@b.c'""")
        )
        assert "users_email_unique" in "".join(plan.scalars())
    engine.dispose()


@cannot_compare_on_sqlite
def test_a_new_migration_is_written(
    make_app: MakeApp, database: URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(Path(schema.__file__).parent / "migrations", tmp_path / "migrations")
    config = schema.config()
    config.set_main_option("script_location", str(tmp_path / "migrations"))
    monkeypatch.setattr(schema, "config", lambda: config)
    result = make_app(database).test_cli_runner().invoke(args=["db", "revision", "Pads of many"])

    assert result.exit_code == 0, result.output
    written = (tmp_path / "migrations/versions/v0004_pads_of_many.py").read_text(encoding="utf-8")
    assert 'down_revision = "0003"' in written.replace("'", '"')
    compile(written, "migration", "exec")


def run_upgrade(url: URL, app_folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "notejam", "db", "upgrade"],
        cwd=app_folder,
        env={"DATABASE_URL": url.set(drivername="postgresql").render_as_string(hide_password=False)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_two_jobs_at_once(make_database: MakeDatabase, app_folder: Path) -> None:
    """With DATABASE_URL and nothing else, as the job in the cluster has it."""
    with make_database("postgres", empty=True) as url:
        jobs = [run_upgrade(url, app_folder) for _ in range(2)]
        results = [(job.communicate(timeout=60)[0], job.returncode) for job in jobs]

    assert results == [(DONE, 0), (DONE, 0)]


def test_a_migration_waits_for_the_lock(make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "LOCK_WAIT", "50ms")
    with make_database("postgres", empty=True) as url:
        holder, engine = make_engine(url, pool_size=1), make_engine(url, pool_size=1)
        with holder.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": schema.LOCK})
            with pytest.raises(OperationalError, match="lock timeout"):
                schema.upgrade(engine)
        holder.dispose()
        assert schema.upgrade(engine) == DONE.strip()
        with engine.connect() as connection:
            held = connection.execute(text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"))
            assert held.scalar_one() == 0
            assert connection.execute(text("SHOW statement_timeout")).scalar_one() == "20s", (
                "its own session only"
            )
        engine.dispose()


def test_without_a_database(make_app: MakeApp) -> None:
    result = make_app(NOWHERE).test_cli_runner().invoke(args=["db", "upgrade", "--wait", "0"])

    assert result.exit_code == 1
    assert "the database refused: connection failed" in result.output
    assert "secret" not in result.output


def test_without_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(ConfigError, match="DATABASE_URL is not set"):
        create_app()
