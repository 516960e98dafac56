"""Facts for the pure decisions, as small as a test can say them: what is not named is in order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from releaser.core.model import (
    Artifact,
    Bundle,
    Chart,
    Container,
    Facts,
    Image,
    Lock,
    Move,
    Phase,
    Pipeline,
    Pod,
    Promotion,
    Release,
    Stage,
    StageFacts,
    Workload,
)
from releaser.core.pins import make_bundle_pins, make_chart_pins, merge_pins

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
REGISTRY = "registry.test/notejam"
DB = Chart("postgres-ha", "notejam-db", {"postgres": "image"})
APP = Chart("notejam", "notejam", {"app": "image"})
CHARTS = (DB, APP)


def make_stage(name: str, previous: str | None = None) -> Stage:
    return Stage(
        name=name,
        previous=previous,
        context="test",
        namespace=f"notejam-{name}",
        url=f"http://{name}.test",
        checks=(),
        rollout_timeout=timedelta(minutes=5),
        verify_timeout=timedelta(seconds=30),
    )


TESTING = make_stage("testing")
PRODUCTION = make_stage("production", "testing")
PIPELINE = Pipeline(REGISTRY, CHARTS, (TESTING, PRODUCTION))


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def make_bundle(version: str, *, database: str = "1.0.0", **changes: Any) -> Bundle:
    """The app at `version`; bundles of one database version share its chart and image."""
    bundle = Bundle(
        version=version,
        commit=hashlib.sha1(version.encode(), usedforsecurity=False).hexdigest(),
        charts={
            "postgres-ha": Artifact(database, digest(f"chart postgres-ha {database}")),
            "notejam": Artifact(version, digest(f"chart notejam {version}")),
        },
        images={
            "postgres": Image("postgres", digest(f"image postgres {database}"), database),
            "app": Image("app", digest(f"image app {version}"), version),
        },
        digest=digest(f"bundle {version} {database}"),
    )
    return replace(bundle, **changes)


V1, V2, V3 = make_bundle("1.0.0"), make_bundle("2.0.0"), make_bundle("3.0.0")


def make_values(chart: Chart, bundle: Bundle, **own: Any) -> dict[str, Any]:
    """The values of a stage, pinned to the bundle."""
    return merge_pins(own, make_chart_pins(PIPELINE, chart, bundle))


def make_release(chart: Chart, bundle: Bundle, *, revision: int = 1, **changes: Any) -> Release:
    """The release of the chart as a promotion of the bundle leaves it."""
    artifact = bundle.charts[chart.name]
    release = Release(
        name=chart.release,
        revision=revision,
        status="deployed",
        chart_name=chart.name,
        chart_version=artifact.version,
        values=make_values(chart, bundle),
        description=f"bundle {bundle.version}, chart {artifact.digest}",
        updated=NOW - minutes(59),
    )
    return replace(release, **changes)


def make_promotion(
    bundle: Bundle, *, ago: float = 60, revisions: tuple[int, int] = (1, 1), **changes: Any
) -> Promotion:
    """A promotion that began some minutes ago and succeeded, with the revisions it left, database first."""
    promotion = Promotion(
        id="p",
        kind="promotion",
        stage="production",
        bundle=bundle,
        phase=Phase.SUCCEEDED,
        by="ann@desk",
        started=NOW - minutes(ago),
        finished=NOW - minutes(ago - 2),
        moves={
            chart.release: Move(None, revision) for chart, revision in zip(CHARTS, revisions, strict=True)
        },
    )
    return replace(promotion, **changes)


def make_stage_facts(stage: Stage, bundle: Bundle | None = None, **changes: Any) -> StageFacts:
    """A stage that runs the bundle, verified and pinned; an empty one without."""
    facts = StageFacts(stage, {}, (), None, {}, {})
    if bundle is not None:
        facts = replace(
            facts,
            releases={chart.release: make_release(chart, bundle) for chart in CHARTS},
            promotions=(make_promotion(bundle, stage=stage.name),),
            values={chart.name: make_values(chart, bundle) for chart in CHARTS},
            pins=merge_pins({}, make_bundle_pins(bundle)),
        )
    return replace(facts, **changes)


def make_facts(
    runs: Bundle | None = None, *, tested: Bundle = V2, missing: tuple[str, ...] = (), **changes: Any
) -> Facts:
    """Production that runs `runs`, with `tested` verified in testing; changes are those of production."""
    return Facts(
        pipeline=PIPELINE,
        target=make_stage_facts(PRODUCTION, runs, **changes),
        source=make_stage_facts(TESTING, tested),
        bundle=None,
        missing=missing,
        now=NOW,
    )


def with_release(facts: Facts, chart: Chart, **changes: Any) -> Facts:
    """The same facts, with one release of the target changed."""
    release = replace(facts.target.releases[chart.release], **changes)
    return replace(
        facts, target=replace(facts.target, releases={**facts.target.releases, chart.release: release})
    )


def with_target(facts: Facts, **changes: Any) -> Facts:
    return replace(facts, target=replace(facts.target, **changes))


def make_lock(*, holder: str = "bob@desk (p9)", taken: timedelta, renewed: timedelta) -> Lock:
    return Lock(holder, NOW - taken, NOW - renewed, seconds(30))


# --- workloads: by default everything is new, ready and done ---


def make_container(name: str = "web", **changes: Any) -> Container:
    image = f"{REGISTRY}/app@{digest('image app 2.0.0')}"
    return replace(Container(name, image, image, "running", ready=True), **changes)


def make_pod(name: str = "web-1", *containers: Container, **changes: Any) -> Pod:
    pod = Pod(name, "new", "Running", True, False, NOW - minutes(1), containers or (make_container(),))
    return replace(pod, **changes)


def make_waiting_pod(name: str = "web-1", reason: str = "", **changes: Any) -> Pod:
    """A pod whose only container waits for a reason, or died for it."""
    of_pod = {key: changes.pop(key) for key in ("revision", "is_terminating", "created") if key in changes}
    container = make_container(**{"state": "waiting", "ready": False, "reason": reason, **changes})
    return make_pod(name, container, ready=False, phase="Pending", **of_pod)


def make_workload(
    kind: str = "Deployment", name: str = "web", pods: Iterable[Pod] | None = None, **changes: Any
) -> Workload:
    """A workload that is rolled out with one pod, or the desired count of `changes`."""
    count, generation = changes.get("desired", 1), changes.get("generation", 2)
    workload = Workload(
        kind=kind,
        name=name,
        uid=f"{kind}/{name}",
        generation=generation,
        observed_generation=generation,
        desired=count,
        updated=count,
        ready=count,
        available=count,
        total=count,
        revision="new",
        pods=tuple(make_pod(f"{name}-{number}") for number in range(count)) if pods is None else tuple(pods),
    )
    return replace(workload, **changes)


def make_broken(**changes: Any) -> Workload:
    """A workload whose image cannot be pulled."""
    return make_workload(pods=[make_waiting_pod(reason="ImagePullBackOff")], available=0, **changes)


def make_job(name: str = "migrate", pods: Iterable[Pod] = (), **changes: Any) -> Workload:
    """A Job that runs; it has no revision, so that all of its pods are its newest."""
    job = make_workload("Job", name, pods, updated=0, ready=0, available=0, total=0, revision="")
    return replace(job, **changes)
