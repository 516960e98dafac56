"""What this machine has: packages, its Debian mirror, its user's rights."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from local.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from local.shell import Shell

_POLICY = Path("/usr/sbin/policy-rc.d")
CGROUP_V2_MARK = Path("/sys/fs/cgroup/cgroup.controllers")
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")

# Each node watches many files; with the usual limit of 128, kube-proxy finds "too many open files".
INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_NEEDED = 1024

# Programs, and the Debian packages that they come from.
PODMAN = {
    "podman": "podman",
    "runc": "runc",
    "conmon": "conmon",
    "/usr/lib/podman/netavark": "netavark",
    "/usr/lib/podman/aardvark-dns": "aardvark-dns",
    "iptables": "iptables",
}
DEBOOTSTRAP = {
    "debootstrap": "debootstrap",
    "gpgv": "gpgv",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
}


@dataclass(frozen=True)
class AptSources:
    """Where this machine gets Debian and its security updates."""

    mirror: str
    security: str


def read_apt_sources(texts: Iterable[str], override: str = "") -> AptSources:
    """Find the Debian mirror in apt's source files, of either format; empty where there is none."""
    addresses = [
        word
        for text in texts
        for line in text.splitlines()
        if not line.lstrip().startswith("#")
        for word in re.findall(r"https?://[^\s\]]+", line)
    ]
    plain = [word.rstrip("/") for word in addresses]
    mirror = override.rstrip("/") or next((word for word in plain if word.endswith("/debian")), "")
    found = next((word for word in plain if word.endswith("/debian-security")), "")
    derived = f"{mirror}-security" if mirror else ""
    return AptSources(mirror, derived if override else found or derived)


def apt_sources(override: str = "", folder: Path = Path("/etc/apt")) -> AptSources:
    """Read this machine's apt configuration."""
    files = [folder / "sources.list", *sorted(folder.glob("sources.list.d/*"))]
    return read_apt_sources([file.read_text(encoding="utf-8") for file in files if file.is_file()], override)


def apt_lenience(dump: str) -> dict[str, str]:
    """Read apt's settings on expired indexes: a mirror of the past needs them in images too."""
    found = re.findall(r'^(Acquire::Check-(?:Valid-Until|Date)) "([^"]*)";', dump, re.MULTILINE)
    return dict(found)


class Machine:
    """Brings what is missing, and says so."""

    def __init__(self, shell: Shell, say: Callable[[str], None]) -> None:
        """Take the door to other programs, and a way to tell the user."""
        self.shell = shell
        self.say = say

    def missing(self, packages: Mapping[str, str]) -> list[str]:
        """Return the packages whose program is not there."""
        return sorted({package for program, package in packages.items() if not self._has(program)})

    def need(self, packages: Mapping[str, str], *, services: bool = True) -> None:
        """Install the packages whose program is not there; with or without starting their services."""
        missing = self.missing(packages)
        if not missing:
            return
        names = " ".join(missing)
        if self.shell.find("apt-get") is None:
            raise LocalError(f"missing on this machine: {names}", "install them, then run this again")
        prefix = self._as_root(f"apt-get install {names}")
        self.say(f"installing with apt: {names}")
        env = {"DEBIAN_FRONTEND": "noninteractive"}
        self.shell.run(*prefix, "apt-get", "update", "-q", env=env, timeout=300)
        install = ("apt-get", "install", "-qy", "--no-install-recommends", *missing)
        with self._quiet(prefix) if not services else nullcontext():
            self.shell.run(*prefix, *install, env=env, timeout=900)

    def need_go(self, minimum: tuple[int, int]) -> None:
        """Install Go where apt has one that is new enough to fetch the version that a module asks for."""
        self.say("go is not installed, and a program has to be built")
        candidate = self.shell.run("apt-cache", "policy", "golang-go") if self.shell.find("apt-cache") else ""
        found = re.search(r"Candidate: (?:\d+:)?(\d+)\.(\d+)", candidate)
        if not found or (int(found.group(1)), int(found.group(2))) < minimum:
            wanted = ".".join(str(part) for part in minimum)
            raise LocalError(
                f"go is not installed, and this system has no Go {wanted} or newer to install",
                f"install Go {wanted} or newer (https://go.dev/dl), put it on PATH, then run this again",
            )
        self.need({"go": "golang-go"})

    def watches_suffice(self) -> bool:
        """Whether the kernel lets the nodes watch as many files as they do."""
        return not INOTIFY.exists() or int(INOTIFY.read_text(encoding="ascii")) >= INOTIFY_NEEDED

    def run_as_root(self, *words: str) -> None:
        """Run a command as root."""
        self.shell.run(*self._as_root(" ".join(words)), *words)

    def must_be_root(self, why: str) -> None:
        """Stop where the rest would fail for want of rights."""
        if os.geteuid() != 0:
            raise LocalError(f"root is needed: {why}", "sudo -E make up")

    @contextmanager
    def _quiet(self, prefix: list[str]) -> Iterator[None]:
        """Keep Debian from starting what it installs, in the way that Debian gives for it."""
        if _POLICY.exists():
            yield
            return
        self.shell.run(*prefix, "tee", _POLICY, stdin="#!/bin/sh\nexit 101\n")
        self.shell.run(*prefix, "chmod", "755", _POLICY)
        try:
            yield
        finally:
            self.shell.run(*prefix, "rm", "-f", _POLICY)

    def _has(self, program: str) -> bool:
        return Path(program).exists() if "/" in program else self.shell.find(program) is not None

    def _as_root(self, what: str) -> list[str]:
        if os.geteuid() == 0:
            return []
        if self.shell.find("sudo") and self.shell.works("sudo", "-n", "true"):
            return ["sudo", "-n"]
        raise LocalError(f"root is needed for: {what}", f"run once: sudo {what}")
