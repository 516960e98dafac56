"""Writes docs/postgres-ha-values.md: python docs/make_values.py > docs/postgres-ha-values.md."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

CHART = Path(__file__).resolve().parents[1] / "charts" / "postgres-ha"
HEAD = """\
# Values of postgres-ha

Made from the `values.yaml` and `values.schema.json` of the chart by `docs/make_values.py`: change those, not
this page. Keys that are not here are refused. Unless something else is said, a change takes effect with
`helm upgrade`.

| key | default | must be | what it does |
|---|---|---|---|
"""
RULES = """\

## Rules between values

"""
# Objects that are shown as one key.
_WHOLE = ("resources", "affinity", "issuerRef")


def read_comments(text: str) -> dict[str, str]:
    """Return the comment before each key, by the key's path. A choice, which is set off, keeps its line."""
    found: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    comment: list[str] = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("#"):
            comment.append(stripped.removeprefix("#"))
            continue
        key = re.match(r"( *)([A-Za-z]+):", line)
        if key:
            indent = len(key[1])
            path = [item for item in path if item[0] < indent] + [(indent, key[2])]
            found[".".join(name for _, name in path)] = _join(comment)
        comment = []
    return found


def _join(comment: list[str]) -> str:
    """Make one text of the lines; choices, and what follows them, begin a line."""
    text, was_choice = "", False
    for line in comment:
        choice = re.match(r" {3}(\S+) +(.+)", line)
        words = f"`{choice[1]}`: {choice[2]}" if choice else line.strip()
        if words:
            between = "\n" if choice or was_choice else " "
            text = f"{text}{between}{words}" if text else words
            was_choice = choice is not None
    return text


def resolve(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference."""
    while "$ref" in schema:
        found: Any = root
        for word in schema["$ref"].removeprefix("#/").split("/"):
            found = found[word]
        schema = found
    return schema


def describe(schema: dict[str, Any], root: dict[str, Any]) -> str:
    """Say what a value must be."""
    schema = resolve(schema, root)
    if "enum" in schema:
        return ", ".join(f"`{item}`" for item in schema["enum"])
    if "allOf" in schema and "type" not in schema:
        return describe(schema["allOf"][0], root)
    if "anyOf" in schema:
        return " or ".join(describe(item, root) for item in schema["anyOf"])
    if "const" in schema:
        return "empty" if schema["const"] == "" else f"`{schema['const']}`"
    words = [str(schema.get("type", "anything"))]
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        words.append(f"from {low} to {high}")
    elif low is not None:
        words.append(f"from {low}")
    if "pattern" in schema:
        words.append(f"like `{schema['pattern']}`".replace("|", "\\|"))
    return " ".join(words)


def walk(
    values: dict[str, Any], schema: dict[str, Any], root: dict[str, Any], path: str = ""
) -> Iterator[tuple[str, Any, str]]:
    """Yield every key with its default and its rule."""
    for key, value in values.items():
        name = f"{path}.{key}" if path else key
        rule = resolve(schema.get("properties", {}).get(key, {}), root)
        if isinstance(value, dict) and value and key not in _WHOLE:
            yield from walk(value, rule, root, name)
        else:
            yield name, value, describe(rule, root)


def read_rules(template: str) -> list[str]:
    """Return what the templates refuse, in their own words and on one line."""
    found = re.findall(r'fail (?:\(printf )?"([^"]+)"', template)
    return [re.sub(r"\\n *", "; ", rule) for rule in found]


def make_page(chart: Path = CHART) -> str:
    """Return the whole page."""
    text = (chart / "values.yaml").read_text(encoding="utf-8")
    values = YAML(typ="safe").load(text)
    schema = json.loads((chart / "values.schema.json").read_text(encoding="utf-8"))
    comments = read_comments(text)
    lines = []
    for name, default, rule in walk(values, schema, schema):
        parents = [name.rsplit(".", count)[0] for count in range(name.count(".") + 1)]
        comment = next((comments[parent] for parent in parents if comments.get(parent)), "")
        shown = json.dumps(default).replace("|", "\\|")
        said = comment.replace("|", "\\|").replace("<", "&lt;").replace("\n", "<br>")
        cells = (f"`{name}`", f"`{shown}`", rule, said)
        lines.append("| " + " | ".join(cells) + " |\n")
    templates = sorted((chart / "templates").rglob("*"))
    refused = [
        rule for path in templates if path.is_file() for rule in read_rules(path.read_text(encoding="utf-8"))
    ]
    listed = [f"- {re.sub('%[a-z]', '…', rule)}\n" for rule in refused]
    return HEAD + "".join(lines) + RULES + "".join(listed)


if __name__ == "__main__":
    sys.stdout.write(make_page())
