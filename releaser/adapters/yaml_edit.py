"""Change single scalars of a YAML text and leave every other byte as it is.

The text is parsed to events, which know where each token begins and ends; the edit is a splice.
Where more than one splice is possible (a new key can stand in several places), each is tried and
read back: the first that changed exactly what was asked wins, and when none did, nothing is
changed. So a surprise of YAML can make an edit fail, never go wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from releaser.adapters.yaml_read import BOM, YamlError, read
from releaser.adapters.yaml_scalar import write_scalar
from releaser.adapters.yaml_tree import Node, parse

Path = tuple[str, ...]

LINE_BREAK = re.compile(r"\r\n|\r|\n")
# An anchor or a tag before a value: `&name`, `!!str`, `!<tag>`.
PROPERTIES = re.compile(r"(?:(?:&|!)\S*\s+)*(?:(?:&|!)\S*$)?")


def set_scalars(text: str, pins: Mapping[Path, str]) -> str:
    """Return the text with these strings at these paths, byte-identical everywhere else."""
    for path, value in pins.items():
        text = _set(text, path, value)
    return text


def _set(text: str, path: Path, value: str) -> str:
    before = read(text)
    if _find(before, path) == value:
        return text
    bom = BOM if text.startswith(BOM) else ""
    body = text.removeprefix(BOM)
    expected = _with(before, path, value)
    for candidate in _splices(body, path, value):
        try:
            after = read(candidate)
        except YamlError:
            continue
        if _is_same(after, expected):
            return bom + candidate
    name = ".".join(path)
    raise YamlError(
        f"{name} cannot be set without changing something else: look for an anchor, "
        "an alias or a merge key there"
    )


def _find(data: object, path: Path) -> object:
    for key in path:
        if not isinstance(data, dict) or key not in data:
            return None
        data = data[key]
    return data


def _with(data: Any, path: Path, value: str) -> Any:
    if not path:
        return value
    base = data if isinstance(data, dict) else {}
    return {**base, path[0]: _with(base.get(path[0]), path[1:], value)}


def _is_same(left: Any, right: Any) -> bool:
    """Equal, and of the same types: 1, 1.0 and true are three things."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(_is_same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(_is_same, left, right))
    return bool(left == right)


# --- splices ----------------------------------------------------------------------------------


def _splices(text: str, path: Path, value: str) -> Iterator[str]:
    """Yield the texts that may be the one asked for, the nicest first."""
    node = parse(text)
    if node is None or (node.is_null and node.start == node.end):
        yield from _append_document(text, path, value)
        return
    in_flow = False
    parent_column = 0
    for depth, key in enumerate(path):
        if node.is_null:
            yield from _fill_null(text, node, path[depth:], value, parent_column, in_flow=in_flow)
            return
        if node.kind != "mapping":
            what = {"sequence": "a list", "alias": "an alias"}.get(node.kind, "a single value")
            name = ".".join(path[:depth])
            raise YamlError(f"{name} is {what}, so {key} cannot be set in it", node.line)
        in_flow = in_flow or node.is_flow
        found = [entry for entry in node.entries if entry[0].kind == "scalar" and entry[0].value == key]
        if not found:
            if node.is_flow:
                yield from _insert_flow(text, node, path[depth:], value)
            else:
                yield from _insert_block(text, node, path[depth:], value)
            return
        parent_column = node.entries[0][0].column
        node = found[-1][1]
    if node.kind not in ("scalar", "alias"):
        raise YamlError(f"{'.'.join(path)} is a {_NAMES[node.kind]}, not a single value", node.line)
    yield from _replace(text, node, value, in_flow=in_flow)


_NAMES = {"mapping": "mapping", "sequence": "list"}


def _newline(text: str) -> str:
    found = LINE_BREAK.search(text)
    return found.group() if found else "\n"


def _line_end(text: str, position: int) -> int:
    """Return the place after the line break at or behind this position, or the end."""
    found = LINE_BREAK.search(text, position)
    return found.end() if found else len(text)


