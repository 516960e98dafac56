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
    "ssl_crl_file": "there is no such file",
    "ssl_dh_params_file": "there is no such file",
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
        {"shared_buffers": "1GB", "work_mem": "4.5MB", "wal_buffers": -1, "archive_timeout": "5min"},
        {
            "random_page_cost": 1.1,
            "statement_timeout": "30 s",
            "lock_timeout": 0,
            "deadlock_timeout": "1e3ms",
        },
        {"log_file_mode": "0640", "log_statement": "DDL", "wal_compression": True, "autovacuum": "off"},
        {"max_wal_size": 32, "min_wal_size": "0.5GB", "search_path": "a, b", "timezone": "5"},
        {"superuser_reserved_connections": 90, "reserved_connections": 9},
        {"ssl_min_protocol_version": "TLSv1.3", "ssl_max_protocol_version": "TLSv1.3"},
        {"ssl_ciphers": "HIGH:!aNULL", "ssl_ecdh_curve": "secp384r1"},
        {"ssl_ciphers": "TLS_AES_256_GCM_SHA384:ECDHE-RSA-AES256-GCM-SHA384"},
        {"zero_damaged_pages": "off", "any.thing": "1Gi", "an.y_thing.else2": 1},
        {"restore_command": "fetch %f %p", "recovery_min_apply_delay": "1h"},
        {"ssl_ciphers": "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"},
        {"superuser_reserved_connections": 0, "reserved_connections": 99},
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
        ("ssl_max_protocol_version", "TLSv1.1"),
        ("ssl_ecdh_curve", "X25519"),
    ],
)
def test_what_patroni_would_pass_over_is_refused(render_error: RenderError, name: str, value: object) -> None:
    assert f"/postgresql/parameters/{name}" in render_error("postgres-ha", make_values(**{name: value}))


SIZE = "or with a unit: B, kB, MB, GB, TB"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("shared_buffers", "1Gi", f'is "1Gi", and takes a number from 16 to 1073741823, in 8kB {SIZE}.'),
        ("work_mem", "4mb", f'is "4mb", and takes a number from 64 to 2147483647, in kB {SIZE}.'),
        ("work_mem", "63kB", "a number from 64 to"),
        ("work_mem", "3TB", "a number from 64 to"),
        ("max_slot_wal_keep_size", "10Gi", "a number from -1 to 2147483647, in MB or"),
        ("statement_timeout", "30sec", "in ms or with a unit: us, ms, s, min, h, d."),
        ("statement_timeout", "1kB", "in ms or with a unit: us"),
        ("max_parallel_workers", "4MB", "takes a number from 0 to 1024. Set"),
        ("random_page_cost", "cheap", "takes a number from 0 to"),
        ("checkpoint_completion_target", 1.5, "takes a number from 0 to 1. Set"),
        ("geqo_selection_bias", 1, "takes a number from 1.5 to 2. Set"),
        ("autovacuum", "of", "takes on or off."),
        ("autovacuum", "", 'is "", and takes on or off.'),
        ("log_statement", "dll", "takes one of none, ddl, mod, all."),
        ("log_statement", True, "takes one of none, ddl, mod, all."),
        ("work_memm", "4MB", "PostgreSQL 17 has no such setting, or it is the server's own to set."),
        ("work_mem", "08MB", "a number from 64 to"),
        ("work_mem", "0x100", "a number from 64 to"),
        ("work_mem", "8.MB", "a number from 64 to"),
        ("work_mem", 3097152000.0, 'is "3097152000", and takes a number from 64 to'),
        ("autovacuum", "off ", "takes on or off."),
        ("recovery_target", "immediate", "or it is the server's own to set."),
        ("block_size", 8192, "PostgreSQL 17 has no such setting, or it is the server's own to set."),
        ("a..b", "x", "is no name of a setting"),
        ("a.1b", "x", "is no name of a setting"),
        ("Work_mem", "4MB", "is no name of a setting"),
    ],
)
def test_what_patroni_cannot_read_is_refused(
    render_error: RenderError, name: str, value: object, said: str
) -> None:
    message = render_error("postgres-ha", make_values(**{name: value}))
    assert f"postgresql.parameters.{name}: " in message
    assert said in message


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"max_wal_size": "31MB"}, "max_wal_size: is 31MB, and must be at least 32MB"),
        ({"min_wal_size": 16}, "min_wal_size: is 16, and must be at least 32MB"),
        (
            {"superuser_reserved_connections": 100},
            "it is 100, and must be less than postgresql.maxConnections",
        ),
        ({"reserved_connections": 97}, "with reserved_connections it is 100, and must be less"),
        (
            {"ssl_min_protocol_version": "TLSv1.3", "ssl_max_protocol_version": "TLSv1.2"},
            "ssl_max_protocol_version: is TLSv1.2, and ssl_min_protocol_version is TLSv1.3",
        ),
        ({"ssl_ciphers": "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"}, "no cipher of TLS 1.2"),
        ({"ssl_ciphers": "!aNULL"}, "no cipher of TLS 1.2"),
        ({"ssl_ciphers": "@SECLEVEL=2:+HIGH"}, "no cipher of TLS 1.2"),
        # It would be a line of its own in the file, which Postgres cannot read.
        ({"search_path": "a\nb"}, "/postgresql/parameters/search_path"),
    ],
)
def test_what_a_reload_takes_and_the_next_start_does_not_is_refused(
    render_error: RenderError, parameters: Doc, said: str
) -> None:
    assert said in render_error("postgres-ha", make_values(**parameters))


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
        ("zero_damaged_pages", True),
        ("ignore_invalid_pages", "on"),
        ("data_sync_retry", 1),
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
