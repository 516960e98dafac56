"""Release bundles and charts in the pipeline's registry."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import semver

from releaser.adapters import codec
from releaser.adapters.oci import MANIFEST, OciClient, digest_of
from releaser.core.model import Artifact, Bundle
from releaser.errors import InputError

BUNDLE = "bundle"
BUNDLE_TYPE = "application/vnd.notejam.bundle.v1+json"
CHART_LAYER = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
EMPTY = b"{}"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
SHOWN = 5  # versions that a hint lists


class OciRegistry:
    """The registry of a pipeline; charts that were pulled are kept in the cache by digest."""

    def __init__(self, registry: str, cache: Path) -> None:
        self._client = OciClient(registry)
        self._cache = cache

    def fetch_bundle(self, version: str) -> Bundle:
        """Return the bundle of that version with its digest; InputError when there is none."""
        tag = _tag(version)
        data = self._client.fetch_manifest(BUNDLE, tag)
        if data is None:
            raise InputError(f"bundle {version} is not in {self._client.name}", self._describe_versions())
        try:
            return self._read_bundle(version, data)
        except codec.CodecError as error:
            raise InputError(
                f"{self._client.reference(BUNDLE, tag)} is no release bundle: {error}",
                "push a version: releaser bundle push --help",
            ) from error

    def _read_bundle(self, version: str, data: bytes) -> Bundle:
        manifest = codec.parse(data)
        if manifest.get("artifactType") != BUNDLE_TYPE:
            raise codec.CodecError(f"its artifactType is {manifest.get('artifactType')}, not {BUNDLE_TYPE}")
        digest = _find_layer(manifest, BUNDLE_TYPE)
        layer = self._client.fetch_blob(BUNDLE, digest)
        if layer is None:
            raise codec.CodecError(f"its layer {digest} is missing")
        bundle = codec.bundle_from_dict(codec.parse(layer), digest_of(data))
        if bundle.version != version:
            raise codec.CodecError(f"it says that it is version {bundle.version}")
        return bundle

    def push_bundle(self, bundle: Bundle) -> str:
        """Push a bundle and return its digest; InputError when the version holds another."""
        layer = codec.dump(codec.bundle_to_dict(bundle))
        try:
            codec.bundle_from_dict(codec.parse(layer))
        except codec.CodecError as error:
            raise InputError(f"bundle {bundle.version}: {error}") from error
        manifest = codec.dump(_make_manifest(bundle, layer))
        tag, digest = _tag(bundle.version), digest_of(manifest)
        if not self._is_pushed(bundle.version, digest):
            self._client.push_blob(BUNDLE, EMPTY)
            self._client.push_blob(BUNDLE, layer)
            self._client.push_manifest(BUNDLE, tag, manifest)
            # Two pushes of one version at the same time: the one that was overwritten must know.
            self._is_pushed(bundle.version, digest)
        return digest

    def _is_pushed(self, version: str, digest: str) -> bool:
        found = self._client.fetch_manifest(BUNDLE, _tag(version))
        if found is not None and digest_of(found) != digest:
            raise InputError(
                f"bundle {version} is in {self._client.name} with other contents: {digest_of(found)}",
                "a version never changes: push a new one",
            )
        return found is not None

    def fetch_versions(self) -> Sequence[str]:
        """Return the versions of all bundles, lowest first. Tags that are no versions are left out."""
        versions = [tag.replace("_", "+") for tag in self._client.fetch_tags(BUNDLE)]
        return sorted(filter(semver.Version.is_valid, versions), key=semver.Version.parse)

    def find_missing(self, bundle: Bundle) -> tuple[str, ...]:
        """Return the references of the bundle that the registry does not hold."""
        wanted = [
            *((f"charts/{name}", chart.digest) for name, chart in bundle.charts.items()),
            *((image.repository, image.digest) for image in bundle.images.values()),
        ]
        return tuple(
            self._client.reference(repository, digest)
            for repository, digest in wanted
            if not self._client.has_manifest(repository, digest)
        )

    def pull_chart(self, name: str, chart: Artifact) -> Path:
        """Return the packed chart of exactly that digest as a file."""
        repository = f"charts/{name}"
        reference = self._client.reference(repository, chart.digest)
        base = f"{name}-{chart.version}-{chart.digest.removeprefix('sha256:')[:12]}"
        # The manifest is kept too: it is what the digest names, and it names the chart's bytes.
        manifest = self._keep(
            f"{base}.json", chart.digest, lambda: self._client.fetch_manifest(repository, chart.digest)
        )
        if manifest is None:
            raise InputError(
                f"{reference} is not in the registry", "push the chart, or promote another bundle"
            )
        try:
            digest = _find_layer(codec.parse(manifest.read_bytes()), CHART_LAYER)
        except codec.CodecError as error:
            raise InputError(f"{reference} is no Helm chart: {error}") from error
        packed = self._keep(f"{base}.tgz", digest, lambda: self._client.fetch_blob(repository, digest))
        if packed is None:
            raise InputError(
                f"{reference}: its layer {digest} is not in the registry", "push the chart again"
            )
        return packed

    def _keep(self, name: str, digest: str, fetch: Callable[[], bytes | None]) -> Path | None:
        """Return the file of these bytes, fetched unless it is there and still what it was."""
        path = self._cache / name
        try:
            if path.is_file() and digest_of(path.read_bytes()) == digest:
                return path
            data = fetch()
            if data is None:
                return None
            self._cache.mkdir(parents=True, exist_ok=True)
            temporary = self._cache / f".{name}.{secrets.token_hex(4)}.tmp"
            try:
                temporary.write_bytes(data)
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            raise InputError(
                f"{path}: the chart cannot be kept: {error.strerror or error}",
                "make room, or set XDG_CACHE_HOME to a folder that can be written",
            ) from error
        return path

    def _describe_versions(self) -> str:
        versions = list(reversed(self.fetch_versions()))
        if not versions:
            return "there are no bundles yet: releaser bundle push --help"
        more = f" and {len(versions) - SHOWN} more" if len(versions) > SHOWN else ""
        return f"there are {', '.join(versions[:SHOWN])}{more}; all: releaser bundle list"


def _tag(version: str) -> str:
    """Return the tag of a version: tags cannot hold a plus, so Helm's way is taken."""
    return version.replace("+", "_")


def _make_manifest(bundle: Bundle, layer: bytes) -> dict[str, Any]:
    """Return the manifest, which holds no time: the same bundle has the same digest everywhere."""
    annotations = {"org.opencontainers.image.version": bundle.version}
    if bundle.commit:
        annotations["org.opencontainers.image.revision"] = bundle.commit
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": BUNDLE_TYPE,
        "config": {"mediaType": EMPTY_TYPE, "digest": digest_of(EMPTY), "size": len(EMPTY)},
        "layers": [{"mediaType": BUNDLE_TYPE, "digest": digest_of(layer), "size": len(layer)}],
        "annotations": annotations,
    }


def _find_layer(manifest: Mapping[str, Any], media_type: str) -> str:
    """Return the digest of the only layer of that type."""
    layers = manifest.get("layers")
    found = [
        layer.get("digest")
        for layer in (layers if isinstance(layers, list) else [])
        if isinstance(layer, Mapping) and layer.get("mediaType") == media_type
    ]
    if len(found) != 1 or not codec.DIGEST.fullmatch(str(found[0])):
        raise codec.CodecError(f"it has {len(found)} layers of type {media_type}, not one with a digest")
    return str(found[0])
