"""The guard against processes in unmarked tests guards, and the package keeps its shape."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

RELEASER = Path(__file__).parents[2] / "releaser"
PURE = {"semver", "releaser.core"}


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def test_an_unmarked_test_cannot_start_a_process() -> None:
    with pytest.raises(AssertionError, match="without the mark `process`"):
        subprocess.run(["true"], check=True)


@pytest.mark.parametrize("path", sorted((RELEASER / "core").glob("*.py")), ids=lambda path: path.stem)
def test_core_imports_the_standard_library_semver_and_core_only(path: Path) -> None:
    for name in imports(path):
        is_own = any(name == pure or name.startswith(f"{pure}.") for pure in PURE)
        assert is_own or name.split(".")[0] in sys.stdlib_module_names, name


@pytest.mark.parametrize(
    "path", sorted(RELEASER.rglob("*.py")), ids=lambda path: str(path.relative_to(RELEASER))
)
def test_processes_are_started_by_the_process_adapter_alone(path: Path) -> None:
    if path.name != "process.py":
        assert not {"subprocess", "sh"} & imports(path)


@pytest.mark.parametrize(
    "path", sorted(RELEASER.rglob("*.py")), ids=lambda path: str(path.relative_to(RELEASER))
)
def test_only_the_commands_know_the_adapters(path: Path) -> None:
    if path.name != "cli_base.py" and path.parent.name != "adapters":
        assert not {name for name in imports(path) if name.startswith("releaser.adapters")}
