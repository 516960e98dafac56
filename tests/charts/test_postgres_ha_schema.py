"""What values.schema.json of postgres-ha lets through, and what it names when it refuses."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.pages import load_maker

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "postgres-ha"
MAKER = load_maker(ROOT / "docs" / "make_values.py")
DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"global": {"anything": {"a": "parent chart"}}},
        {"members": 1},
        {"members": 9},
        {"durability": "none"},
        {"users": [{"name": "reader", "memberOf": ["pg_read_all_data"], "connectionLimit": 5}]},
        {"users": [{"name": "reader_", "existingSecret": "mine"}]},
        {"users": [{"name": "b", "databases": [], "connectionLimit": 0}, {"name": "a", "memberOf": ["b"]}]},
        {"databases": [{"name": "reports", "owner": "notejam", "extensions": ["pg_trgm"]}]},
        {"database": {"owner": "notejam_owner"}},
        {"postgresql": {"hba": ["hostssl all reader 10.0.0.0/8 scram-sha-256", "host all all all reject"]}},
        {
            "postgresql": {
                "hba": ["hostssl a,b +staff 10.0.0.0 255.0.0.0 scram-sha-256", "local all all  peer"]
            }
        },
        {"postgresql": {"hba": ["host my_replication replication ::1/128 reject"]}},
        {"tls": {"mode": "existingSecret", "existingSecret": "mine"}},
        {"tls": {"mode": "certManager", "issuerRef": {"name": "ca", "kind": "Issuer"}}},
        {"metrics": {"enabled": True, "podMonitor": {"enabled": True}}},
        {"metrics": {"enabled": True, "rules": {"enabled": True, "runbooks": "https://r.example.com"}}},
        {"credentials": {"app": {"rotation": 3}, "internal": {"rotation": 1}}},
        {"credentials": {"internal": {"existingSecret": "ours", "rotation": 1}}},
        {"credentials": {"owner": {"existingSecret": "theirs"}}, "database": {"owner": "head"}},
        {"preStopSeconds": 60, "terminationGracePeriodSeconds": 90},
        {"image": {"digest": DIGEST}},
        {"image": {"tag": "17", "digest": ""}},
        {"durability": "required", "members": 2},
        {"failover": {"ttl": 30, "loopWait": 10, "retryTimeout": 10}},
        {"postgresql": {"parameters": {"work_mem": "8MB", "random_page_cost": 1.1, "autovacuum": True}}},
        {"postgresql": {"parameters": {"pg_stat_statements.max": 1000}}},
        {"storage": {"wal": {"enabled": True, "size": "512Mi"}}},
        {"resources": {"limits": {"cpu": "500m"}}},
        {"networkPolicy": {"clients": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}},
        {"fullnameOverride": "accounts"},
        {"fullnameOverride": "a-9"},
        {"users": [{"name": "_my_reader9"}]},
        {"users": [{"name": "notejam_3"}], "databases": [{"name": "reports", "owner": "notejam_3"}]},
        {"storage": {"size": "512Mi"}},
        {"storage": {"size": "256Mi", "wal": {"enabled": True, "size": "256Mi"}}},
        {
            "resources": {"limits": {"memory": "128Mi"}},
            "keeper": {"resources": {"limits": {"memory": "48Mi"}}},
        },
        {"image": {"repository": "eu-docker.pkg.dev/p-1/team_a/postgres"}},
        {"image": {"repository": "127.0.0.1:5000/postgres"}},
        {"image": {"repository": "team_a/postgres"}},
        {"postgresql": {"hba": ["host all all 127.0.0.1/32 scram-sha-256"]}},
        {"databases": [{"name": "b", "owner": "head"}], "database": {"owner": "head"}},
        {"storage": {"wal": {"size": "1Mi"}}},
        {"import": {"host": "old-primary.other", "existingSecret": "old-app", "sslMode": "verify-full"}},
    ],
)
def test_accepts(render: Callable[..., list[dict[str, Any]]], values: dict[str, Any]) -> None:
    assert render("postgres-ha", values)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"replicas": 3}, "'replicas' not allowed"),
        ({"members": 0}, "/members"),
        ({"members": 10}, "/members"),
        ({"durability": "required", "members": 0}, "/members"),
        ({"users": [{"name": "postgres"}]}, "/users/0/name"),
        (
            {"import": {"host": "old-primary"}},
            "import.existingSecret: a copy from import.host needs a login there",
        ),
        (
            {"import": {"existingSecret": "old-app"}},
            "import.host: import.existingSecret is the login of a source",
        ),
        ({"import": {"host": "old", "existingSecret": "a", "sslMode": "maybe"}}, "/import/sslMode"),
        ({"users": [{"name": "reader", "password": "hunter2"}]}, "'password' not allowed"),
        ({"users": [{"name": "notejam"}]}, "users[0].name is notejam, which is taken"),
        ({"users": [{"name": "a"}, {"name": "a"}]}, "users[1].name is a, which is taken"),
        ({"users": [{"name": "a", "databases": ["b"]}]}, "users[0].databases names b"),
        ({"users": [{"name": "a", "memberOf": ["postgres"]}]}, "users[0].memberOf names postgres"),
        (
            {"users": [{"name": "a", "memberOf": ["pg_execute_server_program"]}]},
            "users[0].memberOf names pg_execute_server_program: with the files and programs of a member",
        ),
        (
            {"users": [{"name": "a", "memberOf": ["pg_monitor", "replicator_2"]}]},
            "users[0].memberOf names replicator_2",
        ),
        (
            {"databases": [{"name": "b", "owner": "c"}]},
            "databases[0].owner is c, which is none of database.user, database.owner and users",
        ),
        ({"databases": [{"name": "notejam", "owner": "notejam"}]}, "databases[0].name is notejam"),
        ({"database": {"owner": "notejam"}}, "database.owner is notejam, which is database.user"),
        ({"database": {"extensions": ["x; DROP"]}}, "/database/extensions/0"),
        ({"postgresql": {"hba": ["include other.conf"]}}, "/postgresql/hba/0"),
        ({"tls": {"mode": "off"}}, "/tls/mode"),
        ({"tls": {"mode": "existingSecret"}}, "tls.existingSecret: tls.mode `existingSecret` needs"),
        ({"tls": {"existingSecret": "mine"}}, "tls.existingSecret: is for tls.mode `existingSecret` only"),
        (
            {"tls": {"mode": "certManager"}},
            "tls.issuerRef: tls.mode `certManager` needs the name of an Issuer",
        ),
        ({"tls": {"issuerRef": {"name": "ca"}}}, "tls.issuerRef: is for tls.mode `certManager` only"),
        ({"tls": {"days": 1}}, "/tls/days"),
        ({"metrics": {"podMonitor": {"enabled": True}}}, "metrics.podMonitor.enabled: without the exporter"),
        ({"metrics": {"rules": {"enabled": True}}}, "metrics.rules.enabled: without the exporter"),
        (
            {"metrics": {"enabled": True, "rules": {"enabled": True}}},
            "metrics.rules.runbooks: every alert links",
        ),
        (
            {"credentials": {"app": {"existingSecret": "a", "rotation": 1}}},
            "credentials.app.rotation: the Secret a is yours",
        ),
        ({"rollout": {"timeoutSeconds": 5}}, "/rollout/timeoutSeconds"),
        ({"uninstall": {"removeData": "yes"}}, "/uninstall/removeData"),
        (
            {"preStopSeconds": 60, "terminationGracePeriodSeconds": 89},
            "/terminationGracePeriodSeconds",
        ),
        ({"members": "3"}, "/members"),
        ({"durability": "required", "members": 1}, "members: durability `required` needs 2 members or more"),
        ({"durability": "always"}, "/durability"),
        ({"image": {"digest": "sha256:123"}}, "/image/digest"),
        ({"image": {"repository": ""}}, "/image/repository"),
        ({"image": {"registry": "x"}}, "'registry' not allowed"),
        ({"database": {"name": "template1"}}, "/database/name"),
        ({"database": {"name": "with-dash"}}, "/database/name"),
        ({"database": {"user": "postgres"}}, "/database/user"),
        ({"database": {"user": "pg_reader"}}, "/database/user"),
        ({"database": {"user": "x'; DROP TABLE notes"}}, "/database/user"),
        ({"credentials": {"app": {"password": "hunter2"}}}, "'password' not allowed"),
        ({"failover": {"ttl": 19}}, "/failover/ttl"),
        ({"failover": {"loopWait": 0}}, "/failover/loopWait"),
        ({"failover": {"retryTimeout": 2}}, "/failover/retryTimeout"),
        ({"failover": {"loopWait": 7}}, "failover.loopWait + 2 * failover.retryTimeout is 21"),
        ({"postgresql": {"maxConnections": 24}}, "/postgresql/maxConnections"),
        ({"postgresql": {"parameters": {"work_mem": ["8MB"]}}}, "/postgresql/parameters/work_mem"),
        ({"storage": {"size": "8G"}}, "/storage/size"),
        ({"storage": {"wal": {"enabled": "yes"}}}, "/storage/wal/enabled"),
        ({"resources": {"limits": {"memory": "lots"}}}, "/resources/limits/memory"),
        ({"resources": {"limits": {"memory": None}}}, "'memory'"),
        ({"terminationGracePeriodSeconds": 30}, "/terminationGracePeriodSeconds"),
        ({"preStopSeconds": 120}, "/preStopSeconds"),
        ({"networkPolicy": {"clients": []}}, "/networkPolicy/clients"),
        ({"networkPolicy": {"clients": [{}]}}, "/networkPolicy/clients/0"),
        ({"networkPolicy": {"from": []}}, "'from' not allowed"),
        ({"podLabels": {"role": "primary"}}, "/podLabels/role"),
        ({"podLabels": {"postgres-ha/reads": "true"}}, "/podLabels/postgres-ha"),
        ({"podLabels": {"patroni-role": "primary"}}, "/podLabels/patroni-role"),
        # Helm takes null for the wish that the key be not there at all.
        ({"clusterDomain": None}, "'clusterDomain'"),
        ({"credentials": {"app": {"rotation": None}}}, "'rotation'"),
        ({"networkPolicy": {"monitoring": None}}, "'monitoring'"),
        (
            {"credentials": {"owner": {"existingSecret": "theirs"}}},
            "credentials.owner.existingSecret: the Secret is for the role database.owner",
        ),
        ({"fullnameOverride": "x" * 53}, "/fullnameOverride"),
        ({"fullnameOverride": "9a"}, "/fullnameOverride"),
        # Its Secret would be demo-user-reader-, which is no name.
        ({"users": [{"name": "reader_"}]}, "/users/0/name"),
        ({"users": [{"name": "reader_", "existingSecret": ""}]}, "/users/0/name"),
        # A name that the chart takes for itself, of a role that may not be there.
        ({"users": [{"name": "notejam_2"}]}, "users[0].name is notejam_2, which is taken"),
        ({"databases": [{"name": "b", "owner": "notejam_2"}]}, "databases[0].owner is notejam_2, which"),
        ({"storage": {"size": "511Mi"}}, "storage.size: is 511Mi, and must be at least 512Mi, as the write-"),
        (
            {"storage": {"size": "255Mi", "wal": {"enabled": True}}},
            "storage.size: is 255Mi, and must be at least 256Mi: in less",
        ),
        (
            {"storage": {"wal": {"enabled": True, "size": "255Mi"}}},
            "storage.wal.size: is 255Mi, and must be at least 256Mi",
        ),
        ({"resources": {"limits": {"memory": "127Mi"}}}, "resources.limits.memory: is 127Mi, and must be"),
        (
            {"keeper": {"resources": {"limits": {"memory": "47Mi"}}}},
            "keeper.resources.limits.memory: is 47Mi, and must be",
        ),
        ({"image": {"repository": "registry.example.com/postgres:17"}}, "/image/repository"),
        ({"image": {"repository": "Registry Example/pg"}}, "/image/repository"),
        ({"image": {"repository": "postgres:17"}}, "/image/repository"),
        ({"users": [{"name": "a", "memberOf": ["a"]}]}, "users[0].memberOf names a: nobody is a member of"),
        ({"users": [{"name": "a", "memberOf": ["public"]}]}, "users[0].memberOf names public"),
        (
            {"users": [{"name": "a", "memberOf": ["pg_database_owner"]}]},
            "users[0].memberOf names pg_database_owner",
        ),
    ],
)
def test_rejects_and_names_the_key(
    render_error: Callable[..., str], values: dict[str, Any], named: str
) -> None:
    assert named in render_error("postgres-ha", values)


@pytest.mark.parametrize("release", ["9.db", "my.db", "9db"])
def test_a_release_whose_name_no_service_can_have_needs_another(
    render: Callable[..., list[dict[str, Any]]], render_error: Callable[..., str], release: str
) -> None:
    message = render_error("postgres-ha", release=release)
    assert "fullnameOverride: without it, every object is named after the release" in message
    assert f"no Service can be named after {release}: it takes small letters" in message
    assert render("postgres-ha", {"fullnameOverride": "db"}, release=release)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("host all all all trust", "the method must be"),
        ("host all all all password", "the method must be"),
        ("host all all all trust # scram-sha-256", "has a character that"),
        ("host all all all trust scram-sha-256", "the method must be"),
        ("host all all all peer", "the method must be"),
        # No authority for clients can be set, and Postgres refuses the file without one.
        ("hostssl all all all cert", "the method must be"),
        ("hostssl all all all scram-sha-256 clientcert=verify-ca", "the method must be"),
        ("host replication all all scram-sha-256", "connections of replication are reserved"),
        ("hostnossl all,replication replicator all scram-sha-256", "connections of replication are reserved"),
        ("local replication all peer", "connections of replication are reserved"),
        ("host all, replication replicator ::1 scram-sha-256", "has a character that"),
        ("host @databases all all scram-sha-256", "has a character that"),
        ('host "replication" all all scram-sha-256', "has a character that"),
        ("host all all all scram-sha-256", "lets somebody in without TLS, and tls.required is true"),
        ("hostnossl all all 10.0.0.0/8 scram-sha-256", "lets somebody in without TLS"),
        ("local all all peer\nhost all all all trust\nlocal all all peer", "has a character that"),
    ],
)
def test_refuses_lines_that_let_others_in(render_error: Callable[..., str], line: str, said: str) -> None:
    message = render_error("postgres-ha", {"postgresql": {"hba": ["local all all peer", line]}})
    assert "postgresql.hba[1]: " in message
    assert said in message


def test_lines_without_tls_where_it_is_not_required(render: Callable[..., list[dict[str, Any]]]) -> None:
    values = {"tls": {"required": False}, "postgresql": {"hba": ["host all all all scram-sha-256"]}}
    assert render("postgres-ha", values)


def walk(
    values: dict[str, Any], rule: dict[str, Any], root: dict[str, Any], path: str
) -> Iterator[tuple[str, set[str], set[str]]]:
    """Yield every object that has keys in values.yaml: its path, these keys, and those that it must have."""
    yield path, set(values), set(rule.get("required", ()))
    for key, value in values.items():
        below = MAKER.resolve(rule.get("properties", {}).get(key, {}), root)
        if isinstance(value, dict) and value:
            yield from walk(value, below, root, f"{path}/{key}")


def test_every_key_with_a_default_must_be_there() -> None:
    """Templates rely on it, and null takes a default away."""
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    wrong = [
        (path, sorted(keys ^ required))
        for path, keys, required in walk(values, schema, schema, "")
        if keys != required
    ]
    assert wrong == []
