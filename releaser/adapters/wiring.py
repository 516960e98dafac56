"""Puts the real adapters together."""

from __future__ import annotations

import os
from pathlib import Path

from releaser.adapters.clock import SystemClock
from releaser.adapters.cluster import ClusterAdapter
from releaser.adapters.helm import HelmAdapter
from releaser.adapters.records import RecordsAdapter
from releaser.adapters.registry import OciRegistry
from releaser.adapters.values_file import ValuesFilesAdapter
from releaser.adapters.web import WebAdapter
from releaser.core.model import Pipeline
from releaser.observe import Outside
from releaser.ports import Console


def connect(pipeline: Pipeline, folder: Path, console: Console) -> Outside:
    """Return everything outside for a pipeline whose values lie in `folder`."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "releaser" / "charts"
    return Outside(
        helm=HelmAdapter(),
        cluster=ClusterAdapter(),
        records=RecordsAdapter(),
        registry=OciRegistry(pipeline.registry, cache),
        values=ValuesFilesAdapter(folder),
        web=WebAdapter(),
        clock=SystemClock(),
        console=console,
    )
