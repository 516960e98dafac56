"""The pages of the documentation, for tests that run what they show."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType


def fetch_block(page: Path, name: str) -> str:
    """Return the commands of a page's block `<!-- run: name -->`."""
    found = re.search(rf"<!-- run: {name} -->\n```console\n(.*?)```", page.read_text(), re.DOTALL)
    assert found, f"{page.name} has no block named {name}"
    return found[1]


def load_maker(path: Path) -> ModuleType:
    """Load a script that writes a page."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
