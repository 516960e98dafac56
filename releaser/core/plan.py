"""The plan of a promotion or a rollback: gates, steps and their reasons, decided from facts.

The plan is data: whoever carries it out makes no choice of their own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from releaser.core.diff import diff_values
from releaser.core.gates import Gate, make_gates
from releaser.core.model import (
    Artifact,
    Bundle,
    Chart,
    Facts,
    Phase,
    Promotion,
    Release,
    StageFacts,
    Values,
)
from releaser.core.pins import (
    BUNDLE_FILE,
    Pins,
    find_changed,
    make_bundle_pins,
    make_chart_pins,
    merge_pins,
)


class Action(StrEnum):
    """What happens to a release."""

    INSTALL = "install"
    UPGRADE = "upgrade"
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class RepairStep:
    """Helm's record of an operation that never ended is put right; `to` None forgets the record."""

    release: str
    revision: int
    to: int | None
    reason: str

    @property
    def title(self) -> str:
        """What the step does, in a few words."""
        return f"repair {self.release}"


@dataclass(frozen=True)
class ApplyStep:
    """A chart is brought to a release; UNCHANGED only waits until it is rolled out.

    `revision` is the live one, `before` the one to go back to should this fail: they differ when a
    promotion was cut off and left a revision that nobody has verified.
    """

    chart: Chart
    artifact: Artifact
    action: Action
    revision: int | None
    before: int | None
    values: Values
    changes: tuple[str, ...]
    reason: str

    @property
    def title(self) -> str:
        """What the step does, in a few words."""
        return f"{self.action} {self.release}"

    @property
    def release(self) -> str:
        """The Helm release."""
        return self.chart.release


@dataclass(frozen=True)
class RevertStep:
    """A release goes back to a revision that it had before."""

    chart: Chart
    before: int
    to: int
    changes: tuple[str, ...]
    reason: str

    @property
    def title(self) -> str:
        """What the step does, in a few words."""
        return f"roll back {self.release} from revision {self.before} to {self.to}"

    @property
    def release(self) -> str:
        """The Helm release."""
        return self.chart.release


@dataclass(frozen=True)
class VerifyStep:
    """The stage is asked over HTTP, and its pods for their images."""

    reason: str

    @property
    def title(self) -> str:
        """What the step does, in a few words."""
        return "verify"


@dataclass(frozen=True)
class PinStep:
    """A values file gets the pins of the bundle."""

    file: str
    pins: Pins
    changes: tuple[str, ...]
    reason: str

    @property
    def title(self) -> str:
        """What the step does, in a few words."""
        return f"pin {self.file}"


Step = RepairStep | ApplyStep | RevertStep | VerifyStep | PinStep


@dataclass(frozen=True)
class Plan:
    """What will be done to a stage and why; `fingerprint` changes when its grounds do."""

    kind: str
    stage: str
    bundle: Bundle
    former: str
    gates: tuple[Gate, ...]
    steps: tuple[Step, ...]
    is_unchanged: bool
    reason: str
    fingerprint: str

    @property
    def blocking(self) -> tuple[Gate, ...]:
        """The gates that say no."""
        return tuple(gate for gate in self.gates if not gate.passed)


UNSETTLED = (Phase.RUNNING, Phase.ERRORED, Phase.ABORTED)
"""Phases after which nobody knows whether what is live is good."""


def find_running(target: StageFacts, charts: tuple[Chart, ...]) -> Promotion | None:
    """Return the promotion whose bundle the stage runs, judged by what Helm says is deployed.

    It is the newest one that succeeded and whose chart versions and image digests are those of
    the live releases: Helm's own history is the truth, the record only names it.
    """
    for promotion in target.promotions:
        if promotion.phase is Phase.SUCCEEDED and all(
            runs_bundle(target.releases.get(chart.release), chart, promotion.bundle) for chart in charts
        ):
            return promotion
    return None


def make_promotion_plan(facts: Facts, bundle: Bundle) -> Plan:
    """Return the plan that brings the bundle to the target stage."""
    target = facts.target
    gates = make_gates(facts, bundle)
    running = find_running(target, facts.pipeline.charts)
    former = running.bundle.version if running else ""
    is_whole = is_complete(bundle, facts.pipeline.charts)
    steps: list[Step] = []
    if is_whole:
        for chart in facts.pipeline.charts:
            steps += _release_steps(facts, chart, bundle)
    is_recorded = running is not None and running.bundle.digest == bundle.digest
    applied = [step for step in steps if not isinstance(step, ApplyStep) or step.action != Action.UNCHANGED]
    verified = is_recorded and not applied and not _is_in_doubt(target, bundle)
    pins = make_pin_steps(facts, bundle) if is_whole else []
    if not verified:
        steps.append(VerifyStep(f"{target.stage.url or 'the pods'} must answer as {bundle.version}"))
    steps += pins
    is_unchanged = verified and not pins
    if is_unchanged:
        reason = f"{target.stage.name} already runs {bundle.version}, verified: nothing to change"
    elif verified:
        reason = f"{target.stage.name} already runs {bundle.version}; only the pins are to be written"
    elif former and former != bundle.version:
        reason = f"{target.stage.name} runs {former} and gets {bundle.version}"
    elif former and not is_recorded:
        reason = f"{target.stage.name} runs another bundle of the same version {former} and gets this one"
    elif former and applied:
        reason = f"{target.stage.name} runs {former}, and what it runs differs from its values"
    elif former:
        reason = f"{target.stage.name} runs {former}; its last promotion did not end well, so verify again"
    else:
        reason = f"{target.stage.name} gets {bundle.version}; no verified bundle runs there"
    return Plan(
        kind="promotion",
        stage=target.stage.name,
        bundle=bundle,
        former=former,
        gates=gates,
        steps=tuple(steps),
        is_unchanged=is_unchanged,
        reason=reason,
        fingerprint=make_fingerprint(facts, bundle, steps),
    )


