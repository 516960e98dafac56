"""How the chart notejam hands its options to the app, and that the app takes them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from notejam.config import Settings
from notejam.limit_settings import NO_LIMITS

CHART = Path(__file__).resolve().parents[2] / "charts" / "notejam"
SECRETS = {
    "DATABASE_URL": "postgresql://u:p@db/notejam",
    "SECRET_KEY": "k" * 32,
    "SECRET_KEY_FALLBACKS": f"{'f' * 32},{'g' * 32}",
    "NOTEJAM_MAIL_URL": "smtp+starttls://u:p@mail.example.org:587",
}

Doc = dict[str, Any]
Render = Callable[..., list[Doc]]


def _one(docs: list[Doc], kind: str) -> Doc:
    (doc,) = (doc for doc in docs if doc["kind"] == kind)
    return doc


def _container(docs: list[Doc]) -> Doc:
    container: Doc = _one(docs, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    return container


def _settings(docs: list[Doc]) -> Settings:
    """What the app makes of the variables; those from Secrets have the values above."""
    environment = {
        item["name"]: item["value"] if "value" in item else SECRETS.get(item["name"], "")
        for item in _container(docs)["env"]
    }
    return Settings.from_environment(environment, serving=True)


def test_by_default_the_app_has_its_own_defaults(render: Render) -> None:
    docs = render("notejam")

    assert _settings(docs) == Settings.from_environment(
        {name: SECRETS[name] for name in ("DATABASE_URL", "SECRET_KEY")}, serving=True
    )
    names = [item["name"] for item in _container(docs)["env"]]
    assert names == ["DATABASE_URL", "SECRET_KEY", "GUNICORN_CMD_ARGS"]


def test_everything_reaches_the_app(render: Render) -> None:
    settings = _settings(render("notejam", CHART / "ci" / "everything-values.yaml"))

    assert settings.external_url == "https://notes.example.org"
    assert settings.allowed_hosts == ("notes.internal", "notes", "notes-prod")
    assert settings.proxy_hops == 2
    assert settings.database_replica_url is not None
    assert (settings.database_replica_url.host, settings.database_replica_url.port) == (
        "other-db-replicas",
        5433,
    )
    assert settings.database_wait_seconds == 10
    assert (settings.mail.host, settings.mail.sender) == ("mail.example.org", "notes@example.org")
    assert settings.limits == NO_LIMITS
    assert (settings.log_addresses, settings.tracing, settings.metrics_port) == ("network", True, 9102)


def test_former_keys_come_from_a_secret_of_ones_own(render: Render) -> None:
    settings = _settings(render("notejam", CHART / "ci" / "minimal-values.yaml"))

    assert settings.secret_key_fallbacks == ("f" * 32, "g" * 32)
    assert (settings.metrics_port, settings.database_wait_seconds) == (0, 0)


@pytest.mark.parametrize(
    ("option", "field"),
    [
        ("signInAccount", "sign_in_account"),
        ("signInAddress", "sign_in_address"),
        ("signUpAddress", "sign_up_address"),
        ("forgotAccount", "forgot_account"),
        ("forgotAddress", "forgot_address"),
    ],
)
def test_each_limit(render: Render, option: str, field: str) -> None:
    limits = _settings(render("notejam", {"rateLimits": {option: "7/90s"}})).limits
    assert (getattr(limits, field).count, getattr(limits, field).window.total_seconds()) == (7, 90)
    assert getattr(_settings(render("notejam", {"rateLimits": {option: "off"}})).limits, field) is None


def test_metrics_are_read_by_nobody_unless_told_otherwise(render: Render) -> None:
    docs = render("notejam")
    assert {"name": "metrics", "containerPort": 9102} in _container(docs)["ports"]
    assert [rule["ports"][0]["port"] for rule in _one(docs, "NetworkPolicy")["spec"]["ingress"]] == [8000]
    assert [port["name"] for port in _one(docs, "Service")["spec"]["ports"]] == ["http"]

    prometheus = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    docs = render("notejam", {"networkPolicy": {"monitoring": [prometheus]}})
    _, rule = _one(docs, "NetworkPolicy")["spec"]["ingress"]
    assert rule == {"ports": [{"protocol": "TCP", "port": 9102}], "from": [prometheus]}


def test_without_metrics_there_is_no_port(render: Render) -> None:
    docs = render("notejam", {"metrics": {"enabled": False}, "networkPolicy": {"monitoring": [{}]}})

    assert [port["name"] for port in _container(docs)["ports"]] == ["http"]
    assert len(_one(docs, "NetworkPolicy")["spec"]["ingress"]) == 1


@pytest.mark.parametrize(
    ("option", "kind", "endpoints"),
    [("podMonitor", "PodMonitor", "podMetricsEndpoints"), ("podMonitoring", "PodMonitoring", "endpoints")],
)
def test_monitors_find_the_web_pods(render: Render, option: str, kind: str, endpoints: str) -> None:
    assert [doc for doc in render("notejam") if doc["kind"] == kind] == []
    docs = render("notejam", {"metrics": {option: {"enabled": True}}})

    monitor = _one(docs, kind)["spec"]
    assert monitor["selector"] == _one(docs, "Deployment")["spec"]["selector"]
    assert monitor[endpoints] == [{"port": "metrics", "interval": "30s"}]


def test_what_the_chart_sets_itself_is_refused_elsewhere(
    render: Render, render_error: Callable[..., str]
) -> None:
    everything = yaml.safe_load((CHART / "ci" / "everything-values.yaml").read_text(encoding="utf-8"))
    own = {item["name"] for item in _container(render("notejam", everything))["env"]}
    own |= {
        item["name"] for item in _container(render("notejam", CHART / "ci" / "minimal-values.yaml"))["env"]
    }
    extra = {item["name"] for item in everything["extraEnv"]}

    for name in sorted(own - extra):
        assert "'/extraEnv/0/name'" in render_error(
            "notejam", {"extraEnv": [{"name": name, "value": "1"}]}
        ), name
