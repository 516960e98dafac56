"""Which migrations take something away, and from when on that hurts nobody.

Pods of the release before serve while a migration runs, and after a rollback once more. So a migration only
adds. One that takes away what an older release used says so: `safe_from = "0007"` means that code which needs
revision 0007 or later does without. Where no revision marks such code, a migration that does nothing can.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from alembic.script import Script

ATTRIBUTE = "safe_from"
# What queries of older code may trip over; an index, because ON CONFLICT may name its columns.
TAKES_AWAY = re.compile(r"drop_\w+|rename_table")
# What rows of older code may trip over.
DEMANDS = frozenset(
    {
        "create_unique_constraint",
        "create_check_constraint",
        "create_foreign_key",
        "create_exclude_constraint",
        "create_primary_key",
    }
)
ALTERATIONS = {"nullable": False, "new_column_name": None, "type_": None}
SQL = re.compile(r"\b(DROP|RENAME|TRUNCATE|DELETE|NOT\s+NULL|TYPE|REVOKE)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Contract:
    """A migration that takes something away, and the revision whose code no longer uses it."""

    revision: str
    safe_from: str


def contract_of(script: Script) -> Contract | None:
    """Read the mark of a migration."""
    mark = getattr(script.module, ATTRIBUTE, None)
    return None if mark is None else Contract(script.revision, str(mark))


def contracts_in(scripts: Iterable[Script]) -> list[Contract]:
    """Read the marks of several migrations, oldest first."""
    found = (contract_of(script) for script in scripts)
    return sorted((mark for mark in found if mark), key=lambda mark: mark.revision)


def check_migration(path: Path) -> list[str]:
    """Say what a migration takes away without a mark, or what is wrong with its mark; one line each."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    mark, before = names.get(ATTRIBUTE), names.get("down_revision")
    if mark is not None:
        if isinstance(mark, str) and isinstance(before, str) and mark <= before:
            return []
        return [f"{path.name}: {ATTRIBUTE} must be a revision before this one, such as {before!r}"]
    made = _tables_made(tree)
    return [
        f"{path.name}:{node.lineno}: {what}, and {ATTRIBUTE} does not say from which revision on that is safe"
        for node in _calls(tree)
        for what in _objections(node, made)
    ]


def _calls(tree: ast.Module) -> Iterator[ast.Call]:
    """Find what the module calls, apart from the way back, which only developers take."""
    for part in tree.body:
        if isinstance(part, ast.FunctionDef) and part.name == "downgrade":
            continue
        yield from (node for node in ast.walk(part) if isinstance(node, ast.Call))


def _tables_made(tree: ast.Module) -> set[str]:
    return {_text(node.args[0]) for node in _calls(tree) if _name(node) == "create_table" and node.args}


def _objections(node: ast.Call, made: set[str]) -> Iterator[str]:
    name, options = _name(node), {word.arg: word.value for word in node.keywords}
    table = _text(node.args[1]) if len(node.args) > 1 else ""
    if TAKES_AWAY.fullmatch(name):
        yield f"{name} takes something away"
    elif name in DEMANDS and table not in made:
        yield f"{name} demands more of rows"
    elif name == "create_index" and table not in made and _is(options.get("unique"), value=True):
        yield "a unique index demands more of rows"
    elif name == "alter_column":
        for option, value in ALTERATIONS.items():
            if option in options and (value is None or _is(options[option], value=value)):
                yield f"alter_column({option}=...) changes what older code knows"
    elif name == "add_column" and any(_must_be_filled(part) for part in node.args):
        yield "a new column that must be filled, without a server_default, refuses older code's rows"
    elif name == "execute":
        yield from _objections_to_sql(node.args[0] if node.args else None)


def _must_be_filled(node: ast.expr) -> bool:
    if not isinstance(node, ast.Call) or _name(node) != "Column":
        return False
    options = {word.arg: word.value for word in node.keywords}
    return _is(options.get("nullable"), value=False) and "server_default" not in options


def _objections_to_sql(argument: ast.expr | None) -> Iterator[str]:
    if isinstance(argument, ast.Call) and _name(argument) == "text" and argument.args:
        argument = argument.args[0]
    text = _text(argument) if argument is not None else ""
    if not text:
        yield "execute() runs a statement that cannot be read here"
    elif SQL.search(text):
        yield f"execute() runs {SQL.findall(text)[0].upper()}"


def _name(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _is(node: ast.expr | None, *, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _text(node: ast.expr) -> str:
    """Read a string; of an f-string, what is fixed."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return " ".join(_text(part) for part in node.values)
    if isinstance(node, ast.BinOp):
        return _text(node.left) + _text(node.right)
    return ""
