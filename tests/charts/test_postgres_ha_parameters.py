"""Which settings of Postgres the values of postgres-ha may have, and what is said of the others."""

import json
from collections.abc import Callable
from typing import Any

import pytest

Doc = dict[str, Any]
Render = Callable[..., list[Doc]]
RenderError = Callable[..., str]

REFUSED = {
    "hba_file": "as its key postgresql.hba says",
    "max_connections": "as its key postgresql.maxConnections says",
    "ssl": "as its key tls.required says",
    "ssl_ca_file": "as its key tls.mode says",
    "ssl_cert_file": "as its key tls.mode says",
    "ssl_key_file": "as its key tls.mode says",
    "synchronous_standby_names": "as its key durability says",
    "config_file": "have fixed places",
    "data_directory": "have fixed places",
    "ident_file": "have fixed places",
    "listen_addresses": "have fixed places",
    "port": "have fixed places",
    "unix_socket_directories": "have fixed places",
    "cluster_name": "Patroni sets it",
    "hot_standby": "Patroni sets it",
    "primary_conninfo": "Patroni sets it",
    "primary_slot_name": "Patroni sets it",
    "wal_log_hints": "Patroni sets it",
    "password_encryption": "takes scram-sha-256",
    "default_transaction_read_only": "while a volume is nearly full",
}


def make_values(durability: str = "preferred", **parameters: object) -> Doc:
    return {"durability": durability, "postgresql": {"parameters": parameters}}


def stored(docs: list[Doc]) -> Doc:
    """What Patroni is to store."""
    (text,) = [
        doc["data"]["rollout.json"]
        for doc in docs
        if doc["kind"] == "ConfigMap" and doc["metadata"]["name"] == "demo-rollout"
    ]
    dynamic: Doc = json.loads(text)["dynamic"]
    return dynamic


@pytest.mark.parametrize("name", REFUSED)
def test_what_others_set_is_refused_with_a_reason(render_error: RenderError, name: str) -> None:
    message = render_error("postgres-ha", make_values(**{name: "1"}))
    assert f"postgresql.parameters.{name}: " in message
    assert REFUSED[name] in message
    assert "eave " in message


@pytest.mark.parametrize(
    "parameters",
    [
        {"max_wal_senders": 20, "max_replication_slots": 20, "max_worker_processes": 16},
        {"max_locks_per_transaction": 256, "max_prepared_transactions": 10, "wal_keep_size": "2GB"},
        {"track_commit_timestamp": "on", "wal_level": "logical", "ssl_min_protocol_version": "TLSv1.3"},
        {"synchronous_commit": "remote_write", "fsync": True, "full_page_writes": "on"},
        {"synchronous_commit": "remote_apply"},
        {"synchronous_commit": True},
    ],
)
def test_accepts(render: Render, parameters: Doc) -> None:
    found = stored(render("postgres-ha", make_values(**parameters)))["postgresql"]["parameters"]
    assert parameters.items() <= found.items()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_wal_senders", 9),
        ("max_replication_slots", 9),
        ("max_worker_processes", 7),
        ("max_locks_per_transaction", 31),
        ("max_prepared_transactions", -1),
        ("wal_keep_size", "15MB"),
        ("wal_level", "minimal"),
        ("track_commit_timestamp", "maybe"),
        ("ssl_min_protocol_version", "TLSv1"),
    ],
)
def test_what_patroni_would_pass_over_is_refused(render_error: RenderError, name: str, value: object) -> None:
    assert f"/postgresql/parameters/{name}" in render_error("postgres-ha", make_values(**{name: value}))


@pytest.mark.parametrize("durability", ["preferred", "required"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("synchronous_commit", "off"),
        ("synchronous_commit", False),
        ("synchronous_commit", "LOCAL"),
        ("fsync", False),
        ("fsync", "Off"),
        ("fsync", 0),
        ("full_page_writes", "no"),
        ("full_page_writes", "false"),
    ],
)
def test_what_durability_promises_is_not_switched_off(
    render_error: RenderError, durability: str, name: str, value: object
) -> None:
    message = render_error("postgres-ha", make_values(durability, **{name: value}))
    assert f"postgresql.parameters.{name}: " in message
    assert f"durability is {durability}" in message
    assert "durability to none" in message


def test_where_durability_promises_nothing_it_may_be_off(render: Render) -> None:
    parameters = {"synchronous_commit": False, "fsync": "off", "full_page_writes": 0}
    assert render("postgres-ha", make_values("none", **parameters))


@pytest.mark.parametrize("level", ["logical", "replica"])
def test_slots_of_subscriptions_are_not_dropped(render: Render, level: str) -> None:
    """Whatever wal_level is: the Job of an upgrade changes settings of the top level, and removes none."""
    docs = render("postgres-ha", make_values(wal_level=level))
    assert stored(docs)["ignore_slots"] == [{"type": "logical"}]
