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
Render = Callable[..., list[Doc]]
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
        *every("pg_replication_slots_pg_wal_lsn_diff", members("2.1e9", "0", "0"), slot_name="demo_1"),
        *every("patroni_is_paused", members("0", "0", "0")),
        *every("kubelet_volume_stats_available_bytes", {"": "5e9"}, persistentvolumeclaim="data-demo-0"),
        *every("kubelet_volume_stats_capacity_bytes", {"": "8e9"}, persistentvolumeclaim="data-demo-0"),
        *every("kube_cronjob_created", {"": "0"}, cronjob="demo-certificates"),
        # At the end of the play it is fourteen days old.
        *every("kube_cronjob_status_last_successful_time", {"": "-1204200"}, cronjob="demo-certificates"),
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
        dict(
            every("kube_cronjob_status_last_successful_time", {"": "-1296000"}, cronjob="demo-certificates")
        ),
        {"PostgresCertificatesAreNotRenewed"},
    ),
    "connections run out": (
        dict(every("pg_stat_activity_count", members("91", "3", "3"), state="idle")),
        {"PostgresConnectionsRunOut"},
    ),
    "a slot holds the log": (
        dict(every("pg_replication_slots_pg_wal_lsn_diff", members("2.2e9", "0", "0"), slot_name="demo_1")),
        {"PostgresSlotHoldsLog"},
    ),
    "failover is paused": (
        dict(every("patroni_is_paused", members("1", "1", "1"))),
        {"PostgresFailoverIsPaused"},
    ),
}


def make_rules(render: Render, **values: Doc) -> list[Doc]:
    """The groups of rules; by default with a volume of 8Gi and certificates for 90 days."""
    metrics = {"enabled": True, "rules": {"enabled": True, "runbooks": "https://example.com"}}
    docs = render("postgres-ha", {"metrics": metrics, **values})
    (found,) = [doc for doc in docs if doc["kind"] == "PrometheusRule"]
    groups: list[Doc] = found["spec"]["groups"]
    return groups


@pytest.fixture
def rules(render: Render) -> list[Doc]:
    return make_rules(render)


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
    old = dict(every("kube_cronjob_created", {"": "-1296000"}, cronjob="demo-certificates"))
    play(tmp_path, rules, {**never, **old}, {"PostgresCertificatesAreNotRenewed"})


@pytest.mark.parametrize(("held", "firing"), [("133e6", set()), ("135e6", {"PostgresSlotHoldsLog"})])
def test_a_small_volume_is_warned_of_sooner(
    render: Render, tmp_path: Path, held: str, firing: set[str]
) -> None:
    """Before half of it is taken, where the slot is given up."""
    groups = make_rules(render, storage={"wal": {"enabled": True, "size": "512Mi"}})
    slots = every("pg_replication_slots_pg_wal_lsn_diff", members(held, "0", "0"), slot_name="demo_1")
    play(tmp_path, groups, {**WELL, **dict(slots)}, firing)


@pytest.mark.parametrize(
    ("days", "schedule", "ago", "firing"),
    [
        # A week and an hour, where it runs once a week.
        (60, "5 4 * * 1", 7 * 86400, set()),
        (60, "5 4 * * 1", 10 * 86400, {"PostgresCertificatesAreNotRenewed"}),
        # A day and an hour, where it runs once a day, as it does by default.
        (6, "17 3 * * *", 86400 - 3600, set()),
        (6, "17 3 * * *", 86400 + 3600, {"PostgresCertificatesAreNotRenewed"}),
        # Of a day, which a third of it is, half is left.
        (3, "5 */6 * * *", 6 * 3600, set()),
        (3, "5 */6 * * *", 12 * 3600, {"PostgresCertificatesAreNotRenewed"}),
    ],
)
def test_the_renewal_has_as_long_as_the_certificate_leaves_it(
    render: Render, tmp_path: Path, days: int, schedule: str, ago: int, firing: set[str]
) -> None:
    groups = make_rules(render, tls={"days": days, "schedule": schedule})
    last = every("kube_cronjob_status_last_successful_time", {"": f"{-ago}"}, cronjob="demo-certificates")
    play(tmp_path, groups, {**WELL, **dict(last)}, firing)


@pytest.mark.parametrize(
    "tls",
    [
        {"mode": "existingSecret", "existingSecret": "ours"},
        {"mode": "certManager", "issuerRef": {"name": "ca"}},
    ],
)
def test_without_a_cron_job_no_alert_is_about_it(render: Render, rules: list[Doc], tls: Doc) -> None:
    def names(groups: list[Doc]) -> set[str]:
        return {rule["alert"] for group in groups for rule in group["rules"]}

    assert names(rules) - names(make_rules(render, tls=tls)) == {"PostgresCertificatesAreNotRenewed"}


def test_every_alert_has_a_case(rules: list[Doc]) -> None:
    names = {rule["alert"] for group in rules for rule in group["rules"]}
    assert names == set().union(*(firing for _, firing in CASES.values()))
