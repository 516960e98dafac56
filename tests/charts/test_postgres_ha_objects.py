"""What the values of postgres-ha turn into."""

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pgha import keeper

RUNBOOKS = Path(__file__).resolve().parents[2] / "docs" / "runbooks"
Doc = dict[str, Any]
Render = Callable[..., list[Doc]]


def find(docs: list[Doc], kind: str, name: str) -> Doc:
    (found,) = [doc for doc in docs if doc["kind"] == kind and doc["metadata"]["name"] == name]
    return found


def secret(docs: list[Doc], name: str) -> dict[str, str]:
    data = find(docs, "Secret", name)["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def patroni(docs: list[Doc]) -> Doc:
    """Patroni's configuration, as it reads the folder: both files together."""
    config: Doc = {}
    for source in pod_template(docs)["spec"]["volumes"][0]["projected"]["sources"]:
        for text in find(docs, "ConfigMap", source["configMap"]["name"])["data"].values():
            config |= yaml.safe_load(text)
    return config


def dynamic(docs: list[Doc]) -> Doc:
    """What Patroni stores at the first start."""
    settings: Doc = patroni(docs)["bootstrap"]["dcs"]
    return settings


def desired(docs: list[Doc]) -> Doc:
    wishes: Doc = json.loads(find(docs, "ConfigMap", "demo-desired")["data"]["desired.json"])
    return wishes


def pod_template(docs: list[Doc]) -> Doc:
    template: Doc = find(docs, "StatefulSet", "demo")["spec"]["template"]
    return template


def test_services_follow_the_role(render: Render) -> None:
    docs = render("postgres-ha")
    for name, label in (
        ("demo-primary", {"role": "primary"}),
        # A label of its own: with one for both, the two would change at once.
        ("demo-replicas", {keeper.READS: "true"}),
    ):
        service = find(docs, "Service", name)["spec"]
        assert label.items() <= service["selector"].items()
        assert ("role" in service["selector"]) is ("role" in label)
        assert service["ports"] == [{"name": "postgres", "port": 5432, "targetPort": "postgres"}]
    members = find(docs, "Service", "demo-members")["spec"]
    assert members["clusterIP"] == "None"
    assert members["publishNotReadyAddresses"] is True


def test_no_container_beside_postgres_takes_the_primary_out_of_its_service(render: Render) -> None:
    docs = render("postgres-ha", {"metrics": {"enabled": True}})
    assert find(docs, "Service", "demo-primary")["spec"]["publishNotReadyAddresses"] is True
    assert "publishNotReadyAddresses" not in find(docs, "Service", "demo-replicas")["spec"]
    probed = [item["name"] for item in pod_template(docs)["spec"]["containers"] if "readinessProbe" in item]
    assert probed == ["postgres"]


def test_members_keep_apart_on_nodes_and_zones(render: Render) -> None:
    docs = render("postgres-ha")
    spec, labels = pod_template(docs)["spec"], pod_template(docs)["metadata"]["labels"].items()
    (host,) = spec["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert host["podAffinityTerm"]["topologyKey"] == "kubernetes.io/hostname"
    assert host["podAffinityTerm"]["labelSelector"]["matchLabels"].items() <= labels
    (zone,) = spec["topologySpreadConstraints"]
    assert zone["topologyKey"] == "topology.kubernetes.io/zone"
    assert zone["labelSelector"]["matchLabels"].items() <= labels


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
    docs = render("postgres-ha", {"members": 9})
    named = [
        set(rule["resourceNames"])
        for rule in find(docs, "Role", "demo")["rules"]
        if {"patch"} & set(rule["verbs"])
    ]
    scope = patroni(docs)["scope"]
    assert named == [
        {f"{scope}-{key}" for key in ("leader", "config", "failover", "sync")},
        {"demo-app"},
        {f"demo-{ordinal}" for ordinal in range(9)},
    ]


@pytest.mark.parametrize(("members", "expected"), [(1, False), (2, True), (3, True)])
def test_a_disruption_budget_needs_a_second_member(render: Render, members: int, *, expected: bool) -> None:
    docs = render("postgres-ha", {"members": members})
    assert ("PodDisruptionBudget" in {doc["kind"] for doc in docs}) is expected


@pytest.mark.parametrize("members", [1, 2, 3])
def test_quorum_replication_whatever_the_number_of_members(render: Render, members: int) -> None:
    dcs = dynamic(render("postgres-ha", {"members": members}))
    assert dcs["synchronous_mode"] == "quorum"
    assert dcs["synchronous_mode_strict"] is False
    assert dcs["failsafe_mode"] is True


@pytest.mark.parametrize(
    ("durability", "expected"),
    [("required", ("quorum", True)), ("preferred", ("quorum", False)), ("none", ("off", False))],
)
def test_durability(render: Render, durability: str, expected: tuple[str, bool]) -> None:
    dcs = dynamic(render("postgres-ha", {"durability": durability}))
    assert (dcs["synchronous_mode"], dcs["synchronous_mode_strict"]) == expected


def test_a_new_database_has_checksums_and_a_collation_of_its_own(render: Render) -> None:
    initdb = patroni(render("postgres-ha"))["bootstrap"]["initdb"]
    for option in ("data-checksums", {"locale-provider": "builtin"}, {"builtin-locale": "C.UTF-8"}):
        assert option in initdb


@pytest.mark.parametrize("required", [True, False])
def test_who_may_connect(render: Render, *, required: bool) -> None:
    own = "hostssl all reader 10.0.0.0/8 scram-sha-256"
    values = {"postgresql": {"hba": [own]}, "tls": {"required": required}}
    lines = dynamic(render("postgres-ha", values))["postgresql"]["pg_hba"]
    rules = [line.split() for line in lines]
    assert ["local", "all", "postgres", "peer"] in rules
    over_network = [rule for rule in rules if rule[0] != "local"]
    assert over_network[0] == ["host", "all", "postgres,monitor", "all", "reject"]
    assert {rule[-1] for rule in over_network} == {"reject", "scram-sha-256"}
    plain = [rule for rule in over_network if rule[0] == "host" and rule[-1] != "reject"]
    assert bool(plain) is not required
    # The first line that fits counts: what the chart reserves comes before what the values add, and what lets
    # everybody in after it.
    at = lines.index(own)
    assert [line.rpartition(" ")[0] for line in lines[at + 1 :]] == [
        "local all all",
        f"{'hostssl' if required else 'host'} all all all",
    ]
    assert lines[at - 1] == "host all replicator,replicator_2,rewind,rewind_2 all reject"
    assert lines[:2] == ["local all postgres peer", "local all monitor peer"]


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
        ({"postgresql": {"parameters": {"wal_keep_size": "99MB"}}}, {"wal_keep_size": "99MB"}),
    ],
)
def test_sizes_follow_memory_and_volume(render: Render, values: Doc, expected: Doc) -> None:
    assert expected.items() <= dynamic(render("postgres-ha", values))["postgresql"]["parameters"].items()


