"""Cut a promotion off at every point; the next one must end where an uncut one ends."""

from __future__ import annotations

import pytest

from releaser.core.model import Phase
from tests.flow.conftest import Driver
from tests.flow.fakes import FakeWorld, make_bundle, make_pipeline


class KillError(BaseException):
    """The process is gone: no handler of the program may run its course, as with SIGKILL."""


def fresh() -> Driver:
    world = FakeWorld()
    for version in ("1.0.0", "1.1.0"):
        world.bundles[version] = make_bundle(version)
    driver = Driver(world, make_pipeline())
    driver.promote("development", "1.0.0")
    world.events.clear()
    return driver


def count_events() -> int:
    driver = fresh()
    seen: list[str] = []
    driver.world.on_event = seen.append
    driver.promote("development", "1.1.0")
    return len(seen)


EVENTS = count_events()


def test_there_are_events_to_cut_at() -> None:
    assert EVENTS > 10


@pytest.mark.parametrize("at", range(EVENTS))
def test_after_a_kill_the_next_run_goes_on_to_the_same_end(at: int) -> None:
    driver = fresh()
    world = driver.world
    left = at

    def kill(_: str) -> None:
        nonlocal left
        if left == 0:
            world.on_event = lambda _: None
            raise KillError
        left -= 1

    world.on_event = kill
    with pytest.raises(KillError):
        driver.promote("development", "1.1.0")
    world.now_ = world.now_.replace(hour=world.now_.hour + 1)  # its lock has run out

    driver.promote("development", "1.1.0")

    assert driver.plan("development", "1.1.0").is_unchanged
    newest = world.revisions["development", "notejam"][-1]
    assert (newest.chart, newest.status) == ("1.1.0", "deployed")
    assert world.fetch_promotions(driver.pipeline.stage("development"))[0].phase is Phase.SUCCEEDED


@pytest.mark.parametrize("at", range(EVENTS))
def test_ctrl_c_leaves_the_old_or_the_new_version_verified(at: int) -> None:
    driver = fresh()
    world = driver.world
    left = at

    def interrupt(_: str) -> None:
        nonlocal left
        if left == 0:
            world.on_event = lambda _: None
            raise KeyboardInterrupt
        left -= 1

    world.on_event = interrupt
    with pytest.raises(KeyboardInterrupt):
        driver.promote("development", "1.1.0")

    newest = world.revisions["development", "notejam"][-1]
    assert newest.status == "deployed"
    assert newest.chart in {"1.0.0", "1.1.0"}
    assert world.locks == {}
    driver.promote("development", "1.1.0")
    assert driver.plan("development", "1.1.0").is_unchanged
