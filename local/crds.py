"""The definitions of kinds that Kubernetes does not have: they come with the Go modules of their projects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from local.gobuild import GoBuilder


@dataclass(frozen=True)
class Source:
    """Files of a module with definitions; `checksum` is Go's, of the whole module."""

    module: str
    version: str
    checksum: str
    folder: str
    files: tuple[str, ...]


SOURCES = (
    Source(
        "github.com/prometheus-operator/prometheus-operator",
        "v0.85.0",
        "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
        "example/prometheus-operator-crd",
        ("monitoring.coreos.com_podmonitors.yaml", "monitoring.coreos.com_prometheusrules.yaml"),
    ),
    Source(
        "github.com/GoogleCloudPlatform/prometheus-engine",
        "v0.13.0",
        "h1:k4YC675NylgCw3e8i4h6hnPmrZm/4bJDjg6ew1hW2e0=",
        "charts/operator/crds",
        ("monitoring.googleapis.com_podmonitorings.yaml", "monitoring.googleapis.com_rules.yaml"),
    ),
    Source(
        "github.com/cert-manager/cert-manager",
        "v1.21.2",
        "h1:UWgoYM+KLNtRlqmoWOKjKBOBUPVHeepQ6/ac3ERJW68=",
        "deploy/crds",
        ("cert-manager.io_certificates.yaml",),
    ),
)


def find_definitions(go: GoBuilder) -> list[Path]:
    """Return the files, fetched where need be; raise LocalError if a module is not the pinned one."""
    return [
        go.fetch(source.module, source.version, source.checksum) / source.folder / name
        for source in SOURCES
        for name in source.files
    ]
