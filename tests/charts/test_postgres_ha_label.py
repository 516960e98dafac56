"""How the label of the primary's Service moves, and when the Service of the replicas changes."""

import http.client
import json
import os
import subprocess
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pgha import keeper
from pgha.kube import Api, ApiError
from pgha.label import NO_NEWS, Mover, News, read_news, take_label, tell_lock
from pgha.start_patroni import announce

from tests.charts.played import Answer, NoServer, Server

IMAGE = Path(__file__).resolve().parents[2] / "charts" / "postgres-ha" / "image"
PODS = "GET /api/v1/namespaces/stage/pods?labelSelector=cluster-name%3Ddb%2Crole%3Dprimary"
LOCK = "GET /api/v1/namespaces/stage/configmaps/db-leader"
PATCH = "PATCH /api/v1/namespaces/stage/pods/"


def take(server: Server, news: News = NO_NEWS) -> list[str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1])
    try:
        return take_label(Api(connection, "token", "stage"), "db-1", "db", news)
    finally:
        connection.close()


def make_pod(name: str, state: str = "stopped") -> dict[str, Any]:
    status = json.dumps({"role": "primary", "state": state})
    return {"metadata": {"name": name, "resourceVersion": "7", "annotations": {"status": status}}}


@pytest.mark.parametrize(
    ("state", "news", "order"),
    [
        # Never two pods behind the Service that could take writes: taken away first, then put on.
        ("running", NO_NEWS, ["db-0", "db-1"]),
        ("running", News(has_lock=True), ["db-0", "db-1"]),
        # It gave up: the Service gets the new one without waiting.
        ("stopped", NO_NEWS, ["db-1", "db-0"]),
        # It gave the lock back, and has not told that it stopped yet.
        ("running", News(has_lock=True, released_by="db-0"), ["db-1", "db-0"]),
        # Somebody else gave it back: this one went silent before.
        ("running", News(has_lock=True, released_by="db-2"), ["db-0", "db-1"]),
    ],
)
def test_takes_the_label_from_the_others_and_puts_it_on(
    server: Server, state: str, news: News, order: list[str]
) -> None:
    server.routes |= {
        LOCK: (200, {"metadata": {"annotations": {"leader": "db-1"}}}),
        PODS: (200, {"items": [make_pod("db-0", state)]}),
        PATCH + "db-0": (200, {}),
        PATCH + "db-1": (200, {}),
    }
    assert take(server, news) == ["db-0"]
    (patch,) = server.bodies(PATCH + "db-0")
    assert patch == {"metadata": {"resourceVersion": "7", "labels": {"role": None}}}
    assert server.bodies(PATCH + "db-1") == [{"metadata": {"labels": {"role": "primary"}}}]
    assert [route[-4:] for route, *_ in server.seen if route.startswith("PATCH")] == order
    assert {authorization for *_, authorization in server.seen} == {"Bearer token"}
    # Who is certain to have the lock asks nobody.
    assert bool(server.bodies(LOCK)) is not news.has_lock


def test_a_label_that_is_there_is_left_alone(server: Server) -> None:
    server.routes |= {
        LOCK: (200, {"metadata": {"annotations": {"leader": "db-1"}}}),
        PODS: (200, {"items": [make_pod("db-1")]}),
    }
    assert take(server) == []
    assert not server.bodies(PATCH + "db-1")


def test_leaves_everybody_alone_without_the_lock(server: Server) -> None:
    server.routes[LOCK] = (200, {"metadata": {"annotations": {"leader": "db-2"}}})
    assert take(server) == []
    assert [route for route, *_ in server.seen] == [LOCK]


def test_an_answer_that_is_no_success_is_an_error(server: Server) -> None:
    server.routes[LOCK] = (403, "")
    with pytest.raises(OSError, match="403"):
        take(server)


@pytest.mark.parametrize(
    ("text", "news"),
    [
        ("role\n", NO_NEWS),
        ("lock 99.5 db-0\n", News(has_lock=True, released_by="db-0")),
        ("lock 99.5 \n", News(has_lock=True)),
        ("lock 99.5 db-0\nrole\nlook\n", News(has_lock=True, released_by="db-0")),
        # Read late: it may be another's by now.
        ("lock 98.9 db-0\n", NO_NEWS),
        ("lock 99.3 db-0\nlock 99.5 \n", News(has_lock=True)),
        ("lock 98.9 db-0\nlock 99.5 db-2\n", News(has_lock=True, released_by="db-2")),
        # The clock of another machine, or half a line.
        ("lock 100.5 db-0\n", NO_NEWS),
        ("lock soon db-0\n", NO_NEWS),
        ("lock\n", NO_NEWS),
        ("\n\ufffd", NO_NEWS),
    ],
)
def test_news_of_the_lock_are_certain_for_a_second(text: str, news: News) -> None:
    assert read_news(text, 100.0) == news


@pytest.mark.parametrize(
    ("record", "last", "released_by"),
    [
        ({"leader": "db-0", "transitions": "3"}, "db-0", ""),
        ({"transitions": "3"}, "db-0", "db-0"),
        # Nobody is known to have had it.
        ({"transitions": "3"}, None, ""),
        ({}, "db-0", ""),
    ],
)
def test_patroni_tells_how_it_got_the_lock(
    monkeypatch: pytest.MonkeyPatch, record: dict[str, str], last: str | None, released_by: str
) -> None:
    told: list[str] = []
    monkeypatch.setattr("pgha.start_patroni.tell_lock", told.append)
    cluster = SimpleNamespace(leader=SimpleNamespace(name=last) if last else None)
    ha = SimpleNamespace(dcs=SimpleNamespace(_leader_observed_record=record), old_cluster=cluster)
    assert announce(lambda _: False)(ha) is False
    assert told == []
    assert announce(lambda _: True)(ha) is True
    assert told == [released_by]


