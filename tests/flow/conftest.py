"""A world of three stages in memory, and a driver that promotes as the command does."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

import pytest

from releaser.core.model import Pipeline, Promotion
from releaser.core.plan import Plan
from releaser.planning import find_bundle, plan_promotion, plan_rollback
from releaser.promote import execute
from tests.flow.fakes import FakeWorld, make_bundle, make_pipeline


class Driver:
    """Plans and carries out, on the fake world."""

    def __init__(self, world: FakeWorld, pipeline: Pipeline) -> None:
        self.world = world
        self.pipeline = pipeline
        self._ids = itertools.count(1)

    def plan(self, to: str, version: str | None = None) -> Plan:
        outside, stage = self.world.outside(), self.pipeline.stage(to)
        return plan_promotion(
            outside, self.pipeline, stage, find_bundle(outside, self.pipeline, stage, version)
        )

    def promote(self, to: str, version: str | None = None) -> Promotion | None:
        outside, stage = self.world.outside(), self.pipeline.stage(to)
        bundle = find_bundle(outside, self.pipeline, stage, version)
        return self._execute(partial(plan_promotion, outside, self.pipeline, stage, bundle))

    def rollback(self, stage_name: str, version: str | None = None) -> Promotion | None:
        outside, stage = self.world.outside(), self.pipeline.stage(stage_name)
        return self._execute(partial(plan_rollback, outside, self.pipeline, stage, version))

    def _execute(self, make: Callable[..., Plan]) -> Promotion | None:
        self.world.sleep(1)
        plan = make()
        assert not plan.blocking, plan.blocking
        if plan.is_unchanged:
            return None
        number = next(self._ids)
        return execute(
            self.world.outside(),
            self.pipeline,
            plan,
            partial(make, holds_lock=True),
            by="ann@desk",
            new_id=f"p{number:03}",
        )


@pytest.fixture
def world() -> FakeWorld:
    world = FakeWorld()
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        world.bundles[version] = make_bundle(version)
    return world


@pytest.fixture
def driver(world: FakeWorld) -> Driver:
    return Driver(world, make_pipeline())


@pytest.fixture
def live(driver: Driver) -> Driver:
    """Version 1.0.0 everywhere, 1.1.0 in development."""
    driver.promote("development", "1.0.0")
    driver.promote("testing")
    driver.promote("production")
    driver.promote("development", "1.1.0")
    driver.world.events.clear()
    driver.world.said.clear()
    return driver
