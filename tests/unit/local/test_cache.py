from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from local.cache import ENTRY, Cache, check_entry

INPUTS = {"source": "1", "flags": "-x"}


class Builds:
    """Builds that can be counted and can fail."""

    def __init__(self) -> None:
        self.count = 0
        self.error: BaseException | None = None

    def __call__(self, out: Path) -> None:
        self.count += 1
        (out / "bin").mkdir()
        (out / "bin" / "program").write_text("built")
        if self.error:
            raise self.error


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def cache(tmp_path: Path, said: list[str]) -> Cache:
    return Cache(tmp_path / "cache", said.append)


def test_an_entry_is_built_once(cache: Cache) -> None:
    builds = Builds()
    first = cache.make("tool", INPUTS, builds)
    assert cache.make("tool", INPUTS, builds) == first
    assert builds.count == 1
    assert (first / "bin" / "program").read_text() == "built"


def test_other_inputs_are_another_entry(cache: Cache) -> None:
    builds = Builds()
    cache.make("tool", INPUTS, builds)
    cache.make("tool", {**INPUTS, "flags": "-y"}, builds)
    assert builds.count == 2


def truncate(entry: Path) -> None:
    (entry / "bin" / "program").write_text("bui")


def edit(entry: Path) -> None:
    (entry / "bin" / "program").write_text("BUILT")


def lose_a_file(entry: Path) -> None:
    (entry / "bin" / "program").unlink()


def truncate_the_list(entry: Path) -> None:
    (entry / ENTRY).write_text((entry / ENTRY).read_text()[:40])


def lose_the_list(entry: Path) -> None:
    (entry / ENTRY).unlink()


def list_nothing(entry: Path) -> None:
    (entry / ENTRY).write_text('{"kind": "tool", "inputs": {"source": "1", "flags": "-x"}, "outputs": {}}')


@pytest.mark.parametrize(
    "damage", [truncate, edit, lose_a_file, truncate_the_list, lose_the_list, list_nothing]
)
def test_a_damaged_entry_is_named_and_built_again(
    cache: Cache, said: list[str], damage: Callable[[Path], None]
) -> None:
    builds = Builds()
    entry = cache.make("tool", INPUTS, builds)
    damage(entry)
    assert cache.find("tool", INPUTS) is None
    assert "is not used" in said[0]
    assert cache.make("tool", INPUTS, builds) == entry
    assert builds.count == 2
    assert check_entry(entry, "tool", INPUTS) is None


def test_an_entry_under_a_wrong_key_is_not_taken(cache: Cache, said: list[str]) -> None:
    other = {**INPUTS, "source": "2"}
    cache.make("tool", INPUTS, Builds()).rename(cache.path("tool", other))
    assert cache.find("tool", other) is None
    assert "other inputs" in said[0]


@pytest.mark.parametrize("error", [RuntimeError("broken"), KeyboardInterrupt()])
def test_a_build_that_ends_early_leaves_no_entry(cache: Cache, error: BaseException) -> None:
    builds = Builds()
    builds.error = error
    with pytest.raises(type(error)):
        cache.make("tool", INPUTS, builds)
    assert cache.find("tool", INPUTS) is None
    builds.error = None
    assert cache.make("tool", INPUTS, builds).exists()


def test_what_a_killed_run_left_is_removed(cache: Cache) -> None:
    left = cache.root / "tmp" / f"tool-{cache.path('tool', INPUTS).name}" / "bin"
    left.mkdir(parents=True)
    (left / "half").write_text("...")
    entry = cache.make("tool", INPUTS, Builds())
    assert not (entry / "bin" / "half").exists()
    assert not left.exists()


def test_two_runs_build_once(cache: Cache) -> None:
    builds = Builds()

    def slow(out: Path) -> None:
        builds(out)
        time.sleep(0.2)

    threads = [threading.Thread(target=cache.make, args=("tool", INPUTS, slow)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert builds.count == 1


def test_waiting_for_another_run_is_told(cache: Cache, said: list[str]) -> None:
    waiting = threading.Thread(target=lambda: cache.lock("x", "the cluster").__enter__())
    with cache.lock("x", "the cluster"):
        waiting.start()
        while not said:
            time.sleep(0.01)
    waiting.join()
    assert "holds the cluster: waiting" in said[0]


def test_old_entries_make_room(cache: Cache) -> None:
    for number in range(5):
        cache.make("tool", {"source": str(number)}, Builds(), keep=2)
        time.sleep(0.01)
    kept = [number for number in range(5) if cache.path("tool", {"source": str(number)}).exists()]
    assert kept == [3, 4]


def test_clearing_keeps_the_locks(cache: Cache) -> None:
    cache.make("tool", INPUTS, Builds())
    cache.clear()
    assert [path.name for path in cache.root.iterdir()] == ["locks"]
