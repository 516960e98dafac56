"""The text of a YAML document as a tree of places: where each value begins and ends."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from releaser.adapters.yaml_read import make_yaml

COLON = re.compile(r"[ \t]*:")
NULLS = ("", "~", "null", "Null", "NULL")


@dataclass
class Node:
    """A value in the text, from `start` to before `end`."""

    kind: str  # scalar, alias, mapping, sequence
    start: int
    end: int
    line: int
    column: int
    value: str = ""
    style: str = ""  # of a scalar: the quote, | or >, empty when plain
    is_flow: bool = False
    is_null: bool = False
    entries: list[tuple[Node, Node]] = field(default_factory=list)
    items: list[Node] = field(default_factory=list)

    @property
    def content_end(self) -> int:
        """Where the last visible token ends. A block collection itself ends at the next token."""
        if self.kind in ("scalar", "alias") or self.is_flow:
            return self.end
        children = [self.entries[-1][1]] if self.entries else self.items[-1:]
        return children[0].content_end if children else self.start

    @property
    def last_style(self) -> str:
        """The style of the last scalar, which may be a block scalar."""
        if self.kind == "scalar":
            return self.style
        children = [self.entries[-1][1]] if self.entries else self.items[-1:]
        return children[0].last_style if children and not self.is_flow else ""


def parse(text: str) -> Node | None:
    """Return the root of the only document, or None when there is none."""
    events = make_yaml().parse(text)
    for event in events:
        if isinstance(event, DocumentStartEvent):
            return _build(text, next(events), events)
    return None


def _build(text: str, event: Any, events: Iterator[Any]) -> Node:
    mark = event.start_mark
    node = Node("", mark.index, event.end_mark.index, mark.line + 1, mark.column)
    if isinstance(event, ScalarEvent):
        node.kind, node.value, node.style = "scalar", event.value, event.style or ""
        node.is_null = not node.style and event.value in NULLS and bool(event.implicit[0])
    elif isinstance(event, AliasEvent):
        node.kind = "alias"
    elif isinstance(event, MappingStartEvent):
        node.kind, node.is_flow = "mapping", bool(event.flow_style)
        while not isinstance(key := next(events), MappingEndEvent):
            key_node = _build(text, key, events)
            value_node = _build(text, next(events), events)
            if value_node.start == value_node.end:
                # The parser puts an absent value at the next token, behind comments.
                colon = COLON.match(text, key_node.content_end)
                value_node.start = value_node.end = colon.end() if colon else key_node.content_end
            node.entries.append((key_node, value_node))
        node.end = key.end_mark.index
    elif isinstance(event, SequenceStartEvent):
        node.kind, node.is_flow = "sequence", bool(event.flow_style)
        while not isinstance(item := next(events), SequenceEndEvent):
            node.items.append(_build(text, item, events))
        node.end = item.end_mark.index
    return node
