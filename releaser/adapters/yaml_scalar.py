"""How a string is written in YAML so that everybody reads a string."""

from __future__ import annotations

import json
import re

from ruamel.yaml.resolver import implicit_resolvers

LAST_SHORT = "\uffff"  # the last character that \\u with four digits can write

# Plain style only for what cannot be mistaken: names, versions, digests, host names, paths.
_PLAIN = re.compile(r"[A-Za-z0-9_/][A-Za-z0-9_./@+=-]*(?::[A-Za-z0-9_./@+=-]+)*")

# What some YAML 1.1 parser takes for a bool, a null or a number though ruamel.yaml does not.
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"})


def _is_ambiguous(value: str) -> bool:
    """Whether a reader of YAML 1.1 or 1.2 takes the plain text for something else than text.

    Helm reads with a parser that knows parts of both versions, so both are asked.
    """
    if value.lower().strip("+-.") in _WORDS:
        return True
    return any(pattern.match(value) for _, _, pattern, _ in implicit_resolvers)


def write_scalar(value: str, style: str = "") -> str:
    """Return the token for a string, in the style of the token it replaces where that is safe."""
    if style == "'" and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    if style not in ("'", '"') and _PLAIN.fullmatch(value) and not _is_ambiguous(value):
        return value
    return _double_quoted(value)


def _double_quoted(value: str) -> str:
    """JSON's strings are YAML's, but for the pairs of surrogates, which YAML does not join."""
    pieces = []
    for character in value:
        if character.isprintable():
            pieces.append({'"': '\\"', "\\": "\\\\"}.get(character, character))
        elif character > LAST_SHORT:
            pieces.append(f"\\U{ord(character):08x}")
        else:
            pieces.append(json.dumps(character)[1:-1])
    return '"' + "".join(pieces) + '"'
