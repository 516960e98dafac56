"""Compiles the lists of Python packages to files with every version and hash."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from local.errors import CommandError

if TYPE_CHECKING:
    from local.workshop import Workshop

# Folder to work in, the lists, and the file.
LISTS = (
    ("app", ("requirements.in",), "requirements.txt"),
    (".", ("pyproject.toml", "requirements/dev.in"), "requirements/dev.txt"),
)
_PYTHON = "3.11"


def compile_requirements(shop: Workshop, *, upgrade: bool) -> list[str]:
    """Compile all lists; without an upgrade, what is pinned stays where the list still allows it."""
    index = find_index(shop)
    for folder, sources, target in LISTS:
        words = ["--generate-hashes", "--no-header", "--universal", "--python-version", _PYTHON, "-q"]
        words += ["--upgrade"] if upgrade else []
        words += ["--no-emit-index-url", *(["--index-url", index] if index else [])]
        command = (sys.executable, "-m", "uv", "pip", "compile", *sources, *words, "-o", target)
        shop.shell.run(*command, cwd=shop.settings.root / folder, env={"UV_NATIVE_TLS": "1"}, timeout=300)
    return [target if folder == "." else f"{folder}/{target}" for folder, _, target in LISTS]


def find_index(shop: Workshop) -> str:
    """Return the index that pip is configured with on this machine; uv does not read pip's configuration."""
    try:
        return shop.shell.run(
            sys.executable, "-m", "pip", "config", "get", "global.index-url", timeout=30
        ).strip()
    except CommandError:
        return ""
