"""Objects of the Kubernetes API as the words of the releaser. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from lightkube.models.core_v1 import ContainerState, ContainerStatus
from lightkube.resources.apps_v1 import Deployment, ReplicaSet, StatefulSet
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Event as KubeEvent
from lightkube.resources.core_v1 import Pod as KubePod

from releaser.core.model import Container, Event, Pod, Workload

REVISION = "deployment.kubernetes.io/revision"
TEMPLATE_HASH = "pod-template-hash"
CONTROLLER_HASH = "controller-revision-hash"
UNKNOWN = "not known yet"
"""Revision of a workload whose controller has not seen its newest template: no pod is of it."""
FAILURE_PATIENCE = timedelta(seconds=10)
"""Pods that cannot be created: a service account that is a moment old is such a case too."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def map_deployment(
    found: Deployment, replica_sets: Iterable[ReplicaSet], pods: Iterable[KubePod], now: datetime
) -> Workload:
    """Return a Deployment with the pods of all its ReplicaSets."""
    owned = [item for item in replica_sets if uid_of(found) in owners_of(item)]
    newest = max(owned, key=_number_of, default=None)
    spec, status = found.spec, found.status
    generation = generation_of(found)
    observed = (status.observedGeneration if status else None) or 0
    is_seen = observed >= generation
    uids = {uid_of(item) for item in owned}
    return Workload(
        kind="Deployment",
        name=name_of(found),
        uid=uid_of(found),
        generation=generation,
        observed_generation=observed,
        desired=_count(spec.replicas if spec else None, 1),
        updated=_count(status.updatedReplicas if status else None),
        ready=_count(status.readyReplicas if status else None),
        available=_count(status.availableReplicas if status else None),
        total=_count(status.replicas if status else None),
        revision=labels_of(newest).get(TEMPLATE_HASH, "") if newest and is_seen else UNKNOWN,
        pods=_map_pods(pods, uids, TEMPLATE_HASH),
        failed=_deployment_failure(found, newest, now) if is_seen else "",
    )


def map_stateful_set(found: StatefulSet, pods: Iterable[KubePod]) -> Workload:
    """Return a StatefulSet with its pods."""
    spec, status = found.spec, found.status
    generation = generation_of(found)
    observed = (status.observedGeneration if status else None) or 0
    strategy = spec.updateStrategy if spec else None
    return Workload(
        kind="StatefulSet",
        name=name_of(found),
        uid=uid_of(found),
        generation=generation,
        observed_generation=observed,
        desired=_count(spec.replicas if spec else None, 1),
        updated=_count(status.updatedReplicas if status else None),
        ready=_count(status.readyReplicas if status else None),
        available=_count(status.availableReplicas if status else None),
        total=_count(status.replicas if status else None),
        revision=((status.updateRevision if status else None) or "") if observed >= generation else UNKNOWN,
        pods=_map_pods(pods, {uid_of(found)}, CONTROLLER_HASH),
        is_on_delete=bool(strategy and strategy.type == "OnDelete"),
    )


def map_job(found: Job, pods: Iterable[KubePod]) -> Workload:
    """Return a Job with its pods. Jobs never change, so their generation counts as seen."""
    spec, status = found.spec, found.status
    conditions = (status.conditions if status else None) or []
    active, succeeded = (
        _count(status.active if status else None),
        _count(status.succeeded if status else None),
    )
    return Workload(
        kind="Job",
        name=name_of(found),
        uid=uid_of(found),
        generation=generation_of(found),
        observed_generation=generation_of(found),
        desired=_count(spec.completions if spec else None, 1),
        updated=active + succeeded,
        ready=_count(status.ready if status else None),
        available=succeeded,
        total=active,
        revision="",
        pods=_map_pods(pods, {uid_of(found)}, ""),
        # FailureTarget comes as soon as the Job is lost, Failed when its pods have ended.
        failed=_condition_text(conditions, "Failed", "True")
        or _condition_text(conditions, "FailureTarget", "True"),
        is_complete=bool(_condition(conditions, "Complete", "True")),
    )


def map_event(found: KubeEvent) -> Event:
    """Return a warning; of several times that it has the latest counts."""
    series = found.series
    times = (
        series.lastObservedTime if series else None,
        found.lastTimestamp,
        found.eventTime,
        found.firstTimestamp,
        found.metadata.creationTimestamp,
    )
    return Event(
        kind=found.involvedObject.kind or "",
        name=found.involvedObject.name or "",
        reason=found.reason or "",
        message=(found.message or "").strip(),
        count=(series.count if series else None) or found.count or 1,
        last=max((time for time in times if time is not None), default=EPOCH),
    )


