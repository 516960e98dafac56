"""Slots of members that reached their bound are replaced, on a real PostgreSQL server."""

from collections.abc import Iterator
from typing import Any

import pytest
from pgha.slots import renew_lost_slots

MEMBERS, OTHERS = ["my_db_0", "my_db_1"], ["backups", "your_my_db_1", "my_db_1_2"]


def slots(postgres: Any) -> dict[str, str]:
    with postgres.connect() as connection:
        found = connection.execute("SELECT slot_name, wal_status FROM pg_replication_slots")
        return dict(found.fetchall())


def write_log(postgres: Any) -> None:
    """Go on by two segments of the log: more than a slot may hold."""
    for _ in range(2):
        postgres.execute("SELECT pg_create_restore_point('more')")
        postgres.execute("SELECT pg_switch_wal()")
    postgres.execute("CHECKPOINT")


@pytest.fixture
def small(postgres: Any) -> Iterator[None]:
    """Let slots hold no log."""
    postgres.execute("ALTER SYSTEM SET max_slot_wal_keep_size = 0")
    postgres.execute("SELECT pg_reload_conf()")
    yield
    for name in slots(postgres):
        postgres.execute(f"SELECT pg_drop_replication_slot('{name}')")
    postgres.execute("ALTER SYSTEM RESET max_slot_wal_keep_size")
    postgres.execute("SELECT pg_reload_conf()")


@pytest.mark.usefixtures("small")
def test_only_lost_slots_of_members_are_made_anew(postgres: Any) -> None:
    for name in [*MEMBERS[:1], *OTHERS]:
        postgres.execute(f"SELECT pg_create_physical_replication_slot('{name}', true)")
    write_log(postgres)
    postgres.execute(f"SELECT pg_create_physical_replication_slot('{MEMBERS[1]}', true)")
    lost = dict.fromkeys([MEMBERS[0], *OTHERS], "lost")
    assert slots(postgres) == {**lost, MEMBERS[1]: "reserved"}

    with postgres.connect() as connection:
        assert renew_lost_slots(connection, "my-db") == [MEMBERS[0]]
        assert renew_lost_slots(connection, "my-db") == []

    assert slots(postgres) == {**dict.fromkeys(MEMBERS, "reserved"), **dict.fromkeys(OTHERS, "lost")}
