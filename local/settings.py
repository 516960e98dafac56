"""Names, ports and folders: the one place where the environment is read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from local.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Mapping

STAGES = ("development", "testing", "production")
STAGE_NODE_PORTS = {"production": 30080, "development": 30081, "testing": 30082}
TEST_NODE_PORTS = tuple(range(30090, 30096))
NODE_PORTS = (*STAGE_NODE_PORTS.values(), *TEST_NODE_PORTS)
ZONES = ("zone-a", "zone-b", "zone-c")
NODE_COUNT = 1 + len(ZONES)
DEFAULT_CLUSTER = "notejam"


@dataclass(frozen=True)
class Settings:
    """What a run is told. Everything has a default; the environment overrides it."""

    root: Path
    cache: Path
    cluster: str = DEFAULT_CLUSTER
    port_base: int = 30080
    registry_port: int = 5001
    named_context: str = ""
    named_registry: str = ""
    named_address: str = ""
    engine: str = ""
    debian_mirror: str = ""
    strict: bool = False
    """A cluster that has died or comes from an older recipe is made anew, and what is in it is lost."""
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        """Folder of this checkout's state; a second cluster gets its own."""
        base = self.root / ".local"
        return base if self.cluster == DEFAULT_CLUSTER else base / "clusters" / self.cluster

    @property
    def bin(self) -> Path:
        """Folder that the user puts on PATH."""
        return self.root / ".local" / "bin"

    @property
    def logs(self) -> Path:
        """Folder of the steps' output."""
        return self.state / "logs"

    @property
    def context(self) -> str:
        """Kubernetes context that everything is applied to."""
        return self.named_context or f"kind-{self.cluster}"

    @property
    def registry_host(self) -> str:
        """Host and port of the registry, the same name on the host and on the nodes."""
        return (
            self.named_registry.split("/", 1)[0] if self.named_registry else f"localhost:{self.registry_port}"
        )

    @property
    def registry(self) -> str:
        """Prefix of every image and chart of the project."""
        return self.named_registry or f"localhost:{self.registry_port}/notejam"

    @property
    def registry_name(self) -> str:
        """Name of the registry's container, which the nodes resolve on the cluster's network."""
        return f"{self.cluster}-registry"

    @property
    def plain_http(self) -> bool:
        """Whether the registry speaks HTTP without TLS: only one on this machine does."""
        return self.registry_host.split(":", 1)[0] in ("localhost", "127.0.0.1")

    def host_port(self, node_port: int) -> int:
        """Port of this machine for a node port; a second cluster's are shifted."""
        return node_port - 30080 + self.port_base

    def stage_address(self, stage: str) -> str:
        """Address at which a stage answers."""
        if not self.named_context:
            return f"http://127.0.0.1:{self.host_port(STAGE_NODE_PORTS[stage])}"
        node = self.named_address or "http://<address of a node>"
        scheme, _, host = node.rpartition("://")
        return f"{scheme or 'http'}://{host}:{STAGE_NODE_PORTS[stage]}"


def read_settings(environment: Mapping[str, str], root: Path) -> Settings:
    """Read the settings of a run."""
    cache = environment.get("NOTEJAM_CACHE") or str(
        Path(environment.get("XDG_CACHE_HOME") or Path(environment.get("HOME", "/root")) / ".cache")
        / "notejam",
    )
    settings = Settings(
        root=root,
        cache=Path(cache).absolute(),
        cluster=environment.get("NOTEJAM_CLUSTER") or DEFAULT_CLUSTER,
        port_base=_port(environment, "NOTEJAM_PORT_BASE", 30080),
        registry_port=_port(environment, "NOTEJAM_REGISTRY_PORT", 5001),
        named_context=environment.get("NOTEJAM_CONTEXT", ""),
        named_registry=environment.get("NOTEJAM_REGISTRY", "").strip("/"),
        named_address=environment.get("NOTEJAM_ADDRESS", "").rstrip("/"),
        engine=environment.get("NOTEJAM_ENGINE", ""),
        debian_mirror=environment.get("DEBIAN_MIRROR", ""),
        strict=environment.get("NOTEJAM_STRICT", "") not in ("", "0"),
        environment=dict(environment),
    )
    if settings.engine not in ("", "docker", "podman"):
        raise LocalError(f"NOTEJAM_ENGINE is {settings.engine!r}", "it is docker, podman, or not set at all")
    ours = replace(settings, named_context="", named_registry="", named_address="")
    # Naming our own cluster or registry is the same as naming none.
    context = "" if settings.named_context == ours.context else settings.named_context
    registry = "" if settings.named_registry == ours.registry else settings.named_registry
    return replace(settings, named_context=context, named_registry=registry)


def check_named(settings: Settings) -> Settings:
    """Refuse a half-named cluster: nodes need a registry to pull from, and the other way round."""
    if settings.named_context and not settings.named_registry:
        raise LocalError(
            f"context {settings.named_context} needs a registry that its nodes can pull from",
            f"make up CONTEXT={settings.named_context} REGISTRY=registry.example.com/notejam",
        )
    if settings.named_registry and not settings.named_context:
        raise LocalError(
            f"registry {settings.named_registry} is for a cluster of your own, and none is named",
            f"make up CONTEXT=name REGISTRY={settings.named_registry}",
        )
    return settings


def _port(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isdigit() or not 1024 <= int(text) <= 65000:  # noqa: PLR2004 - the range an ordinary user may bind
        raise LocalError(
            f"{name} is {text!r}", f"a port number between 1024 and 65000; the default is {default}"
        )
    return int(text)
