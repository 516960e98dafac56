"""The Kubernetes API of a stage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import httpx2
from lightkube.models.authorization_v1 import ResourceAttributes, SelfSubjectAccessReviewSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import Deployment, ReplicaSet, StatefulSet
from lightkube.resources.authorization_v1 import SelfSubjectAccessReview
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Event as KubeEvent
from lightkube.resources.core_v1 import Namespace, Secret
from lightkube.resources.core_v1 import Pod as KubePod

from releaser.adapters import cluster_map
from releaser.adapters.kube import KubeClients, status_of, translated
from releaser.core.model import Event, Stage, Workload
from releaser.errors import ForbiddenError, InputError, UnavailableError

INSTANCE = "app.kubernetes.io/instance"
MANAGED_BY = {"app.kubernetes.io/managed-by": "releaser"}
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
LOG_BYTES = 256 * 1024


class ClusterAdapter:
    """Reads and changes a stage with lightkube; a method is a handful of requests at most."""

    def __init__(self, clients: KubeClients | None = None) -> None:
        self._clients = clients or KubeClients()

    def check_access(self, stage: Stage) -> None:
        """Raise when the API does not answer or does not let this user read the namespace.

        A namespace that does not exist is fine: it will be created.
        """
        with translated(stage.context, stage.namespace):
            try:
                found = self._clients.client(stage.context).get(Namespace, stage.namespace)
            except httpx2.HTTPStatusError as error:
                code = status_of(error)
                if code not in (HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN):
                    raise
                if code == HTTPStatus.NOT_FOUND or self._may_list_pods(stage):
                    return
                raise self._refused(stage) from error
        if found.status and found.status.phase == "Terminating":
            raise UnavailableError(
                f"namespace {stage.namespace} is being deleted",
                f"wait until it is gone: kubectl --context {stage.context} get namespace {stage.namespace}",
            )

    def _may_list_pods(self, stage: Stage) -> bool:
        """Ask for the right inside the namespace: few may read the namespace itself."""
        attributes = ResourceAttributes(namespace=stage.namespace, verb="list", resource="pods")
        review = SelfSubjectAccessReview(spec=SelfSubjectAccessReviewSpec(resourceAttributes=attributes))
        answer = self._clients.client(stage.context).create(review)
        return bool(answer.status and answer.status.allowed)

    def _refused(self, stage: Stage) -> ForbiddenError:
        return ForbiddenError(
            f"context {stage.context} may not read namespace {stage.namespace}",
            "ask for the right; see it: "
            f"kubectl auth can-i list pods -n {stage.namespace} --context {stage.context}",
        )

    def ensure_namespace(self, stage: Stage) -> bool:
        """Create the namespace when it is missing; True when it was."""
        labels = {**MANAGED_BY, **RESTRICTED}
        wanted = Namespace(metadata=ObjectMeta(name=stage.namespace, labels=labels))
        client = self._clients.client(stage.context)
        with translated(stage.context, stage.namespace):
            try:
                client.get(Namespace, stage.namespace)
            except httpx2.HTTPStatusError as error:
                if status_of(error) == HTTPStatus.FORBIDDEN:
                    return False  # check_access has seen that it can be read inside
                if status_of(error) != HTTPStatus.NOT_FOUND:
                    raise
            else:
                return False
            try:
                client.create(wanted)
            except httpx2.HTTPStatusError as error:
                if status_of(error) == HTTPStatus.CONFLICT:
                    return False  # somebody was faster
                raise
        return True

    def fetch_workloads(self, stage: Stage, release: str) -> tuple[Workload, ...]:
        """Return Deployments, StatefulSets and Jobs labelled with the release, and their pods.

        Pods are listed last and by owner, so a workload never seems to have fewer than it had.
        """
        labels = {INSTANCE: release}
        deployments = self._list(stage, Deployment, labels=labels)
        stateful_sets = self._list(stage, StatefulSet, labels=labels)
        jobs = self._list(stage, Job, labels=labels)
        replica_sets = self._list(stage, ReplicaSet) if deployments else []
        pods = self._list(stage, KubePod) if deployments or stateful_sets or jobs else []
        now = datetime.now(UTC)
        return (
            *(cluster_map.map_deployment(item, replica_sets, pods, now) for item in deployments),
            *(cluster_map.map_stateful_set(item, pods) for item in stateful_sets),
            *(cluster_map.map_job(item, pods) for item in jobs),
        )

    def fetch_events(self, stage: Stage, since: datetime) -> tuple[Event, ...]:
        """Return the warnings since then, oldest first."""
        found = self._list(stage, KubeEvent, fields={"type": "Warning"})
        # The times of most events are whole seconds.
        begin = since.replace(microsecond=0)
        events = (cluster_map.map_event(item) for item in found)
        return tuple(sorted((item for item in events if item.last >= begin), key=lambda item: item.last))

    def fetch_logs(
        self, stage: Stage, pod: str, container: str, *, previous: bool, lines: int
    ) -> Sequence[str]:
        """Return the last lines that a container wrote; none when there is no log."""
        # lightkube's log() knows no `previous`.
        query = {
            "container": container,
            "previous": str(previous).lower(),
            "tailLines": str(lines),
            "limitBytes": str(LOG_BYTES),
        }
        raw = self._clients.raw(stage.context)
        with translated(stage.context, stage.namespace):
            response = raw.get(f"/api/v1/namespaces/{stage.namespace}/pods/{pod}/log", params=query)
            if response.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST):
                return ()  # the pod is gone, or the container has not started
            response.raise_for_status()
        found = tuple(response.content.decode(errors="replace").splitlines())
        # The kubelet says so with status 200 when the runtime has removed the container already.
        is_gone = len(found) == 1 and found[0].startswith("unable to retrieve container logs for ")
        return () if is_gone else found

    def forget_pending(self, stage: Stage, release: str, revision: int) -> None:
        """Remove the record of a revision that Helm began and never ended; its objects stay."""
        name = f"sh.helm.release.v1.{release}.v{revision}"
        client = self._clients.client(stage.context)
        with translated(stage.context, stage.namespace):
            try:
                found = client.get(Secret, name, namespace=stage.namespace)
            except httpx2.HTTPStatusError as error:
                if status_of(error) == HTTPStatus.NOT_FOUND:
                    return
                raise
            status = cluster_map.labels_of(found).get("status", "")
            if not status.startswith("pending-"):
                raise InputError(
                    f"revision {revision} of {release} is {status}, not pending: it is not forgotten",
                    f"look at it: helm history {release} -n {stage.namespace} --kube-context {stage.context}",
                )
            client.delete(Secret, name, namespace=stage.namespace)

    def _list(self, stage: Stage, kind: Any, **selectors: Any) -> list[Any]:
        client = self._clients.client(stage.context)
        with translated(stage.context, stage.namespace):
            return list(client.list(kind, namespace=stage.namespace, **selectors))
