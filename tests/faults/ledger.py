"""What a ledger of acknowledged rows says about a fault. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

MODES = ("held", "new", "direct")


@dataclass(frozen=True)
class Row:
    """An acknowledged row: when it was sent and acknowledged (Unix seconds), by whom, on which timeline."""

    seq: int
    sent: float
    acknowledged: float
    address: str
    timeline: int


@dataclass(frozen=True)
class Report:
    """What came of one case. Gaps are seconds without an acknowledged row."""

    case: str
    held_gap: float
    new_gap: float
    acknowledged: int
    lost: int
    in_doubt: int
    timelines: int
    writers_at_once: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def __str__(self) -> str:
        """One line."""
        return (
            f"{self.case:<40} gap held {self.held_gap:6.2f} s  new {self.new_gap:6.2f} s  "
            f"acknowledged {self.acknowledged:7d}  lost {self.lost}  in doubt {self.in_doubt}  "
            f"timelines {self.timelines}  writers at once {self.writers_at_once}"
        )


def parse_ledger(text: str) -> list[Row]:
    """Read a ledger; a last line that was cut off is left out."""
    rows = []
    for line in text.splitlines():
        words = line.split()
        if len(words) == len(Row.__annotations__):
            rows.append(Row(int(words[0]), float(words[1]), float(words[2]), words[3], int(words[4])))
    return rows


def longest_gap(rows: Iterable[Row], since: float) -> float:
    """Return the longest time without an acknowledgement that ends after `since`; endless without any."""
    times = sorted(row.acknowledged for row in rows)
    gaps = [later - earlier for earlier, later in pairwise(times) if later > since]
    return max(gaps, default=float("inf"))


def count_writers_at_once(rows: Iterable[Row]) -> int:
    """Return how many servers took rows at the same time, at most.

    A server is an address on a timeline. Two wrote at the same time if one took rows before and after the
    moment when the other began.
    """
    spans: dict[tuple[str, int], tuple[float, float]] = {}
    for row in rows:
        first, last = spans.get((row.address, row.timeline), (row.acknowledged, row.sent))
        spans[row.address, row.timeline] = min(first, row.acknowledged), max(last, row.sent)
    return max((1 + _others_at(one[0], key, spans) for key, one in spans.items()), default=0)


def _others_at(
    moment: float, key: tuple[str, int], spans: Mapping[tuple[str, int], tuple[float, float]]
) -> int:
    """Count the other servers that took rows before this moment and after it."""
    return sum(first <= moment < last for other, (first, last) in spans.items() if other != key)


def make_report(
    case: str,
    ledgers: Mapping[str, list[Row]],
    present: Mapping[str, AbstractSet[int]],
    since: float,
) -> Report:
    """Compare what was acknowledged with what is there."""
    rows = [row for mode in ledgers.values() for row in mode]
    lost = doubt = 0
    for mode, ledger in ledgers.items():
        known = {row.seq for row in ledger}
        there = present.get(mode, set())
        lost += len(known - there)
        doubt += len(there - known)
    return Report(
        case=case,
        held_gap=longest_gap(ledgers["held"], since),
        new_gap=longest_gap(ledgers["new"], since),
        acknowledged=len(rows),
        lost=lost,
        in_doubt=doubt,
        timelines=len({row.timeline for row in rows}),
        writers_at_once=count_writers_at_once(rows),
    )
