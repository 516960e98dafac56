"""While failover is paused, Patroni starts no Postgres that was stopped: nothing else may stop one then."""

from __future__ import annotations

import pytest

from tests.faults.database import Database, FaultError


def test_an_upgrade_stops_nobody_and_an_install_ends_the_pause(other: Database) -> None:
    other.apply("install", members=1)
    other.wait_well()
    starts = other.server_starts()
    other.pgha("pause")

    with pytest.raises(FaultError, match="post-upgrade"):
        other.apply("upgrade", "podAnnotations.change=one", members=1)
    said = other.kubectl("logs", "job/extra-rollout")
    assert "error: failover is paused, and a pod that ends now does not come back to work" in said
    assert "kubectl exec extra-0 -c postgres -- pgha resume" in said
    assert other.server_starts() == starts
    other.sql("CREATE TABLE kept (a int)")

    # What needs no other pod is carried out, and it stays paused.
    other.apply("upgrade", "postgresql.parameters.work_mem=5MB", members=1)
    assert other.sql("SHOW work_mem") == "5MB"
    assert other.server_starts() == starts
    other.apply("upgrade", "postgresql.maxConnections=120", members=1)
    assert other.sql("SHOW max_connections") == "120"
    assert "PAUSED" in other.pgha("list")
    starts = other.server_starts()

    other.pgha("resume")
    other.apply("upgrade", "podAnnotations.change=one", members=1)
    other.wait_well()
    assert other.server_starts() != starts

    other.pgha("pause")
    other.helm("uninstall", other.release, "--wait", "--timeout", "5m")
    other.apply("install", members=1)
    other.wait_well()
    assert other.sql("SELECT count(*) FROM kept") == "0"
    assert "PAUSED" not in other.pgha("list")