def is_complete(bundle: Bundle, charts: tuple[Chart, ...]) -> bool:
    """Whether the bundle names every chart of the pipeline and its images."""
    return all(
        chart.name in bundle.charts and chart.images.keys() <= bundle.images.keys() for chart in charts
    )


def _is_in_doubt(target: StageFacts, bundle: Bundle) -> bool:
    """Whether what is live may be what the newest promotion left behind, unverified."""
    newest = target.promotions[0] if target.promotions else None
    if newest is None:
        return False
    again = newest.phase is Phase.FAILED and newest.bundle.digest == bundle.digest
    return newest.phase in UNSETTLED or again


def _release_steps(facts: Facts, chart: Chart, bundle: Bundle) -> list[Step]:
    target, artifact = facts.target, bundle.charts[chart.name]
    values = merge_pins(target.values.get(chart.name, {}), make_chart_pins(facts.pipeline, chart, bundle))
    release = target.releases.get(chart.release)
    if release is None:
        return [
            ApplyStep(
                chart, artifact, Action.INSTALL, None, None, values, diff_values({}, values), "not installed"
            )
        ]
    steps: list[Step] = []
    before = _find_good_revision(target, release)
    if release.is_pending:
        what = f"back to revision {before}" if before else "its record is forgotten, no revision was good"
        reason = f"an operation was cut off ({release.status}): {what}"
        steps.append(RepairStep(release.name, release.revision, before, reason))
        if before is None:
            apply = ApplyStep(
                chart, artifact, Action.INSTALL, None, None, values, (), "its first install was cut off"
            )
            return [*steps, apply]
    changes = diff_values(release.values, values)
    reasons = []
    if release.status != "deployed":
        reasons.append(f"revision {release.revision} is {release.status}")
    if release.chart_version != artifact.version:
        reasons.append(f"chart {release.chart_version} -> {artifact.version}")
    elif _has_other_digest(release, artifact):
        reasons.append(f"chart {artifact.version} has another digest")
    if changes:
        reasons.append(f"{len(changes)} values differ" if len(changes) > 1 else "1 value differs")
    action = Action.UPGRADE if reasons else Action.UNCHANGED
    reason = "; ".join(reasons) or f"chart {artifact.version} and its values are live"
    return [*steps, ApplyStep(chart, artifact, action, release.revision, before, values, changes, reason)]


def _find_good_revision(target: StageFacts, release: Release) -> int | None:
    """Return the revision to go back to: not one that a cut-off promotion has left behind."""
    if target.promotions and target.promotions[0].phase in UNSETTLED:
        move = target.promotions[0].moves.get(release.name)
        if move is not None and move.before is not None:
            return move.before
    return release.revision if release.status == "deployed" else release.good_revision


def make_pin_steps(facts: Facts, bundle: Bundle) -> list[Step]:
    """Return a step for each values file whose pins are not those of the bundle."""
    steps: list[Step] = []
    for chart in facts.pipeline.charts:
        pins = make_chart_pins(facts.pipeline, chart, bundle)
        changed = find_changed(facts.target.values.get(chart.name, {}), pins)
        if changed:
            steps.append(PinStep(chart.name, pins, tuple(changed), f"{', '.join(changed)} to be written"))
    bundle_pins = make_bundle_pins(bundle)
    changed = find_changed(facts.target.pins, bundle_pins)
    if changed:
        steps.append(PinStep(BUNDLE_FILE, bundle_pins, tuple(changed), f"records {bundle.version}"))
    return steps


def runs_bundle(release: Release | None, chart: Chart, bundle: Bundle) -> bool:
    """Whether a release is deployed with the bundle's chart and image digests."""
    if release is None or release.status != "deployed" or chart.name not in bundle.charts:
        return False
    artifact = bundle.charts[chart.name]
    if release.chart_version != artifact.version or _has_other_digest(release, artifact):
        return False
    for image, key in chart.images.items():
        level: Any = release.values
        for part in (*key.split("."), "digest"):
            level = level.get(part) if isinstance(level, Mapping) else None
        if image not in bundle.images or level != bundle.images[image].digest:
            return False
    return True


def _has_other_digest(release: Release, artifact: Artifact) -> bool:
    """Whether the release was made from another chart of that version; Helm's own rollbacks do not say."""
    return "sha256:" in release.description and artifact.digest not in release.description


def make_fingerprint(facts: Facts, bundle: Bundle, steps: list[Step]) -> str:
    """Return a hash of the grounds of a plan: another one means that something moved."""
    grounds = {
        "stage": facts.target.stage.name,
        "bundle": bundle.digest,
        "releases": {
            name: [release.revision, release.status] for name, release in facts.target.releases.items()
        },
        "steps": [repr(step) for step in steps],
    }
    return hashlib.sha256(json.dumps(grounds, sort_keys=True).encode()).hexdigest()[:16]
