"""The pods of the chart notejam: restricted, bounded, and able to stop without losing a request."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CHART = Path(__file__).resolve().parents[2] / "charts" / "notejam"
CASES = sorted((CHART / "ci").glob("*-values.yaml"))
RESTRICTED_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}

Doc = dict[str, Any]
Render = Callable[..., list[Doc]]
Walk = Callable[[list[Doc]], list[Any]]


@pytest.fixture(params=CASES, ids=lambda case: case.stem)
def docs(request: pytest.FixtureRequest, render: Render) -> list[Doc]:
    return render("notejam", request.param)


def _web(docs: list[Doc]) -> Doc:
    spec: Doc = next(doc for doc in docs if doc["kind"] == "Deployment")["spec"]
    return spec


def test_the_pods_are_web_migration_and_test(render: Render, walk_pod_specs: Walk) -> None:
    assert sorted(pod.where for pod in walk_pod_specs(render("notejam"))) == [
        "Deployment/demo",
        "Job/demo-migrate",
        "Pod/demo-test",
    ]


def test_pods_satisfy_the_restricted_profile(docs: list[Doc], walk_pod_specs: Walk) -> None:
    for pod in walk_pod_specs(docs):
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod.spec), pod.where
        assert pod.spec["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        }, pod.where
        for volume in pod.spec["volumes"]:
            assert set(volume) - {"name"} <= RESTRICTED_VOLUMES, pod.where
        for container in pod.containers:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, pod.where
            assert all("hostPort" not in port for port in container.get("ports", [])), pod.where


def test_pods_hold_no_token_and_no_service_variables(docs: list[Doc], walk_pod_specs: Walk) -> None:
    for pod in walk_pod_specs(docs):
        assert pod.spec["automountServiceAccountToken"] is False, pod.where
        assert pod.spec["enableServiceLinks"] is False, pod.where
    for doc in docs:
        if doc["kind"] == "ServiceAccount":
            assert doc["automountServiceAccountToken"] is False


def test_tmp_is_writable_and_bounded(docs: list[Doc], walk_pod_specs: Walk) -> None:
    for pod in walk_pod_specs(docs):
        (volume,) = pod.spec["volumes"]
        assert volume["emptyDir"]["medium"] == "Memory"
        assert volume["emptyDir"]["sizeLimit"]
        for container in pod.containers:
            assert container["volumeMounts"] == [{"name": volume["name"], "mountPath": "/tmp"}]  # noqa: S108 - in the pod


def test_containers_state_requests_and_a_memory_limit(docs: list[Doc], walk_pod_specs: Walk) -> None:
    for pod in walk_pod_specs(docs):
        for container in pod.containers:
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}, pod.where
            assert "memory" in container["resources"]["limits"], pod.where


def test_three_replicas_of_each_stage_fit_a_laptop(render: Render) -> None:
    requests = _web(render("notejam"))["template"]["spec"]["containers"][0]["resources"]["requests"]
    assert requests == {"cpu": "50m", "memory": "128Mi"}


def test_no_secret_value_stands_in_a_pod(docs: list[Doc], walk_pod_specs: Walk) -> None:
    for pod in walk_pod_specs(docs):
        for container in pod.containers:
            for variable in container.get("env", []):
                if variable["name"] in {"DATABASE_URL", "SECRET_KEY"}:
                    assert set(variable["valueFrom"]) == {"secretKeyRef"}, pod.where
        assert "not-a-secret" not in json.dumps(pod.template)


def test_only_the_web_pods_use_the_charts_service_account(render: Render, walk_pod_specs: Walk) -> None:
    accounts = {
        pod.where.partition("/")[0]: pod.spec.get("serviceAccountName")
        for pod in walk_pod_specs(render("notejam"))
    }
    assert accounts == {"Deployment": "demo", "Job": None, "Pod": None}


def test_the_migration_uses_nothing_that_the_chart_creates(render: Render, walk_pod_specs: Walk) -> None:
    docs = render("notejam")
    (job,) = (pod for pod in walk_pod_specs(docs) if pod.where.startswith("Job/"))
    made = {doc["metadata"]["name"] for doc in docs if doc["kind"] in {"Secret", "ConfigMap"}}
    assert made == {"demo-session"}
    assert "demo-session" not in json.dumps(job.spec)
    (container,) = job.containers
    assert [variable["name"] for variable in container["env"]] == ["DATABASE_URL"]
    assert container["args"][:5] == ["flask", "--app", "notejam", "db", "upgrade"]
    assert container["args"][5:] == ["--wait", "60"]
    assert "command" not in container


def test_hooks_stay_until_the_next_run_so_that_their_logs_do(render: Render) -> None:
    hooks = {
        doc["kind"]: doc["metadata"]["annotations"]
        for doc in render("notejam")
        if "helm.sh/hook" in doc["metadata"].get("annotations", {})
    }
    assert hooks == {
        "Job": {
            "helm.sh/hook": "pre-install,pre-upgrade",
            "helm.sh/hook-delete-policy": "before-hook-creation",
        },
        "Pod": {"helm.sh/hook": "test", "helm.sh/hook-delete-policy": "before-hook-creation"},
    }


def test_the_migration_is_bounded_and_survives_a_lost_node(render: Render) -> None:
    (job,) = (doc["spec"] for doc in render("notejam") if doc["kind"] == "Job")
    assert job["backoffLimit"] <= 2
    assert job["activeDeadlineSeconds"] < 300, "helm itself waits 5 minutes"
    assert job["template"]["spec"]["restartPolicy"] == "Never"
    ignored = {
        "action": "Ignore",
        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
    }
    assert job["podFailurePolicy"]["rules"] == [ignored]


def test_a_rollout_never_misses_a_pod(docs: list[Doc]) -> None:
    web = _web(docs)
    assert web["strategy"]["type"] == "RollingUpdate"
    assert web["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    startup = web["template"]["spec"]["containers"][0]["startupProbe"]
    start_may_take = startup["periodSeconds"] * startup["failureThreshold"]
    assert start_may_take + web["minReadySeconds"] < web["progressDeadlineSeconds"]
    assert web["revisionHistoryLimit"] == 3


@pytest.mark.parametrize(
    ("stop", "graceful", "total"), [(5, 25, 35), (40, 25, 70), (0, 25, 30), (10, 900, 915)]
)
def test_the_grace_period_covers_the_whole_stop(render: Render, stop: int, graceful: int, total: int) -> None:
    values = {"shutdown": {"preStopSeconds": stop, "gracefulSeconds": graceful}}
    pod = _web(render("notejam", values))["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == total == stop + graceful + 5
    (container,) = pod["containers"]
    gunicorn = next(item for item in container["env"] if item["name"] == "GUNICORN_CMD_ARGS")
    assert gunicorn["value"] == f"--graceful-timeout={graceful}"
    expected = {"preStop": {"sleep": {"seconds": stop}}} if stop else None
    assert container.get("lifecycle") == expected


def test_liveness_asks_the_process_and_readiness_the_database(render: Render) -> None:
    (container,) = _web(render("notejam"))["template"]["spec"]["containers"]
    paths = {
        name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")
    }
    assert paths == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
    assert container["startupProbe"]["periodSeconds"] == 1, "a slow poll delays every pod of a rollout"
    assert "command" not in container, "the image's own command runs"
    assert "args" not in container


def test_pods_spread_over_zones_and_nodes_for_each_version(render: Render) -> None:
    web = _web(render("notejam"))
    spread = web["template"]["spec"]["topologySpreadConstraints"]
    assert [item["topologyKey"] for item in spread] == [
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
    ]
    for item in spread:
        assert item["maxSkew"] == 1
        assert item["whenUnsatisfiable"] == "ScheduleAnyway"
        assert item["matchLabelKeys"] == ["pod-template-hash"]
        assert item["labelSelector"] == web["selector"]
