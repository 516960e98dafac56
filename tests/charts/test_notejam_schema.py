"""The chart notejam refuses values that cannot work, and names the key."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

CHART = Path(__file__).resolve().parents[2] / "charts" / "notejam"
KEY = "k" * 32
DIGEST = "sha256:" + "0" * 64

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"replicaCount": 3}, "'replicaCount'"),
    ({"image": {"tagg": "1"}}, "'/image'"),
    ({"image": {"digest": "sha256:abc"}}, "'/image/digest'"),
    ({"image": {"digest": DIGEST.upper()}}, "'/image/digest'"),
    ({"image": {"tag": 1.0}}, "'/image/tag'"),
    ({"image": {"tag": "a b"}}, "'/image/tag'"),
    ({"image": {"repository": ""}}, "'/image/repository'"),
    ({"image": {"repository": "registry.example.org/app:1"}}, "'/image/repository'"),
    ({"image": {"pullPolicy": "always"}}, "'/image/pullPolicy'"),
    ({"replicas": -1}, "'/replicas'"),
    ({"replicas": 51}, "'/replicas'"),
    ({"replicas": "3"}, "'/replicas'"),
    ({"externalUrl": "notes.example.org"}, "'/externalUrl'"),
    ({"externalUrl": "https://notes.example.org/path"}, "'/externalUrl'"),
    ({"database": {"secretName": ""}}, "'/database/secretName'"),
    ({"database": {"url": "postgresql://user:password@db/notejam"}}, "'/database'"),
    ({"session": {"key": "short"}}, "'/session/key'"),
    ({"session": {"key": KEY, "existingSecret": "mine"}}, "'/session/key'"),
    ({"session": {"formerKeysSecretKey": "former"}}, "'/session/formerKeysSecretKey'"),
    ({"allowedHosts": ["notes.example.org:80"]}, "'/allowedHosts/0'"),
    ({"proxyHops": 11}, "'/proxyHops'"),
    ({"database": {"replicaHost": "postgresql://u:p@replicas/notejam"}}, "'/database/replicaHost'"),
    ({"database": {"waitSeconds": 31}}, "'/database/waitSeconds'"),
    ({"mail": {"secretName": "mail"}}, "'/externalUrl'"),
    ({"mail": {"from": "Notejam"}}, "'/mail/from'"),
    ({"rateLimits": {"signInAccount": "ten"}}, "'/rateLimits/signInAccount'"),
    ({"rateLimits": {"signInAccounts": "10/15m"}}, "'/rateLimits'"),
    ({"metrics": {"port": 9100}}, "'/metrics'"),
    ({"metrics": {"enabled": False, "podMonitor": {"enabled": True}}}, "'/metrics/podMonitor/enabled'"),
    ({"logs": {"addresses": "all"}}, "'/logs/addresses'"),
    ({"tracing": {"endpoint": "collector:4318"}}, "'/tracing/endpoint'"),
    ({"extraEnv": {"A": "1"}}, "'/extraEnv'"),
    ({"extraEnv": [{"name": "A"}]}, "'/extraEnv/0'"),
    ({"extraEnv": [{"name": "A", "value": 1}]}, "'/extraEnv/0/value'"),
    ({"extraEnv": [{"name": "A", "value": "1", "valueFrom": {}}]}, "'/extraEnv/0'"),
    ({"extraEnv": [{"name": "SECRET_KEY", "value": KEY}]}, "'/extraEnv/0/name'"),
    ({"extraEnv": [{"name": "NOTEJAM_LIMIT_SIGN_IN_ACCOUNT", "value": "off"}]}, "'/extraEnv/0/name'"),
    ({"service": {"type": "ExternalName"}}, "'/service/type'"),
    ({"service": {"nodePort": 30095}}, "'/service/nodePort'"),
    ({"service": {"type": "NodePort", "nodePort": 8080}}, "'/service/nodePort'"),
    ({"service": {"type": "NodePort", "nodePort": 32768}}, "'/service/nodePort'"),
    ({"service": {"type": "LoadBalancer"}}, "'/service/loadBalancerSourceRanges'"),
    (
        {"service": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["everybody"]}},
        "'/service/loadBalancerSourceRanges/0'",
    ),
    ({"service": {"loadBalancerSourceRanges": ["10.0.0.0/8"]}}, "'/service/loadBalancerSourceRanges'"),
    ({"resources": {"limit": {"memory": "1Gi"}}}, "'/resources'"),
    ({"resources": {"limits": {"memory": "1 GB"}}}, "'/resources/limits/memory'"),
    ({"rollout": {"maxSurge": 0}}, "'/rollout/maxSurge'"),
    ({"rollout": {"maxUnavailable": 1}}, "'/rollout'"),
    ({"shutdown": {"preStopSeconds": -1}}, "'/shutdown/preStopSeconds'"),
    ({"probes": {"liveness": {"path": "/readyz"}}}, "'/probes/liveness'"),
    ({"migration": {"backoffLimit": 100}}, "'/migration/backoffLimit'"),
    ({"networkPolicy": {"egress": True}}, "'/networkPolicy/egress'"),
    ({"topologySpread": {"whenUnsatisfiable": "Never"}}, "'/topologySpread/whenUnsatisfiable'"),
    ({"podAnnotations": {"a": 1}}, "'/podAnnotations/a'"),
    ({"fullnameOverride": "n" * 54}, "'/fullnameOverride'"),
]

ACCEPTED: list[dict[str, Any]] = [
    {"global": {"anything": ["goes"]}},
    {"image": {"digest": DIGEST}},
    {"replicas": 0},
    {"replicas": 50},
    {"externalUrl": "http://127.0.0.1:30080"},
    {"session": {"key": KEY}},
    {"session": {"existingSecret": "mine"}},
    {"session": {"existingSecret": "mine", "formerKeysSecretKey": "former"}},
    {"mail": {"secretName": "mail"}, "externalUrl": "https://notes.example.org"},
    {"rateLimits": {"forgotAccount": "off"}},
    {"service": {"type": "NodePort"}},
    {"service": {"type": "NodePort", "nodePort": 30095}},
    {"service": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["203.0.113.0/24"]}},
    {"resources": {"limits": {"cpu": 2, "memory": "1Gi"}}},
    {"resources": {"limits": None}},
    {"rollout": {"maxSurge": "50%"}},
]


@pytest.mark.parametrize(("values", "names"), REFUSED, ids=lambda case: json.dumps(case)[:60])
def test_refused_with_the_key_named(
    render_error: Callable[..., str], values: dict[str, Any], names: str
) -> None:
    assert names in render_error("notejam", values)


def test_helm_3_refuses_with_the_key_named(render_error: Callable[..., str], helm3: str) -> None:
    message = render_error("notejam", {"image": {"digest": "sha256:abc"}}, helm=helm3)
    assert "/image/digest" in message.replace("image.digest", "/image/digest")


@pytest.mark.parametrize("values", ACCEPTED, ids=lambda case: json.dumps(case)[:60])
def test_accepted(render: Callable[..., list[dict[str, Any]]], values: dict[str, Any]) -> None:
    assert render("notejam", values)


def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
    return schema


def _defaults() -> dict[str, Any]:
    defaults: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
    return defaults


def test_the_schema_is_a_valid_draft_07() -> None:
    schema = _schema()
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    Draft7Validator.check_schema(schema)


def _objects_with_keys(node: Any, where: str) -> list[tuple[str, dict[str, Any]]]:
    found = []
    if isinstance(node, dict):
        if "properties" in node and node.get("type") == "object":
            found.append((where, node))
        for key, child in node.items():
            found += _objects_with_keys(child, f"{where}/{key}")
    elif isinstance(node, list):
        for number, child in enumerate(node):
            found += _objects_with_keys(child, f"{where}/{number}")
    return found


def test_no_object_takes_unknown_keys() -> None:
    objects = _objects_with_keys(_schema(), "")
    assert len(objects) > 15
    assert [where for where, node in objects if node.get("additionalProperties") is not False] == []


def _schema_paths(node: dict[str, Any], schema: dict[str, Any], prefix: str) -> set[str]:
    if "$ref" in node:
        node = schema["definitions"][node["$ref"].rpartition("/")[2]]
    if "properties" not in node:
        return {prefix}
    paths = set()
    for key, child in node["properties"].items():
        paths |= _schema_paths(child, schema, f"{prefix}.{key}".lstrip("."))
    return paths


def _value_paths(node: Any, prefix: str) -> set[str]:
    if not isinstance(node, dict) or not node:
        return {prefix}
    return {
        path for key, child in node.items() for path in _value_paths(child, f"{prefix}.{key}".lstrip("."))
    }


def test_schema_and_values_list_the_same_keys() -> None:
    schema = _schema()
    listed = _schema_paths(schema, schema, "") - {"global"}
    # Any of these may be set for any container; the defaults set only some.
    quantities = {path for path in listed if ".requests." in path or ".limits." in path}
    assert listed - quantities == _value_paths(_defaults(), "") - quantities
