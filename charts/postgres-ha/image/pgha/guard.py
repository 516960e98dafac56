"""Stops writing before a volume is full, and lets it go on when there is space again.

A Postgres that cannot write its log stops, and cannot start again without space for it. So writing stops
while there is a reserve; and for the case that something else fills the volume, a ballast is kept on it,
which is given up so that Postgres can start.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pgha.disk import MEBIBYTE, Space, describe_low, measure, read_only_patch
from pgha.patroni import Patroni

CONFIG_PERIOD = 5.0
# Two segments of the log: enough for the checkpoint that ends a recovery.
BALLAST = 32 * MEBIBYTE
BALLAST_NAME = ".ballast"
# A segment of the log has 16 MiB: with less than that Postgres ends, whatever else is free.
EMPTY = 24 * MEBIBYTE
# Looks that are closer together say nothing about speed.
LEAST_SECONDS = 0.9
# After this, what was free at a stop no longer matters: a burst is over.
FLOOR_SECONDS = 60.0
# Whoever writes on purpose after a stop does so later than this.
GRACE_SECONDS = 5.0
# Ended, not cancelled: a commit that is cancelled while it waits for a replica is reported as done. Those
# that only wait write nothing any more.
END = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND backend_xid IS NOT NULL AND usename <> 'postgres'
    AND xact_start < %s AND wait_event IS DISTINCT FROM 'SyncRep'
"""


class Guard:
    """State between two looks."""

    def __init__(
        self,
        patroni: Callable[[], Patroni],
        log: Callable[[str], None],
        look: Callable[[], list[Space]] = measure,
    ) -> None:
        self._patroni, self._log, self._measure = patroni, log, look
        self._seen: dict[str, tuple[float, int]] = {}
        self._speeds: dict[str, float] = {}
        self._floors: dict[str, int] = {}
        self._floors_until = 0.0
        self._ballast_error = ""
        self._is_stopped = False
        self._stopped_at: Any = None
        self._next_config = 0.0

    def look(self, connection: Any, *, primary: bool) -> str:
        """Look once, twice a second or so; return what is short of space."""
        spaces = self._measure()
        self._look_at_speed(spaces)
        for space in spaces:
            self._try_ballast(space)
        if not primary:
            low = describe_low(spaces, is_stopped=False)
            # One that met the end of its volume comes back with no more than the ballast, and its first
            # writes could use that up.
            if not low or not self._holds_lock():
                # The next time it leads, it begins anew.
                self._is_stopped, self._floors, self._next_config = False, {}, 0.0
                return low
        now = time.monotonic()
        if now >= self._floors_until:
            self._floors = {}
        low = describe_low(spaces, is_stopped=self._is_stopped, speeds=self._speeds, floors=self._floors)
        if bool(low) != self._is_stopped or now >= self._next_config:
            self._next_config = now + CONFIG_PERIOD
            self._settle(spaces, low)
        if low and connection is not None:
            self._end_writers(connection)
        return low

    def _holds_lock(self) -> bool:
        """Whether this member is to have the primary; not where its Patroni does not answer."""
        try:
            return self._patroni().is_leader()
        except OSError:
            return False

    def _look_at_speed(self, spaces: list[Space]) -> None:
        now = time.monotonic()
        for space in spaces:
            then, free = self._seen.get(space.path, (now, space.free))
            if now - then >= LEAST_SECONDS:
                self._speeds[space.path] = max(0.0, (free - space.free) / (now - then))
            if now == then or now - then >= LEAST_SECONDS:
                self._seen[space.path] = (now, space.free)

    def _settle(self, spaces: list[Space], low: str) -> None:
        """Make Patroni's setting what it must be: another member, or an earlier keeper, may have left it."""
        patroni = self._patroni()
        patch = read_only_patch(patroni.config(), low=bool(low))
        if patch:
            patroni.patch_config(patch)
            self._log(
                f"{low}: writes are refused until there is more" if low else "enough space: writes are let in"
            )
        if bool(low) != self._is_stopped:
            # Only of those that are short: the others need no more than they have.
            self._floors = {space.path: space.free for space in spaces if str(space) in low}
            self._floors_until = time.monotonic() + FLOOR_SECONDS
            self._stopped_at = None
        self._is_stopped = bool(low)

    def _end_writers(self, connection: Any) -> None:
        """End transactions that were writing when writes stopped: the setting is for new ones only."""
        with connection.cursor() as cursor:
            if self._stopped_at is None:
                cursor.execute("SELECT clock_timestamp() + make_interval(secs => %s)", (GRACE_SECONDS,))
                self._stopped_at = cursor.fetchone()[0]
            cursor.execute(END, (self._stopped_at,))
            if cursor.rowcount:
                self._log(f"ended {cursor.rowcount} transactions that were still writing")

    def _try_ballast(self, space: Space) -> None:
        try:
            self._keep_ballast(space)
            self._ballast_error = ""
        except OSError as error:
            # Without a ballast the rest of the guard is needed all the more.
            if str(error) != self._ballast_error:
                self._log(f"no ballast on {space.path}: {error}")
            self._ballast_error = str(error)
            (Path(space.path) / BALLAST_NAME).with_suffix(".new").unlink(missing_ok=True)

    def _keep_ballast(self, space: Space) -> None:
        path = Path(space.path) / BALLAST_NAME
        if path.exists():
            if space.free < EMPTY:
                path.unlink()
                self._log(f"{space}: the ballast was given up, so that Postgres can go on or start")
        elif space.free > space.reserve + BALLAST:
            temporary = path.with_suffix(".new")
            with temporary.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, BALLAST)
            temporary.rename(path)
            # What it took is no sign of speed.
            self._seen.pop(space.path, None)
