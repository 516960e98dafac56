"""Who comes in over the network and who does not, and where the members are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.database import Database, FaultError, wait_until
from tests.faults.nodes import Nodes

# Connection and query come through standard input: passwords are no arguments.
ASK = (
    "import psycopg, sys; dsn, query = sys.stdin.read().split('\\n', 1); "
    "print(*psycopg.connect(dsn).execute(query).fetchone())"
)
DUMP = (
    "read -r PGPASSWORD; export PGPASSWORD; pg_dump "
    "'host=db-primary user=backup dbname=notejam sslmode=verify-full sslrootcert=/etc/postgres-ha/tls/ca.crt'"
)


def ask(database: Database, pod: str, dsn: str, query: str) -> str:
    """Ask as somebody else than the superuser, from a member's container; return the row."""
    words = ("exec", "-i", pod, "-c", "postgres", "--", "python3", "-c", ASK)
    return database.kubectl(*words, stdin=f"{dsn}\n{query}").strip()


@pytest.fixture
def table(database: Database) -> Iterator[str]:
    """Have a table with something to find in a dump."""
    database.wait_well()
    database.sql("CREATE TABLE to_dump AS SELECT 'found in the dump' AS a")
    yield "to_dump"
    database.sql("DROP TABLE to_dump")


def test_each_member_is_on_a_node_and_in_a_zone_of_its_own(database: Database, nodes: Nodes) -> None:
    database.wait_well()
    found = {pod["metadata"]["name"]: nodes.of(pod["metadata"]["name"]) for pod in database.pods()}
    assert len(set(found.values())) == len(found) == 3, found
    zones = {nodes.zone(node) for node in found.values()}
    assert len(zones) == 3, zones


def test_the_key_dsn_leads_to_the_primary_over_tls(database: Database) -> None:
    database.wait_well()
    # Not the first that the key names: that would be found without being looked for.
    database.lead("db-1")
    primary, replica = database.primary(), database.replicas()[0]
    dsn = database.secret("db-app")["dsn"]
    assert dsn.startswith("host=db-0.db-members,db-1.db-members,db-2.db-members ")
    query = "SELECT host(inet_server_addr()), ssl, current_user FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    address = database.pod(primary)["status"]["podIP"]
    assert ask(database, replica, dsn, query) == f"{address} True notejam"


def test_backup_comes_in_and_dumps(database: Database, table: str) -> None:
    password = database.secret("db-internal")["backup-password"]
    words = ("exec", "-i", database.replicas()[0], "-c", "postgres", "--", "sh", "-c", DUMP)
    said = ""

    def dump() -> bool:
        nonlocal said
        said = database.kubectl(*words, stdin=f"{password}\n")
        return True

    # The keeper makes the role within seconds of an install.
    wait_until("backup may dump", dump, 60)
    assert f"COPY public.{table} " in said
    assert "found in the dump" in said
    assert "PostgreSQL database dump complete" in said


@pytest.mark.parametrize("user", ["postgres", "monitor"])
def test_who_has_no_password_comes_by_the_socket_only(database: Database, user: str) -> None:
    database.wait_well()
    dsn = f"host=db-primary user={user} dbname=notejam sslmode=require password=none"
    with pytest.raises(FaultError, match=rf'pg_hba\.conf rejects connection .*user "{user}"'):
        ask(database, database.replicas()[0], dsn, "SELECT 1")
