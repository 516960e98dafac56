"""Every pod of postgres-ha fits Pod Security `restricted`, and asks for no more than it needs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Doc = dict[str, Any]
Render = Callable[..., list[Doc]]
Walk = Callable[..., list[Any]]

CHART = Path(__file__).resolve().parents[2] / "charts" / "postgres-ha"
CASES = sorted(CHART.glob("ci/*-values.yaml"), key=lambda path: path.name)
DIGEST = "sha256:" + "a" * 64


@pytest.fixture(params=CASES, ids=lambda path: path.name)
def docs(request: pytest.FixtureRequest, render: Render) -> list[Doc]:
    return render("postgres-ha", request.param)


def test_there_are_pods_to_look_at(docs: list[Doc], walk_pod_specs: Walk) -> None:
    assert {pod.where.partition("/")[0] for pod in walk_pod_specs(docs)} == {"StatefulSet", "Pod"}


def test_pods_are_restricted(docs: list[Doc], walk_pod_specs: Walk) -> None:
    for pod in walk_pod_specs(docs):
        context = pod.spec["securityContext"]
        assert context["runAsNonRoot"] is True, pod.where
        assert context["runAsUser"] == context["runAsGroup"] == 999, pod.where
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, pod.where
        assert not {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} & set(pod.spec), pod.where
        kinds = {kind for volume in pod.spec.get("volumes", []) for kind in volume if kind != "name"}
        assert kinds <= {"configMap", "secret", "emptyDir", "projected"}, pod.where


def test_containers_are_restricted(docs: list[Doc], walk_pod_specs: Walk) -> None:
    for pod in walk_pod_specs(docs):
        for container in pod.containers:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, pod.where
            assert not any("hostPort" in port for port in container.get("ports", [])), pod.where


def test_containers_have_resources(docs: list[Doc], walk_pod_specs: Walk) -> None:
    for pod in walk_pod_specs(docs):
        for container in pod.containers:
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}, pod.where
            assert "memory" in container["resources"]["limits"], pod.where


def test_members_have_probes_and_a_goodbye(docs: list[Doc]) -> None:
    (stateful_set,) = [doc for doc in docs if doc["kind"] == "StatefulSet"]
    spec = stateful_set["spec"]["template"]["spec"]
    for container in spec["containers"]:
        assert container["livenessProbe"]["httpGet"] != container["readinessProbe"]["httpGet"]
        assert container["startupProbe"]["httpGet"] == container["livenessProbe"]["httpGet"]
        assert container["lifecycle"]["preStop"]["exec"]["command"] == ["postgres-ha-pre-stop"]
        (seconds,) = [item["value"] for item in container["env"] if item["name"] == "PRE_STOP_SECONDS"]
        assert int(seconds) + 30 <= spec["terminationGracePeriodSeconds"]


def test_a_hanging_primary_is_killed_before_its_lock_is_taken(docs: list[Doc]) -> None:
    (stateful_set,) = [doc for doc in docs if doc["kind"] == "StatefulSet"]
    (container,) = stateful_set["spec"]["template"]["spec"]["containers"]
    probe = container["livenessProbe"]
    until_failed = probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"]
    # 20 s is the shortest failover.ttl that Patroni takes.
    assert until_failed + probe["terminationGracePeriodSeconds"] <= 20


def test_only_members_get_a_token(docs: list[Doc], walk_pod_specs: Walk) -> None:
    for pod in walk_pod_specs(docs):
        assert pod.spec["automountServiceAccountToken"] is pod.where.startswith("StatefulSet/"), pod.where
    (account,) = [doc for doc in docs if doc["kind"] == "ServiceAccount"]
    assert account["automountServiceAccountToken"] is False


def test_rights_are_namespaced_and_named(docs: list[Doc]) -> None:
    assert not [doc["kind"] for doc in docs if doc["kind"].startswith("Cluster")]
    (role,) = [doc for doc in docs if doc["kind"] == "Role"]
    for rule in role["rules"]:
        assert rule["apiGroups"] == [""]
        assert set(rule["resources"]) <= {"configmaps", "pods"}
        assert not {"*", "delete", "deletecollection"} & set(rule["verbs"])
        # Whatever changes an object that exists is limited to names.
        if {"patch", "update"} & set(rule["verbs"]):
            assert rule["resourceNames"]


def test_images_go_by_digest(render: Render, walk_pod_specs: Walk) -> None:
    values = {"image": {"repository": "registry.example/postgres", "tag": "ignored", "digest": DIGEST}}
    for pod in walk_pod_specs(render("postgres-ha", values)):
        for container in pod.containers:
            assert container["image"] == f"registry.example/postgres@{DIGEST}", pod.where


@pytest.mark.parametrize(("tag", "expected"), [("", "17"), ("17.12", "17.12")])
def test_without_a_digest_the_tag_then_the_app_version(
    render: Render, walk_pod_specs: Walk, tag: str, expected: str
) -> None:
    for pod in walk_pod_specs(
        render("postgres-ha", {"image": {"repository": "r/p", "tag": tag, "digest": ""}})
    ):
        assert pod.containers[0]["image"] == f"r/p:{expected}", pod.where


def test_no_password_in_arguments_or_plain_environment(docs: list[Doc], walk_pod_specs: Walk) -> None:
    for pod in walk_pod_specs(docs):
        for container in pod.containers:
            for item in container["env"]:
                if item["name"].endswith("PASSWORD"):
                    assert "secretKeyRef" in item["valueFrom"], item["name"]
            assert "PASSWORD" not in " ".join([*container.get("command", []), *container.get("args", [])])
