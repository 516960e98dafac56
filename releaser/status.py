"""What every stage runs, and what the stages lack of each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from releaser.core.model import Phase, Pipeline, StageFacts
from releaser.core.plan import find_running
from releaser.core.rollout import Baseline, Progress, judge
from releaser.observe import Outside, fetch_stage_facts


@dataclass(frozen=True)
class StageStatus:
    """One row of the matrix. `health` is text for people."""

    stage: str
    version: str
    commit: str
    verified: datetime | None
    releases: Mapping[str, str]
    health: str
    is_healthy: bool
    url: str
    last_phase: str
    last_message: str


def fetch_status(outside: Outside, pipeline: Pipeline) -> tuple[list[StageStatus], list[str]]:
    """Observe every stage; return the rows and notes on what stands out."""
    rows = [
        _fetch_row(outside, pipeline, fetch_stage_facts(outside, pipeline, stage))
        for stage in pipeline.stages
    ]
    return rows, make_notes(rows)


def make_notes(rows: Sequence[StageStatus]) -> list[str]:
    """Say which stages differ from the one before, and which newest promotion did not succeed."""
    notes = []
    for before, row in pairwise(rows):
        if before.version and before.version != row.version:
            what = f"runs {row.version}" if row.version else "runs nothing verified"
            notes.append(
                f"{row.stage} {what}, {before.stage} has {before.version}: releaser promote --to {row.stage}"
            )
    for row in rows:
        if row.last_phase == Phase.RUNNING:
            notes.append(f"{row.stage}: a promotion is running or was cut off: releaser history {row.stage}")
        elif row.last_phase and row.last_phase != Phase.SUCCEEDED:
            why = f": {row.last_message}" if row.last_message else ""
            notes.append(f"{row.stage}: the last promotion {row.last_phase.lower()}{why}")
    if rows and rows[0].version and len({row.version for row in rows}) == 1:
        notes.append(f"all stages run {rows[0].version}")
    return notes


def _fetch_row(outside: Outside, pipeline: Pipeline, facts: StageFacts) -> StageStatus:
    running = find_running(facts, pipeline.charts)
    releases, unwell = {}, []
    for chart in pipeline.charts:
        release = facts.releases.get(chart.release)
        if release is None:
            unwell.append(f"{chart.release} is not installed")
            continue
        releases[chart.release] = f"{release.chart_version} (revision {release.revision}, {release.status})"
        workloads = outside.cluster.fetch_workloads(facts.stage, chart.release)
        verdict = judge(workloads, Baseline.of(workloads), outside.clock.now(), applying=False)
        if verdict.progress is not Progress.DONE:
            unwell.append(verdict.reason)
    last = facts.promotions[0] if facts.promotions else None
    return StageStatus(
        stage=facts.stage.name,
        version=running.bundle.version if running else "",
        commit=running.bundle.commit if running else "",
        verified=running.finished if running else None,
        releases=releases,
        health="; ".join(unwell) or "healthy",
        is_healthy=not unwell,
        url=facts.stage.url,
        last_phase=last.phase if last else "",
        last_message=last.message if last else "",
    )
