"""Collects why a rollout failed, before anything is rolled back and the evidence with it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from releaser.core.model import Container, Pod, Stage, Workload
from releaser.core.rollout import Verdict
from releaser.errors import ReleaserError
from releaser.observe import Outside

LOG_LINES = 15
EVENTS = 5


def diagnose(
    outside: Outside, stage: Stage, verdict: Verdict, workloads: Sequence[Workload], since: datetime
) -> list[str]:
    """Return container states, events and last log lines of the culprit, as lines for people."""
    pod = _find_pod(verdict, workloads)
    lines: list[str] = []
    if pod is not None:
        lines += [f"  {_describe(pod, container)}" for container in pod.containers]
    lines += _events(outside, stage, verdict, since)
    if pod is not None and verdict.container:
        lines += _logs(outside, stage, verdict)
    lines.append(
        f"look closer: kubectl --context {stage.context} -n {stage.namespace} {_next_command(verdict)}"
    )
    return lines


def _find_pod(verdict: Verdict, workloads: Sequence[Workload]) -> Pod | None:
    return next((pod for workload in workloads for pod in workload.pods if pod.name == verdict.pod), None)


def _describe(pod: Pod, container: Container) -> str:
    text = f"{pod.name}/{container.name}: {container.state}"
    if container.reason:
        text += f", {container.reason}"
    if container.exit_code is not None:
        text += f", exit code {container.exit_code}"
    if container.restarts:
        text += f", {container.restarts} restarts"
    if container.last_reason or container.last_exit_code is not None:
        text += f"; before: {container.last_reason} exit code {container.last_exit_code}"
    return text


def _events(outside: Outside, stage: Stage, verdict: Verdict, since: datetime) -> list[str]:
    try:
        events = outside.cluster.fetch_events(stage, since)
    except ReleaserError as error:
        return [f"events cannot be read: {error.message}"]
    about = {verdict.workload, verdict.pod}
    chosen = [
        event
        for event in events
        if event.name in about or (verdict.workload and event.name.startswith(f"{verdict.workload}-"))
    ]
    lines = [
        f"  {event.name}: {event.reason}: {event.message} (x{event.count})" for event in chosen[-EVENTS:]
    ]
    return ["events:", *lines] if lines else []


def _logs(outside: Outside, stage: Stage, verdict: Verdict) -> list[str]:
    # A container that waits to be started again still has the log of the start that failed; the one
    # before it may be removed already.
    for previous in (False, True):
        try:
            log = outside.cluster.fetch_logs(
                stage, verdict.pod, verdict.container, previous=previous, lines=LOG_LINES
            )
        except ReleaserError as error:
            return [f"the log cannot be read: {error.message}"]
        if log:
            return [f"last lines of {verdict.pod}/{verdict.container}:", *(f"  {line}" for line in log)]
    return []


def _next_command(verdict: Verdict) -> str:
    if verdict.crashed:
        return f"logs {verdict.pod} -c {verdict.container}"
    if verdict.pod:
        return f"describe pod {verdict.pod}"
    return "get events --sort-by=.lastTimestamp"
