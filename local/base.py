"""Debian base images: pulled where possible, otherwise made by debootstrap from the machine's mirror."""

from __future__ import annotations

import platform
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from local.keys import digest_text, make_key
from local.machine import DEBOOTSTRAP, AptSources, apt_lenience, apt_sources

if TYPE_CHECKING:
    from local.cache import Cache
    from local.engine import Engine
    from local.machine import Machine
    from local.settings import Settings
    from local.shell import Shell

# What the images of the project are built on, where a registry can be reached.
PUBLISHED = (
    "docker.io/library/debian:trixie-slim"
    "@sha256:a29215f6a35e51e22adffa17f89e9d2ef06214e64a2bad10d765c46aea49f11f"
)
RECIPE = "1"
"""Raised when the way of making a base changes what comes out."""
FAMILIAR_NAME = "docker.io/library/debian:trixie-slim"
_SCRIPTS = Path("/usr/share/debootstrap/scripts")
_INCLUDE = "ca-certificates"
_DROP = ("usr/share/doc/*", "usr/share/man/*", "usr/share/info/*", "usr/share/locale/*")
_DPKG = """\
# A container needs no documentation; the licences stay.
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/man/*
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
"""
# Nothing of the moment or of the machine goes into the archive, so that it is the same wherever it is made.
_TRANSIENT = (
    "var/lib/apt/lists/*",
    "var/cache/apt/*.bin",
    "var/cache/apt/archives/*.deb",
    "var/cache/ldconfig/aux-cache",
    "var/cache/debconf/*-old",
    "var/lib/dpkg/*-old",
    "var/log/*",
    "debootstrap",
)


@dataclass(frozen=True)
class Suite:
    """A Debian release to make a base of."""

    name: str

    def sources(self, apt: AptSources) -> str:
        """Text of its sources.list: the release, its updates and its security updates."""
        lines = [f"deb {apt.mirror} {self.name} main", f"deb {apt.mirror} {self.name}-updates main"]
        lines += [f"deb {apt.security} {self.name}-security main"] if apt.security else []
        return "\n".join(lines) + "\n"


class BaseMaker:
    """Makes base images from packages."""

    def __init__(self, settings: Settings, cache: Cache, machine: Machine, shell: Shell) -> None:
        """Take what it works with."""
        self.settings = settings
        self.cache = cache
        self.machine = machine
        self.shell = shell

    def inputs(self, suite: str) -> dict[str, str]:
        """Everything that decides what comes out, but for the mirror's own updates."""
        apt = apt_sources(self.settings.debian_mirror)
        return {
            "suite": suite,
            "sources": Suite(suite).sources(apt) if apt.mirror else "the default mirror of debootstrap",
            "machine": platform.machine(),
            "recipe": f"{RECIPE} {digest_text(' '.join((_INCLUDE, _DPKG, *_DROP, *_TRANSIENT)))}",
        }

    def tag(self, suite: str) -> str:
        """Name of the image, by its key."""
        return f"localhost/notejam/base:{suite}-{make_key(self.inputs(suite))[:12]}"

    def make(self, suite: str, engine: Engine) -> str:
        """Return the image's name; it is in the engine's store then."""
        tag = self.tag(suite)
        if not engine.has_image(tag):
            folder = self.cache.make(
                f"base-{suite}", self.inputs(suite), lambda out: self._bootstrap(suite, out)
            )
            engine.run("import", "--change", 'CMD ["bash"]', folder / "rootfs.tar", tag)
        return tag

    def _bootstrap(self, suite: str, out: Path) -> None:
        self.machine.need(DEBOOTSTRAP)
        apt = apt_sources(self.settings.debian_mirror)
        self.machine.must_be_root("debootstrap makes the base image, since none can be pulled")
        tree = out / "rootfs"
        words = [f"--include={_INCLUDE}", "--variant=minbase", suite, str(tree), apt.mirror]
        words.append(str(script_of(suite)))  # an older debootstrap knows every release, but not every name
        try:
            self.shell.run("debootstrap", *words)
            self._trim(suite, tree, apt)
            archive = [
                "--sort=name",
                "--mtime=@0",
                "--numeric-owner",
                "-C",
                str(tree),
                "-cf",
                str(out / "rootfs.tar"),
            ]
            self.shell.run("tar", *archive, ".")
        finally:
            shutil.rmtree(tree, ignore_errors=True)

    def _trim(self, suite: str, tree: Path, apt: AptSources) -> None:
        for pattern in (*_DROP, *_TRANSIENT):
            for path in tree.glob(pattern):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
        (tree / "etc/dpkg/dpkg.cfg.d/slim").write_text(_DPKG, encoding="utf-8")
        (tree / "etc/machine-id").write_text("", encoding="utf-8")
        (tree / "etc/hostname").unlink(missing_ok=True)
        (tree / "etc/resolv.conf").unlink(missing_ok=True)
        if apt.mirror:
            (tree / "etc/apt/sources.list").write_text(Suite(suite).sources(apt), encoding="utf-8")
        lenience = apt_lenience(self.shell.run("apt-config", "dump"))
        if lenience:
            text = "".join(f'{name} "{value}";\n' for name, value in sorted(lenience.items()))
            (tree / "etc/apt/apt.conf.d/99mirror").write_text(text, encoding="utf-8")


def find_base(engine: Engine, maker: BaseMaker) -> str:
    """Return the base of the project's images if it is here; empty otherwise."""
    for name in (PUBLISHED, maker.tag("trixie")):
        if engine.has_image(name):
            return name
    return ""


def script_of(suite: str, folder: Path = _SCRIPTS) -> Path:
    """Script with which debootstrap makes a release; a release that it does not know is made like sid."""
    return folder / suite if (folder / suite).exists() else folder / "sid"


def choose_base(engine: Engine, maker: BaseMaker) -> tuple[str, str]:
    """Return the base of the project's images, and where it came from."""
    if engine.has_image(PUBLISHED):
        return PUBLISHED, "published image"
    if engine.can_pull(PUBLISHED) and engine.pull(PUBLISHED):
        return PUBLISHED, "published image, pulled"
    tag = maker.make("trixie", engine)
    if not engine.has_image(FAMILIAR_NAME):
        engine.run("tag", tag, FAMILIAR_NAME)
    return tag, "made by debootstrap, since no image can be pulled"