# --- pods -------------------------------------------------------------------------------------


def _map_pods(pods: Iterable[KubePod], owners: set[str], label: str) -> tuple[Pod, ...]:
    owned = (map_pod(pod, labels_of(pod).get(label, "")) for pod in pods if owners & owners_of(pod))
    return tuple(sorted(owned, key=lambda pod: (pod.created, pod.name)))


def map_pod(found: KubePod, revision: str) -> Pod:
    """Return a pod, ending or not."""
    spec, status, metadata = found.spec, found.status, found.metadata
    conditions = (status.conditions if status else None) or []
    scheduled = _condition(conditions, "PodScheduled", "False")
    states = {
        item.name: item
        for items in ((status.initContainerStatuses, status.containerStatuses) if status else ())
        for item in items or []
    }
    containers = [
        (item, is_init)
        for items, is_init in (((spec.initContainers, True), (spec.containers, False)) if spec else ())
        for item in items or []
    ]
    return Pod(
        name=name_of(found),
        revision=revision,
        phase=(status.phase if status else None) or "Pending",
        ready=bool(_condition(conditions, "Ready", "True")),
        is_terminating=bool(metadata and metadata.deletionTimestamp),
        created=(metadata.creationTimestamp if metadata else None) or EPOCH,
        containers=tuple(
            _map_container(item.name, item.image or "", states.get(item.name), is_init=is_init)
            for item, is_init in containers
        ),
        unschedulable=(scheduled.message or scheduled.reason or "") if scheduled else "",
        node=(spec.nodeName if spec else None) or "",
        reason=(status.reason if status else None) or "",
        message=(status.message if status else None) or "",
    )


def _map_container(name: str, image: str, found: ContainerStatus | None, *, is_init: bool) -> Container:
    if found is None:
        return Container(name=name, image=image, image_id="", state="waiting", is_init=is_init)
    now = found.state or ContainerState()
    last = found.lastState.terminated if found.lastState else None
    state = "running" if now.running else "terminated" if now.terminated else "waiting"
    detail = now.terminated or now.waiting
    return Container(
        name=name,
        image=image,
        image_id=found.imageID or "",
        state=state,
        ready=bool(found.ready),
        restarts=found.restartCount or 0,
        reason=(detail.reason if detail else None) or "",
        message=((detail.message if detail else None) or "").strip(),
        exit_code=now.terminated.exitCode if now.terminated else None,
        is_init=is_init,
        last_reason=(last.reason if last else None) or "",
        last_exit_code=last.exitCode if last else None,
    )


# --- metadata and conditions --------------------------------------------------------------------


def name_of(found: Any) -> str:
    """Return the name of an object."""
    return str(found.metadata.name)


def uid_of(found: Any) -> str:
    """Return the uid of an object."""
    return str(found.metadata.uid)


def generation_of(found: Any) -> int:
    """Return the generation of an object."""
    return int(found.metadata.generation or 0)


def labels_of(found: Any) -> dict[str, str]:
    """Return the labels of an object."""
    return found.metadata.labels or {}


def owners_of(found: Any) -> set[str]:
    """Return the uids of what an object belongs to."""
    return {reference.uid for reference in found.metadata.ownerReferences or []}


def _number_of(found: ReplicaSet) -> int:
    number = ((found.metadata.annotations if found.metadata else None) or {}).get(REVISION, "")
    return int(number) if number.isdecimal() else 0


def _count(number: int | None, default: int = 0) -> int:
    return default if number is None else number


def _condition(conditions: Sequence[Any], kind: str, status: str) -> Any:
    return next((item for item in conditions if item.type == kind and item.status == status), None)


def _condition_text(conditions: Sequence[Any], kind: str, status: str) -> str:
    found = _condition(conditions, kind, status)
    return ": ".join(filter(None, (found.reason, found.message))) if found else ""


def _deployment_failure(found: Deployment, newest: ReplicaSet | None, now: datetime) -> str:
    conditions = (found.status.conditions if found.status else None) or []
    stuck = _condition(conditions, "Progressing", "False")
    if stuck and stuck.reason == "ProgressDeadlineExceeded":
        return f"{stuck.reason}: {stuck.message or ''}"
    # The Deployment repeats what any of its ReplicaSets meets; only the newest one counts.
    failing = _condition(
        (newest.status.conditions if newest and newest.status else None) or [], "ReplicaFailure", "True"
    )
    if failing and failing.lastTransitionTime and now - failing.lastTransitionTime >= FAILURE_PATIENCE:
        return f"{failing.reason or 'ReplicaFailure'}: {failing.message or ''}"
    return ""
