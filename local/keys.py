"""Keys of what is built: a digest over everything that goes in. Pure, but for reading the files named."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_CHUNK = 1 << 20
_IGNORED = {"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".DS_Store"}


def digest_text(text: str) -> str:
    """SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def digest_file(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_key(inputs: Mapping[str, str]) -> str:
    """Key of a set of named inputs; the order in which they are named does not matter."""
    return digest_text(json.dumps(dict(inputs), sort_keys=True, separators=(",", ":")))


def file_inputs(
    folder: Path, patterns: Iterable[str] = ("**/*",), ignore: Iterable[str] = ()
) -> dict[str, str]:
    """Read inputs from files: the path, whether it may be executed, and the digest of the content."""
    ignored = set(ignore) | _IGNORED
    found: dict[str, str] = {}
    for pattern in patterns:
        for path in folder.glob(pattern):
            relative = path.relative_to(folder)
            if ignored.intersection(relative.parts) or not path.is_file() or path.suffix == ".pyc":
                continue
            executable = "x" if path.stat().st_mode & 0o100 else "-"
            found[relative.as_posix()] = f"{executable}:{digest_file(path)}"
    return found


def content_version(base: str, inputs: Mapping[str, str]) -> str:
    """Name a version after its inputs: `0.1.0-h0123456789ab`; the letter keeps it valid SemVer."""
    return f"{base.split('-', 1)[0].split('+', 1)[0]}-h{make_key(inputs)[:12]}"
