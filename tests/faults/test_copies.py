"""A replica that has a part of its files: it is copied anew without anybody asking."""

from __future__ import annotations

import pytest

from tests.faults.database import Database, wait_until
from tests.faults.nodes import Nodes

WITH_LOG = ("storage.wal.enabled=true", "storage.wal.size=256Mi")
# A copy that has begun, and has not its last file yet.
HALF = '[ -e "$PGDATA/PG_VERSION" ] && [ ! -e "$PGDATA/global/pg_control" ]'


@pytest.fixture
def with_log(other: Database) -> Database:
    """Have two members with volumes of the log; extra-0 leads."""
    other.apply("install", *WITH_LOG, members=2)
    other.wait_well()
    other.lead("extra-0")
    return other


def test_a_replica_that_loses_its_data_and_not_its_log(with_log: Database) -> None:
    volume = ("get", "pvc", "data-extra-1", "-o", "jsonpath={.spec.volumeName}")
    before = with_log.kubectl(*volume)
    with_log.kubectl("delete", "pvc", "data-extra-1", "--wait=false")
    with_log.kubectl("delete", "pod", "extra-1")
    with_log.wait_well(300)
    assert with_log.kubectl(*volume) != before


def test_a_replica_that_is_killed_while_it_is_copied(with_log: Database) -> None:
    nodes = Nodes(with_log)
    # Enough to be seen at it.
    with_log.sql("CREATE TABLE much AS SELECT repeat(md5(a::text), 30) FROM generate_series(1, 100000) a")
    with_log.pgha("reinit", "extra-1")
    with_log.freeze("extra-1", "pg_basebackup ", first=f"until {HALF}; do :; done")
    assert with_log.inside("extra-1", f"{HALF} && echo half").strip() == "half"
    nodes.kill_container("extra-1")
    begun = "anew"
    wait_until(
        "it says so",
        lambda: begun in with_log.kubectl("logs", "extra-1", "-c", "postgres"),
        120,
    )
    with_log.wait_well(300)
    assert with_log.sql("SELECT count(*) FROM much", "extra-1") == "100000"
