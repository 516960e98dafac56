"""Reads the facts that a plan is made from: one snapshot through the adapters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from releaser.core.model import Bundle, Facts, Pipeline, Stage, StageFacts
from releaser.core.pins import BUNDLE_FILE
from releaser.ports import Clock, Cluster, Console, Helm, Records, Registry, ValuesFiles, Web


@dataclass(frozen=True)
class Outside:
    """Everything outside, behind its protocols."""

    helm: Helm
    cluster: Cluster
    records: Records
    registry: Registry
    values: ValuesFiles
    web: Web
    clock: Clock
    console: Console


def fetch_stage_facts(outside: Outside, pipeline: Pipeline, stage: Stage) -> StageFacts:
    """Observe one stage."""
    outside.cluster.check_access(stage)
    releases = {}
    for chart in pipeline.charts:
        release = outside.helm.fetch_release(stage, chart.release)
        if release is not None:
            releases[chart.release] = release
    return StageFacts(
        stage=stage,
        releases=releases,
        promotions=outside.records.fetch_promotions(stage),
        lock=outside.records.fetch_lock(stage),
        values={chart.name: outside.values.read(stage.name, chart.name) for chart in pipeline.charts},
        pins=outside.values.read(stage.name, BUNDLE_FILE),
    )


def fetch_facts(outside: Outside, pipeline: Pipeline, stage: Stage, bundle: Bundle | None) -> Facts:
    """Observe a stage, the one before it, and whether the registry holds the bundle."""
    source = pipeline.stage(stage.previous) if stage.previous else None
    return Facts(
        pipeline=pipeline,
        target=fetch_stage_facts(outside, pipeline, stage),
        source=fetch_stage_facts(outside, pipeline, source) if source else None,
        bundle=bundle,
        missing=outside.registry.find_missing(bundle) if bundle else (),
        now=outside.clock.now(),
    )


def pull_charts(outside: Outside, bundle: Bundle) -> Mapping[str, Path]:
    """Fetch every chart of the bundle as a file, by digest."""
    return {name: outside.registry.pull_chart(name, artifact) for name, artifact in bundle.charts.items()}
