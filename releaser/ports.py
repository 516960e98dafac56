"""What the promotion needs of the outside, one protocol for each thing.

The real ones are in `adapters/`, the fakes in `tests/flow/fakes.py`. Every method raises only
errors of `releaser.errors`; network and API trouble is UnavailableError, a missing right is
ForbiddenError.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from releaser.core.model import (
    Artifact,
    Bundle,
    Event,
    Lock,
    Promotion,
    Release,
    Stage,
    Values,
    Workload,
)


class HelmRun(Protocol):
    """A helm process that is at work."""

    def is_done(self) -> bool:
        """Whether it has ended."""
        ...

    def check(self) -> None:
        """Wait for its end; HelmError when it failed."""
        ...

    def stop(self) -> None:
        """End it: TERM, a grace period, KILL. Returns when it is gone."""
        ...


class Helm(Protocol):
    """Helm, by name of release, in the context and namespace of a stage."""

    def fetch_release(self, stage: Stage, release: str) -> Release | None:
        """Return the release at its newest revision, or None when there is none."""
        ...

    def fetch_revisions(self, stage: Stage, release: str) -> Mapping[int, str]:
        """Return the chart version of every kept revision that was deployed or superseded."""
        ...

    def start_apply(
        self, stage: Stage, release: str, chart: Path, values: Values, description: str
    ) -> HelmRun:
        """Start install or upgrade of a packed chart, without waiting for the rollout."""
        ...

    def start_rollback(self, stage: Stage, release: str, revision: int) -> HelmRun:
        """Start the rollback to a named revision, without waiting for the rollout."""
        ...


class Cluster(Protocol):
    """The Kubernetes API, in the context and namespace of a stage."""

    def check_access(self, stage: Stage) -> None:
        """Raise when the API does not answer or does not let this user read the namespace."""
        ...

    def ensure_namespace(self, stage: Stage) -> bool:
        """Create the namespace when it is missing; True when it was."""
        ...

    def fetch_workloads(self, stage: Stage, release: str) -> tuple[Workload, ...]:
        """Return Deployments, StatefulSets and Jobs labelled with the release, and their pods."""
        ...

    def fetch_events(self, stage: Stage, since: datetime) -> tuple[Event, ...]:
        """Return the warnings since then, oldest first."""
        ...

    def fetch_logs(
        self, stage: Stage, pod: str, container: str, *, previous: bool, lines: int
    ) -> Sequence[str]:
        """Return the last lines that a container wrote; none when there is no log."""
        ...

    def forget_pending(self, stage: Stage, release: str, revision: int) -> None:
        """Remove the record of a revision that Helm began and never ended; its objects stay."""
        ...


class Records(Protocol):
    """Promotions and the lock of a stage, kept in its namespace."""

    def fetch_promotions(self, stage: Stage) -> tuple[Promotion, ...]:
        """Return the kept promotions, newest first; none when the namespace does not exist."""
        ...

    def save_promotion(self, stage: Stage, promotion: Promotion) -> None:
        """Create or replace the record of a promotion, and drop those beyond the newest 50."""
        ...

    def fetch_lock(self, stage: Stage) -> Lock | None:
        """Return the lock as it stands, held or not; None when there never was one."""
        ...

    def acquire_lock(self, stage: Stage, holder: str) -> None:
        """Take the lock and keep renewing it in the background; LockedError when another holds it."""
        ...

    def is_lock_held(self) -> bool:
        """Whether the lock taken is still ours: False once a renewal was lost."""
        ...

    def release_lock(self) -> None:
        """Stop renewing and give the lock back."""
        ...


class Registry(Protocol):
    """The OCI registry of the pipeline."""

    def fetch_bundle(self, version: str) -> Bundle:
        """Return the bundle of that version with its digest; InputError when there is none."""
        ...

    def push_bundle(self, bundle: Bundle) -> str:
        """Push a bundle and return its digest; InputError when the version holds another."""
        ...

    def fetch_versions(self) -> Sequence[str]:
        """Return the versions of all bundles."""
        ...

    def find_missing(self, bundle: Bundle) -> tuple[str, ...]:
        """Return the references of the bundle that the registry does not hold."""
        ...

    def pull_chart(self, name: str, chart: Artifact) -> Path:
        """Return the packed chart of exactly that digest as a file."""
        ...


class ValuesFiles(Protocol):
    """The values and pins of the stages, as files beside the pipeline file."""

    def read(self, stage: str, name: str) -> Values:
        """Return values/STAGE/NAME.yaml, empty when there is no file; InputError as file:line."""
        ...

    def write_pins(self, stage: str, name: str, pins: Mapping[tuple[str, ...], str]) -> bool:
        """Set scalars by path without touching anything else; True when the file changed."""
        ...

    def path(self, stage: str, name: str) -> Path:
        """Return where that file is or would be."""
        ...


class Web(Protocol):
    """HTTP requests of the verification."""

    def get(self, url: str, seconds: float) -> tuple[int, str]:
        """Return status and body, redirects not followed; UnavailableError when none came."""
        ...


class Clock(Protocol):
    """Time."""

    def now(self) -> datetime:
        """Return the time, aware, in UTC."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class Console(Protocol):
    """What the user sees while a promotion runs."""

    def step(self, text: str) -> None:
        """Say which step begins."""
        ...

    def progress(self, text: str) -> None:
        """Say what changed within a step."""
        ...

    def done(self, text: str) -> None:
        """Say that a step ended well."""
        ...

    def failure(self, title: str, lines: Sequence[str]) -> None:
        """Say what failed and why."""
        ...


JsonObject = dict[str, Any]
