"""Volumes that are full: nothing is corrupt, nothing loops, and more space heals it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.database import Database, FaultError, wait_until
from tests.faults.record import Record
from tests.faults.small_volume import SmallVolume
from tests.faults.test_crashes import assert_nothing_lost
from tests.faults.trial import Trial

WAL_MEBIBYTES = 256
DATA_MEBIBYTES = 512
FILL = "INSERT INTO filler SELECT repeat(md5(random()::text), 30) FROM generate_series(1, {rows})"
# Without a bound, a slot that nobody reads keeps the whole log.
WITH_LOG = (
    "storage.wal.enabled=true",
    f"storage.wal.size={WAL_MEBIBYTES}Mi",
    "postgresql.parameters.max_slot_wal_keep_size=-1",
)


def have_small(other: Database, kind: str, members: int) -> Iterator[SmallVolume]:
    """Install with a small volume of the first member, which leads."""
    settings = WITH_LOG if kind == "wal" else ()
    other.apply("install", *settings, members=members)
    other.wait_well()
    made = SmallVolume(other, kind, WAL_MEBIBYTES if kind == "wal" else DATA_MEBIBYTES)
    made.put_in()
    other.lead("extra-0")
    other.sql("CREATE TABLE filler (a text); GRANT ALL ON filler TO notejam")
    if kind == "wal":
        other.sql("SELECT pg_create_physical_replication_slot('holds', true)")
    yield made
    other.helm("uninstall", other.release)
    wait_until("it is gone", lambda: not other.pods(), 120)
    made.take_out()


@pytest.fixture
def small_log(other: Database) -> Iterator[SmallVolume]:
    """Give a small volume of the log to the only member."""
    yield from have_small(other, "wal", 1)


@pytest.fixture(params=["wal", "data"])
def small(other: Database, request: pytest.FixtureRequest) -> Iterator[SmallVolume]:
    """Give a small volume to the first of two members."""
    yield from have_small(other, request.param, 2)


@pytest.fixture
def writers(other: Database, small: SmallVolume, record: Record) -> Iterator[Trial]:
    del small  # the database is there with it
    made = Trial(other, record)
    made.start()
    yield made
    other.kubectl("delete", "pod,configmap", made.pod, "--grace-period=1")


def restarts(database: Database) -> set[int]:
    return set(database.starts().values())


def checksum_failures(database: Database, pod: str) -> str:
    assert database.sql("SHOW data_checksums", pod) == "on"
    # Without checksums it would be nothing, not 0.
    return database.sql("SELECT sum(checksum_failures) FROM pg_stat_database", pod)


def refusal(database: Database, statement: str) -> str:
    """Return what is said against a statement; empty when it is carried out."""
    try:
        database.sql(statement, "extra-0")
    except FaultError as error:
        return str(error)
    return ""


def fill_up(database: Database, statement: str) -> str:
    """Write until it is refused; return the refusal."""
    for _ in range(2000):
        said = refusal(database, statement)
        if said:
            return said
    return "writes were never refused"


def as_app(database: Database, statement: str) -> str:
    """Run it as the application does; return what is said."""
    script = (
        "PGPASSWORD=$(cat /etc/postgres-ha/app/password); export PGPASSWORD; "
        "psql -Xq -f - 'host=localhost user=notejam dbname=notejam sslmode=require' 2>&1 || true"
    )
    words = ("exec", "-i", "extra-0", "-c", "postgres", "--", "sh", "-c", script)
    return database.kubectl(*words, stdin=statement)


def names_volume(database: Database, pod: str, path: str) -> bool:
    """Whether a pod says that a volume is short of space."""
    return path in database.pod(pod)["metadata"]["annotations"]["postgres-ha/keeper"]


def test_the_primary_s_volume_is_full_while_clients_write(
    other: Database, small: SmallVolume, writers: Trial
) -> None:
    def full() -> None:
        assert "read-only transaction" in fill_up(
            other, FILL.format(rows=2000 if small.kind == "wal" else 8000)
        )
        wait_until("the pod says so", lambda: names_volume(other, "extra-0", small.mount), 30)
        assert other.sql("SELECT count(*) > 0 FROM filler", "extra-0") == "t"
        small.grow()

    report = writers.play(f"full volume of the primary ({small.kind})", full)
    assert_nothing_lost(report)
    assert report.timelines == 1
    assert other.primary() == "extra-0"
    assert restarts(other) == {0}
    assert checksum_failures(other, "extra-0") == "0"


def test_a_replica_s_volume_is_full_while_clients_write(
    other: Database, small: SmallVolume, writers: Trial
) -> None:
    other.lead("extra-1")

    def full() -> None:
        small.fill()
        wait_until("the pod says so", lambda: names_volume(other, "extra-0", small.mount), 30)
        # Much more than a ballast: the replica cannot have it.
        other.sql(FILL.format(rows=100_000), "extra-1")
        wait_until("it does not follow", lambda: "extra-0" not in following(other), 120)
        small.clear()

    report = writers.play(f"full volume of a replica ({small.kind})", full)
    assert_nothing_lost(report)
    assert report.timelines == 1
    assert restarts(other) == {0}
    assert checksum_failures(other, "extra-0") == "0"


def following(database: Database) -> set[str]:
    """Name the members that stream and are near."""
    return {member.name for member in database.members() if member.state == "streaming" and member.lag < 16}


def test_a_full_disk_stops_writes_and_a_larger_one_lets_them_in(
    other: Database, small_log: SmallVolume
) -> None:
    fill = FILL.format(rows=2000)
    assert "read-only transaction" in fill_up(other, fill)
    assert "MiB left" in other.kubectl("logs", "extra-0", "-c", "keeper")
    small_log.grow()
    wait_until("writes are let in", lambda: refusal(other, fill) == "", 60)

    # One statement that would fill the volume by itself is no new transaction: it is ended.
    assert "terminating connection" in as_app(other, FILL.format(rows=4_000_000))
    assert "ended 1 transactions" in other.kubectl("logs", "extra-0", "-c", "keeper")
    assert restarts(other) == {0}


def test_a_disk_that_something_else_fills_neither_corrupts_nor_loops(
    other: Database, small_log: SmallVolume
) -> None:
    other.sql(FILL.format(rows=2000), "extra-0")
    rows = other.sql("SELECT count(*) FROM filler", "extra-0")
    small_log.fill()
    # The superuser writes on, which takes the log to the end of the volume, and Postgres with it.
    rush = f"SET default_transaction_read_only = off; {FILL.format(rows=40_000)}"
    wait_until("Postgres met the end", lambda: bool(refusal(other, rush)), 60)
    # With the ballast it comes up at once, and refuses writes a moment later. Where that was written full,
    # too, it answers as a server that still recovers, until there is space.
    wait_until(
        "writes are refused", lambda: "read-only transaction" in refusal(other, FILL.format(rows=1)), 120
    )
    assert "ballast was given up" in other.kubectl("logs", "extra-0", "-c", "keeper")
    small_log.clear()
    wait_until("writes are let in", lambda: refusal(other, FILL.format(rows=1)) == "", 60)
    assert int(other.sql("SELECT count(*) FROM filler", "extra-0")) >= int(rows) + 1
    assert checksum_failures(other, "extra-0") == "0"
    assert restarts(other) == {0}
