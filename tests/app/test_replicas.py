"""Reads from a replica: nobody misses what they wrote, and nobody notices that it is away."""

from collections.abc import Iterator

import pytest
from flask import Flask
from notejam import replicas
from notejam.models import User
from notejam.replicas import NEVER, WRITTEN
from sqlalchemy import URL, event

from tests.app.postgres_pair import PostgresPair, run_pair
from tests.app.store import MakeApp, Store, migrate
from tests.app.website import Auth, Visitor

DATABASE = "notejam"


@pytest.fixture(scope="module")
def pair() -> Iterator[PostgresPair]:
    with run_pair() as made, made.primary.database(DATABASE) as url:
        migrate(url)
        yield made


@pytest.fixture
def database(pair: PostgresPair) -> Iterator[URL]:
    """Overrides the databases of other tests."""
    yield pair.primary.url(DATABASE)
    pair.resume_replay()
    pair.primary.execute("DELETE FROM users", DATABASE)


@pytest.fixture
def app(make_app: MakeApp, database: URL, pair: PostgresPair) -> Flask:
    return make_app(database, database_replica_url=pair.replica.url(DATABASE))


@pytest.fixture
def ann(store: Store, pair: PostgresPair) -> User:
    user = store.user("ann@example.com")
    pair.wait_for_replica()
    return user


def another(app: Flask, email: str) -> Visitor:
    visitor = Visitor(app.test_client())
    assert Auth(visitor).sign_in(email).status == 302
    return visitor


def reads(app: Flask, role: str) -> float:
    return app.extensions["notejam.metrics"].reads.labels(role)._value.get()  # type: ignore[no-any-return] # noqa: SLF001


def write(visitor: Visitor, name: str) -> None:
    assert visitor.post("/notes/create/", {"name": name, "text": "b", "pad": "0"}).status == 302


def names(visitor: Visitor) -> list[str]:
    return visitor.get("/").texts("td.note")


def test_pages_come_from_the_replica(signed_in: Visitor, app: Flask, pair: PostgresPair) -> None:
    write(signed_in, "first")
    pair.wait_for_replica()
    before = reads(app, "replica")

    assert names(signed_in) == ["first"]
    assert reads(app, "replica") == before + 1


def test_nobody_misses_their_own_note(signed_in: Visitor, app: Flask, pair: PostgresPair) -> None:
    pair.pause_replay()
    write(signed_in, "just now")
    pair.primary.execute("SELECT 1", DATABASE)
    before = reads(app, "primary")

    assert names(signed_in) == ["just now"]
    assert reads(app, "primary") == before + 1
    pair.resume_replay()
    assert names(signed_in) == ["just now"]
    assert reads(app, "primary") == before + 1, "the replica has come as far"


def test_nor_what_they_deleted_or_changed(
    signed_in: Visitor, store: Store, ann: User, pair: PostgresPair
) -> None:
    gone, kept = store.note(ann, "gone"), store.note(ann, "old name")
    pair.wait_for_replica()
    pair.pause_replay()
    signed_in.post(f"/notes/{gone.id}/delete/")
    signed_in.post(f"/notes/{kept.id}/edit/", {"name": "new name", "text": "b", "pad": "0"})

    assert names(signed_in) == ["new name"]
    assert signed_in.get(f"/notes/{gone.id}/").status == 404
    assert signed_in.get(f"/notes/{kept.id}/").title == "new name"


def test_nor_what_they_wrote_before_signing_in_elsewhere(
    signed_in: Visitor, app: Flask, ann: User, pair: PostgresPair
) -> None:
    pair.pause_replay()
    write(signed_in, "at home")

    assert names(another(app, ann.email)) == ["at home"]


def test_who_wrote_nothing_reads_from_a_replica_that_is_behind(
    signed_in: Visitor, app: Flask, store: Store, bob: User, pair: PostgresPair
) -> None:
    pair.wait_for_replica()
    other = another(app, bob.email)
    pair.wait_for_replica()
    pair.pause_replay()
    write(signed_in, "Ann's")
    before = reads(app, "replica")

    assert names(other) == []
    assert reads(app, "replica") == before + 1
    assert store.all(User), "the primary has gone on meanwhile"


def test_a_session_that_was_ended_stays_ended(signed_in: Visitor, pair: PostgresPair) -> None:
    """Who is asking is asked of the primary."""
    pair.wait_for_replica()
    pair.pause_replay()
    pair.primary.execute("UPDATE users SET session_key = 'another'", DATABASE)

    assert signed_in.get("/").status == 302


def test_a_connection_that_breaks_on_the_way(signed_in: Visitor, app: Flask, pair: PostgresPair) -> None:
    write(signed_in, "kept")
    pair.wait_for_replica()
    engine = app.extensions["notejam.replica"].engine

    def cut(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        if "notes" in statement:
            pair.replica.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "  # noqa: S608 - ours
                f"WHERE datname = '{DATABASE}' AND pid <> pg_backend_pid()"
            )

    event.listen(engine, "before_cursor_execute", cut)
    assert names(signed_in) == ["kept"]
    event.remove(engine, "before_cursor_execute", cut)
    assert names(signed_in) == ["kept"]


def test_where_nobody_knows_what_was_written_the_primary_serves(signed_in: Visitor, app: Flask) -> None:
    with signed_in.client.session_transaction() as session:
        session[WRITTEN] = NEVER
    before = reads(app, "primary")

    assert names(signed_in) == []
    assert reads(app, "primary") == before + 1


def test_without_the_replica(
    signed_in: Visitor, app: Flask, pair: PostgresPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert names(signed_in) == []
    pair.stop_replica()
    before = reads(app, "primary")
    assert names(signed_in) == []
    assert reads(app, "primary") == before + 1
    write(signed_in, "all the same")
    assert names(signed_in) == ["all the same"]

    pair.start_replica()
    pair.wait_for_replica()
    monkeypatch.setattr(replicas.Replica, "rested", lambda _: True)
    before = reads(app, "replica")
    assert names(signed_in) == ["all the same"]
    assert reads(app, "replica") == before + 1
