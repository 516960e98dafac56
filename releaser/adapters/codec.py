"""Bundles and promotions as JSON. Pure: what is read from outside is checked here.

Unknown fields are ignored, so that an older releaser reads what a newer one wrote.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

import semver

from releaser.core.model import Artifact, Bundle, Image, Move, Phase, Promotion

API_VERSION = "releaser/v1"
BUNDLE_KIND = "ReleaseBundle"
PROMOTION_KIND = "Promotion"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
# Names become parts of references and of file names.
CHART_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
REPOSITORY = re.compile(r"[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*")

T = TypeVar("T")


class CodecError(Exception):
    """JSON that is not what it should be; the text names the key."""


def dump(data: Mapping[str, Any]) -> bytes:
    """Write JSON so that the same data has the same bytes."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def parse(text: str | bytes) -> dict[str, Any]:
    """Read a JSON object."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CodecError(f"it is no JSON: {error}") from error
    if not isinstance(data, dict):
        raise CodecError("it is no JSON object")
    return data


# --- bundles ----------------------------------------------------------------------------------


def bundle_to_dict(bundle: Bundle) -> dict[str, Any]:
    """Return the bundle as the artifact holds it: without its own digest."""
    return {
        "apiVersion": API_VERSION,
        "kind": BUNDLE_KIND,
        "version": bundle.version,
        "commit": bundle.commit,
        "charts": {
            name: {"version": chart.version, "digest": chart.digest} for name, chart in bundle.charts.items()
        },
        "images": {
            name: {"repository": image.repository, "digest": image.digest}
            | ({"tag": image.tag} if image.tag else {})
            for name, image in bundle.images.items()
        },
    }


def bundle_from_dict(data: Mapping[str, Any], digest: str = "") -> Bundle:
    """Read and check a bundle."""
    _check_kind(data, BUNDLE_KIND)
    bundle = _read_bundle(data, digest)
    _check_version("version", bundle.version)
    for name, chart in bundle.charts.items():
        _check(f"charts: {name!r}", bool(CHART_NAME.fullmatch(name)), "is no name of a chart")
        _check_version(f"charts.{name}.version", chart.version)
        _check_digest(f"charts.{name}.digest", chart.digest)
    for name, image in bundle.images.items():
        is_repository = bool(REPOSITORY.fullmatch(image.repository))
        _check(f"images.{name}.repository: {image.repository!r}", is_repository, "is no repository")
        _check_digest(f"images.{name}.digest", image.digest)
    return bundle


def _read_bundle(data: Mapping[str, Any], digest: str) -> Bundle:
    charts, images = _mapping(data, "charts"), _mapping(data, "images")
    return Bundle(
        version=_text(data, "version"),
        commit=_text(data, "commit", ""),
        charts={
            name: Artifact(_text(charts[name], "version"), _text(charts[name], "digest")) for name in charts
        },
        images={
            name: Image(
                _text(images[name], "repository"),
                _text(images[name], "digest"),
                _text(images[name], "tag", ""),
            )
            for name in images
        },
        digest=digest,
    )


# --- promotions -------------------------------------------------------------------------------


def promotion_to_dict(promotion: Promotion) -> dict[str, Any]:
    """Return the record of a promotion."""
    return {
        "apiVersion": API_VERSION,
        "kind": PROMOTION_KIND,
        "id": promotion.id,
        "promotionKind": promotion.kind,
        "stage": promotion.stage,
        "bundle": {**bundle_to_dict(promotion.bundle), "digest": promotion.bundle.digest},
        "phase": promotion.phase.value,
        "by": promotion.by,
        "started": promotion.started.isoformat(),
        "finished": promotion.finished.isoformat() if promotion.finished else None,
        "former": promotion.former,
        "message": promotion.message,
        "step": promotion.step,
        "moves": {
            name: {"before": move.before, "after": move.after} for name, move in promotion.moves.items()
        },
    }


def promotion_from_dict(data: Mapping[str, Any]) -> Promotion:
    """Read a record: its shape is checked, its bundle taken as it was written."""
    _check_kind(data, PROMOTION_KIND)
    bundle, moves = _mapping(data, "bundle"), _mapping(data, "moves")
    return Promotion(
        id=_text(data, "id"),
        kind=_text(data, "promotionKind"),
        stage=_text(data, "stage"),
        bundle=_read_bundle(bundle, _text(bundle, "digest", "")),
        phase=_convert(data, "phase", Phase),
        by=_text(data, "by", ""),
        started=_convert(data, "started", _time),
        finished=_convert(data, "finished", _time) if data.get("finished") is not None else None,
        former=_text(data, "former", ""),
        message=_text(data, "message", ""),
        step=_text(data, "step", ""),
        moves={
            name: Move(_revision(moves[name], "before"), _revision(moves[name], "after")) for name in moves
        },
    )


# --- checks -----------------------------------------------------------------------------------


def _check(what: str, is_good: bool, problem: str) -> None:
    if not is_good:
        raise CodecError(f"{what} {problem}")


def _check_kind(data: Mapping[str, Any], kind: str) -> None:
    found = (data.get("apiVersion"), data.get("kind"))
    if found != (API_VERSION, kind):
        raise CodecError(f"it is a {found[0]} {found[1]}, not a {API_VERSION} {kind}")


def _check_digest(key: str, digest: str) -> None:
    _check(f"{key}: {digest!r}", bool(DIGEST.fullmatch(digest)), "is no digest like sha256:<64 hex digits>")


def _check_version(key: str, version: str) -> None:
    _check(f"{key}: {version!r}", semver.Version.is_valid(version), "is no semantic version")


def _mapping(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key)
    if not isinstance(value, Mapping):
        raise CodecError(f"{key} is {'missing' if value is None else 'no mapping'}")
    return value


def _text(data: object, key: str, default: str | None = None) -> str:
    value = data.get(key, default) if isinstance(data, Mapping) else None
    if not isinstance(value, str):
        raise CodecError(f"{key} is {'missing' if value is None else 'no text'}")
    return value


def _revision(data: object, key: str) -> int | None:
    value = data.get(key) if isinstance(data, Mapping) else None
    if value is not None and not isinstance(value, int):
        raise CodecError(f"{key} is no revision")
    return value


def _convert(data: Mapping[str, Any], key: str, convert: Callable[[str], T]) -> T:
    text = _text(data, key)
    try:
        return convert(text)
    except ValueError as error:
        raise CodecError(f"{key}: {error}") from error


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return time
