"""What the values of postgres-ha turn into."""

import base64
from collections.abc import Callable
from typing import Any

import pytest
import yaml

Doc = dict[str, Any]
Render = Callable[..., list[Doc]]


def find(docs: list[Doc], kind: str, name: str) -> Doc:
    (found,) = [doc for doc in docs if doc["kind"] == kind and doc["metadata"]["name"] == name]
    return found


def secret(docs: list[Doc], name: str) -> dict[str, str]:
    data = find(docs, "Secret", name)["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def patroni(docs: list[Doc]) -> Doc:
    config: Doc = yaml.safe_load(find(docs, "ConfigMap", "demo-patroni")["data"]["patroni.yml"])
    return config


def pod_template(docs: list[Doc]) -> Doc:
    template: Doc = find(docs, "StatefulSet", "demo")["spec"]["template"]
    return template


def test_services_follow_the_role(render: Render) -> None:
    docs = render("postgres-ha")
    for name, role in (("demo-primary", "primary"), ("demo-replicas", "replica")):
        service = find(docs, "Service", name)["spec"]
        assert service["selector"]["role"] == role
        assert service["ports"] == [{"name": "postgres", "port": 5432, "targetPort": "postgres"}]
    members = find(docs, "Service", "demo-members")["spec"]
    assert members["clusterIP"] == "None"
    assert members["publishNotReadyAddresses"] is True


def test_no_service_takes_the_test_pod_for_a_member(render: Render) -> None:
    docs = render("postgres-ha")
    labels = find(docs, "Pod", "demo-test")["metadata"]["labels"]
    for doc in docs:
        if doc["kind"] == "Service":
            assert not doc["spec"]["selector"].items() <= labels.items(), doc["metadata"]["name"]


def test_patroni_looks_for_pods_by_labels_that_they_have(render: Render) -> None:
    docs = render("postgres-ha")
    config = patroni(docs)
    labels = config["kubernetes"]["labels"] | {config["kubernetes"]["scope_label"]: config["scope"]}
    assert labels.items() <= pod_template(docs)["metadata"]["labels"].items()


def test_patroni_may_write_its_store_and_its_pods(render: Render) -> None:
    docs = render("postgres-ha", {"members": 7})
    named = [
        set(rule["resourceNames"]) for rule in find(docs, "Role", "demo")["rules"] if "resourceNames" in rule
    ]
    scope = patroni(docs)["scope"]
    assert named == [
        {f"{scope}-{key}" for key in ("leader", "config", "failover", "sync")},
        {f"demo-{ordinal}" for ordinal in range(7)},
    ]


@pytest.mark.parametrize(("members", "expected"), [(1, False), (2, True), (3, True)])
def test_a_disruption_budget_needs_a_second_member(render: Render, members: int, *, expected: bool) -> None:
    docs = render("postgres-ha", {"members": members})
    assert ("PodDisruptionBudget" in {doc["kind"] for doc in docs}) is expected


@pytest.mark.parametrize("members", [1, 2, 3])
def test_quorum_replication_whatever_the_number_of_members(render: Render, members: int) -> None:
    dcs = patroni(render("postgres-ha", {"members": members}))["bootstrap"]["dcs"]
    assert dcs["synchronous_mode"] == "quorum"
    assert dcs["synchronous_mode_strict"] is False
    assert dcs["failsafe_mode"] is True


def test_durability_required_is_strict(render: Render) -> None:
    dcs = patroni(render("postgres-ha", {"durability": "required"}))["bootstrap"]["dcs"]
    assert dcs["synchronous_mode_strict"] is True


def test_a_new_database_has_checksums_and_a_collation_of_its_own(render: Render) -> None:
    initdb = patroni(render("postgres-ha"))["bootstrap"]["initdb"]
    for option in ("data-checksums", {"locale-provider": "builtin"}, {"builtin-locale": "C.UTF-8"}):
        assert option in initdb


def test_the_superuser_never_comes_over_the_network(render: Render) -> None:
    rules = [line.split() for line in patroni(render("postgres-ha"))["postgresql"]["pg_hba"]]
    assert ["local", "all", "postgres", "peer"] in rules
    over_network = [rule for rule in rules if rule[0] != "local"]
    assert over_network[0] == ["host", "all", "postgres", "all", "reject"]
    assert {rule[-1] for rule in over_network} == {"reject", "scram-sha-256"}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, {"shared_buffers": "128MB", "max_wal_size": "1024MB", "max_slot_wal_keep_size": "4096MB"}),
        (
            {"resources": {"limits": {"memory": "2Gi"}}, "storage": {"size": "1Gi"}},
            {"shared_buffers": "512MB", "max_wal_size": "256MB", "max_slot_wal_keep_size": "512MB"},
        ),
        (
            {"storage": {"wal": {"enabled": True, "size": "2Gi"}}},
            {"max_wal_size": "512MB", "max_slot_wal_keep_size": "1024MB"},
        ),
        ({"postgresql": {"parameters": {"shared_buffers": "99MB"}}}, {"shared_buffers": "99MB"}),
    ],
)
def test_sizes_follow_memory_and_volume(render: Render, values: Doc, expected: Doc) -> None:
    assert expected.items() <= patroni(render("postgres-ha", values))["postgresql"]["parameters"].items()


