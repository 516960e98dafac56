"""Follows a rollout: polls the cluster, says what changes, ends as soon as the outcome is sure."""

from __future__ import annotations

from datetime import datetime, timedelta

from releaser.core.model import Stage, Workload
from releaser.core.rollout import Baseline, Progress, Verdict, describe_timeout, judge
from releaser.errors import HelmError, UnavailableError
from releaser.observe import Outside
from releaser.ports import HelmRun

POLL = 1.0
SILENCE = timedelta(seconds=30)
PATIENCE = timedelta(seconds=60)
"""How long the API may be away during a rollout before the outcome counts as unknown."""


class RolloutError(Exception):
    """The rollout of a release cannot end well."""

    def __init__(self, verdict: Verdict, workloads: tuple[Workload, ...]) -> None:
        super().__init__(verdict.reason)
        self.verdict = verdict
        self.workloads = workloads


def wait_rollout(
    outside: Outside, stage: Stage, release: str, baseline: Baseline, run: HelmRun | None
) -> str:
    """Wait until the release is rolled out and return what there is now.

    While `run` is at work its hooks are watched too; it is ended as soon as they cannot succeed.
    Raises RolloutError, HelmError when helm itself failed, UnavailableError when the API stays away.
    """
    clock = outside.clock
    started = spoke = answered = clock.now()
    said = ""
    try:
        while True:
            now = clock.now()
            is_applying = run is not None and not run.is_done()
            if run is not None and not is_applying:
                _check_run(outside, stage, release, baseline, run)
                run = None
            try:
                workloads = outside.cluster.fetch_workloads(stage, release)
                answered = now
            except UnavailableError:
                if now - answered > PATIENCE:
                    raise
                outside.console.progress("the Kubernetes API does not answer, waiting")
                clock.sleep(POLL)
                continue
            verdict = judge(workloads, baseline, now, applying=is_applying)
            if verdict.progress is Progress.FAILED:
                raise RolloutError(verdict, workloads)
            if verdict.progress is Progress.DONE:
                return verdict.reason
            if now - started > stage.rollout_timeout:
                late = describe_timeout(workloads, baseline, stage.rollout_timeout, applying=is_applying)
                raise RolloutError(late, workloads)
            said, spoke = _speak(outside, verdict.reason, said, spoke, now, started)
            clock.sleep(POLL)
    finally:
        if run is not None:
            run.stop()


def _check_run(outside: Outside, stage: Stage, release: str, baseline: Baseline, run: HelmRun) -> None:
    """Turn a failed helm process into the failure of a workload when one explains it."""
    try:
        run.check()
    except HelmError:
        workloads = outside.cluster.fetch_workloads(stage, release)
        verdict = judge(workloads, baseline, outside.clock.now(), applying=True)
        if verdict.progress is Progress.FAILED:
            raise RolloutError(verdict, workloads) from None
        raise


def _speak(
    outside: Outside, text: str, said: str, spoke: datetime, now: datetime, started: datetime
) -> tuple[str, datetime]:
    if text != said:
        outside.console.progress(text)
        return text, now
    if now - spoke >= SILENCE:
        outside.console.progress(f"still: {text} ({int((now - started).total_seconds())} s)")
        return text, now
    return said, spoke
