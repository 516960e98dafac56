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
EMPTY = 8 * MEBIBYTE
# Whoever writes on purpose after a stop does so later than this.
GRACE_SECONDS = 5.0
CANCEL = """
    SELECT pg_cancel_backend(pid) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND backend_xid IS NOT NULL AND usename <> 'postgres'
    AND xact_start < %s
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
        self._floors: dict[str, int] = {}
        self._is_stopped = False
        self._stopped_at: Any = None
        self._next_config = 0.0

    def look(self, connection: Any, *, primary: bool) -> str:
        """Look once, a second after the last time or so; return what is short of space."""
        spaces = self._measure()
        speeds = self._speeds(spaces)
        for space in spaces:
            self._keep_ballast(space)
        if not primary:
            return describe_low(spaces, is_stopped=False)
        low = describe_low(spaces, is_stopped=self._is_stopped, speeds=speeds, floors=self._floors)
        now = time.monotonic()
        if bool(low) != self._is_stopped or now >= self._next_config:
            self._next_config = now + CONFIG_PERIOD
            self._settle(spaces, low)
        if low and connection is not None:
            self._cancel(connection)
        return low

    def _speeds(self, spaces: list[Space]) -> dict[str, float]:
        now = time.monotonic()
        found = {}
        for space in spaces:
            then, free = self._seen.get(space.path, (now, space.free))
            found[space.path] = max(0.0, (free - space.free) / (now - then)) if now > then else 0.0
            self._seen[space.path] = (now, space.free)
        return found

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
            self._stopped_at = None
        self._is_stopped = bool(low)

    def _cancel(self, connection: Any) -> None:
        """End transactions that were writing when writes stopped: the setting is for new ones only."""
        with connection.cursor() as cursor:
            if self._stopped_at is None:
                cursor.execute("SELECT clock_timestamp() + make_interval(secs => %s)", (GRACE_SECONDS,))
                self._stopped_at = cursor.fetchone()[0]
            cursor.execute(CANCEL, (self._stopped_at,))
            if cursor.rowcount:
                self._log(f"ended {cursor.rowcount} transactions that were still writing")

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
