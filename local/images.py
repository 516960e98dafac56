"""The two images of the project: versioned by their inputs, pushed once, known by digest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from local.errors import LocalError
from local.keys import content_version, file_inputs, make_key
from local.machine import CA_BUNDLE
from local.steps import Verdict
from releaser.adapters.oci import OciClient, digest_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.cache import Cache
    from local.engine import Engine
    from local.settings import Settings

RECIPE = "1"
"""Raised when the way of building or packaging changes what comes out of the same files."""


@dataclass(frozen=True)
class ProductImage:
    """An image: its name in the registry, its folder, and the chart that runs it."""

    name: str
    folder: str
    chart: str
    needs_pip: bool


APP = ProductImage("app", "app", "notejam", needs_pip=True)
POSTGRES = ProductImage("postgres", "charts/postgres-ha/image", "postgres-ha", needs_pip=False)
IMAGES = (POSTGRES, APP)
CHARTS = tuple(image.chart for image in IMAGES)


def chart_field(chart_yaml: str, name: str) -> str:
    """Read a plain field of a Chart.yaml."""
    for line in chart_yaml.splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return value.split(" #", 1)[0].strip().strip("\"'")
    raise LocalError(f"Chart.yaml has no {name}")


def base_version(root: Path, chart: str) -> str:
    """Version in a chart's Chart.yaml."""
    return chart_field((root / "charts" / chart / "Chart.yaml").read_text(encoding="utf-8"), "version")


class Store:
    """What the registry holds of the project."""

    def __init__(self, settings: Settings) -> None:
        """Take the registry's name."""
        self.client = OciClient(settings.registry)

    def digest(self, repository: str, reference: str) -> str:
        """Digest of what a tag names; empty where there is no such thing."""
        manifest = self.client.fetch_manifest(repository, reference)
        return digest_of(manifest) if manifest is not None else ""


class ImageMaker:
    """Builds and pushes one image."""

    def __init__(
        self, image: ProductImage, settings: Settings, cache: Cache, engine: Engine, base: str
    ) -> None:
        """Take what it is built with; the base is in the engine's store."""
        self.image = image
        self.settings = settings
        self.cache = cache
        self.engine = engine
        self.base = base
        self.store = Store(settings)
        self._inputs: dict[str, str] = {}

    def inputs(self) -> dict[str, str]:
        """Everything that decides what comes out; read once, so that a run speaks of one version."""
        if not self._inputs:
            base = ",".join(self.engine.layers(self.base))
            self._inputs = {**self._files(), "base": base, "recipe": RECIPE}
        return dict(self._inputs)

    def version(self) -> str:
        """Version, and tag, of the image."""
        return content_version(base_version(self.settings.root, self.image.chart), self.inputs())

    def look(self) -> Verdict:
        """Whether the registry has it."""
        version = self.version()
        digest = self.store.digest(self.image.name, version)
        if digest:
            return Verdict(is_done=True, reason=f"{self.image.name}:{version} is in the registry")
        return Verdict(is_done=False, reason=f"{self.image.name}:{version} is not in the registry yet")

    def make(self, commit: str, say: Callable[[str], None]) -> str:
        """Build (or take from the cache) and push."""
        version = self.version()
        name = f"{self.settings.registry}/{self.image.name}:{version}"
        if not self.engine.has_image(name):
            inputs = {**self.inputs(), "engine": self.engine.name, "name": name}
            folder = self.cache.make(
                f"image-{self.image.name}", inputs, lambda out: self._build(name, commit, out)
            )
            if not self.engine.has_image(name):
                say(f"built before: taken from the cache ({make_key(inputs)[:12]})")
                self.engine.load(folder / "image.tar")
        insecure = ["--tls-verify=false"] if self.engine.name == "podman" and self.settings.plain_http else []
        self.engine.run("push", "-q", *insecure, name)
        digest = self.store.digest(self.image.name, version)
        if not digest:
            raise LocalError(f"{name} was pushed, but the registry does not have it")
        return f"{self.image.name}:{version} {digest[:19]}"

    def _build(self, name: str, commit: str, out: Path) -> None:
        arguments = {"BASE": self.base, "VERSION": self.version(), "COMMIT": commit or "uncommitted"}
        self.engine.build(
            name, self.settings.root / self.image.folder, arguments=arguments, secrets=self._secrets()
        )
        if not self._files().items() <= self.inputs().items():
            raise LocalError(
                f"files of {self.image.folder} changed while the image was built", "run it again"
            )
        self.engine.save(out / "image.tar", name)

    def _files(self) -> dict[str, str]:
        return file_inputs(self.settings.root / self.image.folder, ignore=("instance", "tests", "README.md"))

    def _secrets(self) -> dict[str, Path]:
        """Pass this machine's pip configuration and certificates to the build; the image keeps no trace."""
        if not self.image.needs_pip:
            return {}
        candidates = {"ca_certificates": [CA_BUNDLE], "pip_conf": pip_configs(self.settings)}
        return {name: path for name, paths in candidates.items() for path in paths[:1] if path.is_file()}


def pip_configs(settings: Settings) -> list[Path]:
    """Files in which pip finds its configuration on this machine, the most specific first."""
    home = Path(settings.environment.get("HOME", "/root"))
    named = settings.environment.get("PIP_CONFIG_FILE", "")
    places = [Path(named)] if named else []
    places += [home / ".config/pip/pip.conf", home / ".pip/pip.conf", Path("/etc/pip.conf")]
    return [path for path in places if path.is_file()]
