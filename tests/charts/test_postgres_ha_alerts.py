"""The alert rules, played by promtool: what members say, and what those of another namespace say."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.charts.conftest import Doc

Series = Mapping[str, str]
MINUTES = 90
# A value at every half minute until then.
STEPS = f"x{MINUTES * 2}"


def every(metric: str, values: Mapping[str, str], **labels: str) -> Iterator[tuple[str, str]]:
    """One series for each pod, in the namespace of the release."""
    for pod, value in values.items():
        words = {"namespace": "demo", "scope": "demo", "pod": pod, **labels}
        text = ",".join(f'{name}="{word}"' for name, word in words.items())
        yield f"{metric}{{{text}}}", f"{value}{STEPS}"


def members(first: str, second: str, third: str) -> dict[str, str]:
    return {"demo-0": first, "demo-1": second, "demo-2": third}


# Three members that are well.
WELL: dict[str, str] = dict(
    [
        *every("patroni_primary", members("1", "0", "0")),
        *every("patroni_postgres_running", members("1", "1", "1")),
        *every("patroni_xlog_location", members("5e9", "0", "0")),
        *every("patroni_xlog_replayed_location", members("0", "5e9", "5e9")),
        *every("pg_settings_default_transaction_read_only", members("0", "0", "0")),
        *every("pg_settings_max_connections", members("100", "100", "100")),
        *every("pg_stat_activity_count", members("12", "3", "3"), state="idle"),
        *every("pg_replication_slots_pg_wal_lsn_diff", members("1e6", "0", "0"), slot_name="demo_1"),
        *every("patroni_is_paused", members("0", "0", "0")),
        *every("kubelet_volume_stats_available_bytes", {"": "5e9"}, persistentvolumeclaim="data-demo-0"),
        *every("kubelet_volume_stats_capacity_bytes", {"": "8e9"}, persistentvolumeclaim="data-demo-0"),
        *every("kube_cronjob_created", {"": "0"}, cronjob="demo-certificates"),
        # At the end of the play it is two days old.
        *every("kube_cronjob_status_last_successful_time", {"": "-167400"}, cronjob="demo-certificates"),
    ]
)
# What is different, and the alerts that fire then.
CASES: dict[str, tuple[Series, set[str]]] = {
    "all is well": ({}, set()),
    "nobody leads": (dict(every("patroni_primary", members("0", "0", "0"))), {"PostgresHasNoPrimary"}),
    "two lead": (dict(every("patroni_primary", members("1", "1", "0"))), {"PostgresHasTwoPrimaries"}),
    "one does not run": (
        dict(every("patroni_postgres_running", members("1", "0", "1"))),
        {"PostgresMemberMissing"},
    ),
    "a replica lags": (
        dict(every("patroni_xlog_replayed_location", members("0", "5e9", "4.9e9"))),
        {"PostgresReplicaLags"},
    ),
    "writes are refused": (
        dict(every("pg_settings_default_transaction_read_only", members("1", "0", "0"))),
        {"PostgresRefusesWrites"},
    ),
    "a volume fills": (
        dict(every("kubelet_volume_stats_available_bytes", {"": "1e9"}, persistentvolumeclaim="data-demo-0")),
        {"PostgresVolumeFills"},
    ),
    "certificates are not renewed": (
        dict(every("kube_cronjob_status_last_successful_time", {"": "-259200"}, cronjob="demo-certificates")),
        {"PostgresCertificatesAreNotRenewed"},
    ),
    "connections run out": (
        dict(every("pg_stat_activity_count", members("91", "3", "3"), state="idle")),
        {"PostgresConnectionsRunOut"},
    ),
    "a slot holds the log": (
        dict(every("pg_replication_slots_pg_wal_lsn_diff", members("2e9", "0", "0"), slot_name="demo_1")),
        {"PostgresSlotHoldsLog"},
    ),
    "failover is paused": (
        dict(every("patroni_is_paused", members("1", "1", "1"))),
        {"PostgresFailoverIsPaused"},
    ),
}


@pytest.fixture
def rules(render: Callable[..., list[Doc]]) -> list[Doc]:
    values = {"metrics": {"enabled": True, "rules": {"enabled": True, "runbooks": "https://example.com"}}}
    (found,) = [doc for doc in render("postgres-ha", values) if doc["kind"] == "PrometheusRule"]
    groups: list[Doc] = found["spec"]["groups"]
    return groups


def elsewhere(series: Series) -> dict[str, str]:
    """The same of a release with the same name in another namespace."""
    return {name.replace('namespace="demo"', 'namespace="other"'): value for name, value in series.items()}


def play(folder: Path, groups: list[Doc], series: Series, firing: set[str]) -> None:
    """Play the series; exactly these alerts must fire at the end."""
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
    names = [rule["alert"] for group in groups for rule in group["rules"]]
    asked = [
        {
            "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) or vector(0)',
            "eval_time": f"{MINUTES}m",
            "exp_samples": [{"labels": "{}", "value": int(name in firing)}],
        }
        for name in names
    ]
    played: dict[str, Any] = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "30s",
        "tests": [
            {
                "interval": "30s",
                "input_series": [{"series": name, "values": value} for name, value in series.items()],
                "promql_expr_test": asked,
            }
        ],
    }
    (folder / "tests.yaml").write_text(yaml.safe_dump(played))
    done = subprocess.run(
        ["promtool", "test", "rules", "tests.yaml"],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES)
def test_each_alert_fires_for_its_reason_alone(case: str, rules: list[Doc], tmp_path: Path) -> None:
    changed, firing = CASES[case]
    assert set(changed) <= set(WELL)
    play(tmp_path, rules, {**WELL, **elsewhere(WELL), **changed}, firing)


@pytest.mark.parametrize("case", CASES)
def test_what_another_release_of_the_name_does_fires_nothing(
    case: str, rules: list[Doc], tmp_path: Path
) -> None:
    play(tmp_path, rules, {**WELL, **elsewhere({**WELL, **CASES[case][0]})}, set())


def test_no_word_of_any_member_is_no_primary(rules: list[Doc], tmp_path: Path) -> None:
    play(tmp_path, rules, elsewhere(WELL), {"PostgresHasNoPrimary"})


def test_certificates_that_were_never_renewed_count_from_the_cronjob(
    rules: list[Doc], tmp_path: Path
) -> None:
    name = next(name for name in WELL if name.startswith("kube_cronjob_status"))
    never = {other: value for other, value in WELL.items() if other != name}
    play(tmp_path, rules, never, set())
    old = dict(every("kube_cronjob_created", {"": "-259200"}, cronjob="demo-certificates"))
    play(tmp_path, rules, {**never, **old}, {"PostgresCertificatesAreNotRenewed"})


def test_every_alert_has_a_case(rules: list[Doc]) -> None:
    names = {rule["alert"] for group in rules for rule in group["rules"]}
    assert names == set().union(*(firing for _, firing in CASES.values()))
