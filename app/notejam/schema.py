"""The schema: which revision the database is at, and how it gets to the one this code needs."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from click import ClickException
from sqlalchemy import Connection, Engine, inspect, text

from notejam import contracts
from notejam.contracts import Contract

# A connection of a running app is named after it and the revision that it needs.
APPLICATION_NAME = "notejam"
# Any fixed number: whoever migrates this app's database takes the lock of this number first.
LOCK = 6_067_183_526
# Another migration may be running: wait for it, within the deadline of a deployment's job.
LOCK_WAIT = "120s"
# A change of a table waits for every query on it and makes all later ones queue behind: give up soon.
TABLE_LOCK_WAIT = "5s"


CONTRACTS_TABLE = "schema_contracts"
_FIRST_CONTRACT_AGAINST = text(
    f"SELECT min(revision) FROM {CONTRACTS_TABLE} WHERE safe_from > :head"  # noqa: S608 - ours
)
_FORGET_CONTRACT = text(f"DELETE FROM {CONTRACTS_TABLE} WHERE revision = :revision")  # noqa: S608 - ours
_RECORD_CONTRACT = text(f"INSERT INTO {CONTRACTS_TABLE} VALUES (:revision, :safe_from)")  # noqa: S608 - ours
_APPLICATION_NAMES = text(
    "SELECT DISTINCT application_name FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name LIKE :pattern AND pid <> pg_backend_pid()"
)


class State(enum.Enum):
    """How the schema stands to the code."""

    CURRENT = "ok"
    AHEAD = "ahead"
    BEHIND = "behind"
    MISSING = "missing"
    BEYOND = "too far ahead"

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
def known_revisions() -> tuple[str, frozenset[str]]:
    """Read from the migrations which revision this code needs, and all that it knows."""
    scripts = ScriptDirectory.from_config(config())
    head = scripts.get_current_head()
    if head is None:
        raise RuntimeError("there is no migration")
    return head, frozenset(script.revision for script in scripts.walk_revisions())


def needed_revision() -> str:
    """Tell which revision this code needs."""
    return known_revisions()[0]


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
    return status_of(connection).state


@dataclass(frozen=True)
class Status:
    """How the schema of a database stands to the code. Revisions sort by their numbers."""

    needs: str
    tolerates: str  # the newest revision known that this code works with
    live: str | None
    state: State


def status_of(connection: Connection) -> Status:
    """Observe which revision is live, and up to which one this code would work."""
    head, known = known_revisions()
    found = frozenset(MigrationContext.configure(connection).get_current_heads())
    state = classify_state(found, head=head, known=known)
    live = max(found, default=None)
    tolerates = max(head, live or head)
    if state is State.AHEAD:
        first = (
            connection.scalar(_FIRST_CONTRACT_AGAINST, {"head": head}) if _has_record(connection) else None
        )
        if first is not None:
            state, tolerates = State.BEYOND, f"{int(first) - 1:0{len(first)}d}"
    return Status(head, tolerates, live, state)


def _has_record(connection: Connection) -> bool:
    return inspect(connection).has_table(CONTRACTS_TABLE)


def running_revisions(connection: Connection) -> set[str]:
    """Tell which revisions the pods need that are connected now: their connections are named after them."""
    if connection.dialect.name != "postgresql":
        return set()
    names = connection.scalars(_APPLICATION_NAMES, {"pattern": f"{APPLICATION_NAME} %"})
    return {name.removeprefix(APPLICATION_NAME).strip() for name in names}


class StillNeededError(ClickException):
    """A migration would take away what running pods use."""

    def __init__(self, contract: Contract, needed: str) -> None:
        """Say which one, and what to do first."""
        super().__init__(
            f"revision {contract.revision} takes away what a running version uses: that one needs revision "
            f"{needed}, and only code that needs {contract.safe_from} or later does without.\n"
            f"First release a version that needs {contract.safe_from} everywhere, then this one."
        )


def _refuse_what_is_needed(connection: Connection, pending: list[Script]) -> None:
    unmarked = [problem for script in pending for problem in contracts.check_migration(Path(script.path))]
    if unmarked:
        raise ClickException("\n".join(unmarked))
    running = running_revisions(connection)
    for contract in contracts.contracts_in(pending):
        for revision in sorted(running):
            if revision < contract.safe_from:
                raise StillNeededError(contract, revision)


def upgrade(engine: Engine, revision: str = "head") -> str:
    """Bring a database up to the revision; say how that ended.

    Safe to run twice at once: on Postgres an advisory lock lets one in; the other then finds nothing to do.
    A schema ahead of the code stays as it is: an old release's job runs again when Helm rolls back. What a
    running version still uses is not taken away: raises a ClickException.
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
        status = status_of(connection)
        if status.state in {State.AHEAD, State.BEYOND}:
            return "The schema is ahead of this code; nothing to do."
        _refuse_what_is_needed(connection, pending(status.live, revision))
        connection.commit()
        made = config()
        made.attributes["connection"] = connection
        command.upgrade(made, revision)
        connection.commit()
        heads = MigrationContext.configure(connection).get_current_heads()
        return f"The schema is at revision {', '.join(heads)}."


def pending(live: str | None, revision: str = "head") -> list[Script]:
    """List the migrations between the live revision and another, oldest first."""
    scripts = list(ScriptDirectory.from_config(config()).iterate_revisions(revision, live or "base"))
    return scripts[::-1]


def record(connection: Connection, script: Script, *, applied: bool) -> None:
    """Keep with the schema that a migration took something away: older code reads it there."""
    contract = contracts.contract_of(script)
    if contract is None:
        return
    row = {"revision": contract.revision, "safe_from": contract.safe_from}
    connection.execute(_FORGET_CONTRACT, {"revision": contract.revision})
    if applied:
        connection.execute(_RECORD_CONTRACT, row)
