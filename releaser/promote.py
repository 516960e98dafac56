"""Carries out a plan: the only module that knows the order of things.

lock -> plan again, stop if the grounds moved -> record -> each step -> record -> pins.
When a step fails: diagnose, roll back, record, and say what it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from releaser.core.model import Move, Phase, Pipeline, Promotion, Stage
from releaser.core.plan import Action, ApplyStep, PinStep, Plan, RepairStep, RevertStep, Step, VerifyStep
from releaser.core.rollout import Baseline, Progress, Verdict
from releaser.diagnostics import diagnose
from releaser.errors import (
    BlockedError,
    ForbiddenError,
    HelmError,
    NeedsAPersonError,
    PromotionFailedError,
    ReleaserError,
    UnavailableError,
)
from releaser.observe import Outside, pull_charts
from releaser.ports import HelmRun
from releaser.restore import restore
from releaser.verify import VerificationError, verify_stage
from releaser.watch import RolloutError, wait_rollout


@dataclass
class _Work:
    """What a promotion carries from step to step."""

    outside: Outside
    pipeline: Pipeline
    stage: Stage
    promotion: Promotion
    charts: Mapping[str, Path]
    changed: list[str] = field(default_factory=list)

    def save(self, **changes: object) -> None:
        """Change the promotion's record and write it down before going on."""
        self.promotion = replace(self.promotion, **changes)  # type: ignore[arg-type]  # fields by name
        self.outside.records.save_promotion(self.stage, self.promotion)

    def move(self, release: str, before: int | None, after: int | None) -> None:
        """Write down the revisions of a release."""
        self.save(moves={**self.promotion.moves, release: Move(before, after)})


def execute(
    outside: Outside, pipeline: Pipeline, plan: Plan, replan: Callable[[], Plan], *, by: str, new_id: str
) -> Promotion | None:
    """Carry out a plan that the user has agreed to; None when only pins were written.

    `replan` makes the plan anew from fresh facts: another fingerprint stops before any change.
    Raises BlockedError, PromotionFailedError, NeedsAPersonError, UnavailableError; KeyboardInterrupt
    passes through after the stage was brought back.
    """
    stage = pipeline.stage(plan.stage)
    if outside.cluster.ensure_namespace(stage):
        outside.console.progress(f"namespace {stage.namespace} created")
    outside.records.acquire_lock(stage, f"{by} ({new_id})")
    try:
        fresh = replan()
        if fresh.fingerprint != plan.fingerprint:
            raise BlockedError(
                f"{stage.name} has changed since the plan was made", "run the same command again"
            )
        if fresh.blocking:
            gate = fresh.blocking[0]
            raise BlockedError(f"{gate.name}: {gate.reason}", gate.hint)
        pins = [step for step in plan.steps if isinstance(step, PinStep)]
        steps = [step for step in plan.steps if not isinstance(step, PinStep)]
        promotion = (
            _run(outside, pipeline, plan, steps, by=by, new_id=new_id)
            if steps and not _is_settled(steps)
            else None
        )
        for pin in pins:
            _run_pin(outside, stage, pin)
        return promotion
    finally:
        outside.records.release_lock()


def _is_settled(steps: Sequence[Step]) -> bool:
    return all(isinstance(step, ApplyStep) and step.action is Action.UNCHANGED for step in steps)


def _run(
    outside: Outside, pipeline: Pipeline, plan: Plan, steps: Sequence[Step], *, by: str, new_id: str
) -> Promotion:
    stage = pipeline.stage(plan.stage)
    charts = pull_charts(outside, plan.bundle) if plan.kind == "promotion" else {}
    promotion = Promotion(
        id=new_id,
        kind=plan.kind,
        stage=stage.name,
        bundle=plan.bundle,
        phase=Phase.RUNNING,
        by=by,
        started=outside.clock.now(),
        former=plan.former,
    )
    work = _Work(outside, pipeline, stage, promotion, charts)
    work.save()
    try:
        for step in steps:
            if not outside.records.is_lock_held():
                raise UnavailableError(f"the lock of {stage.name} was lost: somebody else may be at work")
            work.save(step=step.title)
            outside.console.step(f"{step.title}: {step.reason}")
            _run_step(work, step)
    except (RolloutError, VerificationError, HelmError) as error:
        _fail(work, error)
    except KeyboardInterrupt:
        _abort(work)
        raise
    except ReleaserError as error:
        _give_up(work, error)
        raise
    work.save(phase=Phase.SUCCEEDED, finished=outside.clock.now(), step="")
    return work.promotion


