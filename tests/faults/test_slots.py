"""A replica is away until the log that it needs is gone."""

from __future__ import annotations

from tests.faults.database import Database, wait_until

# A slot may hold that much; and the chart keeps 128 MB of the log on a volume of this size in any case.
SETTING = "postgresql.parameters.max_slot_wal_keep_size=16MB"
SEGMENTS = 14


def test_a_replica_that_was_away_too_long_is_copied_anew_and_protected_again(other: Database) -> None:
    other.apply("install", SETTING, members=2)
    other.wait_well()
    other.lead("extra-0")

    def slot() -> str:
        query = "SELECT wal_status FROM pg_replication_slots WHERE slot_name = 'extra_1'"
        return other.sql(query, "extra-0")

    other.kubectl("scale", "statefulset/extra", "--replicas=1")
    wait_until("the replica is gone", lambda: "extra-1" not in str(other.pods()), 120)
    for _ in range(SEGMENTS):
        other.sql("SELECT pg_create_restore_point('more'); SELECT pg_switch_wal()", "extra-0")
    other.sql("CHECKPOINT", "extra-0")
    made = "slot extra_1 made anew: it had lost its log"
    wait_until("the keeper saw it", lambda: made in other.kubectl("logs", "extra-0", "-c", "keeper"), 60)
    assert slot() == "reserved"

    other.kubectl("scale", "statefulset/extra", "--replicas=2")
    gone = "has already been removed"
    wait_until(
        "it cannot follow",
        lambda: gone in other.kubectl("logs", "extra-1", "-c", "postgres"),
        120,
    )
    other.pgha("reinit", "extra-1", pod="extra-0")
    other.wait_well()
    assert slot() == "reserved"
