"""What must be true before a bundle may go to a stage. Each gate says why it passed or not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from releaser.core.model import Bundle, Facts, Phase, Promotion, Release, StageFacts

FOREIGN_PENDING = timedelta(minutes=10)
"""How long somebody else's Helm operation is taken to be alive."""
SLACK = timedelta(seconds=2)
"""Helm and the record may round their times."""


@dataclass(frozen=True)
class Gate:
    """One condition: its name, whether it holds, the reason, and what to do about it."""

    name: str
    passed: bool
    reason: str
    hint: str = ""


def make_gates(facts: Facts, bundle: Bundle) -> tuple[Gate, ...]:
    """Return every gate of a promotion of the bundle, in the order in which people read them."""
    gates = [check_lock(facts.target, facts.now), check_artifacts(facts, bundle), check_releases(facts)]
    if facts.source is not None:
        gates.insert(0, check_verified(facts.source, bundle, facts.now))
    return tuple(gates)


def check_verified(source: StageFacts, bundle: Bundle, now: datetime) -> Gate:
    """Pass when the previous stage has run and verified exactly this bundle."""
    name, stage = "previous stage", source.stage.name
    promote = f"releaser promote --to {stage} --version {bundle.version}"
    for promotion in source.promotions:
        if promotion.bundle.digest == bundle.digest and promotion.phase is Phase.SUCCEEDED:
            ended = promotion.finished or promotion.started
            return Gate(name, True, f"{stage} verified {bundle.version} {describe_age(now - ended)} ago")
    tried = [promotion for promotion in source.promotions if promotion.bundle.digest == bundle.digest]
    if tried and not tried[0].phase.is_terminal:
        reason = f"the promotion of {bundle.version} to {stage} has not ended"
        return Gate(name, False, reason, f"wait for it: releaser history {stage}; if it died: {promote}")
    if tried:
        reason = f"{bundle.version} {tried[0].phase.lower()} in {stage}: {tried[0].message or 'no message'}"
        return Gate(name, False, reason, f"mend it, then: {promote}")
    return Gate(name, False, f"{bundle.version} has never run in {stage}", promote)


def check_lock(target: StageFacts, now: datetime) -> Gate:
    """Pass when nobody is at work on the stage."""
    lock = target.lock
    if lock is None or not lock.holder:
        return Gate("lock", True, "free")
    age = describe_age(now - lock.acquired)
    if lock.is_held(now):
        return Gate(
            "lock",
            False,
            f"{lock.holder} holds it since {age}",
            f"wait for it to end: releaser history {target.stage.name}",
        )
    return Gate("lock", True, f"{lock.holder} took it {age} ago and is gone")


def check_artifacts(facts: Facts, bundle: Bundle) -> Gate:
    """Pass when the bundle names all that the pipeline needs and the registry holds it."""
    lacking = [f"chart {chart.name}" for chart in facts.pipeline.charts if chart.name not in bundle.charts]
    lacking += [
        f"image {image}"
        for chart in facts.pipeline.charts
        for image in chart.images
        if image not in bundle.images
    ]
    if lacking:
        return Gate(
            "artifacts", False, f"bundle {bundle.version} names no {', no '.join(lacking)}", "build it again"
        )
    if facts.missing:
        return Gate("artifacts", False, f"not in the registry: {', '.join(facts.missing)}", "push them again")
    counts = f"{len(bundle.charts)} charts and {len(bundle.images)} images"
    return Gate("artifacts", True, f"{counts} found in {facts.pipeline.registry}")


def check_releases(facts: Facts) -> Gate:
    """Pass when no Helm operation of somebody else is under way."""
    target = facts.target
    for release in target.releases.values():
        if not release.is_pending or was_ours(release, target.promotions, facts.now):
            continue
        age = facts.now - release.updated if release.updated else FOREIGN_PENDING
        if age < FOREIGN_PENDING:
            return Gate(
                "releases",
                False,
                f"{release.name} is {release.status} for {describe_age(age)}: somebody else runs helm",
                f"wait for it to end; after {describe_age(FOREIGN_PENDING)} it counts as dead",
            )
    found = len(target.releases)
    return Gate("releases", True, f"{found} of {len(facts.pipeline.charts)} installed, none busy")


def was_ours(release: Release, promotions: tuple[Promotion, ...], now: datetime) -> bool:
    """Whether a pending operation was begun by the newest promotion, which then did not end well.

    What began after that promotion had ended is somebody else's.
    """
    if not promotions or promotions[0].phase is Phase.SUCCEEDED or release.updated is None:
        return False
    began, ended = promotions[0].started, promotions[0].finished or now
    return began - SLACK <= release.updated <= ended + SLACK


def describe_age(age: timedelta) -> str:
    """Return a duration as people say it: 45 s, 12 min, 5 h, 3 days."""
    seconds = max(0, int(age.total_seconds()))
    if seconds < 90:  # noqa: PLR2004 - the bounds are where people change the unit
        return f"{seconds} s"
    if seconds < 90 * 60:
        return f"{seconds // 60} min"
    if seconds < 48 * 3600:
        return f"{seconds // 3600} h"
    return f"{seconds // 86400} days"
