"""Whether a rollout goes on, has ended well, or cannot end well, judged from one snapshot.

A workload is rolled out when the controller has seen the newest template
(observedGeneration >= generation), updated = desired = available, and no pod of an older
template is left, ending ones included; only the empty shells of evicted pods may stay. Client
libraries that call a Deployment ready with one of three pods updated answer another question.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from releaser.core.model import Container, Pod, Workload

CANNOT_PULL = frozenset({"ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
CANNOT_CREATE = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
CREATE_PATIENCE = timedelta(seconds=15)
"""A Secret that a container needs may appear a moment after its pod."""
CRASHES = 2
"""One crash may be a dependency that starts at the same time; the second is the program's own."""


class Progress(StrEnum):
    """How a rollout stands."""

    GOING = "going"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class Verdict:
    """The judgement of one snapshot; `pod` and `container` name the culprit when there is one."""

    progress: Progress
    reason: str
    workload: str = ""
    pod: str = ""
    container: str = ""
    crashed: bool = False


@dataclass(frozen=True)
class Baseline:
    """Workloads as they were before the apply: uid -> generation."""

    generations: Mapping[str, int]

    @classmethod
    def of(cls, workloads: Iterable[Workload]) -> Baseline:
        """Return the baseline of a snapshot."""
        return cls({workload.uid: workload.generation for workload in workloads})

    def is_touched(self, workload: Workload) -> bool:
        """Whether the workload is new or changed since; a Job only when it is new, as deleting changes it."""
        if workload.kind == "Job":
            return workload.uid not in self.generations
        return self.generations.get(workload.uid) != workload.generation

    def find_counted(self, workloads: Iterable[Workload], *, applying: bool) -> list[Workload]:
        """Return the workloads that the outcome depends on.

        While Helm is `applying`, only what it has touched counts: what was broken before may be
        what the promotion mends. Jobs that were there before never count.
        """
        return [
            workload
            for workload in workloads
            if self.is_touched(workload) or not (applying or workload.kind == "Job")
        ]


def judge(workloads: Iterable[Workload], baseline: Baseline, now: datetime, *, applying: bool) -> Verdict:
    """Judge those workloads of a release that count; see Baseline.find_counted."""
    counted = baseline.find_counted(workloads, applying=applying)
    going = []
    for workload in counted:
        failure = find_failure(workload, now)
        if failure is not None:
            return failure
        missing = describe_missing(workload)
        if missing:
            going.append(f"{workload.name}: {missing}")
    if going:
        return Verdict(Progress.GOING, "; ".join(going))
    if applying:
        return Verdict(Progress.GOING, "helm is at work")
    return Verdict(
        Progress.DONE, "; ".join(_describe_done(workload) for workload in counted) or "no workloads"
    )


def find_failure(workload: Workload, now: datetime) -> Verdict | None:
    """Return why the newest template of the workload cannot become ready, or None."""
    if workload.kind != "Job" and workload.observed_generation < workload.generation:
        return None  # its conditions and its newest revision are still those of the template before
    for pod in workload.pods:
        is_old = workload.revision and pod.revision != workload.revision
        if is_old or pod.is_terminating or pod.is_ended:
            continue
        for container in pod.containers:
            found = _container_failure(container, pod, now)
            if found:
                text, crashed = found
                return Verdict(
                    Progress.FAILED,
                    f"{workload.kind} {workload.name}: {text}",
                    workload.name,
                    pod.name,
                    container.name,
                    crashed,
                )
    if workload.failed:
        return _blame(workload, f"{workload.kind} {workload.name}: {workload.failed}")
    return None