@pytest.mark.parametrize(
    ("values", "restarts"),
    [
        ({"resources": {"limits": {"memory": "1Gi"}}}, True),
        ({"credentials": {"internal": {"rotation": 1}}}, True),
        # Patroni keeps these in its store, and the Job of the upgrade changes them there.
        ({"postgresql": {"parameters": {"work_mem": "8MB", "wal_level": "logical"}}}, False),
        # Of TLS, each member has it in a file of its own.
        ({"postgresql": {"parameters": {"ssl_min_protocol_version": "TLSv1.3"}}}, True),
        ({"postgresql": {"hba": ["host all all all reject"]}}, False),
        ({"users": [{"name": "reader"}]}, False),
        ({"credentials": {"app": {"rotation": 1}}}, False),
        ({"durability": "required"}, False),
        ({"failover": {"retryTimeout": 6, "maximumLagBytes": 0}}, False),
        # How soon one that hangs must be killed follows from it.
        ({"failover": {"ttl": 30}}, True),
        ({"postgresql": {"maxConnections": 200}}, False),
        ({"members": 2}, False),
        ({"networkPolicy": {"enabled": False}}, False),
    ],
)
def test_what_restarts_the_members(render: Render, values: Doc, *, restarts: bool) -> None:
    before, after = pod_template(render("postgres-ha")), pod_template(render("postgres-ha", values))
    assert (before != after) is restarts


