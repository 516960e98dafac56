"""The Job of `import`: copies a database from another PostgreSQL, of this or an earlier major version.

The source stops taking writes first, so that the copy has everything. It is not changed otherwise: whatever
goes wrong, it takes writes again, and the new database stays empty. A copy that is there is not made again.

Exit code 0: copied, or copied before. 1: it failed and may be tried again. 2: it cannot be done.
"""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import sql

from pgha.disk import SETTING
from pgha.server import SEQUENCES, USER_TABLES, Server, count_rows, read_servers, rows, value

# Comments of the new database: while it is copied into, and from then on.
BEGUN = "a copy has begun"
MARK = "copied from "
PAUSE = 1.0
TERMINATE_SECONDS = 15.0
EXTENSION_SECONDS = 60.0
EXTENSIONS = "SELECT extname FROM pg_extension WHERE extname <> 'plpgsql'"
PREPARED = "SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()"


class RefusedError(Exception):
    """It cannot be done; the message says why and what to do."""


def log(text: str) -> None:
    """Write a line to the Job's log."""
    sys.stdout.write(f"import: {text}\n")
    sys.stdout.flush()


class Import:
    """One copy."""

    def __init__(self, source: Server, target: Server, *, freeze: bool, deadline: float) -> None:
        self._source, self._target, self._freeze, self._deadline = source, target, freeze, deadline

    def run(self) -> None:
        """Do it all; raise RefusedError, or another error where trying again may help."""
        target = self._wait_for_target()
        mark = self._mark(target)
        if mark.startswith(MARK):
            log(f"nothing to do, the database was {mark}")
            return
        source = self._open_source()
        was_frozen = self._is_frozen(source)
        # An attempt of ours that was broken off may have left it so; anybody else lets it go again himself.
        to_thaw = self._freeze and was_frozen and mark.startswith(BEGUN)
        try:
            self.check(source, target)
            self._set_mark(target, BEGUN)
            if self._freeze:
                to_thaw = to_thaw or not was_frozen
                self.freeze(source)
            self.copy()
            # Those of before have been idle for as long as the copy took.
            source, target = self._open_source(), self._target.connect()
            count = self._compare(source, target) if self._freeze else self._count(target)
            rows(target, "ANALYZE")
        except BaseException:
            if to_thaw:
                self.thaw()
            raise
        # From here on the copy counts, also when its mark was set and nobody heard of it: no thaw any more.
        self._finish(target, count)

    def _open_source(self) -> Any:
        """Connect as the login itself: a role that it acts as would not see its other sessions."""
        source = self._source.connect()
        rows(source, "SET ROLE NONE")
        rows(source, f"SET {SETTING} = off")
        return source

    def _is_frozen(self, source: Any) -> bool:
        query = (
            "SELECT coalesce(bool_or(setting = 'default_transaction_read_only=on'), false)"
            " FROM pg_db_role_setting, unnest(setconfig) setting WHERE setrole = 0"
            " AND setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        return bool(value(source, query))

    def _wait_for_target(self) -> Any:
        while True:
            try:
                connection = self._target.connect()
                if not value(connection, "SELECT pg_is_in_recovery()"):
                    return connection
                connection.close()
                why = "it is a replica"
            except psycopg.OperationalError as error:
                why = str(error).strip()
            if time.monotonic() > self._deadline:
                raise TimeoutError(f"{self._target} takes no writes: {why}")
            time.sleep(PAUSE)

    def _mark(self, target: Any) -> str:
        query = (
            "SELECT coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database"
            " WHERE datname = current_database()"
        )
        return str(value(target, query))

    def _set_mark(self, target: Any, text: str) -> None:
        name = sql.Identifier(self._target.database)
        rows(target, sql.SQL("COMMENT ON DATABASE {} IS {}").format(name, sql.Literal(text)))

    def check(self, source: Any, target: Any) -> None:
        """Refuse what cannot work, before anything is changed."""
        there = rows(target, USER_TABLES)
        if there and self._mark(target).startswith(BEGUN):
            raise RefusedError(
                f"{self._target} has a copy that was never checked: an attempt ended after it.\n"
                "Uninstall the new release with uninstall.removeData, and install it again."
            )
        if there:
            raise RefusedError(
                f"{self._target} is not empty, it has {'.'.join(there[0])}: a copy goes into a new database"
                " only.\nTake `import` out of the values, or install under another name."
            )
        theirs, ours = (value(one, "SHOW server_version_num") for one in (source, target))
        log(f"from {self._source}, PostgreSQL {_major(theirs)}")
        log(f"to {self._target}, PostgreSQL {_major(ours)}")
        if _major(theirs) > _major(ours):
            raise RefusedError(f"{self._source} is PostgreSQL {_major(theirs)}, newer than this one")
        wanted = {name for (name,) in rows(source, EXTENSIONS)}
        end = min(self._deadline, time.monotonic() + EXTENSION_SECONDS)
        # In a new database the keeper has just begun to make them.
        while missing := sorted(wanted - {name for (name,) in rows(target, EXTENSIONS)}):
            if time.monotonic() > end:
                raise RefusedError(
                    f"{self._source} has extensions that are missing here: add {', '.join(missing)}"
                    " to database.extensions"
                )
            time.sleep(PAUSE)
        if self._freeze:
            self._check_freeze(source)

    def _check_freeze(self, source: Any) -> None:
        query = (
            "SELECT pg_has_role(datdba, 'USAGE'), pg_is_in_recovery() FROM pg_database"
            " WHERE datname = current_database()"
        )
        is_owner, is_replica = rows(source, query)[0]
        if is_replica:
            raise RefusedError(f"{self._source} is a replica: name the primary in import.host")
        if not is_owner:
            raise RefusedError(
                f"{self._source.user} does not own the database at {self._source}, so it cannot stop writes"
                " there.\nName a Secret of the owner in import.existingSecret,"
                " or set import.freeze to false and stop them yourself."
            )
        self._refuse_prepared(source)

    def _refuse_prepared(self, source: Any) -> None:
        if value(source, PREPARED):
            raise RefusedError(f"{self._source} has prepared transactions: commit or roll them back")

    def freeze(self, source: Any) -> None:
        """Refuse writes at the source, and end the sessions that were there before."""
        name = sql.Identifier(self._source.database)
        rows(source, sql.SQL(f"ALTER DATABASE {{}} SET {SETTING} = on").format(name))
        # A session that was just beginning may show late.
        time.sleep(PAUSE)
        # Of other roles' sessions only these three columns are shown to everybody.
        query = (
            "SELECT pid, usename FROM pg_stat_activity WHERE datname = current_database()"
            " AND usename IS NOT NULL AND pid <> pg_backend_pid()"
        )
        before = {pid for pid, _ in rows(source, query)}
        end = time.monotonic() + TERMINATE_SECONDS
        while left := [(pid, user) for pid, user in rows(source, query) if pid in before]:
            if time.monotonic() > end:
                names = ", ".join(sorted({str(user) for _, user in left}))
                raise RefusedError(
                    f"sessions of {names} at {self._source} may still write, and {self._source.user} may"
                    f" not end them: end them, or GRANT {names} TO {self._source.user}"
                )
            for pid, _ in left:
                try:
                    rows(source, "SELECT pg_terminate_backend(%s)", (pid,))
                except psycopg.errors.InsufficientPrivilege:
                    continue
            time.sleep(PAUSE / 5)
        # To commit one is allowed in a session that reads only.
        self._refuse_prepared(source)
        log(f"{self._source} refuses writes from now on")

    def thaw(self) -> None:
        """Let the source take writes again."""
        try:
            with self._open_source() as source:
                name = sql.Identifier(self._source.database)
                rows(source, sql.SQL(f"ALTER DATABASE {{}} RESET {SETTING}").format(name))
            log(f"{self._source} takes writes again")
        except psycopg.Error as error:
            log(f"{self._source} could not be told to take writes again: {str(error).strip()}")
            log(f"on it: ALTER DATABASE {self._source.database} RESET {SETTING};")

    def copy(self) -> None:
        """Copy everything, in one transaction of the new database."""
        dump = ["pg_dump", "--format=custom", "--no-owner", "--no-privileges", "--exclude-extension=*"]
        restore = ["pg_restore", "--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction"]
        restore += ["--dbname", self._target.database]
        base = dict(os.environ)
        with (
            subprocess.Popen(dump, stdout=subprocess.PIPE, env=base | self._source.environment()) as reader,
            subprocess.Popen(restore, stdin=reader.stdout, env=base | self._target.environment()) as writer,
        ):
            if reader.stdout is not None:
                # So that pg_dump hears of a pg_restore that ended.
                reader.stdout.close()
            try:
                written = writer.wait(max(1.0, self._deadline - time.monotonic()))
                read = reader.wait(60)
            except BaseException:
                writer.kill()
                reader.kill()
                raise
        if read or written:
            raise OSError(f"the copy failed (pg_dump {read}, pg_restore {written}), nothing of it was kept")

    def _count(self, target: Any) -> tuple[int, int]:
        counts = count_rows(target)
        return len(counts), sum(counts.values())

    def _compare(self, source: Any, target: Any) -> tuple[int, int]:
        theirs, ours = count_rows(source), count_rows(target)
        if theirs != ours or rows(source, SEQUENCES) != rows(target, SEQUENCES):
            different = sorted(name for name in theirs | ours if theirs.get(name) != ours.get(name))
            where = ", ".join(different) or "a sequence"
            raise RefusedError(
                f"the copy differs in {where}: something wrote to {self._source} meanwhile.\n"
                "Uninstall the new release with uninstall.removeData, and install it again."
            )
        return len(ours), sum(ours.values())

    def _finish(self, target: Any, count: tuple[int, int]) -> None:
        self._set_mark(target, f"{MARK}{self._source} at {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
        log(f"copied {count[0]} tables with {count[1]} rows")
        if self._freeze:
            log(f"to go back to it, on it: ALTER DATABASE {self._source.database} RESET {SETTING};")
        else:
            log("writes went on meanwhile: what came after the copy began is not in it")


def _major(number: str) -> int:
    return int(number) // 10000


def stop(_: int, __: object) -> None:
    """End with an exception, so that the source takes writes again."""
    raise KeyboardInterrupt


def main() -> int:
    """Run for Helm."""
    signal.signal(signal.SIGTERM, stop)
    source, target = read_servers(os.environ)
    deadline = time.monotonic() + float(os.environ["IMPORT_SECONDS"])
    try:
        Import(source, target, freeze=os.environ["FREEZE"] == "true", deadline=deadline).run()
    except RefusedError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except (OSError, psycopg.Error, subprocess.TimeoutExpired) as error:
        sys.stderr.write(f"error: {str(error).strip()}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("error: told to stop\n")
        return 1
    return 0