@pytest.mark.parametrize(
    ("values", "restarts"),
    [
        ({"postgresql": {"parameters": {"work_mem": "8MB"}}}, True),
        # Patroni keeps these in its store: a restart would change nothing.
        ({"durability": "required"}, False),
        ({"failover": {"ttl": 30}}, False),
        ({"postgresql": {"maxConnections": 200}}, False),
        ({"members": 2}, False),
        ({"networkPolicy": {"enabled": False}}, False),
    ],
)
def test_what_restarts_the_members(render: Render, values: Doc, *, restarts: bool) -> None:
    before, after = pod_template(render("postgres-ha")), pod_template(render("postgres-ha", values))
    assert (before != after) is restarts


def test_the_app_secret_is_complete(render: Render) -> None:
    values = {"database": {"name": "accounts", "user": "clerk"}}
    data = secret(render("postgres-ha", values), "demo-app")
    password = data.pop("password")
    assert len(password) >= 32
    assert data == {
        "username": "clerk",
        "database": "accounts",
        "host": "demo-primary",
        "port": "5432",
        "uri": f"postgresql://clerk:{password}@demo-primary:5432/accounts",
    }


def test_secrets_outlive_the_release_and_passwords_differ(render: Render) -> None:
    docs = render("postgres-ha")
    secrets = [doc for doc in docs if doc["kind"] == "Secret"]
    assert {doc["metadata"]["name"] for doc in secrets} == {"demo-app", "demo-internal"}
    for doc in secrets:
        assert doc["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    internal = secret(docs, "demo-internal")
    assert set(internal) == {"replication-password", "rewind-password", "restapi-password"}
    assert len({*internal.values(), secret(docs, "demo-app")["password"]}) == 4


def test_existing_secrets_replace_the_generated_ones(render: Render) -> None:
    values = {"credentials": {"app": {"existingSecret": "mine"}, "internal": {"existingSecret": "ours"}}}
    docs = render("postgres-ha", values)
    assert not [doc for doc in docs if doc["kind"] == "Secret"]
    spec = pod_template(docs)["spec"]
    (volume,) = [item for item in spec["volumes"] if item["name"] == "app-password"]
    assert volume["secret"]["secretName"] == "mine"
    env = spec["containers"][0]["env"]
    refs = [
        item["valueFrom"]["secretKeyRef"]["name"]
        for item in env
        if "secretKeyRef" in item.get("valueFrom", {})
    ]
    assert refs == ["ours"] * 3


def test_the_network_policy_lets_in_members_and_clients(render: Render) -> None:
    clients = [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "notejam"}}}]
    docs = render("postgres-ha", {"networkPolicy": {"clients": clients}})
    members, others = find(docs, "NetworkPolicy", "demo")["spec"]["ingress"]
    assert [port["port"] for port in members["ports"]] == ["postgres", "patroni"]
    assert others == {"from": clients, "ports": [{"port": "postgres"}]}


def test_every_name_follows_the_override(render: Render) -> None:
    for doc in render("postgres-ha", {"fullnameOverride": "accounts"}):
        assert doc["metadata"]["name"].startswith("accounts"), doc["kind"]
