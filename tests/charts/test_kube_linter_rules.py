"""The checks that kube-linter has on by default, on both charts.

kube-linter itself cannot be built where Go modules may come from known hosts only: its module has a host of
its own. The rules are those of https://docs.kubelinter.io/#/generated/checks, by their names. Left out on
purpose: `job-ttl-seconds-after-finished`, since the Jobs of hooks are kept for their logs until the next one,
and `dangling-service`, since two Services follow a label that is set at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.charts.conftest import PodSpec

Doc = dict[str, Any]
CHARTS = Path(__file__).resolve().parents[2] / "charts"
CASES = sorted(CHARTS.glob("*/ci/*-values.yaml"))
SENSITIVE = (
    "/etc",
    "/var/run/docker.sock",
    "/run/containerd",
    "/proc",
    "/root",
    "/boot",
    "/dev",
    "/lib",
    "/sys",
    "/usr",
)


@pytest.fixture(params=CASES, ids=lambda path: f"{path.parents[1].name}-{path.stem}")
def docs(request: pytest.FixtureRequest, render: Callable[..., list[Doc]]) -> list[Doc]:
    return render(request.param.parents[1].name, request.param)


@pytest.fixture
def pods(docs: list[Doc], walk_pod_specs: Callable[..., list[PodSpec]]) -> list[PodSpec]:
    return walk_pod_specs(docs)


def _containers(pods: list[PodSpec]) -> Iterator[tuple[PodSpec, Doc]]:
    return ((pod, container) for pod in pods for container in pod.containers)


def test_pods_share_nothing_with_their_node(pods: list[PodSpec]) -> None:
    """host-ipc, host-network, host-pid, unsafe-sysctls, docker-sock, sensitive-host-mounts."""
    for pod in pods:
        name, spec = pod.where, pod.spec
        assert not {"hostIPC", "hostNetwork", "hostPID"} & set(spec), name
        assert "sysctls" not in spec.get("securityContext", {}), name
        paths = [volume["hostPath"]["path"] for volume in spec.get("volumes", []) if "hostPath" in volume]
        assert not [path for path in paths if path.startswith(SENSITIVE)], name


def test_containers_may_little(pods: list[PodSpec]) -> None:
    """drop-net-raw-capability, no-read-only-root-fs, privilege-escalation-container, privileged-container,
    run-as-non-root."""
    for pod, container in _containers(pods):
        context = container["securityContext"]
        assert "ALL" in context["capabilities"]["drop"]
        assert "add" not in context["capabilities"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert not context.get("privileged")
        assert context.get("runAsNonRoot", pod.spec["securityContext"].get("runAsNonRoot")) is True


def test_containers_ask_for_what_they_need(pods: list[PodSpec]) -> None:
    """unset-cpu-requirements, unset-memory-requirements, latest-tag, env-var-secret."""
    for _, container in _containers(pods):
        resources = container["resources"]
        assert {"cpu", "memory"} <= set(resources["requests"])
        assert "memory" in resources["limits"]
        assert not container["image"].endswith(":latest")
        assert ":" in container["image"]
        for variable in container.get("env", []):
            assert "SECRET" not in variable["name"].upper() or "value" not in variable, variable["name"]


def test_probes_and_ports_are_those_of_the_container(docs: list[Doc], pods: list[PodSpec]) -> None:
    """liveness-port, readiness-port, startup-port, ssh-port, invalid-target-ports."""
    for _, container in _containers(pods):
        ports = container.get("ports", [])
        known = {port["containerPort"] for port in ports} | {port.get("name") for port in ports}
        assert 22 not in known
        for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
            for kind in ("httpGet", "tcpSocket"):
                if kind in container.get(probe, {}):
                    assert container[probe][kind]["port"] in known, (container["name"], probe)
    names = {port.get("name") for _, container in _containers(pods) for port in container.get("ports", [])}
    for doc in docs:
        if doc["kind"] == "Service":
            for port in doc["spec"]["ports"]:
                target = port.get("targetPort", port["port"])
                assert isinstance(target, int) or target in names, doc["metadata"]["name"]


def test_objects_fit_each_other(docs: list[Doc], pods: list[PodSpec]) -> None:
    """mismatching-selector, non-existent-service-account, deprecated-service-account-field,
    no-extensions-v1beta."""
    accounts = {doc["metadata"]["name"] for doc in docs if doc["kind"] == "ServiceAccount"} | {"default"}
    for pod in pods:
        assert "serviceAccount" not in pod.spec, pod.where
        assert pod.spec.get("serviceAccountName", "default") in accounts, pod.where
    for doc in docs:
        assert not doc["apiVersion"].startswith("extensions/"), doc["metadata"]["name"]
        if doc["kind"] in {"Deployment", "StatefulSet"}:
            selector = doc["spec"]["selector"]["matchLabels"].items()
            assert selector <= doc["spec"]["template"]["metadata"]["labels"].items()


def test_members_stay_apart_and_disruptions_are_bounded(docs: list[Doc]) -> None:
    """no-anti-affinity, pdb-max-unavailable, pdb-min-available, pdb-unhealthy-pod-eviction-policy."""
    for doc in docs:
        if doc["kind"] in {"Deployment", "StatefulSet"} and doc["spec"].get("replicas", 1) > 1:
            spec = doc["spec"]["template"]["spec"]
            assert spec.get("topologySpreadConstraints") or spec.get("affinity"), doc["metadata"]["name"]
        if doc["kind"] == "PodDisruptionBudget":
            budget = doc["spec"]
            assert budget.get("maxUnavailable") != 0
            assert "unhealthyPodEvictionPolicy" in budget
            assert "minAvailable" not in budget