def test_the_app_secret_is_complete(render: Render) -> None:
    values = {"database": {"name": "accounts", "user": "clerk"}, "members": 2}
    data = secret(render("postgres-ha", values), "demo-app")
    password = data.pop("password")
    assert len(password) >= 32
    # The keeper's alone.
    assert "ca.crt" not in data
    dsn = dict(word.split("=", 1) for word in data.pop("dsn").split())
    assert dsn["host"] == "demo-0.demo-members,demo-1.demo-members"
    assert (dsn["user"], dsn["password"], dsn["dbname"]) == ("clerk", password, "accounts")
    assert (dsn["target_session_attrs"], dsn["sslmode"]) == ("primary", "require")
    assert data == {
        "username": "clerk",
        "database": "accounts",
        "host": "demo-primary",
        "port": "5432",
        "uri": f"postgresql://clerk:{password}@demo-primary:5432/accounts",
        "rotation": "0",
    }


def test_secrets_outlive_the_release_and_passwords_differ(render: Render) -> None:
    docs = render("postgres-ha", {"users": [{"name": "reader"}], "database": {"owner": "head"}})
    secrets = [doc for doc in docs if doc["kind"] == "Secret"]
    names = {doc["metadata"]["name"] for doc in secrets}
    assert names == {f"demo-{name}" for name in ("app", "internal", "ca", "tls", "owner", "user-reader")}
    for doc in secrets:
        assert doc["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    internal = secret(docs, "demo-internal")
    assert internal.pop("rotation") == "0"
    assert set(internal) == {f"{key}-password" for key in ("replication", "rewind", "restapi", "backup")}
    others = [secret(docs, name)["password"] for name in ("demo-app", "demo-owner", "demo-user-reader")]
    assert len({*internal.values(), *others}) == 7


@pytest.mark.parametrize(
    ("owner", "given"), [({}, {"theirs"}), ({"existingSecret": "own"}, {"theirs", "own"})]
)
def test_every_secret_that_a_role_needs_is_there_or_given(
    render: Render, owner: Doc, given: set[str]
) -> None:
    users = [{"name": "reader"}, {"name": "importer", "existingSecret": "theirs"}]
    values = {"users": users, "database": {"owner": "head"}, "credentials": {"owner": owner}}
    docs = render("postgres-ha", values)
    needed = {role["secret"]["name"] for role in desired(docs)["roles"] if "secret" in role}
    made = {doc["metadata"]["name"] for doc in docs if doc["kind"] == "Secret"}
    assert needed - made == given
    assert ("demo-owner" in made) is ("own" not in given)
    allowed = {
        name
        for rule in find(docs, "Role", "demo")["rules"]
        if "secrets" in rule["resources"]
        for name in rule["resourceNames"]
    }
    assert needed == allowed


def test_a_rotation_makes_a_second_login_that_acts_as_the_first(render: Render) -> None:
    docs = render("postgres-ha", {"credentials": {"app": {"rotation": 1}, "internal": {"rotation": 1}}})
    roles = {role["name"]: role for role in desired(docs)["roles"]}
    assert roles["notejam_2"]["actsAs"] == "notejam"
    assert "notejam" not in roles
    assert secret(docs, "demo-app")["username"] == "notejam_2"
    env = {item["name"]: item.get("value") for item in pod_template(docs)["spec"]["containers"][0]["env"]}
    for name, login in (("REPLICATION", "replicator_2"), ("REWIND", "rewind_2")):
        assert env[f"PATRONI_{name}_USERNAME"] == login
        assert roles[login]["memberOf"] == [login.removesuffix("_2")]


@pytest.mark.parametrize(
    ("values", "user"),
    [
        (
            {"credentials": {"app": {"rotation": 1}}},
            {"secretKeyRef": {"name": "demo-app", "key": "username"}},
        ),
        ({"credentials": {"app": {"existingSecret": "mine"}}}, "notejam"),
    ],
)
def test_the_test_logs_in_as_whom_the_password_is_for(render: Render, values: Doc, user: Any) -> None:
    (container,) = find(render("postgres-ha", values), "Pod", "demo-test")["spec"]["containers"]
    env = {item["name"]: item.get("value", item.get("valueFrom")) for item in container["env"]}
    assert env["PGUSER"] == user


def test_a_user_may_connect_where_its_address_points(render: Render) -> None:
    docs = render("postgres-ha", {"users": [{"name": "reader"}, {"name": "other", "databases": ["notejam"]}]})
    roles = {role["name"]: role for role in desired(docs)["roles"]}
    for name in ("reader", "other"):
        assert [secret(docs, f"demo-user-{name}")["database"]] == roles[name]["databases"] == ["notejam"]


def test_an_empty_list_of_databases_is_none(render: Render) -> None:
    docs = render("postgres-ha", {"users": [{"name": "probe", "databases": []}]})
    (role,) = [role for role in desired(docs)["roles"] if role["name"] == "probe"]
    assert role["databases"] == []
    assert set(secret(docs, "demo-user-probe")) == {"username", "password", "host", "port"}


def test_a_connection_limit_of_nought_is_no_connection(render: Render) -> None:
    users = [{"name": "closed", "connectionLimit": 0}, {"name": "open"}]
    docs = render("postgres-ha", {"users": users})
    limits = {role["name"]: role.get("connectionLimit") for role in desired(docs)["roles"]}
    assert (limits["closed"], limits["open"]) == (0, -1)


def test_the_version_of_what_is_desired_follows_it(render: Render) -> None:
    one, same, other = (
        desired(render("postgres-ha", values))["version"]
        for values in ({}, {"members": 5}, {"users": [{"name": "reader"}]})
    )
    assert one == same != other


def test_members_replace_themselves_never(render: Render) -> None:
    docs = render("postgres-ha")
    assert find(docs, "StatefulSet", "demo")["spec"]["updateStrategy"] == {"type": "OnDelete"}
    job = find(docs, "Job", "demo-rollout")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "post-upgrade,post-rollback"


def test_the_job_knows_what_patroni_is_to_store(render: Render) -> None:
    docs = render("postgres-ha", {"storage": {"wal": {"enabled": True}}})
    wishes = json.loads(find(docs, "ConfigMap", "demo-rollout")["data"]["rollout.json"])
    assert wishes["dynamic"] == dynamic(docs)
    assert wishes["volumes"] == {"data": "8Gi", "wal": "2Gi"}
    assert wishes["version"] == desired(docs)["version"]


def test_tls_names_every_service_and_member(render: Render) -> None:
    docs = render("postgres-ha", {"tls": {"mode": "certManager", "issuerRef": {"name": "ca"}}})
    names = find(docs, "Certificate", "demo")["spec"]["dnsNames"]
    for host in ("demo-primary", "demo-replicas.demo.svc", "*.demo-members.demo.svc.cluster.local"):
        assert host in names
    volumes = {item["name"]: item for item in pod_template(docs)["spec"]["volumes"]}
    assert volumes["tls"]["secret"]["secretName"] == "demo-tls"
    assert not [doc for doc in docs if doc["kind"] == "CronJob"]


@pytest.mark.parametrize(
    ("values", "gives"),
    [
        ({}, True),
        ({"tls": {"mode": "certManager", "issuerRef": {"name": "ca"}}}, True),
        ({"tls": {"mode": "existingSecret", "existingSecret": "ours"}}, True),
        (
            {
                "tls": {"mode": "existingSecret", "existingSecret": "ours"},
                "credentials": {"app": {"existingSecret": "login"}},
            },
            False,
        ),
    ],
)
def test_the_members_give_the_application_their_authority(render: Render, values: Doc, gives: bool) -> None:
    docs = render("postgres-ha", values)
    may = [
        rule["resourceNames"] for rule in find(docs, "Role", "demo")["rules"] if rule["verbs"] == ["patch"]
    ]
    assert may == ([["demo-app"]] if gives else [])
    assert desired(docs).get("trust") == ("demo-app" if gives else None)


def test_data_is_removed_only_when_asked_for(render: Render) -> None:
    def hooks(values: Doc) -> set[str]:
        return {
            doc["kind"]
            for doc in render("postgres-ha", values)
            if doc["metadata"].get("annotations", {}).get("helm.sh/hook") == "post-delete"
        }

    assert hooks({}) == set()
    assert hooks({"uninstall": {"removeData": True}}) == {"ServiceAccount", "Role", "RoleBinding", "Job"}


def test_alerts_have_runbooks(render: Render) -> None:
    values = {
        "metrics": {"enabled": True, "rules": {"enabled": True, "runbooks": "https://books.example.com"}}
    }
    (group,) = find(render("postgres-ha", values), "PrometheusRule", "demo")["spec"]["groups"]
    assert len(group["rules"]) >= 8
    for rule in group["rules"]:
        page = rule["annotations"]["runbook_url"].removeprefix("https://books.example.com/")
        assert (RUNBOOKS / page).is_file(), page
        assert rule["alert"] in (RUNBOOKS / page).read_text(encoding="utf-8")
        assert "@" not in json.dumps(rule)


def test_alerts_see_one_namespace_only(render: Render) -> None:
    """Several namespaces may have releases of one name, and one Prometheus."""
    values = {
        "metrics": {"enabled": True, "rules": {"enabled": True, "runbooks": "https://books.example.com"}}
    }
    docs = render("postgres-ha", values, namespace="stage")
    for rule in find(docs, "PrometheusRule", "demo")["spec"]["groups"][0]["rules"]:
        metrics = re.findall(r"\b(?:patroni|pg|kubelet|kube)_\w+", rule["expr"])
        assert rule["expr"].count('namespace="stage"') == len(metrics) > 0, rule["alert"]
        # Equal labels would make one alert of those of two databases.
        assert {"namespace": "stage", "scope": "demo"}.items() <= rule["labels"].items()


def test_existing_secrets_replace_the_generated_ones(render: Render) -> None:
    values = {"credentials": {"app": {"existingSecret": "mine"}, "internal": {"existingSecret": "ours"}}}
    docs = render("postgres-ha", values)
    assert {doc["metadata"]["name"] for doc in docs if doc["kind"] == "Secret"} == {"demo-ca", "demo-tls"}
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


def test_the_network_policy_lets_in_members_helpers_monitoring_and_clients(render: Render) -> None:
    clients = [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "notejam"}}}]
    collectors = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    values = {
        "networkPolicy": {"clients": clients, "monitoring": collectors},
        "metrics": {"enabled": True},
    }
    docs = render("postgres-ha", values)
    members, job, tester, monitoring, others = find(docs, "NetworkPolicy", "demo")["spec"]["ingress"]
    assert [port["port"] for port in members["ports"]] == ["postgres", "patroni"]
    pod = find(docs, "Job", "demo-rollout")["spec"]["template"]["metadata"]["labels"]
    assert job["from"][0]["podSelector"]["matchLabels"].items() <= pod.items()
    labels = find(docs, "Pod", "demo-test")["metadata"]["labels"]
    assert tester["from"][0]["podSelector"]["matchLabels"].items() <= labels.items()
    assert tester["ports"] == [{"port": "postgres"}]
    assert monitoring == {"from": collectors, "ports": [{"port": "metrics"}, {"port": "patroni"}]}
    assert others == {"from": clients, "ports": [{"port": "postgres"}]}


