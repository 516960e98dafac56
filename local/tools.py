"""The programs that people and tests call: the machine's where the version is right, otherwise built."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from local.gobuild import TOOLS
from local.steps import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from local.gobuild import GoBuilder
    from local.settings import Settings
    from local.shell import Shell

# Module, program, and the words that make it tell its version.
PROGRAMS = {
    "helm": ("helm4", ("version", "--short")),
    "kind": ("kind", ("version",)),
    "kubectl": ("kubectl", ("version", "--client")),
    "helm3": ("helm3", ("version", "--short")),
    "kubeconform": ("kubeconform", ("-v",)),
    "kube-score": ("kube-score", ("version",)),
    "kube-linter": ("kube-linter", ("version",)),
    "cert-manager-local": ("cert-manager", ("--version",)),
}
FOR_UP = ("helm", "kind", "kubectl")
FOR_NAMED_CLUSTER = ("helm", "kubectl")
FOR_CHECKS = ("helm", "helm3", "kubeconform", "kube-score", "kube-linter")
FOR_TEST = (*FOR_UP, "helm3", "kubeconform", "kube-score", "kube-linter")
FOR_FAULTS = (*FOR_TEST, "cert-manager-local")
_KUBECTL_SKEW = 1
_WRAPPER = """\
#!/bin/sh
# Written by `make up`: the releaser of this checkout, with the programs it needs.
here=$(dirname "$(readlink -f "$0")")
PATH="$here:$PATH" PYTHONPATH="{root}" exec "{python}" -m releaser "$@"
"""


def is_right(program: str, output: str, pinned: str) -> bool:
    """Whether a program will do: the pinned version; kubectl may differ by one minor version."""
    found = re.search(r"v?(\d+)\.(\d+)\.(\d+)", output)
    wanted = re.search(r"v?(\d+)\.(\d+)\.(\d+)", pinned)
    if not found or not wanted:
        return False
    if program == "kubectl":
        same = found.group(1) == wanted.group(1)
        return same and abs(int(found.group(2)) - int(wanted.group(2))) <= _KUBECTL_SKEW
    return found.groups() == wanted.groups()


class Tools:
    """Keeps .local/bin: links to programs, and a wrapper for the releaser."""

    def __init__(
        self, settings: Settings, go: GoBuilder, shell: Shell, python: str, say: Callable[[str], None]
    ) -> None:
        """Take the Python that the releaser's wrapper will use."""
        self.settings = settings
        self.go = go
        self.shell = shell
        self.python = python
        self.say = say

    def missing(self, programs: Sequence[str]) -> list[str]:
        """Return the programs that are not in .local/bin at the pinned version."""
        return [program for program in programs if not self._is_linked(program)]

    def look(self, programs: Sequence[str]) -> Verdict:
        """Say what there is to do."""
        missing = self.missing(programs)
        if not missing and self._wrapper().is_file() and self._wrapper().read_text() == self._wrapper_text():
            versions = ", ".join(f"{name} {self._pinned(name)}" for name in programs)
            return Verdict(is_done=True, reason=versions)
        return Verdict(is_done=False, reason=f"missing: {', '.join(missing) or 'releaser'}")

    def make(self, programs: Sequence[str]) -> str:
        """Bring every program to .local/bin."""
        self.settings.bin.mkdir(parents=True, exist_ok=True)
        told = []
        for program in self.missing(programs):
            path, source = self._find(program)
            link = self.settings.bin / program
            temporary = link.with_name(f".{program}.new")
            temporary.unlink(missing_ok=True)
            temporary.symlink_to(path)
            temporary.replace(link)
            told.append(f"{program} {self._pinned(program)} {source}")
        self._wrapper().write_text(self._wrapper_text(), encoding="utf-8")
        self._wrapper().chmod(0o755)
        return "; ".join(told) or "releaser"

    def _find(self, program: str) -> tuple[Path | str, str]:
        module, _ = PROGRAMS[program]
        own = self._of_machine(program)
        if own:
            return own, "(of this machine)"
        built = self.go.find(module) if self.shell.find("go") else None
        if built:
            return built / program, "(built before)"
        self.say(f"building {module} from Go modules: about {TOOLS[module].minutes:g} min on two cores")
        return self.go.make(module) / program, "(built)"

    def _of_machine(self, program: str) -> str | None:
        ours = str(self.settings.bin)
        for folder in self.shell.environment.get("PATH", "").split(":"):
            path = f"{folder}/{program}"
            if folder != ours and os.access(path, os.X_OK) and self._tells_right_version(program, path):
                return path
        return None

    def _is_linked(self, program: str) -> bool:
        """Whether the link leads to a good program; one from the cache is compared with its sum."""
        link = self.settings.bin / program
        if not link.is_symlink() or not link.exists():
            return False
        target = link.resolve()
        if target.is_relative_to(self.settings.cache.resolve()):
            module, _ = PROGRAMS[program]
            if self.shell.find("go") is None:
                return self._tells_right_version(program, str(link))
            found = self.go.find(module)
            return found is not None and (found / program).resolve() == target
        return self._tells_right_version(program, str(link))

    def _tells_right_version(self, program: str, path: str) -> bool:
        _, words = PROGRAMS[program]
        try:
            return is_right(program, self.shell.run(path, *words, timeout=20), self._pinned(program))
        except Exception:  # noqa: BLE001 - whatever is wrong with it, it is not the program we want
            return False

    def _pinned(self, program: str) -> str:
        return self.go.version(PROGRAMS[program][0])

    def _wrapper(self) -> Path:
        return self.settings.bin / "releaser"

    def _wrapper_text(self) -> str:
        return _WRAPPER.format(root=self.settings.root, python=self.python)
