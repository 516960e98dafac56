"""The schema: which revision the database is at, and how it gets to the one this code needs."""

from __future__ import annotations

import enum
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

# A connection of a running app is named after it and the revision that it needs.
APPLICATION_NAME = "notejam"
# Any fixed number: whoever migrates this app's database takes the lock of this number first.
LOCK = 6_067_183_526
# Another migration may be running: wait for it, within the deadline of a deployment's job.
LOCK_WAIT = "120s"
# A change of a table waits for every query on it and makes all later ones queue behind: give up soon.
TABLE_LOCK_WAIT = "5s"


class State(enum.Enum):
    """How the schema stands to the code."""

    CURRENT = "ok"
    AHEAD = "ahead"
    BEHIND = "behind"
    MISSING = "missing"

    @property
    def is_enough(self) -> bool:
        """Whether the code can serve with it."""
        return self in {State.CURRENT, State.AHEAD}


def config() -> Config:
    """Alembic's configuration, without a file of its own."""
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    # A module's name cannot begin with a digit.
    made.set_main_option("file_template", "v%%(rev)s_%%(slug)s")
    made.set_main_option("path_separator", "os")
    return made


@cache
def _known() -> tuple[str, frozenset[str]]:
    """Read from the migrations which revision this code needs, and all that it knows."""
    scripts = ScriptDirectory.from_config(config())
    head = scripts.get_current_head()
    if head is None:
        raise RuntimeError("there is no migration")
    return head, frozenset(script.revision for script in scripts.walk_revisions())


def needed_revision() -> str:
    """Tell which revision this code needs."""
    return _known()[0]


def classify_state(found: frozenset[str], *, head: str, known: frozenset[str]) -> State:
    """Say how the revisions in the database stand to the code.

    A revision that this code has never heard of was made by later code, from a history that holds ours.
    """
    if not found:
        return State.MISSING
    if head in found:
        return State.CURRENT
    return State.BEHIND if found & known else State.AHEAD


def state_of(connection: Connection) -> State:
    """Observe how the schema of a database stands to the code."""
    head, known = _known()
    found = frozenset(MigrationContext.configure(connection).get_current_heads())
    return classify_state(found, head=head, known=known)


def upgrade(engine: Engine, revision: str = "head") -> str:
    """Bring a database up to the revision; say how that ended.

    Safe to run twice at once: on Postgres an advisory lock lets one in; the other then finds nothing to do.
    A schema ahead of the code stays as it is: an old release's job runs again when Helm rolls back.
    """
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            # The lock and the timeouts belong to the server's session, which now ends with this block.
            connection.detach()
            # A migration may take its time; the limit of the app's own queries does not apply.
            connection.execute(text("SET statement_timeout = 0"))
            connection.execute(text(f"SET lock_timeout = '{LOCK_WAIT}'"))
            connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
            connection.execute(text(f"SET lock_timeout = '{TABLE_LOCK_WAIT}'"))
            connection.commit()
        state = state_of(connection)
        connection.commit()
        if state is State.AHEAD:
            return "The schema is ahead of this code; nothing to do."
        made = config()
        made.attributes["connection"] = connection
        command.upgrade(made, revision)
        connection.commit()
        heads = MigrationContext.configure(connection).get_current_heads()
        return f"The schema is at revision {', '.join(heads)}."
