"""What people do on purpose: nothing is lost, and writers hardly notice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.certificates import short_lived
from tests.faults.database import Database, wait_until
from tests.faults.images import push_upon
from tests.faults.nodes import Nodes
from tests.faults.test_crashes import ATTEMPTS, assert_nothing_lost
from tests.faults.trial import Trial


def timelines(database: Database) -> int:
    return max(member.timeline for member in database.members())


def test_the_primary_s_pod_is_deleted(database: Database, trial: Trial) -> None:
    database.wait_well()
    primary = database.primary()
    assert_nothing_lost(
        trial.play("delete of the primary", lambda: database.kubectl("delete", "pod", primary))
    )


def test_a_switchover_by_command(database: Database, trial: Trial) -> None:
    """Both Services follow: that of the primary at once, unless the machine was too busy for it."""

    def play() -> bool:
        database.wait_well()
        primary = database.primary()
        report = trial.play("switchover", lambda: database.pgha("switchover", pod=database.replicas()[-1]))
        assert_nothing_lost(report)
        leader = database.primary()
        assert leader != primary
        wait_until(
            "the Service of the replicas leads to the others",
            lambda: database.labelled("postgres-ha/reads=true") == set(database.replicas()),
            60,
        )
        assert database.labelled("role=primary") == {leader}
        log = database.kubectl("logs", leader, "-c", "keeper")
        return f"took role=primary from {primary}, as soon as it had the lock" in log

    assert any(play() for _ in range(ATTEMPTS))


def test_its_node_is_drained(database: Database, trial: Trial, nodes: Nodes) -> None:
    database.wait_well()
    node = nodes.of(database.primary())
    selector = f"--pod-selector=cluster-name={database.release}"
    words = ("--ignore-daemonsets", "--delete-emptydir-data", selector, "--timeout=180s")
    report = trial.play(
        "drain of the primary's node",
        lambda: database.kubectl("drain", node, *words),
        recover=lambda: database.kubectl("uncordon", node),
    )
    assert_nothing_lost(report)


@pytest.mark.quick
def test_a_rolling_change_moves_the_primary_once(database: Database, trial: Trial) -> None:
    database.wait_well()
    primary, before = database.primary(), timelines(database)
    identities = {pod["metadata"]["uid"] for pod in database.pods()}
    report = trial.play("rolling change", lambda: database.apply("upgrade", "podAnnotations.change=one"))
    assert_nothing_lost(report)
    assert timelines(database) == before + 1
    assert database.primary() != primary
    assert not identities & {pod["metadata"]["uid"] for pod in database.pods()}


def test_a_new_image(database: Database, trial: Trial, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\nLABEL test=upgrade\n")
    before, old = timelines(database), database.image
    database.image = push_upon(old, tmp_path, f"{old.partition('@')[0]}-new:test")
    report = trial.play("rolling upgrade of the image", lambda: database.apply("upgrade"))
    assert_nothing_lost(report)
    assert timelines(database) == before + 1
    for pod in database.pods():
        assert {item["image"] for item in pod["spec"]["containers"]} == {database.image}
    database.image = old
    database.apply("upgrade")


def test_the_primary_is_killed_during_a_rolling_change(database: Database, trial: Trial) -> None:
    database.wait_well()
    primary = database.primary()
    replica = database.replicas()[0]
    identity = database.pod(replica)["metadata"]["uid"]

    def both() -> None:
        database.apply_in_background("upgrade", "podAnnotations.change=two")
        wait_until(
            "the first replica is replaced",
            lambda: (
                any(pod["metadata"]["uid"] == identity for pod in database.pods()) is False
                or sum(1 for pod in database.pods() if "deletionTimestamp" in pod["metadata"]) > 0
            ),
            120,
        )
        database.inside(primary, 'kill -9 "$(head -n 1 "$PGDATA/postmaster.pid")"')
        database.wait_background()

    assert_nothing_lost(trial.play("killed during a rolling change", both))


def test_a_setting_that_needs_a_restart(database: Database, trial: Trial) -> None:
    database.wait_well()
    before = timelines(database)
    identities = {pod["metadata"]["uid"] for pod in database.pods()}
    starts = database.server_starts()
    settings = ("podAnnotations.change=two", "postgresql.maxConnections=120")
    report = trial.play("setting that needs a restart", lambda: database.apply("upgrade", *settings))
    assert_nothing_lost(report)
    assert database.sql("SHOW max_connections") == "120"
    assert timelines(database) == before + 1
    assert identities == {pod["metadata"]["uid"] for pod in database.pods()}
    assert not starts.items() & database.server_starts().items()


def test_a_setting_that_shrinks(database: Database, trial: Trial) -> None:
    settings = ("podAnnotations.change=two", "postgresql.maxConnections=80")
    report = trial.play("setting that shrinks", lambda: database.apply("upgrade", *settings))
    assert_nothing_lost(report)
    for pod in database.pods():
        assert database.sql("SHOW max_connections", pod["metadata"]["name"]) == "80"
    assert not [member for member in database.members() if member.pending_restart]


def test_a_setting_that_needs_no_restart(database: Database, trial: Trial) -> None:
    before, starts = timelines(database), database.server_starts()
    settings = (
        "podAnnotations.change=two",
        "postgresql.maxConnections=80",
        "postgresql.parameters.work_mem=9MB",
    )
    report = trial.play("setting without a restart", lambda: database.apply("upgrade", *settings))
    assert_nothing_lost(report)
    for name in starts:
        wait_until(f"{name} has it", lambda name=name: database.sql("SHOW work_mem", name) == "9MB", 60)
    assert timelines(database) == before
    assert database.server_starts() == starts


def test_more_members_and_fewer(database: Database, trial: Trial) -> None:
    settings = (
        "podAnnotations.change=two",
        "postgresql.maxConnections=80",
        "postgresql.parameters.work_mem=9MB",
    )

    def scale() -> None:
        database.apply("upgrade", *settings, members=5)
        database.wait_well(300)
        # One that goes away leads: it must hand over first.
        database.pgha("switchover", "db-4")
        database.wait_well(300)
        assert database.primary() == "db-4"
        database.apply("upgrade", *settings, members=3)

    report = trial.play("3 to 5 to 3 members", scale, size=3)
    assert_nothing_lost(report)
    assert report.timelines == 3, "to db-4 and back, once each"
    assert database.primary() in {"db-0", "db-1", "db-2"}


def test_a_new_certificate(database: Database, trial: Trial) -> None:
    before = database.secret("db-tls")["tls.crt"]

    def renew() -> None:
        # Twenty years later, as it were: everything is due.
        database.kubectl("create", "job", "renew-now", "--from=cronjob/db-certificates", "--dry-run=none")
        database.kubectl("wait", "job/renew-now", "--for=condition=Complete", "--timeout=60s")

    database.patch_secret("db-tls", short_lived(database.secret("db-ca")))
    starts = database.starts()
    report = trial.play("certificate replaced", renew)
    assert_nothing_lost(report)
    assert database.secret("db-tls")["tls.crt"] != before
    shown = (
        "openssl s_client -connect localhost:5432 -starttls postgres < /dev/null 2> /dev/null | openssl x509"
    )
    wanted = database.secret("db-tls")["tls.crt"].strip()
    for pod in database.pods():
        name = pod["metadata"]["name"]
        wait_until(f"{name} shows it", lambda name=name: database.inside(name, shown).strip() == wanted, 180)
    assert database.starts() == starts


def test_passwords_are_rotated(database: Database, trial: Trial) -> None:
    """The writers keep the old password all the time."""
    old = database.secret("db-app")
    rotated = ("credentials.app.rotation=1", "credentials.internal.rotation=1")
    report = trial.play("passwords rotated", lambda: database.apply("upgrade", *rotated))
    assert_nothing_lost(report)
    new = database.secret("db-app")
    assert new["password"] != old["password"]
    assert new["username"] == old["username"] + "_2"
    trial.restart()
    assert_nothing_lost(trial.play("with the new password", lambda: database.pgha("switchover")))
    assert database.sql("SELECT DISTINCT usename FROM pg_stat_replication") == "replicator_2"
    assert database.sql("SELECT count(*) FROM pg_class WHERE relowner = 'notejam_2'::regrole") == "0"
