"""Puts the parts together for one run: settings in, parts made when they are first needed."""

from __future__ import annotations

import os
import sys
from functools import cached_property
from pathlib import Path

from local.base import BaseMaker, choose_base, find_base
from local.cache import Cache
from local.cluster import Cluster
from local.console import Console
from local.engine import CONTAINERS_CONF, Engine, choose_engine
from local.errors import LocalError
from local.gobuild import GoBuilder
from local.images import IMAGES, ImageMaker
from local.machine import CGROUP_V2_MARK, Machine
from local.node import NodeImage, choose_node_image
from local.packaging import ChartMaker
from local.registry import Registry
from local.settings import Settings, check_named, read_settings
from local.shell import Shell
from local.tools import Tools

ROOT = Path(__file__).parents[1]


def make_environment(settings: Settings, cgroup_v2: bool) -> dict[str, str]:
    """Return the environment of all programs: ours first on PATH, one cluster and registry for all."""
    environment = dict(settings.environment)
    path = environment.get("PATH", os.defpath)
    environment["PATH"] = os.pathsep.join([str(settings.bin), path])
    environment["NOTEJAM_CONTEXT"] = settings.context
    environment["NOTEJAM_REGISTRY"] = settings.registry
    if settings.named_address:
        environment["NOTEJAM_ADDRESS"] = settings.named_address
    else:
        environment.pop("NOTEJAM_ADDRESS", None)
    if not cgroup_v2:
        environment.setdefault("CONTAINERS_CONF", str(CONTAINERS_CONF))
    return environment


class Workshop:
    """All parts of a run."""

    def __init__(self, settings: Settings, console: Console) -> None:
        """Take what the user said, and where to tell them things."""
        self.settings = settings
        self.console = console
        self.environment = make_environment(settings, CGROUP_V2_MARK.exists())
        self.shell = Shell(self.environment)
        self.cache = Cache(settings.cache, console.note)
        self.machine = Machine(self.shell, console.note)
        self.go = GoBuilder(settings.root / "local" / "go", self.cache, self.machine, self.shell)
        self.tools = Tools(settings, self.go, self.shell, sys.executable, console.note)
        self.base_maker = BaseMaker(settings, self.cache, self.machine, self.shell)
        self.chart_maker = ChartMaker(settings, self.shell)

    @cached_property
    def engine_choice(self) -> tuple[Engine | None, str]:
        """The container engine and why it was taken."""
        kind = self.settings.bin / "kind"
        probe = kind.resolve() if kind.exists() and not self.settings.named_context else None
        return choose_engine(self.settings.engine, self.shell, probe)

    def forget_engine(self) -> None:
        """Choose again, after something was installed."""
        self.__dict__.pop("engine_choice", None)

    @property
    def engine(self) -> Engine:
        """The container engine; an error where there is none."""
        engine, why = self.engine_choice
        if engine is None:
            raise LocalError(
                f"no container engine: {why}, and podman is missing", "make up installs podman with apt"
            )
        return engine

    @cached_property
    def cluster(self) -> Cluster:
        """The kind cluster."""
        return Cluster(self.settings, self.engine, self.shell, self.console.note)

    @cached_property
    def registry(self) -> Registry:
        """The registry's container."""
        return Registry(self.settings, self.engine, self.cache)

    @cached_property
    def node_image(self) -> NodeImage:
        """The node image that is built here."""
        return NodeImage(self.cache, self.go, self.base_maker, self.engine, self.shell)

    @cached_property
    def node(self) -> tuple[str, str]:
        """The node image for a new cluster, and why it is that one."""
        return choose_node_image(self.engine, self.node_image, self.console.note)

    @cached_property
    def base(self) -> tuple[str, str]:
        """The base of the project's images and where it came from; made when it is missing."""
        return choose_base(self.engine, self.base_maker)

    def find_base(self) -> str:
        """Return the base of the project's images if it is here already."""
        return find_base(self.engine, self.base_maker)

    def releaser(self, *words: str) -> str:
        """Run this checkout's releaser on this checkout's pipeline."""
        env = {"PYTHONPATH": str(self.settings.root)}
        return self.shell.run(sys.executable, "-m", "releaser", *words, cwd=self.settings.root, env=env)

    @cached_property
    def image_makers(self) -> dict[str, ImageMaker]:
        """The makers of the project's images, by name."""
        base, _ = self.base
        return {
            image.name: ImageMaker(image, self.settings, self.cache, self.engine, base) for image in IMAGES
        }


def make_workshop(*, cluster: bool = True) -> Workshop:
    """Read the environment and put the parts together; a cluster is named in full or not at all."""
    settings = read_settings(os.environ, ROOT)
    return Workshop(check_named(settings) if cluster else settings, Console())
