"""Which bundle a stage goes back to, and the plan that takes it there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from releaser.core.diff import diff_values
from releaser.core.gates import Gate, check_artifacts, check_lock, check_releases
from releaser.core.model import Chart, Facts, Phase, Promotion, StageFacts
from releaser.core.pins import make_chart_pins, merge_pins
from releaser.core.plan import (
    Plan,
    RevertStep,
    Step,
    VerifyStep,
    find_running,
    is_complete,
    make_fingerprint,
    make_pin_steps,
    runs_bundle,
)


def find_rollback(target: StageFacts, charts: tuple[Chart, ...], version: str | None) -> Promotion | None:
    """Return the promotion to go back to: of that version, or the newest verified one before what runs.

    What a rollback has left was left for a reason: the next one goes further back, not forth again.
    A version that is named may be any other that was verified there.
    """
    running = find_running(target, charts)
    good = [promotion for promotion in target.promotions if promotion.phase is Phase.SUCCEEDED]
    if version is not None:
        return next(
            (
                promotion
                for promotion in good
                if promotion.bundle.version == version
                and (running is None or promotion.bundle.digest != running.bundle.digest)
            ),
            None,
        )
    if running is None:
        return next(iter(good), None)
    until = [promotion for promotion in good if promotion.started <= running.started]
    kept = _find_kept(reversed(until))
    return kept[-2] if len(kept) > 1 else None


def _find_kept(oldest_first: Iterable[Promotion]) -> list[Promotion]:
    """Return the newest record of each bundle in their order, without those that a rollback has left."""
    kept: list[Promotion] = []
    for promotion in oldest_first:
        digests = [earlier.bundle.digest for earlier in kept]
        if promotion.kind == "rollback" and promotion.bundle.digest in digests:
            while kept[-1].bundle.digest != promotion.bundle.digest:
                kept.pop()
        if kept and kept[-1].bundle.digest == promotion.bundle.digest:
            kept[-1] = promotion
        else:
            kept.append(promotion)
    return kept


def make_rollback_plan(facts: Facts, to: Promotion, revisions: Mapping[str, Mapping[int, str]]) -> Plan:
    """Return the plan that takes the stage back to what a promotion left, application first.

    `revisions` holds the chart version of every kept revision, by release. A release whose
    recorded revision Helm no longer keeps blocks the plan.
    """
    target = facts.target
    gates = [check_lock(target, facts.now), check_releases(facts)]
    running = find_running(target, facts.pipeline.charts)
    steps: list[Step] = []
    is_whole = is_complete(to.bundle, facts.pipeline.charts)
    if not is_whole:  # it is older than a chart or an image of the pipeline
        gates.append(check_artifacts(facts, to.bundle))
    for chart in reversed(facts.pipeline.charts) if is_whole else ():
        release, move = target.releases.get(chart.release), to.moves.get(chart.release)
        if runs_bundle(release, chart, to.bundle):
            continue
        found = check_revision(target, chart, to, revisions.get(chart.release, {}))
        if not found.passed or release is None or move is None or move.after is None:
            gates.append(found)
            continue
        pins = make_chart_pins(facts.pipeline, chart, to.bundle)
        steps.append(
            RevertStep(
                chart,
                release.revision,
                move.after,
                diff_values(release.values, merge_pins(release.values, pins)),
                f"chart {release.chart_version} -> {to.bundle.charts[chart.name].version}",
            )
        )
    steps.append(VerifyStep(f"{target.stage.url or 'the pods'} must answer as {to.bundle.version}"))
    steps += make_pin_steps(facts, to.bundle) if is_whole else []
    former = running.bundle.version if running else ""
    return Plan(
        kind="rollback",
        stage=target.stage.name,
        bundle=to.bundle,
        former=former,
        gates=tuple(gates),
        steps=tuple(steps),
        is_unchanged=False,
        reason=f"{target.stage.name} goes from {former or 'an unverified state'} back to {to.bundle.version}",
        fingerprint=make_fingerprint(facts, to.bundle, steps),
    )


def check_revision(target: StageFacts, chart: Chart, to: Promotion, revisions: Mapping[int, str]) -> Gate:
    """Pass when Helm keeps the revision that the promotion left, with the chart of its bundle."""
    release, move = target.releases.get(chart.release), to.moves.get(chart.release)
    artifact = to.bundle.charts[chart.name]
    if release is None:
        reason = f"{chart.release} is not installed"
    elif move is None or move.after is None:
        reason = f"{chart.release}: no revision is recorded for {to.bundle.version}"
    elif revisions.get(move.after) != artifact.version:
        reason = f"{chart.release}: Helm no longer keeps revision {move.after} with chart {artifact.version}"
    else:
        return Gate("revision", True, f"{chart.release}: Helm keeps revision {move.after}")
    again = f"releaser promote --to {target.stage.name} --version {to.bundle.version}"
    return Gate("revision", False, reason, again)
