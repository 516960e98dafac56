"""The registry: a container on the cluster's network, localhost:5001 to this machine and to the nodes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from local.cluster import check_port_free
from local.engine import is_alive
from local.errors import LocalError
from local.keys import file_inputs, make_key

if TYPE_CHECKING:
    from local.cache import Cache
    from local.engine import Engine
    from local.settings import Settings

PUBLISHED = (
    "docker.io/library/registry:3@sha256:1be55279f18a2fe1a74edf2664cac61c1bea305b7b4642dab412e7affdcb3e33"
)
NETWORK = "kind"
FOLDER = Path(__file__).parent / "registry"
_PORT = 5000


class Registry:
    """The registry's container."""

    def __init__(self, settings: Settings, engine: Engine, cache: Cache) -> None:
        """Take what it works with."""
        self.settings = settings
        self.engine = engine
        self.cache = cache

    @property
    def inner_address(self) -> str:
        """Address at which the nodes reach it: its name on their network."""
        return f"http://{self.settings.registry_name}:{_PORT}"

    def runs(self) -> bool:
        """Whether it lives, is on the right network and answers."""
        container = self.engine.inspect(self.settings.registry_name)
        if not container or not is_alive(container):
            return False
        networks = container.get("NetworkSettings", {}).get("Networks", {})
        return NETWORK in networks and RegistryClient(self.settings).answers()

    def start(self, base: str) -> str:
        """Make the container anew; what was pushed is in a volume and stays."""
        name = self.settings.registry_name
        self.engine.remove(name)
        self.check_port()
        image, why = self._image(base)
        config = FOLDER / "config.yml"
        words = [
            *("run", "-d", "--name", name, "--hostname", name, "--network", NETWORK, "--restart", "always"),
            *("-p", f"127.0.0.1:{self.settings.registry_port}:{_PORT}"),
            *("-v", f"{name}:/var/lib/registry", "-v", f"{config}:/etc/distribution/config.yml:ro"),
        ]
        self.engine.run(*words, image)
        client = RegistryClient(self.settings)
        end = time.monotonic() + 30
        while not client.answers():
            if time.monotonic() > end:
                raise LocalError("the registry does not answer", f"see why: {self.engine.name} logs {name}")
            time.sleep(0.3)
        return why

    def check_port(self) -> None:
        """Stop where somebody else has its port."""
        if not self.runs():
            check_port_free(self.settings.registry_port, "the registry", "NOTEJAM_REGISTRY_PORT=5002")

    def remove(self) -> None:
        """Remove the container and everything that was pushed to it."""
        self.engine.remove(self.settings.registry_name)
        self.engine.works("volume", "rm", "-f", self.settings.registry_name)

    def inputs(self, base: str) -> dict[str, str]:
        """Everything that decides what our own image holds."""
        return {**file_inputs(FOLDER), "base": ",".join(self.engine.layers(base)), "engine": self.engine.name}

    def _image(self, base: str) -> tuple[str, str]:
        if self.engine.has_image(PUBLISHED) or (
            self.engine.can_pull(PUBLISHED) and self.engine.pull(PUBLISHED)
        ):
            return PUBLISHED, "published image"
        inputs = self.inputs(base)
        tag = f"localhost/notejam/registry:{make_key(inputs)[:12]}"
        if not self.engine.has_image(tag):

            def build(out: Path) -> None:
                self.engine.build(tag, FOLDER, arguments={"BASE": base})
                self.engine.save(out / "registry.tar", tag)

            folder = self.cache.make("registry", inputs, build, keep=2)
            if not self.engine.has_image(tag):
                self.engine.load(folder / "registry.tar")
        return tag, "Debian's docker-registry"


class RegistryClient:
    """Questions to a registry's HTTP API; only asked of a registry without login."""

    def __init__(self, settings: Settings) -> None:
        """Take the address; no proxy stands between this machine and itself."""
        self.base = f"http://{settings.registry_host}/v2/"
        self.session = requests.Session()
        self.session.trust_env = False

    def answers(self) -> bool:
        """Whether it answers at all."""
        try:
            return self.session.get(self.base, timeout=3).ok
        except requests.RequestException:
            return False
