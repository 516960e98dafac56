"""Observes and plans: facts through the adapters, the decision by `core`."""

from __future__ import annotations

from dataclasses import replace

from releaser.core.model import Bundle, Facts, Pipeline, Stage
from releaser.core.plan import Plan, find_running, make_promotion_plan
from releaser.core.rollback import find_rollback, make_rollback_plan
from releaser.errors import BlockedError, InputError
from releaser.observe import Outside, fetch_facts, fetch_stage_facts


def find_bundle(outside: Outside, pipeline: Pipeline, stage: Stage, version: str | None) -> Bundle:
    """Return the bundle to promote: the version named, or what the previous stage runs verified.

    Raises InputError for the first stage without a version or a version that is not in the
    registry, BlockedError when the previous stage has nothing to give.
    """
    if version is not None:
        return outside.registry.fetch_bundle(version)
    if stage.previous is None:
        raise InputError(
            f"--version: {stage.name} is the first stage, so the version must be named",
            f"releaser bundle list; then: releaser promote --to {stage.name} --version VERSION",
        )
    previous = pipeline.stage(stage.previous)
    running = find_running(fetch_stage_facts(outside, pipeline, previous), pipeline.charts)
    if running is None:
        raise BlockedError(
            f"{previous.name} runs no verified bundle, so there is nothing to promote to {stage.name}",
            f"releaser promote --to {previous.name}",
        )
    return running.bundle


def plan_promotion(
    outside: Outside, pipeline: Pipeline, stage: Stage, bundle: Bundle, *, holds_lock: bool = False
) -> Plan:
    """Plan a promotion from fresh facts; `holds_lock` when the lock of the stage is the caller's."""
    facts = fetch_facts(outside, pipeline, stage, bundle)
    return make_promotion_plan(_without_lock(facts) if holds_lock else facts, bundle)


def plan_rollback(
    outside: Outside, pipeline: Pipeline, stage: Stage, version: str | None, *, holds_lock: bool = False
) -> Plan:
    """Plan a rollback from fresh facts; BlockedError when there is nothing to go back to."""
    facts = fetch_facts(outside, pipeline, stage, None)
    to = find_rollback(facts.target, pipeline.charts, version)
    if to is None:
        what = (
            f"{version} never ran verified in {stage.name}, or runs now"
            if version
            else f"{stage.name} ran nothing verified before what it runs now"
        )
        raise BlockedError(what, f"see what there is: releaser history {stage.name}")
    revisions = {name: outside.helm.fetch_revisions(stage, name) for name in facts.target.releases}
    return make_rollback_plan(_without_lock(facts) if holds_lock else facts, to, revisions)


def _without_lock(facts: Facts) -> Facts:
    return replace(facts, target=replace(facts.target, lock=None))
