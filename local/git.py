"""What git says of this checkout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.errors import CommandError

if TYPE_CHECKING:
    from pathlib import Path

    from local.shell import Shell


def commit(shell: Shell, root: Path) -> str:
    """Return the checkout's commit; empty where there is none. Versions name uncommitted changes too."""
    try:
        return shell.run("git", "-C", root, "rev-parse", "--verify", "-q", "HEAD", timeout=20).strip()
    except CommandError:
        return ""
