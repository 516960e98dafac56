"""Charts: packed with the image's digest inside, pushed once, known by digest."""

from __future__ import annotations

import os
import shutil
import tempfile
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from ruamel.yaml import YAML

from local.errors import LocalError
from local.images import APP, CHARTS, IMAGES, POSTGRES, RECIPE, Store, base_version, chart_field
from local.keys import content_version, file_inputs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.settings import Settings
    from local.shell import Shell


def chart_inputs(root: Path, chart: str, image_version: str) -> dict[str, str]:
    """Everything that decides what a packed chart holds; the image's own files are in its version."""
    files = file_inputs(root / "charts" / chart, ignore=("image",))
    return {**files, "image": image_version, "recipe": RECIPE}


def chart_version(root: Path, chart: str, image_version: str) -> str:
    """Version of a chart, named after its inputs."""
    return content_version(base_version(root, chart), chart_inputs(root, chart, image_version))


def bundle_version(root: Path, charts: Mapping[str, str]) -> str:
    """Version of the bundle of these chart versions; its number is that of the app's chart."""
    return content_version(base_version(root, "notejam"), {"recipe": RECIPE, **charts})


def stamp_image(values: str, repository: str, digest: str) -> str:
    """Write an image's repository and digest into a chart's values, leaving comments and order alone."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    tree = yaml.load(values)
    if "image" not in tree or not {"repository", "digest"} <= set(tree["image"]):
        raise LocalError("values.yaml of the chart has no image.repository and image.digest")
    tree["image"]["repository"] = repository
    tree["image"]["digest"] = digest
    out = StringIO()
    yaml.dump(tree, out)
    return out.getvalue()


def still(folder: Path) -> None:
    """Give all files the same time, so that the same chart packed again has the same digest."""
    for path in folder.rglob("*"):
        os.utime(path, (0, 0))


class ChartMaker:
    """Packs and pushes a chart."""

    def __init__(self, settings: Settings, shell: Shell) -> None:
        """Take the door to helm."""
        self.settings = settings
        self.shell = shell
        self.store = Store(settings)

    def make(self, chart: str, version: str, image_version: str) -> str:
        """Pack and push a chart whose version names its files; return its digest."""
        if chart_version(self.settings.root, chart, image_version) != version:
            raise LocalError(f"files of the chart {chart} changed while this was at work", "run it again")
        return self.push(chart, version, image_version)

    def push(self, chart: str, version: str, image_version: str) -> str:
        """Pack a chart with its image's digest, push it, and return the digest of the chart."""
        image = POSTGRES if chart == POSTGRES.chart else APP
        digest = self.store.digest(image.name, image_version)
        if not digest:
            raise LocalError(f"{self.settings.registry}/{image.name}:{image_version} is not in the registry")
        root = self.settings.root / "charts" / chart
        # The chart's appVersion is the image's, except where it says which software the image holds.
        described = chart_field((root / "Chart.yaml").read_text(encoding="utf-8"), "appVersion")
        app_version = image_version if image is APP else described
        with tempfile.TemporaryDirectory(prefix="notejam-chart-") as folder:
            copy = Path(folder) / chart
            shutil.copytree(root, copy, ignore=shutil.ignore_patterns("image", "__pycache__"))
            values = copy / "values.yaml"
            stamped = stamp_image(
                values.read_text(encoding="utf-8"), f"{self.settings.registry}/{image.name}", digest
            )
            values.write_text(stamped, encoding="utf-8")
            words = ("--version", version, "--app-version", app_version, "--destination", folder)
            still(copy)
            self.shell.run("helm", "package", copy, *words, timeout=60)
            still(Path(folder))  # helm notes the archive's time in the manifest
            plain = ["--plain-http"] if self.settings.plain_http else []
            target = f"oci://{self.settings.registry}/charts"
            self.shell.run(
                "helm", "push", Path(folder) / f"{chart}-{version}.tgz", target, *plain, timeout=120
            )
        pushed = self.store.digest(f"charts/{chart}", version)
        if not pushed:
            raise LocalError(f"chart {chart} {version} was pushed, but the registry does not have it")
        return pushed

    def digests(self, versions: Mapping[str, str]) -> dict[str, str]:
        """Digests of the charts in the registry; those that it lacks are left out."""
        found = {chart: self.store.digest(f"charts/{chart}", versions[chart]) for chart in CHARTS}
        return {chart: digest for chart, digest in found.items() if digest}

    def bundle_words(self, charts: Mapping[str, str], images: Mapping[str, str]) -> list[str]:
        """Return the options of `releaser bundle push` for versions of charts and images."""
        words = []
        for chart, version in charts.items():
            words += ["--chart", f"{chart}={version}@{self.store.digest(f'charts/{chart}', version)}"]
        for image in IMAGES:
            version = images[image.name]
            digest = self.store.digest(image.name, version)
            words += ["--image", f"{image.name}={image.name}:{version}@{digest}"]
        return words
