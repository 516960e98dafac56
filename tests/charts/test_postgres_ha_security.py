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


def members_of(docs: list[Doc]) -> Doc:
    (stateful_set,) = [doc for doc in docs if doc["kind"] == "StatefulSet"]
    spec: Doc = stateful_set["spec"]["template"]["spec"]
    return spec


def container_of(docs: list[Doc], name: str) -> Doc:
    (found,) = [item for item in members_of(docs)["containers"] if item["name"] == name]
    return dict(found)


def test_there_are_pods_to_look_at(docs: list[Doc], walk_pod_specs: Walk) -> None:
    kinds = {pod.where.partition("/")[0] for pod in walk_pod_specs(docs)}
    assert kinds - {"CronJob"} == {"StatefulSet", "Job", "Pod"}


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
            context = dict(container["securityContext"])
            # The exporter alone is somebody else, whom Postgres knows by it.
            assert context.pop("runAsUser", 999) == (998 if container["name"] == "metrics" else 999)
            assert context == {
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
    container = container_of(docs, "postgres")
    assert container["livenessProbe"]["httpGet"] != container["readinessProbe"]["httpGet"]
    assert container["startupProbe"]["httpGet"] == container["livenessProbe"]["httpGet"]
    assert container["lifecycle"]["preStop"]["exec"]["command"] == ["pgha", "pre-stop"]
    (seconds,) = [item["value"] for item in container["env"] if item["name"] == "PRE_STOP_SECONDS"]
    assert int(seconds) + 30 <= members_of(docs)["terminationGracePeriodSeconds"]


@pytest.mark.parametrize(
    ("ttl", "loop", "retry"), [(20, 5, 7), (30, 10, 10), (21, 10, 5), (20, 9, 5), (60, 10, 10)]
)
def test_a_hanging_primary_is_killed_before_its_lock_is_taken(
    render: Render, ttl: int, loop: int, retry: int
) -> None:
    words = {"ttl": ttl, "loopWait": loop, "retryTimeout": retry}
    docs = render("postgres-ha", sets=[f"failover.{key}={value}" for key, value in words.items()])
    container = container_of(docs, "postgres")
    probe = container["livenessProbe"]
    # The first that fails may begin a period after it hangs, and the last one ends with its timeout.
    until_failed = probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"]
    # The hook before the stop hangs as well, and kubelet gives what comes after it two seconds.
    until_killed = until_failed + probe["terminationGracePeriodSeconds"] + 2
    # Patroni may have been about to renew its lock.
    assert until_killed <= ttl - loop
    assert probe["timeoutSeconds"] >= 2


def test_a_lock_that_ends_before_a_hanging_primary_is_killed_is_refused(
    render_error: Callable[..., str],
) -> None:
    words = ("failover.ttl=20", "failover.loopWait=10", "failover.retryTimeout=5")
    said = render_error("postgres-ha", sets=words)
    assert "failover.ttl: is 20 and must be at least failover.loopWait + 11, which is 21" in said


def test_a_token_goes_only_where_it_is_needed(docs: list[Doc], walk_pod_specs: Walk) -> None:
    for pod in walk_pod_specs(docs):
        kind, _, name = pod.where.partition("/")
        # The copy of a database speaks to databases only.
        is_helper = kind in {"Job", "CronJob"} and not name.endswith("-import")
        assert pod.spec["automountServiceAccountToken"] is is_helper, pod.where
    for container in members_of(docs)["containers"]:
        mounts = {mount["name"] for mount in container["volumeMounts"]}
        assert ("token" in mounts) is (container["name"] in {"postgres", "keeper"})
    for account in [doc for doc in docs if doc["kind"] == "ServiceAccount"]:
        assert account["automountServiceAccountToken"] is False


def test_the_authority_s_key_is_for_the_cron_job_alone(docs: list[Doc], walk_pod_specs: Walk) -> None:
    for pod in walk_pod_specs(docs):
        for volume in pod.spec.get("volumes", []):
            assert not volume.get("secret", {}).get("secretName", "").endswith("-ca"), pod.where
    for role in [doc for doc in docs if doc["kind"] == "Role"]:
        names = {name for rule in role["rules"] for name in rule.get("resourceNames", [])}
        may = any(name.endswith("-ca") for name in names)
        assert not may or role["metadata"]["name"].endswith(("-certificates", "-removal"))


def test_rights_are_namespaced_and_named(docs: list[Doc]) -> None:
    assert not [doc["kind"] for doc in docs if doc["kind"].startswith("Cluster")]
    for role in [doc for doc in docs if doc["kind"] == "Role"]:
        for rule in role["rules"]:
            assert "*" not in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
            assert "deletecollection" not in rule["verbs"]
            # Whatever changes an object that exists, and every look into a Secret, is limited to names.
            if {"patch", "update", "delete"} & set(rule["verbs"]) or "secrets" in rule["resources"]:
                assert rule["resourceNames"], role["metadata"]["name"]


def test_members_delete_nothing(docs: list[Doc]) -> None:
    account = members_of(docs)["serviceAccountName"]
    (role,) = [doc for doc in docs if doc["kind"] == "Role" and doc["metadata"]["name"] == account]
    for rule in role["rules"]:
        assert set(rule["resources"]) <= {"configmaps", "pods", "secrets"}
        assert "delete" not in rule["verbs"]
        if "secrets" in rule["resources"] and rule["verbs"] != ["get"]:
            # The application gets the authority of certificates that the chart does not make.
            assert (rule["verbs"], rule["resourceNames"]) == (["patch"], [f"{account}-app"])


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
            for item in container.get("env", []):
                if item["name"].endswith("PASSWORD"):
                    assert "secretKeyRef" in item["valueFrom"], item["name"]
            assert "PASSWORD" not in " ".join([*container.get("command", []), *container.get("args", [])])
