"""When a replica frees the lock of another member: on a real primary and a real replica."""

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pgha import lock
from pgha.kube import ApiError
from pgha.lock import Lock, LockWatch, Place, answers, has_shut_down, is_gone, name_segment, read_lock, show
from pgha.patroni import Patroni
from pgha.start_patroni import hurry, remember

from tests.app.postgres_pair import PostgresPair, run_pair, wait_until
from tests.app.postgres_server import find_binaries
from tests.charts.played import NoServer

SEGMENT = 16 * 2**20
FREED = [{"metadata": {"resourceVersion": "7", "annotations": {"leader": None}}}]


def make_pod(said: str, address: str | None) -> dict[str, Any]:
    """Make a pod with this address, in which a Patroni of that one has said something."""
    told = {"conn_url": f"postgres://{said}:5432/postgres", "role": "primary", "state": "running"}
    return {
        "metadata": {"annotations": {"status": json.dumps(told)}},
        "status": {"podIP": address} if address else {},
    }


ALIVE = make_pod("127.0.0.1", "127.0.0.1")
NEW = {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}, "status": {}}
# The old pod's Patroni has written to the new one.
CONFUSED = make_pod("127.0.0.1", None)


def make_lock(**more: str) -> dict[str, Any]:
    addresses = {"db-0": "https://127.0.0.1:8008/patroni", "db-1": "https://127.0.0.2:8008/patroni"}
    annotations = {"leader": "db-0", "acquireTime": "noon", "transitions": "3", "optime": "1"}
    annotations |= {"failsafe": json.dumps(addresses)} | more
    return {"metadata": {"resourceVersion": "7", "annotations": annotations}}


class Store(NoServer):
    """Stands for the API: the lock, and the pod of its holder."""

    def __init__(self) -> None:
        super().__init__()
        self.pod: dict[str, Any] | None = None
        self.lock = make_lock()
        self.conflict = False
        self.calls: list[str] = []
        self.patches: list[object] = []

    def call(self, method: str, path: str, body: object = None, group: str = "") -> dict[str, Any]:
        assert (path, group) == ("/configmaps/db-leader", "")
        self.calls.append(method)
        if method == "PATCH":
            if self.conflict:
                raise ApiError(409, "the object has been modified")
            self.patches.append(body)
        return self.lock

    def find(self, path: str, group: str = "") -> dict[str, Any] | None:
        assert not group
        self.calls.append(path)
        return self.pod


class Watched:
    """A watch of a replica, with a clock of its own."""

    def __init__(self, pair: PostgresPair) -> None:
        self.pair, self.store = pair, Store()
        self.said: list[str] = []
        self.now = 0.0
        self.watch = LockWatch(self.store, "db-1", "db", self.said.append, self.reach, lambda: self.now)

    def reach(self, address: str) -> Any:
        self.store.calls.append(address)

    def look(self, after: float = 0.5) -> None:
        self.now += after
        with self.pair.replica.connect() as connection:
            self.watch.look(connection)

    def follow(self) -> None:
        """Look while the replica follows, until the stream counts as settled."""
        self.pair.wait_for_stream()
        for _ in range(6):
            self.look()

    def look_after(self, after: float = 0.5) -> None:
        """Look when the replica has noticed that its primary is gone, and replayed what it has."""
        query = (
            "SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver) "
            "AND pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn()"
        )
        with self.pair.replica.connect() as connection:
            wait_until(
                lambda: connection.execute(query.encode()).fetchone() == (True,), "the replica to notice it"
            )
        self.look(after)


@pytest.fixture(scope="module")
def both() -> Iterator[PostgresPair]:
    with run_pair() as found:
        found.primary.execute("CREATE TABLE notes (id int)")
        found.wait_for_replica()
        found.replica.execute("ALTER SYSTEM SET wal_retrieve_retry_interval = '100ms'")
        found.replica.execute("SELECT pg_reload_conf()")
        yield found


