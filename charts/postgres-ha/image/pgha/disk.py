"""How full the volumes are, and when writing must stop before Postgres is stopped by a full disk."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

MEBIBYTE = 1024 * 1024
VOLUMES = (Path("/pgdata"), Path("/pgwal"))
SETTING = "default_transaction_read_only"
# From a look at the disk to the moment when no session writes any more.
REACTION_SECONDS = 3.0
NOTHING: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True)
class Space:
    """A volume: bytes in all, and free ones."""

    path: str
    total: int
    free: int

    @property
    def reserve(self) -> int:
        """Bytes below which writes stop: a twentieth, and from 64 MiB to 1 GiB."""
        return min(max(self.total // 20, 64 * MEBIBYTE), 1024 * MEBIBYTE)

    def __str__(self) -> str:
        """Say it for people."""
        return f"{self.path} has {self.free // MEBIBYTE} of {self.total // MEBIBYTE} MiB left"


def measure(paths: tuple[Path, ...] = VOLUMES) -> list[Space]:
    """Look at the volumes that are there."""
    found = []
    for path in paths:
        if path.is_mount():
            state = os.statvfs(path)
            found.append(Space(str(path), state.f_blocks * state.f_frsize, state.f_bavail * state.f_frsize))
    return found


def describe_low(
    spaces: list[Space],
    *,
    is_stopped: bool,
    speeds: Mapping[str, float] = NOTHING,
    floors: Mapping[str, int] = NOTHING,
) -> str:
    """Say which volumes are short of space, empty when none is.

    `speeds` is how fast each fills, in bytes/s: what comes before a stop takes hold is counted as gone. To
    start again takes half as much more than the reserve, and more than there was at the stop (`floors`).
    """
    low = []
    for space in spaces:
        if is_stopped:
            needed = max(space.reserve * 1.5, floors.get(space.path, 0) + space.reserve / 2)
        else:
            ahead = REACTION_SECONDS * speeds.get(space.path, 0.0)
            # No more than once the reserve: a burst is not what is to come.
            needed = space.reserve + min(ahead, space.reserve)
        if space.free < needed:
            low.append(str(space))
    return "; ".join(low)


def read_only_patch(config: Mapping[str, object], *, low: bool) -> dict[str, object] | None:
    """Return the change of Patroni's settings that stops or allows writes; None where nothing is to do."""
    postgresql = config.get("postgresql")
    parameters = postgresql.get("parameters") if isinstance(postgresql, dict) else None
    is_stopped = isinstance(parameters, dict) and SETTING in parameters
    if is_stopped == low:
        return None
    return {"postgresql": {"parameters": {SETTING: "on" if low else None}}}
