"""What an import says of itself: counts, reasons, and each row that was mended or refused."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from click import ClickException

SHOWN = 5
SECRET = "password"  # noqa: S105 - the name of a column


class Report:
    """Counts what became of the rows, and writes the details to a file, one JSON object a line."""

    def __init__(self, path: Path | None) -> None:
        """Begin, or go on with, the file: it may hold private notes, so nobody else may read it."""
        self._counts: Counter[tuple[str, str]] = Counter()
        self._examples: dict[tuple[str, str], list[int]] = {}
        self._path = path
        if path is not None:
            try:
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
            except OSError as error:
                raise ClickException(f"{path} cannot be written: {error.strerror}") from error

    def count(self, kind: str, outcome: str, number: int = 1) -> None:
        """Count rows that were brought over, mended or refused."""
        self._counts[kind, outcome] += number

    def add(self, kind: str, legacy_id: int, outcome: str, reasons: list[str]) -> None:
        """Count a row and why it is not as it was."""
        self.count(kind, outcome)
        for reason in reasons:
            self._examples.setdefault((kind, f"{outcome}: {reason}"), []).append(legacy_id)

    def write(self, kind: str, entries: list[tuple[Mapping[str, Any], str, list[str]]]) -> None:
        """Write rows as they were in the legacy database, without passwords."""
        if self._path is None or not entries:
            return
        with self._path.open("a", encoding="utf-8") as stream:
            for row, outcome, reasons in entries:
                kept = {name: _plain(value) for name, value in row.items() if name != SECRET}
                line = {"kind": kind, "outcome": outcome, "reasons": reasons, "row": kept}
                stream.write(json.dumps(line, ensure_ascii=False) + "\n")
            stream.flush()
            os.fsync(stream.fileno())

    def lines(self, kinds: Iterator[str]) -> Iterator[str]:
        """Sum up for people."""
        for kind in kinds:
            done, mended, refused = (
                self._counts[kind, outcome] for outcome in ("as it was", "mended", "refused")
            )
            yield f"{kind + 's':<6} {done + mended} brought over, {mended} of them mended; {refused} refused"
            reasons = ((key, ids) for key, ids in self._examples.items() if key[0] == kind)
            for (_, reason), ids in reasons:
                shown = ", ".join(map(str, ids[:SHOWN]))
                more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
                yield f"  {len(ids)} {reason} ({kind} {shown}{more})"


def _plain(value: Any) -> Any:
    """Make a value fit for JSON; bytes that are not UTF-8 are written as hex."""
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return {"hex": value.hex()}
    return value if isinstance(value, int | float | str) or value is None else str(value)