@pytest.fixture
def pair(both: PostgresPair, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresPair]:
    monkeypatch.setenv("PATH", str(find_binaries()), prepend=os.pathsep)
    monkeypatch.setenv("PGDATA", str(both.replica_folder))
    # Whatever runs on this machine.
    monkeypatch.setattr(lock, "answers", lambda _: False)
    yield both
    if not both.is_primary_running:
        both.start_primary()
    both.wait_for_stream()


def write(pair: PostgresPair) -> None:
    pair.primary.execute("INSERT INTO notes VALUES (1)")
    pair.wait_for_replica()


@pytest.mark.parametrize("pod", [None, CONFUSED], ids=["no pod", "a new pod"])
def test_the_lock_of_a_server_that_shut_down_is_freed(pair: PostgresPair, pod: Any) -> None:
    found = Watched(pair)
    found.store.pod = pod
    found.follow()
    # Only whose stream it is.
    assert found.store.calls == ["GET"]
    write(pair)
    pair.stop_primary()
    found.look_after()
    assert found.store.patches == FREED
    assert found.said == ["freed the lock of db-0: its pod is gone, and its Postgres has shut down"]


@pytest.mark.parametrize(
    ("change", "asked"),
    [
        (make_lock(leader=""), False),
        (make_lock(leader="db-2"), False),
        (make_lock(acquireTime="later"), False),
        (make_lock(transitions="4"), False),
        # Of what this replica has not seen.
        (make_lock(optime=str(2**60)), False),
        (make_lock(), True),
    ],
    ids=["free", "of another", "taken again", "taken between", "written on", "alive"],
)
def test_the_lock_stays_where_its_holder_may_be_alive(
    pair: PostgresPair, change: dict[str, Any], asked: bool
) -> None:
    found = Watched(pair)
    found.follow()
    pair.stop_primary()
    found.store.lock, found.store.pod = change, ALIVE
    found.look_after()
    assert found.store.calls == ["GET", "GET", *(["/pods/db-0"] if asked else [])]


def test_a_patroni_that_answers_keeps_its_lock(pair: PostgresPair, monkeypatch: pytest.MonkeyPatch) -> None:
    """It restarts Postgres in its place, without asking anybody."""
    monkeypatch.setattr(lock, "answers", lambda _: True)
    found = Watched(pair)
    found.follow()
    pair.stop_primary()
    found.look_after()
    assert found.store.calls == ["GET", "GET", "/pods/db-0", "127.0.0.1"]


def test_a_change_of_the_lock_meanwhile_is_respected(pair: PostgresPair) -> None:
    found = Watched(pair)
    found.store.conflict = True
    found.follow()
    pair.stop_primary()
    found.look_after()
    assert (found.store.calls[-1], found.said) == ("PATCH", [])


def test_a_killed_server_is_no_proof(pair: PostgresPair) -> None:
    found = Watched(pair)
    found.follow()
    write(pair)
    pair.lose_primary()
    found.look_after()
    found.look()
    assert found.store.calls == ["GET"]


def test_a_shutdown_before_the_stream_is_no_proof(pair: PostgresPair) -> None:
    """The log ends with a shutdown, but the server has run since, and written nothing."""
    found = Watched(pair)
    found.follow()
    pair.stop_primary()
    pair.start_primary()
    found.follow()
    pair.lose_primary()
    found.look_after()
    assert found.store.patches == []
    # So it is the stream's begin alone that tells.
    with pair.replica.connect() as connection:
        row = connection.execute(lock.LOOK.encode()).fetchone()
    assert row is not None
    assert has_shut_down(pair.replica_folder / "pg_wal", Place(int(str(row[5])), 1, SEGMENT))


def test_a_stream_that_nobody_saw_is_no_proof(pair: PostgresPair) -> None:
    found = Watched(pair)
    found.follow()
    pair.stop_primary()
    pair.start_primary()
    pair.wait_for_stream()
    pair.lose_primary()
    found.look_after(after=60)
    found.look()
    assert found.store.patches == []


