"""The guard of the disk: when it stops writes, whom it interrupts, when it lets go."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest
from pgha import guard
from pgha.disk import MEBIBYTE, SETTING, Space


class Store:
    """Stands for Patroni and its settings; `leader` None is one that does not answer."""

    def __init__(self) -> None:
        self.parameters: dict[str, str] = {}
        self.leader: bool | None = False

    def is_leader(self) -> bool:
        if self.leader is None:
            raise ConnectionRefusedError(111, "Connection refused")
        return self.leader

    def config(self) -> dict[str, Any]:
        return {"postgresql": {"parameters": dict(self.parameters)}}

    def patch_config(self, patch: dict[str, Any]) -> None:
        for key, value in patch["postgresql"]["parameters"].items():
            self.parameters.pop(key, None)
            if value is not None:
                self.parameters[key] = value


class Volume:
    """A volume of 4 GiB, whose reserve is 204 MiB."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.free = folder, 4000

    def look(self) -> list[Space]:
        return [Space(str(self.folder), 4096 * MEBIBYTE, self.free * MEBIBYTE)]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what lets a second pass."""
    now = [100.0]
    monkeypatch.setattr(guard.time, "monotonic", lambda: now[0])

    def tick() -> None:
        now[0] += 1.0

    return tick


@pytest.fixture
def volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Volume:
    monkeypatch.setattr(guard, "BALLAST", 4096)
    return Volume(tmp_path)


def make(volume: Volume, said: list[str]) -> tuple[guard.Guard, Store]:
    store = Store()
    return guard.Guard(lambda: store, said.append, volume.look), store  # type: ignore[arg-type, return-value]


def test_it_stops_before_the_reserve_when_the_volume_fills_fast(
    volume: Volume, clock: Callable[[], None]
) -> None:
    said: list[str] = []
    found, store = make(volume, said)
    volume.free = 1000
    found.look(None, primary=True)
    volume.free = 450
    clock()
    assert found.look(None, primary=True) == "", "a burst is no reason while there is twice the reserve"
    volume.free = 400
    clock()
    assert found.look(None, primary=True) == "", "50 MiB/s leave three seconds at 354 MiB only"
    volume.free = 340
    clock()
    assert found.look(None, primary=True)
    assert store.parameters == {SETTING: "on"}
    assert "writes are refused" in said[-1]


def test_it_lets_go_only_with_more_space_than_at_the_stop(volume: Volume, clock: Callable[[], None]) -> None:
    said: list[str] = []
    found, store = make(volume, said)
    volume.free = 150
    found.look(None, primary=True)
    volume.free = 250
    for _ in range(10):
        clock()
        assert found.look(None, primary=True)
    assert store.parameters == {SETTING: "on"}
    volume.free = 320
    clock()
    assert found.look(None, primary=True) == ""
    assert store.parameters == {}


def test_what_was_free_at_a_stop_is_forgotten_after_a_minute(
    volume: Volume, clock: Callable[[], None]
) -> None:
    """Or a burst of a few seconds would keep writes out for ever."""
    found, _ = make(volume, [])
    volume.free = 500
    for _ in range(2):
        found.look(None, primary=True)
        clock()
    volume.free = 320
    assert found.look(None, primary=True)
    for _ in range(59):
        clock()
        assert found.look(None, primary=True), "306 would do, but it had 320 when it stopped"
    clock()
    assert found.look(None, primary=True) == ""


def test_two_looks_at_once_say_nothing_about_speed(volume: Volume) -> None:
    found, _ = make(volume, [])
    volume.free = 400
    found.look(None, primary=True)
    volume.free = 390
    assert found.look(None, primary=True) == ""


def test_a_volume_that_takes_no_ballast_is_guarded_all_the_same(
    volume: Volume, clock: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(122, "Disk quota exceeded")

    monkeypatch.setattr(guard.os, "posix_fallocate", refuse)
    said: list[str] = []
    found, store = make(volume, said)
    found.look(None, primary=True)
    clock()
    volume.free = 100
    found.look(None, primary=True)
    assert store.parameters == {SETTING: "on"}
    assert sum("no ballast" in text for text in said) == 1
    assert list(volume.folder.iterdir()) == []


def test_a_volume_that_was_never_short_does_not_keep_writes_stopped(
    volume: Volume, clock: Callable[[], None], tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Volume(tmp_path_factory.mktemp("other"))
    store = Store()
    found = guard.Guard(lambda: store, print, lambda: volume.look() + other.look())  # type: ignore[arg-type, return-value]
    volume.free = 10
    assert found.look(None, primary=True)
    other.free -= 100
    volume.free = 2000
    clock()
    assert found.look(None, primary=True) == ""
    assert store.parameters == {}


def test_what_another_keeper_left_is_mended(volume: Volume) -> None:
    found, store = make(volume, [])
    store.parameters = {SETTING: "on"}
    found.look(None, primary=True)
    assert store.parameters == {}


def test_a_replica_reports_and_changes_nothing(volume: Volume) -> None:
    found, store = make(volume, [])
    volume.free = 10
    assert "10 of 4096 MiB" in found.look(None, primary=False)
    assert store.parameters == {}


def test_writes_are_stopped_before_the_leader_s_postgres_is_back(
    volume: Volume, clock: Callable[[], None]
) -> None:
    """It met the end of its volume, and has the ballast only: the first moment could use that up."""
    said: list[str] = []
    found, store = make(volume, said)
    volume.free, store.leader = 10, True
    found.look(None, primary=False)
    assert store.parameters == {SETTING: "on"}
    clock()
    assert "10 of 4096 MiB" in found.look(None, primary=True)
    assert sum("writes are refused" in text for text in said) == 1, "it goes on as the same stop"


def test_a_patroni_that_is_away_does_not_hide_that_a_volume_is_full(volume: Volume) -> None:
    found, store = make(volume, [])
    volume.free, store.leader = 10, None
    assert "10 of 4096 MiB" in found.look(None, primary=False)
    assert store.parameters == {}


class Connection:
    """Takes statements."""

    def __init__(self) -> None:
        self.statements: list[tuple[str, Any]] = []
        self.rowcount = 2

    def cursor(self) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def execute(self, statement: str, values: Any) -> None:
        self.statements.append((statement, values))

    def fetchone(self) -> tuple[str]:
        return ("then",)


def test_transactions_from_before_the_stop_are_ended(volume: Volume, clock: Callable[[], None]) -> None:
    said: list[str] = []
    found, _ = make(volume, said)
    connection = Connection()
    found.look(connection, primary=True)
    assert connection.statements == []
    volume.free = 100
    clock()
    found.look(connection, primary=True)
    clock()
    found.look(connection, primary=True)
    cancels = [values for statement, values in connection.statements if "pg_terminate_backend" in statement]
    assert cancels == [("then",), ("then",)]
    assert len(connection.statements) == 3, "the moment of the stop is asked for once"
    assert "ended 2 transactions" in said[-1]


def test_the_ballast_is_kept_and_given_up(volume: Volume) -> None:
    said: list[str] = []
    found, _ = make(volume, said)
    ballast = volume.folder / guard.BALLAST_NAME
    found.look(None, primary=False)
    assert ballast.stat().st_size == guard.BALLAST
    volume.free = 100
    found.look(None, primary=False)
    assert ballast.exists()
    volume.free = 7
    found.look(None, primary=False)
    assert not ballast.exists()
    assert "ballast was given up" in said[-1]
    volume.free = 100
    found.look(None, primary=False)
    assert not ballast.exists(), "below the reserve it would take what is needed"
    volume.free = 4000
    found.look(None, primary=False)
    assert ballast.exists()
