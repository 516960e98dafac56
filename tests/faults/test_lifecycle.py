"""Uninstall and install; a full disk."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.database import Database, FaultError, wait_until
from tests.faults.nodes import Nodes
from tests.faults.test_crashes import assert_nothing_lost
from tests.faults.trial import Trial

KINDS = "pvc,secret,configmap"
WAL_MEBIBYTES = 256


def left(database: Database) -> set[str]:
    names = database.kubectl("get", KINDS, "-o", "name").split()
    return {name for name in names if f"/{database.release}-" in name or f"-{database.release}-" in name}


def test_uninstall_keeps_and_install_takes_up(database: Database, trial: Trial) -> None:
    before = {name: database.secret(name) for name in ("db-app", "db-internal", "db-ca", "db-tls")}

    def again() -> None:
        database.helm("uninstall", database.release, "--wait")
        wait_until("the members are gone", lambda: not database.pods(), 120)
        database.apply("install")

    assert_nothing_lost(trial.play("uninstall and install", again))
    assert before == {name: database.secret(name) for name in before}


@pytest.fixture
def other(context: str, image: str, make_namespace: str) -> Iterator[Database]:
    """Return a second, smaller release."""
    found = Database(context, make_namespace, image, release="other")
    yield found
    found.helm("uninstall", found.release, "--ignore-not-found")


def test_removal_when_asked_for_and_a_clean_start(other: Database) -> None:
    other.apply("install", "uninstall.removeData=true", members=2)
    other.wait_well()
    other.sql("CREATE TABLE here (a int)")
    other.helm("uninstall", other.release)
    wait_until("nothing is left", lambda: left(other) == set(), 60)
    other.apply("install", "uninstall.removeData=true", members=2)
    other.wait_well()
    assert other.sql("SELECT to_regclass('here') IS NULL") == "t"


def fill_up(database: Database, statement: str) -> str:
    """Write until it is refused; return the refusal."""
    for _ in range(2000):
        try:
            database.sql(statement, f"{database.release}-0")
        except FaultError as error:
            return str(error)
    return "writes were never refused"


def test_a_full_disk_stops_writes_and_a_larger_one_lets_them_in(other: Database) -> None:
    """The volume's size is played by a file system in memory: this cluster's class does not limit volumes."""
    nodes = Nodes(other)
    other.apply("install", "storage.wal.enabled=true", f"storage.wal.size={WAL_MEBIBYTES}Mi", members=1)
    other.wait_well()
    volume = other.kubectl("get", "pvc", "wal-other-0", "-o", "jsonpath={.spec.volumeName}")
    path = other.kubectl("get", "pv", volume, "-o", "jsonpath={.spec.hostPath.path}{.spec.local.path}")
    node = nodes.of("other-0")
    other.kubectl("scale", "statefulset/other", "--replicas=0")
    wait_until("it stopped", lambda: not other.pods(), 120)
    moves = f"cp -a {path} /tmp/wal && mount -t tmpfs -o size={WAL_MEBIBYTES}m,mode=2770 tmpfs {path}"
    nodes.inside(node, f"{moves} && cp -a /tmp/wal/. {path}/ && rm -r /tmp/wal && chown :999 {path}")
    try:
        other.kubectl("scale", "statefulset/other", "--replicas=1")
        other.wait_well()
        other.sql("CREATE TABLE filler (a text); SELECT pg_create_physical_replication_slot('holds', true)")
        fill = "INSERT INTO filler SELECT repeat(md5(random()::text), 30) FROM generate_series(1, 2000)"
        assert "read-only transaction" in fill_up(other, fill)
        assert "MiB left" in other.kubectl("logs", "other-0", "-c", "keeper")
        assert "/pgwal" in other.pod("other-0")["metadata"]["annotations"]["postgres-ha/keeper"]
        assert other.sql("SELECT count(*) > 0 FROM filler", "other-0") == "t"
        nodes.inside(node, f"mount -o remount,size={4 * WAL_MEBIBYTES}m {path}")
        wait_until("writes are let in", lambda: other.sql(fill, "other-0") == "", 60)
        restarts = [item["restartCount"] for item in other.pod("other-0")["status"]["containerStatuses"]]
        assert restarts == [0] * len(restarts)
    finally:
        other.helm("uninstall", other.release)
        wait_until("it is gone", lambda: not other.pods(), 120)
        nodes.inside(node, f"umount {path}")
        other.kubectl("delete", "pvc", "--selector", "app.kubernetes.io/instance=other")
