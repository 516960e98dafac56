"""Commands for people, and settings that nothing but a running database can show."""

from __future__ import annotations

import json
import re
import subprocess
import threading

import pytest

from tests.faults.certificates import give_certificate
from tests.faults.database import ROOT, Database, FaultError, wait_until
from tests.faults.trial import Trial
from tests.pages import load_maker

ALERTS = ROOT / "charts" / "postgres-ha" / "files" / "alerts.yaml"
# Of the kubelet, and of kube-state-metrics.
ELSEWHERE = ("kubelet_", "kube_cronjob_")


def test_a_member_is_copied_anew(database: Database, trial: Trial) -> None:
    database.wait_well()
    replica = database.replicas()[0]
    database.inside(replica, 'touch "$PGDATA/from-before"')

    def again() -> None:
        said = database.pgha("reinit", replica, pod=database.primary())
        assert "streaming" in said
        wait_until(
            "its data are new",
            lambda: "no" in database.inside(replica, 'test -e "$PGDATA/from-before" || echo no'),
            120,
        )

    report = trial.play("replica copied anew", again)
    assert report.lost == 0
    assert report.writers_at_once == 1


def test_what_leads_is_not_copied_anew(database: Database, trial: Trial) -> None:
    del trial  # it shares the database
    with pytest.raises(FaultError, match="leads; it is replicas that are copied anew"):
        database.pgha("reinit", database.primary())
    with pytest.raises(FaultError, match="there is no member db-9; there are db-0, db-1, db-2"):
        database.pgha("switchover", "db-9")


def test_the_chart_knows_every_setting_of_this_server(database: Database) -> None:
    """By them it refuses values that Patroni, with a line in its log only, would pass over."""
    maker = load_maker(ROOT / "docs" / "make_parameters.py")
    told = database.sql(maker.QUERY)
    assert maker.format_parameters(told) == (ALERTS.parent / "parameters.json").read_text(encoding="utf-8")
    script = "from patroni.postgresql.validator import recovery_parameters as r; print(*dict(r))"
    passed_over = database.inside(database.primary(), f"python3 -c '{script}'").split()
    assert "restore_command" in passed_over
    # It knows where these belong, though they come with the others.
    taken = {"archive_cleanup_command", "recovery_end_command", "recovery_min_apply_delay", "restore_command"}
    assert set(passed_over) & json.loads(told).keys() == taken


def test_pause_and_resume(database: Database) -> None:
    database.wait_well()
    assert "PAUSED: nothing fails over by itself. End it: pgha resume" in database.pgha("pause")
    assert "PAUSED" in database.pgha("list")
    assert "PAUSED" not in database.pgha("resume")
    lines = database.pgha("list").splitlines()
    assert lines[0].split() == ["MEMBER", "ROLE", "STATE", "TIMELINE", "LAG", "NOTE"]
    assert sum("primary" in line for line in lines) == 1


def test_with_durability_required_a_write_waits_for_a_replica(other: Database) -> None:
    other.apply("install", "durability=required", members=2)
    other.wait_well()
    primary, replica = "extra-0", "extra-1"
    other.lead(primary)
    other.sql("CREATE TABLE waits (a int)", primary)
    other.kubectl("scale", "statefulset/extra", "--replicas=1")
    wait_until("the replica is gone", lambda: replica not in str(other.pods()), 60)
    done = threading.Event()

    def write() -> None:
        other.sql("INSERT INTO waits VALUES (1)", primary)
        done.set()

    writing = threading.Thread(target=write)
    writing.start()
    assert not done.wait(10), "nobody but the primary has it"
    assert other.sql("SELECT count(*) FROM waits", primary) == "0"
    other.kubectl("scale", "statefulset/extra", "--replicas=2")
    assert done.wait(120)
    writing.join()
    assert other.sql("SELECT count(*) FROM waits", primary) == "1"


