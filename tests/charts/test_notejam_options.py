"""The options of the chart notejam, the values of the stages, and the notes after an install."""

import base64
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "notejam"
DIGEST = "sha256:" + "ab" * 32
KEY = "k" * 40

Doc = dict[str, Any]
Render = Callable[..., list[Doc]]


def _of_kind(docs: list[Doc], kind: str) -> list[Doc]:
    return [doc for doc in docs if doc["kind"] == kind]


def _one(docs: list[Doc], kind: str) -> Doc:
    (doc,) = _of_kind(docs, kind)
    return doc


def _web(docs: list[Doc]) -> Doc:
    container: Doc = _one(docs, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    return container


def _environment(docs: list[Doc]) -> dict[str, Doc]:
    return {item["name"]: item for item in _web(docs)["env"]}


@pytest.mark.parametrize(
    ("image", "runs"),
    [
        ({}, "registry.example.org/app:0.1.0"),
        ({"tag": "2.0"}, "registry.example.org/app:2.0"),
        ({"digest": DIGEST}, f"registry.example.org/app@{DIGEST}"),
        ({"digest": DIGEST, "tag": "2.0"}, f"registry.example.org/app@{DIGEST}"),
    ],
    ids=["app version", "tag", "digest", "digest and tag"],
)
def test_digest_beats_tag_beats_app_version(
    render: Render, walk_pod_specs: Callable[..., list[Any]], image: Doc, runs: str
) -> None:
    docs = render("notejam", {"image": {"repository": "registry.example.org/app", **image}})
    assert {c["image"] for pod in walk_pod_specs(docs) for c in pod.containers} == {runs}


@pytest.mark.parametrize(("replicas", "budgets"), [(0, 0), (1, 0), (2, 1), (3, 1)])
def test_a_disruption_budget_only_where_a_second_pod_serves(
    render: Render, replicas: int, budgets: int
) -> None:
    docs = render("notejam", {"replicas": replicas})
    assert _one(docs, "Deployment")["spec"]["replicas"] == replicas
    found = _of_kind(docs, "PodDisruptionBudget")
    assert len(found) == budgets
    for budget in found:
        assert budget["spec"]["maxUnavailable"] == 1
        assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        assert budget["spec"]["selector"] == _one(docs, "Deployment")["spec"]["selector"]


def test_service_is_internal_unless_told_otherwise(render: Render) -> None:
    docs = render("notejam")
    service = _one(docs, "Service")["spec"]
    assert service["type"] == "ClusterIP"
    assert service["ports"] == [{"name": "http", "port": 80, "targetPort": "http"}]
    assert service["selector"] == _one(docs, "Deployment")["spec"]["selector"]["matchLabels"]
    assert _web(docs)["ports"][0] == {"name": "http", "containerPort": 8000}


def test_node_port_is_the_one_asked_for(render: Render) -> None:
    service = _one(render("notejam", {"service": {"type": "NodePort", "nodePort": 30095}}), "Service")
    assert service["spec"]["ports"][0]["nodePort"] == 30095
    service = _one(render("notejam", {"service": {"type": "NodePort"}}), "Service")
    assert "nodePort" not in service["spec"]["ports"][0]


def test_load_balancer_names_who_may_come(render: Render) -> None:
    ranges = ["203.0.113.0/24", "2001:db8::/32"]
    values = {"service": {"type": "LoadBalancer", "loadBalancerSourceRanges": ranges}}
    assert _one(render("notejam", values), "Service")["spec"]["loadBalancerSourceRanges"] == ranges


def _generated(docs: list[Doc]) -> str:
    return base64.b64decode(_one(docs, "Secret")["data"]["secret-key"]).decode()


def test_session_key_is_generated_long_and_never_the_same(render: Render) -> None:
    docs = render("notejam")
    assert _one(docs, "Secret")["metadata"]["name"] == "demo-session"
    key = _generated(docs)
    assert re.fullmatch(r"[A-Za-z0-9]{64}", key)
    assert key != _generated(render("notejam"))
    reference = _environment(docs)["SECRET_KEY"]["valueFrom"]["secretKeyRef"]
    assert reference == {"name": "demo-session", "key": "secret-key"}


def test_generated_session_key_does_not_touch_the_pods(render: Render) -> None:
    first, second = (_one(render("notejam"), "Deployment") for _ in range(2))
    assert first == second
    assert "annotations" not in first["spec"]["template"]["metadata"]


def test_given_session_key_is_used_and_a_new_one_restarts_the_pods(render: Render) -> None:
    docs = render("notejam", {"session": {"key": KEY}})
    assert _generated(docs) == KEY
    other = render("notejam", {"session": {"key": KEY.upper()}})
    pods = [
        _one(found, "Deployment")["spec"]["template"]["metadata"]["annotations"] for found in (docs, other)
    ]
    assert pods[0] != pods[1]


def test_existing_session_secret_is_only_referred_to(render: Render) -> None:
    docs = render("notejam", {"session": {"existingSecret": "mine", "secretKey": "session.key"}})
    assert _of_kind(docs, "Secret") == []
    reference = _environment(docs)["SECRET_KEY"]["valueFrom"]["secretKeyRef"]
    assert reference == {"name": "mine", "key": "session.key"}


def test_external_url_and_more_variables_reach_the_app(render: Render) -> None:
    assert "NOTEJAM_EXTERNAL_URL" not in _environment(render("notejam"))
    extra = [{"name": "NOTEJAM_TIMEZONE", "value": "Europe/Rome"}]
    docs = render("notejam", {"externalUrl": "https://notes.example.org", "extraEnv": extra})
    assert _environment(docs)["NOTEJAM_EXTERNAL_URL"]["value"] == "https://notes.example.org"
    assert _web(docs)["env"][-1] == extra[0]


def test_database_secret_serves_app_and_migration(
    render: Render, walk_pod_specs: Callable[..., list[Any]]
) -> None:
    docs = render("notejam", {"database": {"secretName": "other", "secretKey": "address"}})
    references = {
        pod.where: item["valueFrom"]["secretKeyRef"]
        for pod in walk_pod_specs(docs)
        for container in pod.containers
        for item in container["env"]
        if item["name"] == "DATABASE_URL"
    }
    expected = {"name": "other", "key": "address"}
    assert references == {"Deployment/demo": expected, "Job/demo-migrate": expected}


def test_network_policy_opens_the_apps_port_alone(render: Render) -> None:
    docs = render("notejam")
    policy = _one(docs, "NetworkPolicy")["spec"]
    assert policy["podSelector"] == _one(docs, "Deployment")["spec"]["selector"]
    assert policy["policyTypes"] == ["Ingress"]
    assert policy["ingress"] == [{"ports": [{"protocol": "TCP", "port": 8000}]}]
    assert _of_kind(render("notejam", {"networkPolicy": {"enabled": False}}), "NetworkPolicy") == []


def test_network_policy_with_peers_still_lets_the_test_in(render: Render) -> None:
    gateway = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateway"}}}
    docs = render("notejam", {"networkPolicy": {"from": [gateway]}})
    (rule,) = _one(docs, "NetworkPolicy")["spec"]["ingress"]
    peer, test = rule["from"]
    assert peer == gateway
    labels = _one(docs, "Pod")["metadata"]["labels"]
    assert test["podSelector"]["matchLabels"].items() <= labels.items()


def test_network_policy_can_hold_the_app_to_dns_and_the_database(render: Render) -> None:
    policy = _one(render("notejam", {"networkPolicy": {"egress": {"enabled": True}}}), "NetworkPolicy")[
        "spec"
    ]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    ports = [(port["protocol"], port["port"]) for rule in policy["egress"] for port in rule["ports"]]
    assert ports == [("UDP", 53), ("TCP", 53), ("TCP", 5432)]


def test_names_stay_within_63_characters(render: Render) -> None:
    docs = render("notejam", release="r" * 53)
    assert max(len(doc["metadata"]["name"]) for doc in docs) <= 63


@pytest.mark.parametrize(
    ("stage", "replicas", "port"),
    [("development", 1, 30081), ("testing", 2, 30082), ("production", 3, 30080)],
)
def test_values_of_the_stages(render: Render, stage: str, replicas: int, port: int) -> None:
    docs = render("notejam", ROOT / "values" / stage / "notejam.yaml", release="notejam")
    assert _one(docs, "Deployment")["spec"]["replicas"] == replicas
    assert _one(docs, "Service")["spec"]["ports"][0]["nodePort"] == port
    assert _environment(docs)["NOTEJAM_EXTERNAL_URL"]["value"] == f"http://127.0.0.1:{port}"
    database = _environment(docs)["DATABASE_URL"]["valueFrom"]["secretKeyRef"]
    assert database == {"name": "notejam-db-app", "key": "uri"}
    assert re.match(r"localhost:5001/notejam/app[:@]", _web(docs)["image"])


def _notes(helm: str, *sets: str) -> str:
    arguments = [part for assignment in sets for part in ("--set", assignment)]
    done = subprocess.run(
        [helm, "install", "demo", str(CHART), "--dry-run=client", "--namespace", "demo", *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.partition("NOTES:\n")[2]


SOUND = ["replicas=3", "externalUrl=https://notes.example.org", f"image.digest={DIGEST}"]


def test_notes_warn_of_nothing_when_nothing_is_wrong(helm4: str) -> None:
    notes = _notes(helm4, *SOUND)
    assert "https://notes.example.org" in notes
    assert "WARNING" not in notes


@pytest.mark.parametrize(
    ("setting", "warning"),
    [
        ("replicas=0", "replicas is 0"),
        ("replicas=1", "replicas is 1"),
        ("externalUrl=", "externalUrl is empty"),
        ("externalUrl=http://notes.example.org", "externalUrl begins with http://"),
        ("image.digest=", "image.digest is empty"),
        (f"session.key={KEY}", "session.key is stored"),
        ("networkPolicy.enabled=false", "networkPolicy.enabled is false"),
        ("migration.enabled=false", "migration.enabled is false"),
        ("shutdown.preStopSeconds=0", "shutdown.preStopSeconds is below 3"),
        (
            "service.type=LoadBalancer,service.loadBalancerSourceRanges={0.0.0.0/0}",
            "opens the app to the whole internet",
        ),
    ],
)
def test_notes_warn_of_what_is_risky(helm4: str, setting: str, warning: str) -> None:
    notes = _notes(helm4, *SOUND, setting)
    assert notes.count("WARNING") == 1
    assert warning in notes
    assert KEY not in notes


@pytest.mark.parametrize(
    ("setting", "way"),
    [
        ("service.type=ClusterIP", "port-forward service/demo 8000:80"),
        ("service.type=NodePort,service.nodePort=30095", "http://NODE:30095/"),
        ("service.type=NodePort", "jsonpath='{.spec.ports[0].nodePort}'"),
        (
            "service.type=LoadBalancer,service.loadBalancerSourceRanges={10.0.0.0/8}",
            "get service demo --watch",
        ),
    ],
)
def test_notes_tell_how_to_open_the_app(helm4: str, setting: str, way: str) -> None:
    assert way in _notes(helm4, setting)
