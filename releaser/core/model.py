"""The words of the releaser as data. Everything here is immutable and free of I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Artifact:
    """A chart in the registry: what moves between stages."""

    version: str
    digest: str


@dataclass(frozen=True)
class Image:
    """An image in the registry; `repository` is relative to the pipeline's registry."""

    repository: str
    digest: str
    tag: str = ""


@dataclass(frozen=True)
class Bundle:
    """A release bundle: the versions that were built together and move together.

    `digest` is that of its manifest in the registry, empty before it is pushed.
    """

    version: str
    commit: str
    charts: Mapping[str, Artifact]
    images: Mapping[str, Image]
    digest: str = ""


@dataclass(frozen=True)
class Chart:
    """A chart of the pipeline: `images` maps an image of the bundle to its key in the values."""

    name: str
    release: str
    images: Mapping[str, str]


@dataclass(frozen=True)
class Check:
    """One HTTP request of the verification, relative to the stage's URL."""

    path: str
    status: int = 200
    contains: str = ""
    json: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """A stage of the pipeline; `previous` is the one that its bundles come from."""

    name: str
    previous: str | None
    context: str
    namespace: str
    url: str
    checks: tuple[Check, ...]
    rollout_timeout: timedelta
    verify_timeout: timedelta


@dataclass(frozen=True)
class Pipeline:
    """The pipeline file, read and checked. Charts and stages are in the order of work."""

    registry: str
    charts: tuple[Chart, ...]
    stages: tuple[Stage, ...]

    def stage(self, name: str) -> Stage:
        """Return the stage of that name; KeyError when there is none."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise KeyError(name)


# --- facts: what was observed --------------------------------------------------------------------


@dataclass(frozen=True)
class Release:
    """A Helm release as it is in the cluster, at its newest revision."""

    name: str
    revision: int
    status: str
    chart_name: str
    chart_version: str
    values: Values
    description: str = ""
    updated: datetime | None = None
    good_revision: int | None = None
    """The newest revision that was deployed and is not this one when this one is pending or failed."""

    @property
    def is_pending(self) -> bool:
        """Helm began an operation on it and has not ended it."""
        return self.status.startswith("pending-") or self.status == "uninstalling"


@dataclass(frozen=True)
class Lock:
    """Who holds a stage, and since when."""

    holder: str
    acquired: datetime
    renewed: datetime
    duration: timedelta

    def is_held(self, now: datetime) -> bool:
        """Whether the holder has renewed it within its duration."""
        return bool(self.holder) and now - self.renewed < self.duration


class Phase(StrEnum):
    """How a promotion stands."""

    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"  # the release is bad
    ERRORED = "Errored"  # we could not tell
    ABORTED = "Aborted"  # interrupted by a person

    @property
    def is_terminal(self) -> bool:
        """Whether it will not change any more."""
        return self is not Phase.RUNNING


@dataclass(frozen=True)
class Move:
    """What a promotion did to one release: its revisions, None where there was none."""

    before: int | None
    after: int | None


@dataclass(frozen=True)
class Promotion:
    """One attempt to bring a bundle to a stage, or to roll it back."""

    id: str
    kind: str  # "promotion" or "rollback"
    stage: str
    bundle: Bundle
    phase: Phase
    by: str
    started: datetime
    finished: datetime | None = None
    former: str = ""  # version that ran before
    message: str = ""
    step: str = ""
    moves: Mapping[str, Move] = field(default_factory=dict)


@dataclass(frozen=True)
class Container:
    """A container of a pod. `state` is waiting, running or terminated."""

    name: str
    image: str
    image_id: str
    state: str
    ready: bool = False
    restarts: int = 0
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    is_init: bool = False
    last_reason: str = ""
    last_exit_code: int | None = None


@dataclass(frozen=True)
class Pod:
    """A pod of a workload; `revision` is its template's hash."""

    name: str
    revision: str
    phase: str
    ready: bool
    is_terminating: bool
    created: datetime
    containers: tuple[Container, ...]
    unschedulable: str = ""
    node: str = ""
    reason: str = ""
    message: str = ""

    @property
    def is_ended(self) -> bool:
        """Nothing runs in it any more, and nothing will: it completed, failed or was evicted."""
        return self.phase in ("Succeeded", "Failed")


@dataclass(frozen=True)
class Workload:
    """A Deployment, StatefulSet or Job of a release, with its pods.

    `revision` is the hash of the newest template: pods of another hash are old.
    `desired` is spec.replicas (completions of a Job); counts are those of the status.
    """

    kind: str
    name: str
    uid: str
    generation: int
    observed_generation: int
    desired: int
    updated: int
    ready: int
    available: int
    total: int
    revision: str
    pods: tuple[Pod, ...]
    failed: str = ""  # reason and message of a condition that says that it failed
    is_complete: bool = False  # Jobs only
    is_on_delete: bool = False  # StatefulSets that replace no pod by themselves


@dataclass(frozen=True)
class Event:
    """A warning that the cluster gave about an object."""

    kind: str
    name: str
    reason: str
    message: str
    count: int
    last: datetime


@dataclass(frozen=True)
class StageFacts:
    """One snapshot of a stage."""

    stage: Stage
    releases: Mapping[str, Release]  # by release name; absent when not installed
    promotions: tuple[Promotion, ...]  # newest first
    lock: Lock | None
    values: Mapping[str, Values]  # by chart name: the stage's values file as it stands
    pins: Values  # the stage's bundle.yaml as it stands


@dataclass(frozen=True)
class Facts:
    """What a plan is made from."""

    pipeline: Pipeline
    target: StageFacts
    source: StageFacts | None  # the previous stage, if there is one
    bundle: Bundle | None
    missing: tuple[str, ...]  # references of the bundle that the registry does not hold
    now: datetime