def test_every_name_follows_the_override(render: Render) -> None:
    for doc in render("postgres-ha", {"fullnameOverride": "accounts"}):
        assert doc["metadata"]["name"].startswith("accounts"), doc["kind"]


def test_long_names_fit_what_kubernetes_allows(render: Render, walk_pod_specs: Callable[..., Any]) -> None:
    name = "n" * 52
    docs = render("postgres-ha", {"fullnameOverride": name, "database": {"owner": "head"}})
    # A CronJob adds 11 characters for its Jobs; a StatefulSet, as many for the label of a revision.
    limits = {"CronJob": 52, "Service": 63, "Job": 63, "StatefulSet": 52}
    for doc in docs:
        assert len(doc["metadata"]["name"]) <= limits.get(doc["kind"], 253), doc["kind"]
        assert max(map(len, doc["metadata"]["labels"].values())) <= 63, doc["kind"]
    for pod in walk_pod_specs(docs):
        assert max(map(len, pod.template["metadata"]["labels"].values())) <= 63, pod.where


@pytest.mark.parametrize(
    ("name", "expected"),
    [("n" * 39, "n" * 39 + "-certificates"), ("n" * 40, r"n{34}-[0-9a-f]{4}-certificates")],
)
def test_only_a_long_name_is_shortened(render: Render, name: str, expected: str) -> None:
    docs = render("postgres-ha", {"fullnameOverride": name})
    (cron_job,) = [doc["metadata"]["name"] for doc in docs if doc["kind"] == "CronJob"]
    assert re.fullmatch(expected, cron_job)
    assert find(docs, "ServiceAccount", f"{name}-certificates")
