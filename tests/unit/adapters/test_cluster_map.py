"""Objects as the API gives them, as the releaser sees them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from lightkube.resources.apps_v1 import Deployment, ReplicaSet, StatefulSet
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Event as KubeEvent
from lightkube.resources.core_v1 import Pod as KubePod

from releaser.adapters.cluster_map import (
    UNKNOWN,
    map_deployment,
    map_event,
    map_job,
    map_pod,
    map_stateful_set,
)
from releaser.core.model import Container

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def ago(seconds: int) -> str:
    return (NOW - timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def make(kind: type, name: str, owner: str = "", labels: dict[str, str] | None = None, **more: Any) -> Any:
    metadata: dict[str, Any] = {
        "name": name,
        "uid": f"uid-{name}",
        "generation": 2,
        "creationTimestamp": ago(60),
        "labels": labels or {},
        **more.pop("metadata", {}),
    }
    if owner:
        metadata["ownerReferences"] = [
            {"apiVersion": "v1", "kind": "K", "name": owner, "uid": f"uid-{owner}"}
        ]
    return kind.from_dict({"metadata": metadata, **more})  # type: ignore[attr-defined] # lightkube's kinds have it


def deployment(observed: int = 2, conditions: list[dict[str, str]] | None = None) -> Deployment:
    template = {"metadata": {}, "spec": {"containers": [{"name": "web", "image": "app@sha256:aa"}]}}
    made: Deployment = make(
        Deployment,
        "web",
        spec={"replicas": 3, "selector": {}, "template": template},
        status={
            "observedGeneration": observed,
            "replicas": 4,
            "updatedReplicas": 2,
            "readyReplicas": 3,
            "availableReplicas": 1,
            "conditions": conditions or [],
        },
    )
    return made


def replica_set(
    name: str, number: int, conditions: list[dict[str, str]] | None = None, owner: str = "web"
) -> ReplicaSet:
    made: ReplicaSet = make(
        ReplicaSet,
        name,
        owner,
        {"pod-template-hash": f"hash-{name}"},
        metadata={"annotations": {"deployment.kubernetes.io/revision": str(number)}},
        spec={"selector": {}},
        status={"replicas": 1, "conditions": conditions or []},
    )
    return made


def pod(name: str, owner: str, labels: dict[str, str] | None = None, **more: Any) -> KubePod:
    spec = more.pop("spec", {"containers": [{"name": "web", "image": "app@sha256:aa"}]})
    made: KubePod = make(KubePod, name, owner, labels, spec=spec, status=more.pop("status", {}), **more)
    return made


def test_a_deployment_and_the_pods_of_its_replica_sets() -> None:
    sets = [replica_set("old", 9), replica_set("new", 10), replica_set("other", 11, owner="else")]
    pods = [
        pod("b", "new", {"pod-template-hash": "hash-new"}),
        pod("a", "old", {"pod-template-hash": "hash-old"}, metadata={"deletionTimestamp": ago(1)}),
        pod("c", "other", {"pod-template-hash": "hash-other"}),
        pod("d", "", {"pod-template-hash": "hash-new"}),
    ]

    found = map_deployment(deployment(), sets, pods, NOW)

    assert (found.kind, found.name, found.uid, found.revision) == ("Deployment", "web", "uid-web", "hash-new")
    assert (found.generation, found.observed_generation) == (2, 2)
    assert (found.desired, found.updated, found.ready, found.available, found.total) == (3, 2, 3, 1, 4)
    assert [(item.name, item.revision, item.is_terminating) for item in found.pods] == [
        ("a", "hash-old", True),
        ("b", "hash-new", False),
    ]
    assert found.failed == ""


def test_a_deployment_without_anything_yet() -> None:
    bare = make(Deployment, "web", spec={"selector": {}, "template": {}})

    found = map_deployment(bare, [], [], NOW)

    assert (found.desired, found.updated, found.total, found.observed_generation) == (1, 0, 0, 0)
    assert (found.revision, found.pods, found.failed) == (UNKNOWN, (), "")


STUCK = {
    "type": "Progressing",
    "status": "False",
    "reason": "ProgressDeadlineExceeded",
    "message": 'ReplicaSet "new" has timed out progressing.',
}


def failing(seconds: int) -> dict[str, str]:
    return {
        "type": "ReplicaFailure",
        "status": "True",
        "reason": "FailedCreate",
        "message": "violates PodSecurity",
        "lastTransitionTime": ago(seconds),
    }


@pytest.mark.parametrize(
    ("conditions", "new", "old", "failed"),
    [
        ([STUCK], [], [], 'ProgressDeadlineExceeded: ReplicaSet "new" has timed out progressing.'),
        ([{**STUCK, "status": "True"}], [], [], ""),
        ([{**STUCK, "reason": "DeploymentPaused"}], [], [], ""),
        ([failing(30)], [failing(30)], [], "FailedCreate: violates PodSecurity"),
        ([failing(3)], [failing(3)], [], ""),
        ([failing(30)], [], [failing(30)], ""),
    ],
)
def test_why_a_deployment_failed(
    conditions: list[dict[str, str]], new: list[dict[str, str]], old: list[dict[str, str]], failed: str
) -> None:
    sets = [replica_set("old", 1, old), replica_set("new", 2, new)]

    assert map_deployment(deployment(2, conditions), sets, [], NOW).failed == failed


def test_what_the_controller_has_not_seen_is_not_judged() -> None:
    """Conditions and hashes are those of the template before: no pod is of the newest."""
    pods = [pod("a", "new", {"pod-template-hash": "hash-new"})]

    found = map_deployment(deployment(1, [STUCK]), [replica_set("new", 1)], pods, NOW)

    assert (found.revision, found.failed) == (UNKNOWN, "")
    assert [item.revision for item in found.pods] == ["hash-new"]


def test_a_stateful_set() -> None:
    found = map_stateful_set(
        make(
            StatefulSet,
            "db",
            spec={
                "replicas": 2,
                "selector": {},
                "serviceName": "",
                "template": {},
                "updateStrategy": {"type": "OnDelete"},
            },
            status={
                "observedGeneration": 2,
                "replicas": 2,
                "readyReplicas": 1,
                "updatedReplicas": 1,
                "availableReplicas": 1,
                "currentRevision": "db-1",
                "updateRevision": "db-2",
            },
        ),
        [pod("db-0", "db", {"controller-revision-hash": "db-2"}), pod("db-1", "db")],
    )

    assert (found.kind, found.revision, found.is_on_delete) == ("StatefulSet", "db-2", True)
    assert (found.desired, found.updated, found.ready, found.available, found.total) == (2, 1, 1, 1, 2)
    assert [(item.name, item.revision) for item in found.pods] == [("db-0", "db-2"), ("db-1", "")]


@pytest.mark.parametrize(
    ("status", "complete", "failed"),
    [
        ({}, False, ""),
        ({"active": 1}, False, ""),
        ({"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]}, True, ""),
        (
            {
                "conditions": [
                    {
                        "type": "FailureTarget",
                        "status": "True",
                        "reason": "DeadlineExceeded",
                        "message": "too long",
                    }
                ]
            },
            False,
            "DeadlineExceeded: too long",
        ),
        (
            {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]},
            False,
            "BackoffLimitExceeded",
        ),
        ({"conditions": [{"type": "Failed", "status": "False", "reason": "x"}]}, False, ""),
    ],
)
def test_a_job(status: dict[str, Any], complete: bool, failed: str) -> None:  # a row of the table
    found = map_job(make(Job, "migrate", spec={"template": {}}, status=status), [pod("migrate-x", "migrate")])

    assert (found.kind, found.desired, found.revision) == ("Job", 1, "")
    assert (found.generation, found.observed_generation) == (2, 2)
    assert (found.is_complete, found.failed) == (complete, failed)
    assert [item.revision for item in found.pods] == [""]


def test_containers_in_their_states() -> None:
    spec = {
        "nodeName": "node-1",
        "initContainers": [{"name": "init", "image": "i"}],
        "containers": [{"name": name, "image": f"image-{name}"} for name in ("run", "crash", "pull", "none")],
    }
    status = {
        "phase": "Pending",
        "conditions": [{"type": "Ready", "status": "True"}],
        "initContainerStatuses": [
            {
                "name": "init",
                "image": "i",
                "imageID": "i@sha256:11",
                "ready": True,
                "restartCount": 0,
                "state": {"terminated": {"exitCode": 0, "reason": "Completed"}},
            }
        ],
        "containerStatuses": [
            {
                "name": "crash",
                "image": "",
                "imageID": "",
                "ready": False,
                "restartCount": 3,
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
                "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
            },
            {
                "name": "run",
                "image": "",
                "imageID": "app@sha256:22",
                "ready": True,
                "restartCount": 0,
                "state": {"running": {"startedAt": ago(5)}},
            },
            {
                "name": "pull",
                "image": "",
                "imageID": "",
                "ready": False,
                "restartCount": 0,
                "state": {"waiting": {"reason": "ImagePullBackOff", "message": " no such image \n"}},
            },
        ],
    }

    found = map_pod(pod("a", "x", spec=spec, status=status), "h")

    assert (found.ready, found.node, found.phase, found.created) == (
        True,
        "node-1",
        "Pending",
        NOW - timedelta(0, 60),
    )
    assert found.containers == (
        Container(
            "init", "i", "i@sha256:11", "terminated", True, reason="Completed", exit_code=0, is_init=True
        ),
        Container("run", "image-run", "app@sha256:22", "running", True),
        Container(
            "crash",
            "image-crash",
            "",
            "waiting",
            restarts=3,
            reason="CrashLoopBackOff",
            message="back-off 40s",
            last_reason="OOMKilled",
            last_exit_code=137,
        ),
        Container("pull", "image-pull", "", "waiting", reason="ImagePullBackOff", message="no such image"),
        Container("none", "image-none", "", "waiting"),
    )


def test_a_pod_that_finds_no_node_and_one_evicted() -> None:
    unschedulable = {
        "conditions": [
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": "0/3 nodes are available",
            }
        ]
    }
    evicted = {"phase": "Failed", "reason": "Evicted", "message": "low on memory"}

    assert map_pod(pod("a", "x", status=unschedulable), "").unschedulable == "0/3 nodes are available"
    found = map_pod(pod("a", "x", status=evicted), "")
    assert (found.phase, found.reason, found.message) == ("Failed", "Evicted", "low on memory")


@pytest.mark.parametrize(
    ("times", "count", "last"),
    [
        ({"lastTimestamp": ago(3), "firstTimestamp": ago(9), "count": 4}, 4, 3),
        ({"eventTime": ago(7)}, 1, 7),
        ({"eventTime": ago(9), "series": {"count": 6, "lastObservedTime": ago(2)}}, 6, 2),
        ({}, 1, 60),
    ],
)
def test_events(times: dict[str, Any], count: int, last: int) -> None:
    involved = {"kind": "Pod", "name": "a"}

    found = map_event(make(KubeEvent, "e", involvedObject=involved, reason="Failed", message=" x\n", **times))

    assert (found.kind, found.name, found.reason, found.message) == ("Pod", "a", "Failed", "x")
    assert (found.count, found.last) == (count, NOW - timedelta(seconds=last))