def describe_missing(workload: Workload) -> str:
    """Return what is still missing until the workload is rolled out, empty when nothing is."""
    if workload.kind == "Job":
        return "" if workload.is_complete else "runs" + _waiting(workload)
    if workload.observed_generation < workload.generation:
        return "the controller has not seen the change yet"
    if workload.is_on_delete:
        missing = workload.ready < workload.desired
        return f"{workload.ready} of {workload.desired} ready" + _waiting(workload) if missing else ""
    if workload.updated < workload.desired or workload.available < workload.desired:
        return f"{workload.updated} of {workload.desired} updated, {workload.available} available" + _waiting(
            workload
        )
    old = [
        pod
        for pod in workload.pods
        if workload.revision and pod.revision != workload.revision and not pod.is_ended
    ]
    if old or workload.total > workload.desired:
        return f"all updated, {max(len(old), workload.total - workload.desired)} old pods to end"
    return ""


def describe_timeout(
    workloads: Iterable[Workload], baseline: Baseline, after: timedelta, *, applying: bool
) -> Verdict:
    """Return the verdict on a rollout that did not end in time, naming its likeliest cause."""
    seconds = int(after.total_seconds())
    for workload in baseline.find_counted(workloads, applying=applying):
        missing = describe_missing(workload)
        if missing:
            what = f"{workload.kind} {workload.name} is not rolled out after {seconds} s: {missing}"
            return _blame(workload, what)
    return Verdict(Progress.FAILED, f"helm did not end within {seconds} s")


def _blame(workload: Workload, reason: str) -> Verdict:
    pod, container = _worst(workload)
    name = container.name if container else ""
    return Verdict(Progress.FAILED, reason, workload.name, pod.name if pod else "", name)


def _container_failure(container: Container, pod: Pod, now: datetime) -> tuple[str, bool] | None:
    if container.state == "waiting":
        if container.reason in CANNOT_PULL:
            said = container.message or container.reason
            return f"image {container.image} cannot be pulled: {said}", False
        if container.reason in CANNOT_CREATE and now - pod.created > CREATE_PATIENCE:
            return f"container {container.name} cannot start: {container.message or container.reason}", False
    is_ended = container.state == "terminated"
    broke = container.reason == "CrashLoopBackOff" or (is_ended and container.exit_code != 0)
    crashes = container.restarts + 1  # it is down now, and was before each restart
    if broke and crashes >= CRASHES:
        code = container.exit_code if is_ended else container.last_exit_code
        why = container.reason if is_ended else container.last_reason
        how = "was killed for using too much memory" if why == "OOMKilled" else f"exits with code {code}"
        return f"container {container.name} of {pod.name} {how} at every start ({crashes} times)", True
    return None


def _waiting(workload: Workload) -> str:
    pod, container = _worst(workload)
    if pod is None:
        return ""
    if pod.unschedulable:
        return f"; {pod.name} cannot be scheduled: {pod.unschedulable}"
    if pod.phase == "Failed" and pod.reason:
        return f"; {pod.name} was ended: {pod.reason}"
    return f"; {pod.name} {_describe_start(container)}" if container else ""


def _describe_start(container: Container) -> str:
    if container.state == "running":
        return (
            f"is still in init container {container.name}" if container.is_init else "runs but is not ready"
        )
    if container.reason and container.reason not in ("ContainerCreating", "PodInitializing", "Completed"):
        return f"says {container.reason}"
    return "starts"


def _worst(workload: Workload) -> tuple[Pod | None, Container | None]:
    waiting = [
        pod
        for pod in workload.pods
        if not pod.is_terminating
        and not pod.ready
        and pod.phase != "Succeeded"
        and (not workload.revision or pod.revision == workload.revision)
    ]
    # what was evicted is replaced: a pod that lives tells more
    for pod in sorted(waiting, key=lambda pod: (pod.is_ended, pod.name)):
        for container in pod.containers:
            if not container.ready and not (container.state == "terminated" and container.exit_code == 0):
                return pod, container
        return pod, None
    return None, None


def _describe_done(workload: Workload) -> str:
    if workload.kind == "Job":
        return f"{workload.name} completed"
    return f"{workload.name} {workload.available} of {workload.desired} available"
