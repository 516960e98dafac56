"""What the machinery asks: /healthz, /readyz, /version."""

import pytest
from notejam import schema
from notejam.db import make_engine
from notejam.schema import State
from sqlalchemy import URL

from tests.app.store import NOWHERE, MakeApp
from tests.app.website import Visitor


def set_revision(url: URL, revision: str) -> None:
    engine = make_engine(url, pool_size=1)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{revision}'")  # noqa: S608 - ours
    engine.dispose()


def test_live(stranger: Visitor) -> None:
    response = stranger.get("/healthz").response

    assert (response.status_code, response.json) == (200, {"status": "ok"})
    assert "Set-Cookie" not in response.headers


def test_ready(client: Visitor) -> None:
    response = client.get("/readyz").response

    assert response.status_code == 200
    assert response.json == {"status": "ready", "checks": {"database": "ok", "schema": "ok"}}


def test_version(make_app: MakeApp, database: URL) -> None:
    app = make_app(database, version="1.2.3", commit="abc123")

    assert app.test_client().get("/version").json == {"version": "1.2.3", "commit": "abc123"}


def test_without_a_database_the_process_lives_and_is_not_ready(make_app: MakeApp) -> None:
    client = make_app(NOWHERE).test_client()

    assert client.get("/healthz").status_code == 200
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json == {
        "status": "not ready",
        "checks": {"database": "unreachable", "schema": "unknown"},
    }
    assert "secret" not in response.get_data(as_text=True)


def test_not_ready_without_the_schema(make_app: MakeApp, empty_database: URL) -> None:
    response = make_app(empty_database).test_client().get("/readyz")

    assert response.status_code == 503
    assert response.json is not None
    assert response.json["checks"] == {"database": "ok", "schema": "missing"}


def test_ready_with_a_schema_ahead(make_app: MakeApp, own_database: URL) -> None:
    """The next release's migration has run, and this pod still serves."""
    client = make_app(own_database).test_client()
    set_revision(own_database, "9999")

    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json == {"status": "ready", "checks": {"database": "ok", "schema": "ahead"}}


def test_not_ready_with_a_schema_behind(
    make_app: MakeApp, own_database: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = schema.needed_revision()
    monkeypatch.setattr(schema, "known_revisions", lambda: ("9999", frozenset({head, "9999"})))

    response = make_app(own_database).test_client().get("/readyz")
    assert response.status_code == 503
    assert response.json == {"status": "not ready", "checks": {"database": "ok", "schema": "behind"}}


@pytest.mark.parametrize(
    ("found", "state", "enough"),
    [
        (set(), State.MISSING, False),
        ({"0001"}, State.BEHIND, False),
        ({"0002"}, State.CURRENT, True),
        ({"0003"}, State.AHEAD, True),
    ],
)
def test_states(found: set[str], state: State, enough: bool) -> None:
    assert schema.classify_state(frozenset(found), head="0002", known=frozenset({"0001", "0002"})) is state
    assert state.is_enough is enough


def test_probes_do_not_ask_for_the_person(make_app: MakeApp) -> None:
    """A probe with a cookie must not depend on the database."""
    client = make_app(NOWHERE).test_client()
    with client.session_transaction() as session:
        session["user"] = 1

    assert client.get("/healthz").status_code == 200
    assert client.get("/static/notejam.css", buffered=True).status_code == 200
