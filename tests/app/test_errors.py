"""What people see when something goes wrong."""

import psycopg.errors
import pytest
from flask import Flask
from notejam import engine as engines
from notejam import notes
from notejam.models import Note, User
from sqlalchemy import URL, event
from sqlalchemy.exc import IntegrityError, InternalError, ProgrammingError, SQLAlchemyError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import Forbidden, HTTPException, ImATeapot, ServiceUnavailable

from tests.app.postgres_server import PostgresServer
from tests.app.store import Clock, MakeApp, Store
from tests.app.website import PASSWORD, Auth, Visitor


def test_no_such_page(stranger: Visitor) -> None:
    page = stranger.get("/nowhere/")

    assert (page.status, page.title, page.heading) == (404, "Page not found", "notejam: Page not found")
    assert page.html.select("a.button")[0]["href"] == "/"


def test_not_that_way(stranger: Visitor) -> None:
    page = stranger.post_raw("/", {})

    assert (page.status, page.heading) == (405, "notejam: Not possible here")
    assert "GET" in page.response.headers["Allow"]


def test_too_much(stranger: Visitor) -> None:
    page = stranger.post_raw("/signin/", {"email": "x" * (4 * 1024 * 1024)})

    assert (page.status, page.heading) == (413, "notejam: Too much at once")


@pytest.mark.parametrize(
    ("error", "status", "heading"),
    [
        (Forbidden, 403, "Not allowed"),
        (ServiceUnavailable, 503, "Back in a moment"),
        (ImATeapot, 418, "Bad request"),
    ],
)
def test_other_errors_have_a_page(
    signed_in: Visitor, monkeypatch: pytest.MonkeyPatch, error: type[HTTPException], status: int, heading: str
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(notes, "now", fail)
    page = signed_in.post("/notes/create/", {"name": "A", "text": "b", "pad": "0"})

    assert (page.status, page.heading, page.title) == (status, f"notejam: {heading}", heading)
    assert page.html.select("main a.button")[0]["href"] == "/"


def test_a_fault_of_the_app(app: Flask, signed_in: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "now", lambda: 1 / 0)
    page = signed_in.post("/notes/create/", {"name": "A", "text": "b", "pad": "0"})

    assert not app.testing
    assert (page.status, page.heading) == (500, "notejam: Something went wrong")
    assert "ZeroDivisionError" not in page.response.get_data(as_text=True)


def test_no_database(stranger: Visitor) -> None:
    page = stranger.post("/signin/", {"email": "ann@example.com", "password": PASSWORD})

    assert (page.status, page.heading) == (503, "notejam: Back in a moment")
    assert page.response.headers["Retry-After"] == "5"
    assert "secret" not in page.response.get_data(as_text=True)


@pytest.fixture
def pg_visitor(make_app: MakeApp, postgres_database: URL) -> Visitor:
    visitor = Visitor(make_app(postgres_database).test_client())
    auth = Auth(visitor)
    auth.sign_up()
    auth.sign_in()
    return visitor


def end_sessions(postgres: PostgresServer, url: URL) -> None:
    postgres.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "  # noqa: S608 - the name is ours
        f"WHERE datname = '{url.database}' AND pid <> pg_backend_pid()"
    )


def test_connections_that_died_between_requests_are_not_noticed(
    pg_visitor: Visitor, postgres: PostgresServer, postgres_database: URL
) -> None:
    assert pg_visitor.get("/").status == 200
    end_sessions(postgres, postgres_database)

    assert pg_visitor.get("/").status == 200


def test_a_connection_that_dies_within_a_request(
    pg_visitor: Visitor, postgres: PostgresServer, postgres_database: URL
) -> None:
    engine = pg_visitor.client.application.extensions["notejam.engine"]

    def cut(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT"):
            end_sessions(postgres, postgres_database)

    token = pg_visitor.token_for("/notes/create/")
    fields = {"csrf_token": token, "name": "A", "text": "b", "pad": "0"}
    event.listen(engine, "before_cursor_execute", cut)
    page = pg_visitor.post_raw("/notes/create/", fields)
    event.remove(engine, "before_cursor_execute", cut)

    assert (page.status, page.response.headers.get("Retry-After")) == (503, "5")
    assert pg_visitor.post_raw("/notes/create/", fields).status == 302, (
        "the next request finds a new connection"
    )


def test_a_server_that_became_a_replica(pg_visitor: Visitor) -> None:
    """After a switchover a connection may still be open to what is now read-only."""
    engine = pg_visitor.client.application.extensions["notejam.engine"]
    engine.dispose()

    def read_only(connection: psycopg.Connection[object], _: object) -> None:
        connection.execute("SET default_transaction_read_only = on")
        connection.commit()

    event.listen(engine, "connect", read_only)
    page = pg_visitor.post("/notes/create/", {"name": "A", "text": "b", "pad": "0"})

    assert (page.status, page.response.headers.get("Retry-After")) == (503, "5")


@pytest.mark.parametrize(
    ("error", "away"),
    [
        (PoolTimeoutError("no connection is free"), True),
        (InternalError("x", None, psycopg.errors.ReadOnlySqlTransaction()), True),
        (InternalError("x", None, psycopg.errors.InternalError_()), False),
        (ProgrammingError("x", None, psycopg.errors.UndefinedTable()), False),
        (ProgrammingError("x", None, Exception(), connection_invalidated=True), True),
        (IntegrityError("x", None, psycopg.errors.UniqueViolation()), False),
    ],
)
def test_what_counts_as_away(error: SQLAlchemyError, away: bool) -> None:
    assert engines.is_unavailable(error) is away


def test_a_missing_table_is_a_fault(
    make_app: MakeApp, postgres: PostgresServer, postgres_database: URL
) -> None:
    visitor = Visitor(make_app(postgres_database).test_client())
    postgres.execute("DROP TABLE users CASCADE", str(postgres_database.database))

    assert Auth(visitor).sign_in().status == 500


def test_an_instant_needs_a_zone(store: Store, ann: User, clock: Clock) -> None:
    clock.instant = clock.instant.replace(tzinfo=None)

    with pytest.raises(StatementError, match="without a zone"):
        store.note(ann)
    assert store.all(Note) == []
