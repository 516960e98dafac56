"""Whether pg_hba.conf, which Patroni writes, has the values' lines, and Postgres can read it.

A reload with a line that cannot be read keeps the lines of before and says so in the server's log only; the
next start of Postgres fails.
"""

from collections.abc import Sequence
from typing import Any

# A line that can never match, as one of TLS where the server speaks none, is there too, and harms nothing.
_ERROR = (
    "SELECT line_number, error FROM pg_hba_file_rules "
    "WHERE error NOT LIKE '%record cannot match because%' ORDER BY line_number LIMIT 1"
)


class HbaError(ValueError):
    """The file is not as the values say, or Postgres cannot read it."""


def check_hba(cursor: Any, lines: Sequence[str]) -> None:
    """Look at the file as it is now; raise HbaError with the first line that is wrong or missing."""
    cursor.execute("SELECT pg_read_file(current_setting('hba_file'))")
    found = [line.strip() for line in cursor.fetchone()[0].splitlines()]
    wanted = [line.strip() for line in lines]
    cursor.execute(_ERROR)
    wrong = cursor.fetchone()
    if wrong is not None:
        number, error = wrong
        text = found[number - 1]
        place = f"postgresql.hba[{wanted.index(text)}], " if text in wanted else ""
        raise HbaError(
            f"{place}line {number} of pg_hba.conf: {error}; the lines of before are in force, "
            "and Postgres cannot start again until it is mended"
        )
    for at, line in enumerate(wanted):
        if line not in found:
            raise HbaError(f"postgresql.hba[{at}] is not in pg_hba.conf yet")
