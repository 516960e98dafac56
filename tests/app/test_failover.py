"""The primary is lost while people write: they wait, or try again, and what was saved stays saved."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from notejam.models import Note, User
from notejam.patience import Patience, impatience
from sqlalchemy import URL, event

from tests.app.postgres_pair import PostgresPair, run_pair, wait_until
from tests.app.postgres_server import PostgresServer
from tests.app.store import Clock, MakeApp, Store, migrate
from tests.app.test_errors import end_sessions
from tests.app.website import Auth, Visitor

DATABASE = "notejam"
WRITERS = 3


@pytest.fixture
def pair() -> Iterator[PostgresPair]:
    with run_pair() as made:
        made.primary.execute(f"CREATE DATABASE {DATABASE}")
        migrate(made.primary.url(DATABASE))
        yield made


class Writer:
    """Somebody who saves note after note, and keeps account of those that were acknowledged."""

    def __init__(self, app: Flask, number: int) -> None:
        self.visitor = Visitor(app.test_client())
        assert Auth(self.visitor).sign_in(f"writer{number}@example.com").status == 302
        self.token = self.visitor.token_for("/notes/create/")
        self.number, self.acknowledged = number, list[str]()
        self.answers: Counter[int] = Counter()
        self.longest = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)

    def _write(self) -> None:
        count = 0
        while not self._stop.is_set():
            count += 1
            name = f"{self.number}-{count}"
            begun = time.monotonic()
            fields = {"csrf_token": self.token, "name": name, "text": "t", "pad": "0"}
            page = self.visitor.post_raw("/notes/create/", fields)
            self.longest = max(self.longest, time.monotonic() - begun)
            self.answers[page.status] += 1
            if page.status == 302:
                self.acknowledged.append(name)
            elif page.status == 503:
                assert page.response.headers["Retry-After"] == "5"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(30)


def more_than(writers: list[Writer], counts: list[int]) -> Callable[[], bool]:
    return lambda: all(
        len(writer.acknowledged) > count for writer, count in zip(writers, counts, strict=True)
    )


def test_no_acknowledged_note_is_lost(
    make_app: MakeApp, pair: PostgresPair, clock: Clock, password_hash: str
) -> None:
    store = Store(pair.primary.url(DATABASE), clock, password_hash)
    for number in range(WRITERS):
        store.user(f"writer{number}@example.com")
    both = pair.url_of_both(DATABASE)
    app = make_app(both, database_wait_seconds=5, threads=WRITERS + 2)
    writers = [Writer(app, number) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    wait_until(more_than(writers, [10] * WRITERS), "ten notes of each")

    pair.lose_primary()
    counts = [len(writer.acknowledged) for writer in writers]
    assert app.test_client().get("/healthz").status_code == 200
    assert app.test_client().get("/readyz").status_code == 503
    pair.promote()
    wait_until(more_than(writers, [count + 10 for count in counts]), "ten more notes of each")
    for writer in writers:
        writer.stop()

    assert app.test_client().get("/readyz").status_code == 200
    after = Store(pair.replica.url(DATABASE), clock, password_hash)
    stored = {note.name for note in after.all(Note)}
    for each in (store, after):
        each.engine.dispose()
    acknowledged = [name for writer in writers for name in writer.acknowledged]
    assert [name for name in acknowledged if name not in stored] == []
    assert len(acknowledged) == len(set(acknowledged))
    # In doubt is only what was under way when the primary died: at most one note a writer.
    assert len(stored) - len(acknowledged) <= WRITERS
    for writer in writers:
        assert set(writer.answers) <= {302, 503}
        assert writer.longest < 10, "a short wait, then an answer"


@pytest.fixture
def database(postgres_database: URL) -> URL:
    """A database of its own: its sessions are ended."""
    return postgres_database


@pytest.fixture
def ann_reading(make_app: MakeApp, store: Store, ann: User) -> Visitor:
    store.note(ann, "still here")
    visitor = Visitor(make_app(store.engine.url).test_client())
    assert Auth(visitor).sign_in().status == 302
    return visitor


@pytest.mark.parametrize("breaks", [1, 2])
def test_a_page_is_made_anew_once_when_its_connection_breaks(
    ann_reading: Visitor, postgres: PostgresServer, store: Store, breaks: int
) -> None:
    broken = []

    def cut(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        if "FROM notes" in statement and len(broken) < breaks:
            broken.append(statement)
            end_sessions(postgres, store.engine.url)

    event.listen(ann_reading.client.application.extensions["notejam.engine"], "before_cursor_execute", cut)
    page = ann_reading.get("/")

    assert len(broken) == breaks
    if breaks == 1:
        assert (page.status, page.texts("td.note")) == (200, ["still here"])
    else:
        assert (page.status, page.response.headers["Retry-After"]) == (503, "5")


def test_a_replica_is_not_taken_for_the_primary(make_app: MakeApp, pair: PostgresPair) -> None:
    pair.wait_for_replica()
    client = make_app(pair.replica.url(DATABASE)).test_client()
    assert client.get("/readyz").json["checks"]["database"] == "unreachable"
    pair.lose_primary()
    pair.promote()
    assert client.get("/readyz").json["checks"]["database"] == "ok"


def test_a_primary_that_refuses_writes_is_read_from(
    ann_reading: Visitor, store: Store, postgres: PostgresServer
) -> None:
    """As one does whose volume is full."""
    database = store.engine.url.database
    postgres.execute(f'ALTER DATABASE "{database}" SET default_transaction_read_only = on')
    end_sessions(postgres, store.engine.url)
    assert ann_reading.get("/").status == 200
    assert ann_reading.post("/pads/create/", {"name": "Work"}).status == 503
    assert ann_reading.get("/").status == 200


def test_a_query_that_takes_too_long_is_not_asked_again(ann_reading: Visitor) -> None:
    asked = []

    def cancel(_conn: object, cursor: object, statement: str, *_: object) -> None:
        if "FROM notes" in statement:
            asked.append(statement)
            cursor.execute("SET statement_timeout = '10ms'")  # type: ignore[attr-defined]
            cursor.execute("SELECT pg_sleep(1)")  # type: ignore[attr-defined]

    event.listen(ann_reading.client.application.extensions["notejam.engine"], "before_cursor_execute", cancel)
    page = ann_reading.get("/")

    assert (page.status, len(asked)) == (503, 1)


class Away(Exception):  # noqa: N818 - stands for a driver's OperationalError
    """What a driver raises."""


class Outage:
    """A database that is away for a while, on a clock that waiting moves on."""

    def __init__(self, *, until: float, seconds: float = 5, threads: int = 4) -> None:
        self.instant, self.until, self.attempts = 1000.0, 1000.0 + until, 0
        self.patience = Patience(seconds, threads=threads, now=lambda: self.instant, sleep=self.sleep)

    def sleep(self, seconds: float) -> None:
        self.instant += seconds

    def __call__(self) -> str:
        self.attempts += 1
        if self.instant < self.until:
            raise Away
        return "connected"

    def connect(self) -> str:
        return self.patience.connect(self, Away)


def test_a_short_outage_is_waited_for() -> None:
    outage = Outage(until=3)

    assert outage.connect() == "connected"
    assert outage.instant == pytest.approx(1003, abs=0.21)


@pytest.fixture
def long_outage() -> Outage:
    """One that a request has waited for in vain."""
    outage = Outage(until=60)
    with pytest.raises(Away):
        outage.connect()
    assert outage.instant == pytest.approx(1005, abs=0.21)
    outage.instant, outage.attempts = 1006, 0
    return outage


def test_a_long_outage_is_not_waited_for_again(long_outage: Outage) -> None:
    with pytest.raises(Away):
        long_outage.connect()

    assert (long_outage.attempts, long_outage.instant) == (1, 1006), "asked once, at once"
    long_outage.instant = 1061
    assert long_outage.connect() == "connected"


def test_in_a_long_outage_one_asks_for_all(long_outage: Outage) -> None:
    def while_another_asks() -> str:
        with pytest.raises(Away, match="another request is asking"):
            long_outage.connect()
        return "connected"

    assert long_outage.patience.connect(while_another_asks, Away) == "connected"
    assert long_outage.attempts == 0


def test_a_new_outage_is_waited_for_again(long_outage: Outage) -> None:
    long_outage.instant, long_outage.until = 2000, 2003

    assert long_outage.connect() == "connected"
    assert long_outage.instant == pytest.approx(2003, abs=0.21)


def test_probes_do_not_wait() -> None:
    patient, hasty = Outage(until=3), Outage(until=3, seconds=0)
    with impatience(), pytest.raises(Away):
        patient.connect()
    with pytest.raises(Away):
        hasty.connect()

    assert (patient.instant, hasty.instant) == (1000, 1000)


def test_some_threads_are_left_for_probes() -> None:
    """Of three threads one waits; a second one is told at once."""
    outage = Outage(until=3, threads=3)
    told = []

    def sleep(seconds: float) -> None:
        outage.instant += seconds
        if not told:
            told.append("that it is away")
            with pytest.raises(Away):
                outage.connect()

    outage.patience = Patience(5, threads=3, now=lambda: outage.instant, sleep=sleep)
    assert outage.connect() == "connected"
    assert told