def _replace(text: str, node: Node, value: str, *, in_flow: bool) -> Iterator[str]:
    start, end = node.start, node.end
    old = text[start:end]
    if node.kind == "scalar":
        # An anchor and a tag stay; the place of the value is behind them.
        properties = PROPERTIES.match(old)
        start += properties.end() if properties else 0
        old = text[start:end]
    kept = ""
    if node.style in ("|", ">"):
        # The token of a block scalar takes the blank lines behind it along.
        kept = old[len(old.rstrip()) :]
    new = write_scalar(value, node.style)
    space = " " if start > 0 and text[start - 1] in ":?" else ""
    yield text[:start] + space + new + kept + text[end:]
    if in_flow or node.style not in ("|", ">"):
        yield text[:start] + space + new + " " + text[end:]


def _block(path: Path, value: str, column: int, step: int, newline: str) -> str:
    """Return the lines of a new key, from its indentation to before its last line break."""
    lines = []
    for depth, key in enumerate(path):
        tail = f" {write_scalar(value)}" if depth == len(path) - 1 else ""
        lines.append(" " * (column + depth * step) + write_scalar(key) + ":" + tail)
    return newline.join(lines)


def _flow(path: Path, value: str, quote: str = "") -> str:
    key = write_scalar(path[0], quote)
    if len(path) == 1:
        return f"{key}: {write_scalar(value, quote)}"
    return f"{key}: {{{_flow(path[1:], value, quote)}}}"


def _insert_line(text: str, position: int, lines: str, newline: str) -> str:
    """Insert whole lines at the beginning of a line, or after a last line without line break."""
    if position > 0 and text[position - 1] not in "\r\n":
        return text[:position] + newline + lines + text[position:]
    return text[:position] + lines + newline + text[position:]


def _insert_block(text: str, node: Node, path: Path, value: str) -> Iterator[str]:
    newline, step, column = _newline(text), _step(text), node.entries[0][0].column
    lines = _block(path, value, column, step, newline)
    for _, last in reversed(node.entries):
        end = last.content_end
        if last.last_style in ("|", ">"):
            trimmed = len(text[:end].rstrip())
            yield _insert_line(text, _line_end(text, trimmed), lines, newline)
            yield _insert_line(text, end, lines, newline)
        else:
            yield _insert_line(text, _line_end(text, end), lines, newline)
    first = node.entries[0][0]
    line_start = first.start - first.column
    if not text[line_start : first.start].strip(" "):
        yield text[:line_start] + lines + newline + text[line_start:]


def _insert_flow(text: str, node: Node, path: Path, value: str) -> Iterator[str]:
    if node.entries:
        key, last = node.entries[-1]
        end = max(last.content_end, key.end)
        quote = key.style if key.style in ("'", '"') else ""
        yield text[:end] + ", " + _flow(path, value, quote) + text[end:]
        return
    brace = text.index("{", node.start)
    yield text[: brace + 1] + _flow(path, value) + text[brace + 1 :]


def _fill_null(text: str, node: Node, path: Path, value: str, column: int, *, in_flow: bool) -> Iterator[str]:
    """Make a mapping of a key that has no value."""
    start, end = node.start, node.end
    if not in_flow and path:
        head = text[:start].rstrip(" ") if node.value else text[:end]
        body = head + text[end:]
        newline, step = _newline(text), _step(text)
        lines = _block(path, value, column + step, step, newline)
        yield _insert_line(body, _line_end(body, len(head)), lines, newline)
    space = " " if start == end and text[start - 1 : start] not in (" ", "") else ""
    keep = text[:start] if node.value else text[:end]
    yield f"{keep}{space}{{{_flow(path, value)}}}{text[end:]}"


def _append_document(text: str, path: Path, value: str) -> Iterator[str]:
    """Fill a text that holds no value: nothing, comments, `---`."""
    newline = _newline(text)
    lines = _block(path, value, 0, 2, newline)
    end = re.search(r"^\.\.\.(?=\s|$)", text, re.MULTILINE)
    position = end.start() if end else len(text)
    if position == len(text) and (not text or text[-1] in "\r\n"):
        yield text + lines + newline
    else:
        yield _insert_line(text, position, lines, newline)


def _step(text: str) -> int:
    """Return by how many spaces the text indents: that of its first nested key."""
    found = re.search(r"^[^\s#-][^\n\r]*:[^\S\r\n]*(?:#[^\r\n]*)?[\r\n]+( +)[^\s#-]", text, re.MULTILINE)
    return len(found.group(1)) if found else 2
