"""A primary that ends without a word, or stops moving."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.faults.database import Database, wait_until
from tests.faults.ledger import Report
from tests.faults.nodes import Nodes
from tests.faults.trial import Trial

# Its own Patroni gives the lock back where the API server has not noticed yet that its token is void, and a
# Postgres that is deleted by force has two seconds to stop. Each was seen in one of three.
ATTEMPTS = 6
# How long the lock still holds depends on when it was renewed last.
STOPS = 3


def assert_nothing_lost(report: Report) -> None:
    assert report.lost == 0, report
    assert report.writers_at_once == 1, report


@pytest.mark.quick
def test_postgres_is_killed(database: Database, trial: Trial) -> None:
    database.wait_well()
    primary = database.primary()
    report = trial.play(
        "SIGKILL of postgres",
        lambda: database.inside(primary, 'kill -9 "$(head -n 1 "$PGDATA/postmaster.pid")"'),
    )
    assert_nothing_lost(report)
    assert database.primary() != primary


def test_the_container_is_killed(database: Database, trial: Trial, nodes: Nodes) -> None:
    database.wait_well()
    primary = database.primary()
    assert_nothing_lost(trial.play("kill of the container", lambda: nodes.kill_container(primary)))


def stop_patroni(database: Database) -> None:
    """Postgres goes on by itself, and cannot be told to stop: its container must be killed before ttl."""
    primary = database.primary()

    def restarts() -> int:
        statuses = database.pod(primary)["status"]["containerStatuses"]
        return sum(item["restartCount"] for item in statuses if item["name"] == "postgres")

    before = restarts()
    database.freeze(primary, "pgha patroni ")
    wait_until("the container is killed", lambda: restarts() > before, 90)


def test_patroni_is_stopped(database: Database, trial: Trial) -> None:
    database.wait_well()
    primary = database.primary()
    assert_nothing_lost(trial.play("SIGSTOP of Patroni", lambda: stop_patroni(database)))
    assert database.primary() != primary


def test_patroni_is_stopped_and_no_commit_waits(database: Database, trial: Trial) -> None:
    """Nothing but the kill in time keeps two members from taking writes."""
    with commits_that_wait_for_nobody(database):
        for _ in range(STOPS):
            report = trial.play("SIGSTOP of Patroni, durability none", lambda: stop_patroni(database))
            assert report.writers_at_once == 1, report


def test_the_pod_is_deleted_by_force(database: Database, trial: Trial) -> None:
    database.wait_well()
    primary = database.primary()
    report = trial.play("force-delete", lambda: delete_by_force(database, primary))
    assert_nothing_lost(report)


def delete_by_force(database: Database, member: str) -> None:
    database.kubectl("delete", "pod", member, "--force", "--grace-period=0")


def test_the_lock_of_a_pod_that_is_deleted_by_force_is_freed(
    database: Database, trial: Trial, nodes: Nodes
) -> None:
    """By another member: a next pod of that name, which could give it back, finds no place meanwhile."""

    def play() -> bool:
        database.wait_well()
        primary = database.primary()
        before = freed(primary)

        def fault() -> None:
            delete_by_force(database, primary)
            wait_until("another leads", lambda: database.primary() not in ("", primary), 60)

        with ExitStack() as closed:
            closed.enter_context(nodes.closed(nodes.of(primary)))
            case = "force-delete, no pod comes back"
            report = trial.play(case, fault, recover=closed.close)
        assert_nothing_lost(report)
        return freed(primary) > before

    def freed(member: str) -> int:
        others = [pod["metadata"]["name"] for pod in database.pods() if pod["metadata"]["name"] != member]
        said = [database.kubectl("logs", name, "-c", "keeper") for name in others]
        return sum(text.count(f"freed the lock of {member}") for text in said)

    assert any(play() for _ in range(ATTEMPTS))


def test_a_replica_loses_its_volume(database: Database, trial: Trial) -> None:
    database.wait_well()
    replica = database.replicas()[0]

    def lose() -> None:
        database.kubectl("delete", "pvc", f"data-{replica}", "--wait=false")
        database.kubectl("delete", "pod", replica, "--force", "--grace-period=0")

    def volume() -> str:
        words = ("get", "pvc", f"data-{replica}", "-o", "jsonpath={.spec.volumeName}")
        return database.kubectl(*words)

    lost = volume()
    assert_nothing_lost(trial.play("loss of a replica's volume", lose))
    assert volume() != lost


def lag_then_kill(database: Database, nodes: Nodes, primary: str) -> None:
    """Hold replication up while clients write, and then take the primary away."""
    before = int(database.sql("SELECT count(*) FROM ledger", primary))
    with nodes.cut_off(primary, replication_only=True):
        if database.sql("SHOW synchronous_standby_names", primary) == "":
            wait_until(
                "rows that no replica has",
                lambda: int(database.sql("SELECT count(*) FROM ledger", primary)) > before + 100,
                30,
            )
        nodes.kill_container(primary)
        wait_until("another leads", lambda: database.primary() != primary, 60)


def test_replication_is_held_up_and_the_primary_killed(
    database: Database, trial: Trial, nodes: Nodes
) -> None:
    database.wait_well()
    primary = database.primary()
    report = trial.play("kill while replication stands", lambda: lag_then_kill(database, nodes, primary))
    assert_nothing_lost(report)


@contextmanager
def commits_that_wait_for_nobody(database: Database) -> Iterator[None]:
    """Run it with `durability: none`."""
    database.apply("upgrade", "durability=none")
    database.wait_well()
    wait_until("commits wait for nobody", lambda: database.sql("SHOW synchronous_standby_names") == "", 60)
    try:
        yield
    finally:
        database.apply("upgrade")
        wait_until("commits wait", lambda: database.sql("SHOW synchronous_standby_names") != "", 60)


@pytest.mark.quick
def test_without_durability_the_same_fault_loses_rows(database: Database, trial: Trial, nodes: Nodes) -> None:
    """The negative control: if this loses nothing, the suite proves nothing."""
    with commits_that_wait_for_nobody(database):
        primary = database.primary()
        report = trial.play(
            "the same, durability none (control)", lambda: lag_then_kill(database, nodes, primary)
        )
        assert report.lost > 0, report
        # The former primary had what nobody else has: it came back by pg_rewind, not by a copy of everything.
        log = database.kubectl("logs", primary, "-c", "postgres")
        assert "running pg_rewind from" in log
        assert "bootstrap from leader" not in log
