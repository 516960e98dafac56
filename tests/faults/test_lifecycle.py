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


FILL = "INSERT INTO filler SELECT repeat(md5(random()::text), 30) FROM generate_series(1, {rows})"


def fill_up(database: Database, statement: str) -> str:
    """Write until it is refused; return the refusal."""
    for _ in range(2000):
        try:
            database.sql(statement, f"{database.release}-0")
        except FaultError as error:
            return str(error)
    return "writes were never refused"


class SmallVolume:
    """The log's volume of a release, with a file system of its own: this cluster's class limits none."""

    FILE = "/var/tmp/faults-wal.img"  # noqa: S108 - on a node

    def __init__(self, database: Database, nodes: Nodes) -> None:
        self._database, self._nodes = database, nodes
        volume = database.kubectl("get", "pvc", "wal-other-0", "-o", "jsonpath={.spec.volumeName}")
        words = ("get", "pv", volume, "-o", "jsonpath={.spec.hostPath.path}{.spec.local.path}")
        self.path = database.kubectl(*words)
        self.node = nodes.of("other-0")

    def put_in(self) -> None:
        """Take its place, while the database is stopped."""
        path, file = self.path, self.FILE
        self._database.kubectl("scale", "statefulset/other", "--replicas=0")
        wait_until("it stopped", lambda: not self._database.pods(), 120)
        self._nodes.inside(
            self.node,
            f"set -e; cp -a {path} /tmp/wal; truncate -s 1G {file}; mkfs.ext4 -q -m 0 {file}; "
            f"mount -o loop {file} {path}; fallocate -l {1000 - WAL_MEBIBYTES}M {path}/lost+found/withheld; "
            f"cp -a /tmp/wal/. {path}/; rm -r /tmp/wal; chown :999 {path}; chmod 2770 {path}",
        )
        self._database.kubectl("scale", "statefulset/other", "--replicas=1")
        self._database.wait_well()

    def grow(self) -> None:
        """Give it the space that was withheld. A file system in use cannot grow on these nodes."""
        self.inside("rm lost+found/withheld")

    def inside(self, script: str) -> None:
        """Run something in it."""
        self._nodes.inside(self.node, f"cd {self.path} && {script}")

    def take_out(self) -> None:
        """Leave nothing."""
        self._nodes.inside(self.node, f"umount {self.path} && rm {self.FILE}")


@pytest.fixture
def small(other: Database) -> Iterator[SmallVolume]:
    # Without a bound, a slot that nobody reads keeps the whole log.
    wal = ("storage.wal.enabled=true", f"storage.wal.size={WAL_MEBIBYTES}Mi")
    other.apply("install", *wal, "postgresql.parameters.max_slot_wal_keep_size=-1", members=1)
    other.wait_well()
    made = SmallVolume(other, Nodes(other))
    made.put_in()
    other.sql("CREATE TABLE filler (a text); GRANT ALL ON filler TO notejam")
    other.sql("SELECT pg_create_physical_replication_slot('holds', true)")
    yield made
    other.helm("uninstall", other.release)
    wait_until("it is gone", lambda: not other.pods(), 120)
    made.take_out()
    words = ("pvc,secret,configmap", "--selector", "app.kubernetes.io/instance=other", "--ignore-not-found")
    other.kubectl("delete", *words)


def restarts(database: Database) -> list[int]:
    statuses = database.pod("other-0")["status"]["containerStatuses"]
    return [item["restartCount"] for item in statuses]


def test_a_full_disk_stops_writes_and_a_larger_one_lets_them_in(other: Database, small: SmallVolume) -> None:
    fill = FILL.format(rows=2000)
    assert "read-only transaction" in fill_up(other, fill)
    assert "MiB left" in other.kubectl("logs", "other-0", "-c", "keeper")
    wait_until(
        "the pod says so",
        lambda: "/pgwal" in other.pod("other-0")["metadata"]["annotations"]["postgres-ha/keeper"],
        30,
    )
    assert other.sql("SELECT count(*) > 0 FROM filler", "other-0") == "t"
    small.grow()
    wait_until("writes are let in", lambda: other.sql(fill, "other-0") == "", 60)

    # One statement that would fill the volume by itself is no new transaction: it is ended.
    assert "terminating connection" in as_app(other, FILL.format(rows=4_000_000))
    assert "ended 1 transactions" in other.kubectl("logs", "other-0", "-c", "keeper")
    assert restarts(other) == [0, 0]


def test_a_disk_that_something_else_fills_neither_corrupts_nor_loops(
    other: Database, small: SmallVolume
) -> None:
    other.sql(FILL.format(rows=2000), "other-0")
    rows = other.sql("SELECT count(*) FROM filler", "other-0")
    small.inside("dd if=/dev/zero of=foreign bs=64k 2> /dev/null || true; sync")
    # The superuser writes on, which takes the log to the end of the volume, and Postgres with it.
    rush = f"SET default_transaction_read_only = off; {FILL.format(rows=40_000)}"
    wait_until("Postgres met the end", lambda: bool(refusal(other, rush)), 60)
    wait_until("it came up again", lambda: other.sql("SELECT 1", "other-0") == "1", 120)
    assert "read-only transaction" in refusal(other, FILL.format(rows=1))
    assert "ballast was given up" in other.kubectl("logs", "other-0", "-c", "keeper")
    small.inside("rm foreign")
    wait_until("writes are let in", lambda: refusal(other, FILL.format(rows=1)) == "", 60)
    assert int(other.sql("SELECT count(*) FROM filler", "other-0")) >= int(rows) + 1
    assert other.sql("SHOW data_checksums", "other-0") == "on"
    # Without checksums it would be nothing, not 0.
    assert other.sql("SELECT sum(checksum_failures) FROM pg_stat_database", "other-0") == "0"
    assert restarts(other) == [0, 0]


def as_app(database: Database, statement: str) -> str:
    """Run it as the application does; return what is said."""
    script = (
        "PGPASSWORD=$(cat /etc/postgres-ha/app/password); export PGPASSWORD; "
        "psql -Xq -f - 'host=localhost user=notejam dbname=notejam sslmode=require' 2>&1 || true"
    )
    words = ("exec", "-i", "other-0", "-c", "postgres", "--", "sh", "-c", script)
    return database.kubectl(*words, stdin=statement)


def refusal(database: Database, statement: str) -> str:
    """Return what is said against a statement; empty when it is carried out."""
    try:
        database.sql(statement, "other-0")
    except FaultError as error:
        return str(error)
    return ""
