"""Lines of pg_hba.conf that Postgres cannot read are told, on a real PostgreSQL server."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pgha.desired import Desired, make_desired
from pgha.hba import HbaError
from pgha.reconcile import Reconciler

GOOD = "hostssl all reader 10.0.0.0/8 scram-sha-256"
BAD = "hostssl all reader 10.0.0.0/33 scram-sha-256"


@pytest.fixture
def put(postgres: Any) -> Iterator[Callable[..., None]]:
    """Return what adds lines to the file, as Patroni does before it reloads."""
    with postgres.connect() as connection:
        before = connection.execute("SELECT pg_read_binary_file(current_setting('hba_file'))").fetchone()[0]

        def write(*lines: str) -> None:
            text = before + b"".join(line.encode() + b"\n" for line in lines)
            # The server's own hands: it may run in a container.
            made = connection.execute("SELECT lo_from_bytea(0, %s)", (text,)).fetchone()[0]
            export = "SELECT lo_export(%s, current_setting('hba_file')), lo_unlink(%s), pg_reload_conf()"
            connection.execute(export, (made, made))

        yield write
        write()


def wish(*lines: str) -> Desired:
    wishes = {"version": "1", "roles": [], "databases": [], "hba": list(lines)}
    return make_desired(wishes, repr(wishes), {})


def reconcile(postgres: Any, desired: Desired) -> list[str]:
    reconciler = Reconciler(postgres.connect)
    changes = reconciler.run(desired)
    reconciler.check(desired)
    return changes


def test_lines_that_are_there_and_right_are_well(postgres: Any, put: Callable[..., None]) -> None:
    put(GOOD)
    assert reconcile(postgres, wish(GOOD)) == []


def test_a_line_that_postgres_cannot_read_is_named(postgres: Any, put: Callable[..., None]) -> None:
    put(GOOD, BAD)
    said = r'^postgresql\.hba\[1\], line \d+ of pg_hba\.conf: invalid CIDR mask in address "10\.0\.0\.0/33"'
    with pytest.raises(HbaError, match=said):
        reconcile(postgres, wish(GOOD, BAD))


def test_a_line_that_the_values_do_not_have_is_named_too(postgres: Any, put: Callable[..., None]) -> None:
    put(BAD)
    without: dict[str, Any] = {"version": "1", "roles": [], "databases": []}
    for desired in (wish(), make_desired(without, "", {}), make_desired({**without, "hba": None}, "", {})):
        with pytest.raises(HbaError, match=r"^line \d+ of pg_hba\.conf: invalid CIDR mask"):
            reconcile(postgres, desired)


def test_lines_that_are_not_there_yet_are_waited_for(postgres: Any, put: Callable[..., None]) -> None:
    put()
    with pytest.raises(HbaError, match=r"^postgresql\.hba\[0\] is not in pg_hba\.conf yet"):
        reconcile(postgres, wish(GOOD))


def test_roles_are_made_whatever_the_lines_are(postgres: Any, put: Callable[..., None]) -> None:
    put(BAD)
    wishes = {"version": "1", "roles": [{"name": "monitor"}], "databases": []}
    assert Reconciler(postgres.connect).run(make_desired(wishes, "", {}))[0] == "role monitor created"
