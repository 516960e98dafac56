"""A verifier is that of the password as Postgres and its clients prepare it: on a real server."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from pgha.scram import make_verifier, matches, prepare
from psycopg import sql

# What is prepared, and what comes of it.
PREPARED = {
    "hunter2": "hunter2",
    "µ-2": "\u03bc-2",
    "x²+½": "x2+1\u20442",
    "no\u00a0break": "no break",
    "zero\u200bwidth": "zero width",
    "so\u00adft hy\u2060phen": "soft hyphen",
    "ﬁn\u2075": "fin5",
    "e\u0301te\u0301": "été",
    "\uff21\uff22\uff11": "AB1",
    "Å": "Å",
    "\u1100\u1161": "가",
    "\U0001d400": "A",
    "\u05e9\u05dc\u05d5\u05dd": "\u05e9\u05dc\u05d5\u05dd",
    "\ufb2a\u05dd": "\u05e9\u05c1\u05dd",
    "\u06271\u0628": "\u06271\u0628",
    "Straße": "Straße",
    "パスワード": "パスワード",
    "ﾊﾟ": "パ",
    # Corrected since Unicode 3.2, which the tables are of.
    "\U0002f868": "\u36fc",
}
# What is not allowed, and stays as it is.
RAW = (
    "tab\tµ",
    "\u0080µ",
    "µ\u007f",
    "private\ue000µ",
    "µ\ufffe",
    "µ\ufffd",
    "µ\u2ff0",
    # Prohibited, though its normal form is not.
    "µ\u0340",
    "µ\u200e",
    "µ\U000e0041",
    # Not assigned in Unicode 3.2.
    "ẞ²",
    "😀µ",
    # From both sides.
    "\u05e9\u05dc\u05d5\u05dda²",
    "\u05e9²a\u05dd",
    "\u06271²",
    "1²\u0627",
    # Nothing is left.
    "\u00ad\u200d",
    "tab\t",
)


@pytest.fixture(scope="module")
def role(postgres: Any) -> Iterator[str]:
    postgres.execute("CREATE ROLE scram LOGIN")
    yield "scram"
    postgres.execute("DROP ROLE scram")


def set_password(postgres: Any, role: str, password: str) -> str:
    """Give it to a role, in clear text or as a verifier; return what Postgres keeps."""
    with postgres.connect() as connection:
        statement = sql.SQL("ALTER ROLE {} PASSWORD {}")
        connection.execute(statement.format(sql.Identifier(role), sql.Literal(password)))
        query = "SELECT rolpassword FROM pg_authid WHERE rolname = %s"
        (verifier,) = connection.execute(query, (role,)).fetchone()
        return str(verifier)


@pytest.mark.parametrize(("password", "prepared"), PREPARED.items(), ids=map(ascii, PREPARED))
def test_a_password_is_prepared_as_postgres_does_it(
    postgres: Any, role: str, password: str, prepared: str
) -> None:
    assert prepare(password) == prepared
    verifier = set_password(postgres, role, password)
    assert matches(password, verifier)
    assert matches(prepared, verifier)


@pytest.mark.parametrize("password", RAW, ids=map(ascii, RAW))
def test_one_that_is_not_allowed_stays_as_it_is(postgres: Any, role: str, password: str) -> None:
    assert prepare(password) == password
    assert matches(password, set_password(postgres, role, password))


@pytest.mark.parametrize(
    "password", ["plain", "µ², ½", "no\u00a0break", "\u00ad", "😀µ", "\u05e9\u05dc\u05d5\u05dd", "ﬁ\u200b"]
)
def test_a_client_logs_in_with_it(postgres: Any, role: str, password: str) -> None:
    set_password(postgres, role, make_verifier(password))
    with postgres.connect() as connection:
        info = connection.info
        place = {"host": info.host, "port": info.port, "dbname": info.dbname}
    psycopg.connect(**place, user=role, password=password).close()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(**place, user=role, password=f"{password}x")


def test_a_verifier_is_of_one_password_only() -> None:
    verifier = make_verifier("µ")
    assert matches("\u03bc", verifier)
    assert not matches("u", verifier)
    assert not matches("", verifier)