def _run_step(work: _Work, step: Step) -> None:
    outside, stage = work.outside, work.stage
    match step:
        case RepairStep(to=None):
            outside.cluster.forget_pending(stage, step.release, step.revision)
            outside.console.done(f"{step.release}: the record of revision {step.revision} is forgotten")
        case RepairStep(to=int(to)):
            rollback = partial(outside.helm.start_rollback, stage, step.release, to)
            outside.console.done(_roll_out(work, step.release, rollback))
        case ApplyStep(action=Action.UNCHANGED):
            work.move(step.release, step.before, step.revision)
            if step.before != step.revision:
                work.changed.append(step.release)
            outside.console.done(_roll_out(work, step.release, None))
        case ApplyStep():
            about = f"bundle {work.promotion.bundle.version}, chart {step.artifact.digest}"
            chart = work.charts[step.chart.name]
            _change(
                work,
                step.release,
                step.before,
                partial(outside.helm.start_apply, stage, step.release, chart, step.values, about),
            )
        case RevertStep():
            rollback = partial(outside.helm.start_rollback, stage, step.release, step.to)
            _change(work, step.release, step.before, rollback)
        case VerifyStep():
            _complete_moves(work)
            outside.console.done(verify_stage(outside, work.pipeline, stage, work.promotion.bundle))
        case PinStep():
            _run_pin(outside, stage, step)


def _roll_out(work: _Work, release: str, start: Callable[[], HelmRun] | None) -> str:
    baseline = Baseline.of(work.outside.cluster.fetch_workloads(work.stage, release))
    return wait_rollout(work.outside, work.stage, release, baseline, start() if start else None)


def _change(work: _Work, release: str, before: int | None, start: Callable[[], HelmRun]) -> None:
    """Change a release, writing down that it will change before, and its new revision after."""
    work.move(release, before, None)
    work.changed.append(release)
    text = _roll_out(work, release, start)
    found = work.outside.helm.fetch_release(work.stage, release)
    after = found.revision if found else None
    work.move(release, before, after)
    work.outside.console.done(f"{text} (revision {after})")


def _complete_moves(work: _Work) -> None:
    """Write down the revision of releases that no step touched, so that a rollback finds it."""
    for chart in work.pipeline.charts:
        if chart.release not in work.promotion.moves:
            release = work.outside.helm.fetch_release(work.stage, chart.release)
            if release is not None:
                work.move(chart.release, release.revision, release.revision)


def _run_pin(outside: Outside, stage: Stage, step: PinStep) -> None:
    path = outside.values.path(stage.name, step.file)
    if outside.values.write_pins(stage.name, step.file, step.pins):
        outside.console.done(f"{path}: {', '.join(step.changes)}")


def _fail(work: _Work, error: RolloutError | VerificationError | HelmError) -> None:
    """Say why, keep the evidence, bring the stage back, record it, and raise."""
    stage, promotion = work.stage, work.promotion
    if isinstance(error, RolloutError):
        reason, verdict, workloads = error.verdict.reason, error.verdict, error.workloads
    else:
        reason, workloads = error.message, ()
        verdict = Verdict(Progress.FAILED, reason)
    lines = diagnose(work.outside, stage, verdict, workloads, promotion.started)
    work.outside.console.failure(reason, lines)
    try:
        outcome = restore(work.outside, stage, work.promotion.moves, work.changed)
    except (ReleaserError, RolloutError) as second:
        text = second.message if isinstance(second, ReleaserError) else str(second)
        _close(work, Phase.FAILED, f"{reason}; not rolled back: {text}")
        raise NeedsAPersonError(
            f"{promotion.kind} of {promotion.bundle.version} to {stage.name} failed: {reason}\n"
            f"and {stage.name} could not be rolled back: {text}",
            f"look at it: kubectl --context {stage.context} -n {stage.namespace} get pods,events; "
            f"then: releaser status",
        ) from error
    except KeyboardInterrupt:
        _close(work, Phase.ABORTED, f"{reason}; interrupted while it was rolled back")
        raise
    _close(work, Phase.FAILED, f"{reason}; {outcome}")
    raise PromotionFailedError(
        f"{promotion.kind} of {promotion.bundle.version} to {stage.name} failed: {reason}\n{outcome}",
        f"mend it and promote a new version; what happened is kept: releaser history {stage.name}",
    ) from error


def _abort(work: _Work) -> None:
    """Bring the stage back after the first Ctrl-C; a second one leaves it as it is."""
    console = work.outside.console
    console.step("interrupted: rolling back (Ctrl-C again leaves the stage as it is)")
    try:
        outcome = restore(work.outside, work.stage, work.promotion.moves, work.changed)
    except KeyboardInterrupt:
        outcome = "left in the middle of a rollback"
    except (ReleaserError, RolloutError) as error:
        outcome = f"not rolled back: {error}"
    console.failure(f"interrupted; {outcome}", ["the next promote to this stage goes on from there"])
    _close(work, Phase.ABORTED, f"interrupted; {outcome}")


def _give_up(work: _Work, error: ReleaserError) -> None:
    """Leave the stage as it is, since the outcome is not known, and try to record that."""
    if isinstance(error, UnavailableError) and not isinstance(error, ForbiddenError):
        error.hint = error.hint or "when it answers again, run the same command: it goes on from there"
    _close(work, Phase.ERRORED, error.message)


def _close(work: _Work, phase: Phase, message: str) -> None:
    try:
        work.save(phase=phase, finished=work.outside.clock.now(), message=message)
    except ReleaserError as error:
        work.outside.console.progress(f"the record could not be written: {error.message}")
