"""What changes between two sets of values, as lines for people, with secrets hidden."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Any, NamedTuple

from releaser.core.model import Values

SECRET = re.compile(
    r"password|passwd|(?<!existing)(?<!imagepull)secret(?!name|key$)|token|credential|private|api[_-]?key"
    r"|(?:^|\.)key$|(?:session|sign|signing|encryption|access)[_-]?key",
    re.IGNORECASE,
)
"""Keys whose values are hidden; secretName, secretKey and existingSecret only say where to look."""
SECRET_VALUE = re.compile(r"://[^/\s@]*:[^/\s@]+@|-----BEGIN [A-Z ]*PRIVATE KEY")
"""Values that are hidden under any key: an address with a password in it, a private key."""
HIDDEN = "(hidden)"
LONG = 72


class _Leaf(NamedTuple):
    value: Any
    is_secret: bool


_Path = tuple[str | int, ...]


def diff_values(old: Values, new: Values) -> tuple[str, ...]:
    """Return a line for each scalar that differs, in the order of the keys."""
    before, after = dict(_flatten(old)), dict(_flatten(new))
    lines = []
    for path in sorted(before.keys() | after.keys(), key=_order):
        was, will = before.get(path), after.get(path)
        if was and will and _is_same(was.value, will.value):
            continue
        is_secret = any(leaf.is_secret for leaf in (was, will) if leaf)
        if was and will:
            change = f"{HIDDEN} -> {HIDDEN}" if is_secret else _show_both(was.value, will.value)
        elif will:
            change = f"{HIDDEN if is_secret else _show(will.value)} (new)"
        else:
            change = f"{HIDDEN if is_secret or was is None else _show(was.value)} (removed)"
        lines.append(f"{_name(path)}: {change}")
    return tuple(lines)


def short_digest(text: str) -> str:
    """Return a digest as people compare it: its first 12 characters."""
    return re.sub(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}", r"\1", text)


def _flatten(values: Any, path: _Path = (), *, is_secret: bool = False) -> Iterator[tuple[_Path, _Leaf]]:
    if isinstance(values, Mapping) and values:
        # an environment variable has its telling name beside its value
        has_secret_name = SECRET.search(str(values.get("name", ""))) is not None
        for key, value in values.items():
            hide = is_secret or (key == "value" and has_secret_name)
            yield from _flatten(value, (*path, str(key)), is_secret=hide)
    elif isinstance(values, list) and values:
        for index, value in enumerate(values):
            yield from _flatten(value, (*path, index), is_secret=is_secret)
    elif path:
        hide = is_secret or SECRET.search(_name(path)) or SECRET_VALUE.search(str(values))
        yield path, _Leaf(values, bool(hide))


def _order(path: _Path) -> list[tuple[int, str]]:
    return [(part, "") if isinstance(part, int) else (-1, part) for part in path]


def _name(path: _Path) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _is_same(was: Any, will: Any) -> bool:
    # YAML's 1.0 comes back from Helm as 1; true is not 1 though
    return bool(was == will) and isinstance(was, bool) is isinstance(will, bool)


def _show_both(was: Any, will: Any) -> str:
    texts = _show(was), _show(will)
    if texts[0] == texts[1]:  # as 1 and "1", or texts that differ far from their beginning
        written = json.dumps(was, default=str), json.dumps(will, default=str)
        alike = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(*written, strict=False)))
        start = max(0, alike - LONG // 2)
        texts = _cut(written[0], start), _cut(written[1], start)
    return f"{texts[0]} -> {texts[1]}"


def _show(value: Any) -> str:
    is_plain = isinstance(value, str) and value and value.isprintable()
    return _cut(short_digest(str(value) if is_plain else json.dumps(value, default=str)))


def _cut(text: str, start: int = 0) -> str:
    shown = text if start == 0 else "..." + text[start + 3 :]
    return shown if len(shown) <= LONG else shown[: LONG - 3] + "..."
