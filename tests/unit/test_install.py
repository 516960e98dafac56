"""The releaser as people install it: `pipx install .` puts one program on the path, and it is whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package alone, in a folder of its own; what it depends on is the tests' own."""
    folder = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--target", folder, ROOT]
    subprocess.run(command, check=True, timeout=240)
    return folder


def run(folder: Path, *command: str | Path) -> str:
    """Run a command elsewhere than in the checkout."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def test_the_program_and_the_module_are_the_same(installed: Path) -> None:
    program = installed / "bin" / "releaser"
    assert run(installed, sys.executable, program, "--version") == "releaser, version 0.1.0\n"
    words = ("releaser", "promote", "--help")
    assert run(installed, sys.executable, "-m", *words) == run(
        installed, sys.executable, program, *words[1:]
    ).replace("Usage: releaser", "Usage: python -m releaser")


def test_only_the_releaser_is_installed(installed: Path) -> None:
    folders = {path.name for path in installed.iterdir() if not path.name.startswith(".")}
    assert folders == {"bin", "releaser", "releaser-0.1.0.dist-info"}
    modules = {path.relative_to(installed) for path in installed.rglob("*.py")}
    assert modules == {path.relative_to(ROOT) for path in (ROOT / "releaser").rglob("*.py")}