def test_without_a_keeper_that_listens_nothing_waits(tmp_path: Path) -> None:
    tell_lock("db-0", tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    tell_lock("db-0", tmp_path / "pipe")
    script = IMAGE / "tell_keeper.sh"
    assert subprocess.run(["sh", str(script)], check=False, timeout=10).returncode == 0


def test_news_on_the_pipe_move_it_at_once(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However slow the machine is.
    monkeypatch.setattr("pgha.label.CERTAIN_SECONDS", 60.0)
    moved = threading.Event()
    failures = iter([(503, "")])

    def lock() -> Answer:
        return next(failures, (200, {"metadata": {"annotations": {"leader": "db-1"}}}))

    def patched() -> Answer:
        moved.set()
        return 200, {}

    server.routes |= {
        LOCK: lock,
        PODS: (200, {"items": []}),
        PATCH + "db-1": patched,
    }
    token = tmp_path / "token"
    token.write_text("first\n")
    api = Api(http.client.HTTPConnection("127.0.0.1", server.server_address[1]), token, "stage")
    pipe = tmp_path / "keeper"
    Mover(api, "db-1", "db", print, pipe).start()
    with pipe.open("r+b", buffering=0) as news:
        news.write(b"role\n")
        assert moved.wait(10)
    assert {authorization for *_, authorization in server.seen} == {"Bearer first"}
    # A token is read when it is needed: the kubelet renews it.
    token.write_text("second\n")
    moved.clear()
    tell_lock("db-0", pipe)
    assert moved.wait(10)
    assert server.seen[-1][2] == "Bearer second"
    # It had failed once, and this time it did not ask.
    assert len(server.bodies(LOCK)) == 2


class Member(NoServer):
    """A keeper on a server that leads or does not; it stands for the API, with its pod and the lock.

    What no other method makes happen is set, and called, under the private names of the keeper.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.patches: list[dict[str, Any]] = []
        self.asked = 0
        self.version = 1
        self.holder = "db-0"
        self.refusals: list[ApiError] = []
        self.keeper = keeper.Keeper(None, self, self, "db-1", "db")  # type: ignore[arg-type]
        self.keeper._connection = object()  # noqa: SLF001
        monkeypatch.setattr(keeper, "holder", lambda *_: self.look())

    def look(self) -> str:
        """Tell the holder; whoever gets the lock changes the pod right after that."""
        seen = self.holder
        if self.holder == "soon":
            self.version += 1
        return seen

    def call(self, method: str, path: str, body: Any = None, group: str = "") -> dict[str, Any]:
        assert (path, group) == ("/pods/db-1", "")
        if method == "GET":
            return {"metadata": {"resourceVersion": str(self.version)}}
        metadata = body["metadata"]
        if metadata.get("resourceVersion", str(self.version)) != str(self.version):
            raise ApiError(409, "the object has been modified")
        if self.refusals:
            raise self.refusals.pop()
        self.patches.append(metadata["labels"])
        return {}

    def ask(self) -> None:
        self.asked += 1

    def round(self, *, leads: bool) -> list[dict[str, Any]]:
        """Let it look once; return what it changed."""
        self.patches.clear()
        self.keeper._is_leading = leads  # noqa: SLF001
        self.keeper._attempt("label", self.keeper._look_at_label)  # noqa: SLF001
        return list(self.patches)


REPLICA = [{"role": "replica", "postgres-ha/reads": "true"}]
NO_REPLICA = [{"postgres-ha/reads": None}]


def test_a_new_primary_is_read_from_until_the_primary_s_service_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    member = Member(monkeypatch)
    assert member.round(leads=False) == REPLICA
    assert member.asked == 1, "so that its connection is open when it matters"
    assert member.round(leads=False) == []
    for _ in range(2):
        member.holder = "db-1"
        assert member.round(leads=True) == []
        assert member.round(leads=True) == NO_REPLICA
        assert member.round(leads=True) == []
        # It has no role to give away before there is another who has it.
        member.holder = ""
        assert member.round(leads=False) == []
        member.holder = "db-2"
        assert member.round(leads=False) == REPLICA


def test_the_labels_of_a_replica_are_set_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    member = Member(monkeypatch)
    now = time.monotonic()
    assert member.round(leads=False)
    monkeypatch.setattr(keeper, "time", SimpleNamespace(monotonic=lambda: now + keeper.LABEL_PERIOD + 1))
    assert member.round(leads=False)


def test_who_gets_the_lock_meanwhile_does_not_become_a_replica_again(monkeypatch: pytest.MonkeyPatch) -> None:
    member = Member(monkeypatch)
    member.holder = "soon"
    assert member.round(leads=False) == []
    member.holder = "db-0"
    assert member.round(leads=False) == REPLICA


def test_labels_that_were_refused_are_set_in_the_next_round(monkeypatch: pytest.MonkeyPatch) -> None:
    member = Member(monkeypatch)
    member.refusals = [ApiError(500, "not now")]
    assert member.round(leads=False) == []
    assert member.round(leads=False) == REPLICA
    member.holder = "db-1"
    assert member.round(leads=True) == []
    member.refusals = [ApiError(500, "not now")]
    assert member.round(leads=True) == []
    assert member.round(leads=True) == NO_REPLICA
    # The API server did what was asked, and its answer was lost: it counts as done by nobody.
    member.holder = "db-2"
    member.refusals = [ApiError(500, "not now")]
    assert member.round(leads=False) == []
    member.holder = "db-1"
    assert member.round(leads=True) == []
    assert member.round(leads=True) == NO_REPLICA
