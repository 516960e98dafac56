"""Charts and bundle for images that a CI system built and pushed under a version of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.errors import LocalError
from local.images import IMAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.workshop import Workshop


def publish_version(shop: Workshop, version: str, commit: str) -> Iterator[str]:
    """Pack and push both charts and the bundle under the version of the images; tell what came of each."""
    makers = shop.chart_maker
    for image in IMAGES:
        name = f"{shop.settings.registry}/{image.name}:{version}"
        if not makers.store.digest(image.name, version):
            raise LocalError(f"{name} is not in the registry", "build and push the images first")
    for image in IMAGES:
        found = makers.store.digest(f"charts/{image.chart}", version)
        digest = found or makers.push(image.chart, version, version)
        yield f"chart  {image.chart} {version} {digest}" + (" (was there already)" if found else "")
    words = ["--version", version, *(["--commit", commit] if commit else [])]
    charts = {image.chart: version for image in IMAGES}
    images = {image.name: version for image in IMAGES}
    yield shop.releaser("bundle", "push", *words, *makers.bundle_words(charts, images)).strip()
