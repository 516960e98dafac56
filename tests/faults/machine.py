"""How fast the machine is and how much of it others take, so that figures of two runs can be compared."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LOOP_STEPS = 2_000_000
STAT = Path("/proc/stat")
# The place of "steal" in the first line of /proc/stat, and how many columns are time; see proc_stat(5).
STEAL = 7
COLUMNS = 8


@dataclass(frozen=True)
class Speed:
    """`loop` in processor seconds, `stolen` in percent of all processors' time, `load` of one minute."""

    loop: float
    stolen: float
    load: float


class Watch:
    """Looks at the machine from its making on."""

    def __init__(self) -> None:
        """Begin, with one loop of a fixed length."""
        self._loop = time_loop()
        self._since = read_ticks()

    def stop(self) -> Speed:
        """Return what was seen."""
        ticks = [now - then for now, then in zip(read_ticks(), self._since, strict=True)]
        stolen = 100 * ticks[STEAL] / (sum(ticks) or 1)
        return Speed(self._loop, stolen, os.getloadavg()[0])


def time_loop() -> float:
    """Return the processor seconds that this process takes for a loop of a fixed length."""
    since = time.process_time()
    for _ in range(LOOP_STEPS):
        pass
    return time.process_time() - since


def read_ticks(path: Path = STAT) -> list[int]:
    """Return the time of all processors by kind, in ticks."""
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return [int(word) for word in first.split()[1 : COLUMNS + 1]]


def sum_up(speeds: Sequence[Speed]) -> dict[str, float]:
    """Return the medians."""
    return {
        "loop_ms": round(1000 * statistics.median(speed.loop for speed in speeds), 1),
        "stolen_percent": round(statistics.median(speed.stolen for speed in speeds), 1),
        "load": round(statistics.median(speed.load for speed in speeds), 1),
    }