def values_for_everything() -> str:
    """Return values that a shell cannot say."""
    return json.dumps(
        {
            "users": [{"name": "reader", "memberOf": ["pg_read_all_data"], "databases": ["notejam", "more"]}],
            "databases": [{"name": "more", "owner": "notejam", "extensions": ["pgcrypto"]}],
            "database": {"name": "notejam", "user": "notejam", "extensions": ["pg_trgm"]},
            "postgresql": {"hba": ["hostssl notejam reader all reject"]},
            "tls": {"mode": "existingSecret", "existingSecret": "given", "required": True, "days": 90},
            "metrics": {"enabled": True},
        }
    )


def test_what_is_declared_is_there(other: Database, tmp_path_factory: pytest.TempPathFactory) -> None:
    give_certificate(other)
    values = tmp_path_factory.mktemp("values") / "values.json"
    values.write_text(values_for_everything())
    other.apply("install", members=2, file=values)
    other.wait_well()

    wait_until(
        "the extension is there", lambda: "pg_trgm" in other.sql("SELECT extname FROM pg_extension"), 60
    )
    assert "pgcrypto" in other.sql("SELECT extname FROM pg_extension", database="more")
    password = other.secret("extra-user-reader")["password"]

    def connect(database: str, host: str = "extra-primary", mode: str = "verify-full") -> str:
        words = f"host={host} user=reader dbname={database} sslmode={mode}"
        words += " sslrootcert=/etc/postgres-ha/tls/ca.crt"
        script = f'read -r PGPASSWORD; export PGPASSWORD; psql -XAtc "SELECT current_user" "{words}"'
        pod = other.primary()
        return other.kubectl(
            "exec", "-i", pod, "-c", "postgres", "--", "sh", "-c", script, stdin=f"{password}\n"
        )

    assert connect("more").strip() == "reader"
    assert connect("more", "extra-replicas").strip() == "reader"
    with pytest.raises(FaultError, match=r"pg_hba\.conf rejects connection"):
        connect("notejam")
    with pytest.raises(FaultError, match="no encryption"):
        connect("more", mode="disable")

    names = re.findall(r"\b((?:pg|patroni|kubelet|kube)_[a-z_]+)(?=\{|\b)", ALERTS.read_text())
    found = "".join(scrape(other, pod["metadata"]["name"]) for pod in other.pods())
    wanted = {name for name in names if not name.startswith(ELSEWHERE)}
    assert len(wanted) > 6
    # What no alert is about.
    wanted |= {
        "pg_locks_count",
        "pg_database_size_bytes",
        "patroni_postgres_timeline",
        "pg_replication_lag_seconds",
    }
    assert {name for name in wanted if not re.search(rf"^{name}\b", found, re.MULTILINE)} == set()


def scrape(database: Database, pod: str) -> str:
    """Return what a member says about itself, on both ports."""
    fetch = (
        "import ssl, urllib.request as r; c = ssl._create_unverified_context();"
        "print(r.urlopen('http://127.0.0.1:9187/metrics').read().decode());"
        "print(r.urlopen('https://127.0.0.1:8008/metrics', context=c).read().decode())"
    )
    return database.kubectl("exec", pod, "-c", "postgres", "--", "python3", "-c", fetch)


def test_a_setting_that_the_next_start_would_refuse_is_told(other: Database) -> None:
    """A reload passes over it, and everything else of the file with it."""
    other.apply("install", members=1)
    other.wait_well()
    wrong = ("postgresql.parameters.timezone=Europe/Berln", "rollout.timeoutSeconds=60")
    with pytest.raises(FaultError, match="post-upgrade"):
        other.apply("upgrade", *wrong, members=1)
    said = other.kubectl("logs", "job/extra-rollout")
    assert "settings: postgresql.parameters.timezone: " in said
    assert "Postgres cannot start again until it is mended" in said
    other.apply("upgrade", "postgresql.parameters.timezone=Europe/Berlin", members=1)
    wait_until("it is in force", lambda: other.sql("SHOW timezone") == "Europe/Berlin", 30)


