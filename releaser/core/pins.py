"""Which scalars of the values files name the bundle, and the values that Helm gets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from releaser.core.model import Bundle, Chart, Pipeline, Values

Pins = Mapping[tuple[str, ...], str]

BUNDLE_FILE = "bundle"


def make_chart_pins(pipeline: Pipeline, chart: Chart, bundle: Bundle) -> Pins:
    """Return the pins of a chart's values file: repository and digest of each of its images."""
    pins: dict[tuple[str, ...], str] = {}
    for image_name, key in chart.images.items():
        image = bundle.images[image_name]
        path = tuple(key.split("."))
        pins[(*path, "repository")] = f"{pipeline.registry}/{image.repository}"
        pins[(*path, "digest")] = image.digest
    return pins


def make_bundle_pins(bundle: Bundle) -> Pins:
    """Return the pins of the stage's bundle file."""
    pins: dict[tuple[str, ...], str] = {
        ("version",): bundle.version,
        ("digest",): bundle.digest,
        ("commit",): bundle.commit,
    }
    for name, artifact in bundle.charts.items():
        pins["charts", name, "version"] = artifact.version
        pins["charts", name, "digest"] = artifact.digest
    return pins


def merge_pins(values: Values, pins: Pins) -> dict[str, Any]:
    """Return the values with the pins set; the given values stay as they are."""
    merged = dict(values)
    for path, pin in pins.items():
        level = merged
        for key in path[:-1]:
            below = level.get(key)
            level[key] = dict(below) if isinstance(below, Mapping) else {}
            level = level[key]
        level[path[-1]] = pin
    return merged


def find_changed(values: Values, pins: Pins) -> list[str]:
    """Return the dotted keys of the pins that the values do not hold yet."""
    changed = []
    for path, pin in pins.items():
        level: Any = values
        for key in path:
            level = level.get(key) if isinstance(level, Mapping) else None
        if level != pin:
            changed.append(".".join(path))
    return changed