def test_a_former_primary_is_not_the_holder(pair: PostgresPair) -> None:
    found = Watched(pair)
    found.store.lock = make_lock(leader="db-1")
    found.follow()
    # Asked again every two seconds.
    assert found.store.calls == ["GET", "GET"]
    found.store.lock = make_lock()
    pair.stop_primary()
    found.look_after()
    assert found.store.patches == []


def test_whoever_leads_or_has_no_postgres_begins_anew(pair: PostgresPair) -> None:
    leading, without, never = (Watched(pair) for _ in range(3))
    for found in (leading, without):
        found.follow()
    leading.watch.forget()
    without.watch.look(None)
    pair.stop_primary()
    for found in (leading, without, never):
        found.look_after()
        assert found.store.patches == []


def test_a_log_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(find_binaries()), prepend=os.pathsep)
    with pytest.raises(OSError, match="pg_waldump: error"):
        has_shut_down(tmp_path, Place(0x2000000, 1, SEGMENT))


def test_who_holds_the_lock() -> None:
    assert read_lock(make_lock()) == Lock("db-0", "noon", "3", "127.0.0.1")
    assert read_lock(make_lock(leader="")) is None
    assert read_lock(make_lock(leader="db-5")) is None
    assert read_lock({"metadata": {}}) is None


def test_what_is_gone() -> None:
    for pod in (None, NEW, {"metadata": {}}, CONFUSED, make_pod("127.0.0.1", "127.0.0.9")):
        assert is_gone(pod, "127.0.0.1")
    odd = {"metadata": {"annotations": {"status": "[]"}}}
    # The new one's Patroni has spoken, and the kubelet has not told its address yet.
    for pod in (ALIVE, odd, make_pod("127.0.0.9", None), make_pod("127.0.0.9", "127.0.0.9")):
        assert not is_gone(pod, "127.0.0.1")
    assert not is_gone(make_pod("[fd00::1]", "fd00::1"), "fd00::1")


def test_whether_a_patroni_answers() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        patroni = Patroni("127.0.0.1", server.server_port, "a:b")
        # The port of one that stops is still open.
        assert not answers(patroni)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            assert answers(patroni)
        finally:
            server.shutdown()
            thread.join()
    assert not answers(patroni)


def test_a_place_in_the_log_is_written_as_postgres_does() -> None:
    assert [show(0), show(0x52470B8), show((3 << 32) + 0xA)] == ["0/0", "0/52470B8", "3/A"]
    assert name_segment(3, 5, SEGMENT) == "000000030000000000000005"
    assert name_segment(1, 0x1FF, SEGMENT) == "0000000100000001000000FF"


def test_a_replica_goes_on_following_a_leader_whose_pod_is_gone() -> None:
    def make(name: str, address: str | None) -> SimpleNamespace:
        return SimpleNamespace(name=name, conn_url=address)

    first, gone, again = (make("db-0", address) for address in ("10.0.0.1", None, "10.0.0.9"))
    other, unknown = make("db-2", "10.0.0.3"), make("db-1", None)
    found = remember(lambda _, node: node)
    wanted = [
        (gone, gone),
        (first, first),
        (gone, first),
        (gone, first),
        (unknown, unknown),
        (again, again),
        (gone, again),
        (other, other),
        (gone, gone),
        (first, first),
        (None, None),
        (gone, gone),
    ]
    for node, followed in wanted:
        assert found(None, node) is followed


def test_nobody_is_waited_for_long_who_is_not_there() -> None:
    def request(*words: Any, **more: Any) -> Any:
        return words, more

    asked = hurry(request)
    words, more = asked("self", "GET", "https://10.0.0.1:8008", timeout=2, retries=0)
    assert words == ("self", "GET", "https://10.0.0.1:8008", None)
    assert (more["timeout"].connect_timeout, more["timeout"].read_timeout) == (1.0, 2)
    assert more["retries"] == 0
    assert asked("self", "POST", "https://10.0.0.1:8008", timeout=2, retries=1)[1] == {
        "timeout": 2,
        "retries": 1,
    }
    assert asked("self", "GET", "https://10.0.0.1:8008", "{}") == (
        ("self", "GET", "https://10.0.0.1:8008", "{}"),
        {},
    )