def test_a_class_that_cannot_grow_volumes_is_told_and_nothing_else_changes(other: Database) -> None:
    other.apply("install", members=1)
    other.wait_well()
    with pytest.raises(FaultError, match="post-upgrade"):
        other.apply("upgrade", "storage.size=2Gi", members=1)
    said = other.kubectl("logs", "job/extra-rollout")
    assert "cannot grow from 1Gi to 2Gi" in said
    assert "move to a class that allows growing" in said
    assert other.sql("SELECT 1") == "1"


def test_a_class_that_can_is_asked(other: Database) -> None:
    """This cluster has no class that grows volumes; what is asked of one that says it can is seen."""
    storage = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "faults-growing"},
        "provisioner": "rancher.io/local-path",
        "volumeBindingMode": "WaitForFirstConsumer",
        "allowVolumeExpansion": True,
    }
    other.kubectl("apply", "-f", "-", stdin=json.dumps(storage))
    try:
        other.apply("install", "storage.className=faults-growing", members=1)
        other.wait_well()
        before = other.pod("extra-0")["metadata"]["uid"]
        other.apply("upgrade", "storage.className=faults-growing", "storage.size=2Gi", members=1)
        claim = json.loads(other.kubectl("get", "pvc", "data-extra-0", "-o", "json"))
        assert claim["spec"]["resources"]["requests"]["storage"] == "2Gi"
        assert "volume data-extra-0: from 1Gi to 2Gi" in other.kubectl("logs", "job/extra-rollout")
        assert other.pod("extra-0")["metadata"]["uid"] == before
    finally:
        other.kubectl("delete", "storageclass", "faults-growing")


def test_every_command_of_the_notes_runs(other: Database) -> None:
    other.apply("install", members=2)
    other.wait_well()
    notes = other.helm("get", "notes", other.release)
    commands = [line.strip() for line in notes.splitlines() if line.startswith("  kubectl ")]
    names = [command.partition(" -- ")[2].partition("#")[0].strip() for command in commands]
    helpers = ["pgha list", "pgha switchover", "pgha reinit extra-1", "pgha pause", "pgha resume"]
    assert names == ["", *helpers, "psql postgres", ""]
    for command in commands:
        other.wait_well()
        if "pgha reinit" in command:
            # It names extra-1, which must not lead.
            other.lead("extra-0")
        if " delete " in command:
            # What an uninstall keeps.
            other.helm("uninstall", other.release, "--wait")
        script = command.replace("kubectl", f"kubectl --context {other.context}", 1)
        script = script.replace("--stdin --tty ", "--stdin ")
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", script],
            input="SELECT 'from the prompt';", capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        if "psql" in command:
            assert "from the prompt" in done.stdout
    words = ("get", "pvc,secret,configmap", "--selector", "app.kubernetes.io/instance=extra", "-o", "name")
    assert other.kubectl(*words) == ""


def commands_of_runbooks() -> list[str]:
    """Return the commands in the pages of the alerts, each once, as they stand there."""
    pages = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
    found = [
        line.strip() for page in pages for line in page.read_text().splitlines() if line.startswith("    ")
    ]
    return list(dict.fromkeys(line for line in found if line.startswith("kubectl ")))


def test_every_command_of_the_runbooks_runs(database: Database, trial: Trial) -> None:
    del trial  # it shares the database
    commands = commands_of_runbooks()
    assert len(commands) > 10
    for command in commands:
        database.wait_well()
        primary, replica = database.primary(), database.replicas()[0]
        filled = command.replace("exec -it", "exec").replace(
            "patronictl failover", "patronictl failover --force"
        )
        filled = filled.replace("<name>", database.release).replace("<the primary>", primary)
        filled = re.sub(r"<[^>]+>", replica, filled)
        if "pg_drop_replication_slot" in filled:
            database.sql("SELECT pg_create_physical_replication_slot('name')", primary)
        place = f"kubectl --context {database.context} --namespace {database.namespace}"
        script = filled.replace("kubectl", place, 1)
        done = subprocess.run(
            ["bash", "-c", script], capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"{command}\n{script}\n{done.stdout}{done.stderr}"
    database.wait_well()
