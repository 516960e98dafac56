"""A stage in memory, behind the same protocols as the real adapters.

`FakeWorld` holds what Helm, the cluster, the registry and the values files would hold. Time passes
only when somebody sleeps. `fail` names what goes wrong; `events` is the order of all that was done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from releaser.core.model import (
    Artifact,
    Bundle,
    Chart,
    Check,
    Container,
    Event,
    Image,
    Lock,
    Pipeline,
    Pod,
    Promotion,
    Release,
    Stage,
    Values,
    Workload,
)
from releaser.core.pins import merge_pins
from releaser.errors import HelmError, InputError, LockedError, UnavailableError
from releaser.observe import Outside

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
REGISTRY = "registry.test/notejam"


def digest(text: str) -> str:
    """Return a digest that differs for each text."""
    return "sha256:" + (text.encode().hex() * 64)[:64]


def make_bundle(version: str, *, database: str = "1.0.0") -> Bundle:
    """Return a bundle with the app at `version`."""
    return Bundle(
        version=version,
        commit="c" * 40,
        charts={
            "postgres-ha": Artifact(database, digest(f"db-chart-{database}")),
            "notejam": Artifact(version, digest(f"chart-{version}")),
        },
        images={
            "postgres": Image("postgres", digest(f"db-{database}"), database),
            "app": Image("app", digest(f"app-{version}"), version),
        },
        digest=digest(f"bundle-{version}"),
    )


def make_pipeline() -> Pipeline:
    """Return three stages with the two charts."""
    names = ["development", "testing", "production"]
    return Pipeline(
        registry=REGISTRY,
        charts=(
            Chart("postgres-ha", "notejam-db", {"postgres": "image"}),
            Chart("notejam", "notejam", {"app": "image"}),
        ),
        stages=tuple(
            Stage(
                name=name,
                previous=names[index - 1] if index else None,
                context="test",
                namespace=f"notejam-{name}",
                url=f"http://{name}.test",
                checks=(Check("/readyz"), Check("/version", json={"version": "{app.tag}"})),
                rollout_timeout=timedelta(minutes=5),
                verify_timeout=timedelta(seconds=30),
            )
            for index, name in enumerate(names)
        ),
    )


@dataclass
class Revision:
    """One revision of a fake release."""

    chart: str
    values: Values
    status: str
    description: str = ""


@dataclass
class FakeRun:
    """A helm process that ends after `polls` looks at it."""

    world: FakeWorld
    finish: Callable[[], None]
    error: HelmError | None = None
    polls: int = 1
    never: bool = False
    is_stopped: bool = False

    def is_done(self) -> bool:
        if self.never or self.polls > 0:
            self.polls -= 1
            return False
        return True

    def check(self) -> None:
        if self.error is not None:
            raise self.error
        self.finish()

    def stop(self) -> None:
        self.is_stopped = True
        self.world.events.append("helm stopped")


@dataclass
class FakeWorld:
    """Everything outside."""

    now_: datetime = START
    bundles: dict[str, Bundle] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    revisions: dict[tuple[str, str], list[Revision]] = field(default_factory=dict)
    promotions: dict[str, dict[str, Promotion]] = field(default_factory=dict)
    locks: dict[str, Lock] = field(default_factory=dict)
    files: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    namespaces: set[str] = field(default_factory=set)
    fail: str = ""
    fail_stage: str = ""
    fail_revision: int = 0
    events: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    on_event: Callable[[str], None] = lambda _: None
    lock_lost: bool = False
    rolled_out_at: dict[tuple[str, str], datetime] = field(default_factory=dict)
    job: bool = False

    # --- helm ---

    def fetch_release(self, stage: Stage, release: str) -> Release | None:
        kept = self.revisions.get((stage.name, release), [])
        if not kept:
            return None
        newest = kept[-1]
        good = [
            number
            for number, revision in enumerate(kept[:-1], 1)
            if revision.status in {"deployed", "superseded"}
        ]
        chart = "postgres-ha" if release == "notejam-db" else "notejam"
        return Release(
            name=release,
            revision=len(kept),
            status=newest.status,
            chart_name=chart,
            chart_version=newest.chart,
            values=newest.values,
            description=newest.description,
            good_revision=good[-1] if good and newest.status != "deployed" else None,
        )

    def fetch_revisions(self, stage: Stage, release: str) -> Mapping[int, str]:
        return {
            number: revision.chart
            for number, revision in enumerate(self.revisions.get((stage.name, release), []), 1)
            if revision.status in {"deployed", "superseded"}
        }

    def start_apply(
        self, stage: Stage, release: str, chart: Path, values: Values, description: str
    ) -> FakeRun:
        self._do(f"apply {stage.name}/{release} {chart.parent.name}")
        kept = self.revisions.setdefault((stage.name, release), [])
        kind = "upgrade" if any(revision.status == "deployed" for revision in kept) else "install"
        kept.append(Revision(chart.parent.name, values, f"pending-{kind}", description))
        self.job = True
        return self._run(stage, release)

    def start_rollback(self, stage: Stage, release: str, revision: int) -> FakeRun:
        self._do(f"rollback {stage.name}/{release} to {revision}")
        kept = self.revisions[stage.name, release]
        to = kept[revision - 1]
        kept.append(Revision(to.chart, to.values, "pending-rollback", f"Rollback to {revision}"))
        self.job = False
        return self._run(stage, release, is_rollback=True)

    def _run(self, stage: Stage, release: str, *, is_rollback: bool = False) -> FakeRun:
        number = len(self.revisions[stage.name, release])
        error = None
        if self.fail == "rollback" if is_rollback else self._fails("helm", stage, release):
            error = HelmError("helm said: the server does not like it")

        def finish() -> None:
            kept = self.revisions[stage.name, release]
            for revision in kept[:-1]:
                if revision.status == "deployed":
                    revision.status = "superseded"
            kept[number - 1].status = "deployed"
            self.rolled_out_at[stage.name, release] = self.now_ + timedelta(seconds=4)

        if error is not None:
            self.revisions[stage.name, release][-1].status = "failed"
        return FakeRun(
            self, finish, error, never=self._fails("migration", stage, release) and not is_rollback
        )

    def _fails(self, what: str, stage: Stage, release: str) -> bool:
        return self.fail == what and stage.name == self.fail_stage and release == "notejam"

    # --- cluster ---

    def check_access(self, stage: Stage) -> None:
        if self.fail == "unreachable":
            raise UnavailableError(f"the cluster of context {stage.context} does not answer")

    def ensure_namespace(self, stage: Stage) -> bool:
        is_new = stage.namespace not in self.namespaces
        self.namespaces.add(stage.namespace)
        return is_new

    def fetch_workloads(self, stage: Stage, release: str) -> tuple[Workload, ...]:
        if self.fail == "api away" and self.rolled_out_at:
            raise UnavailableError("the cluster does not answer")
        kept = self.revisions.get((stage.name, release), [])
        number = len(kept)
        newest = kept[-1] if kept else None
        if newest is None:
            return ()
        found = []
        is_bad = not newest.description.startswith("Rollback")
        if release == "notejam" and self.job and newest.status.startswith("pending"):
            bad = is_bad and self._fails("migration", stage, release)
            found.append(self._workload("Job", "notejam-migrate", number, bad="pull" if bad else ""))
        if newest.status == "deployed":
            done = self.now_ >= self.rolled_out_at.get((stage.name, release), START)
            crash = is_bad and self._fails("crash", stage, release)
            slow = is_bad and self._fails("slow", stage, release)
            bad = "crash" if crash else "slow" if slow or not done else ""
            found.append(self._workload("Deployment", release, number, bad=bad, values=newest.values))
        elif number > 1:
            found.append(self._workload("Deployment", release, number - 1, values=kept[-2].values))
        return tuple(found)

    def _workload(
        self, kind: str, name: str, number: int, *, bad: str = "", values: Values | None = None
    ) -> Workload:
        image = (values or {}).get("image", {})
        reference = f"{image.get('repository')}@{image.get('digest')}"
        container = Container(
            name="main", image=reference, image_id=reference, state="running", ready=not bad
        )
        if bad == "pull":
            container = replace(
                container, state="waiting", reason="ImagePullBackOff", message="manifest unknown", ready=False
            )
        if bad == "crash":
            container = replace(
                container, state="waiting", reason="CrashLoopBackOff", restarts=2, last_exit_code=3
            )
        pod = Pod(
            name=f"{name}-{number}-x",
            revision=str(number),
            phase="Running",
            ready=not bad,
            is_terminating=False,
            created=self.now_,
            containers=(container,),
        )
        count = 0 if bad else 1
        return Workload(
            kind=kind,
            name=name,
            uid=f"{kind}/{name}" if kind != "Job" else f"{kind}/{name}/{number}",
            generation=number,
            observed_generation=number,
            desired=1,
            updated=count,
            ready=count,
            available=count,
            total=1,
            revision=str(number) if kind != "Job" else "",
            pods=(pod,),
            is_complete=kind == "Job" and not bad,
        )

    def fetch_events(self, stage: Stage, since: datetime) -> tuple[Event, ...]:
        return (Event("Pod", f"notejam-{stage.name}", "Failed", "something", 1, since),)

    def fetch_logs(
        self, stage: Stage, pod: str, container: str, *, previous: bool, lines: int
    ) -> Sequence[str]:
        return [f"last words of {pod}/{container} in {stage.name}"][:lines] if previous else []

    def forget_pending(self, stage: Stage, release: str, revision: int) -> None:
        self._do(f"forget {stage.name}/{release} {revision}")
        del self.revisions[stage.name, release][revision - 1]

    # --- records ---

    def fetch_promotions(self, stage: Stage) -> tuple[Promotion, ...]:
        kept = self.promotions.get(stage.name, {}).values()
        return tuple(sorted(kept, key=lambda promotion: promotion.started, reverse=True))

    def save_promotion(self, stage: Stage, promotion: Promotion) -> None:
        self.promotions.setdefault(stage.name, {})[promotion.id] = promotion
        self._do(f"save {promotion.phase} {promotion.step}".strip())

    def fetch_lock(self, stage: Stage) -> Lock | None:
        return self.locks.get(stage.name)

    def acquire_lock(self, stage: Stage, holder: str) -> None:
        lock = self.locks.get(stage.name)
        if lock is not None and lock.is_held(self.now_):
            raise LockedError(f"{lock.holder} is at work on {stage.name}")
        self.locks[stage.name] = Lock(holder, self.now_, self.now_, timedelta(seconds=30))
        self.events.append("lock")

    def is_lock_held(self) -> bool:
        return not self.lock_lost

    def release_lock(self) -> None:
        self.locks.clear()
        self.events.append("unlock")

    # --- registry, values, web, clock, console ---

    def fetch_bundle(self, version: str) -> Bundle:
        if version not in self.bundles:
            raise InputError(f"bundle {version} is not in {REGISTRY}")
        return self.bundles[version]

    def push_bundle(self, bundle: Bundle) -> str:
        self.bundles[bundle.version] = bundle
        return bundle.digest

    def fetch_versions(self) -> Sequence[str]:
        return list(self.bundles)

    def find_missing(self, bundle: Bundle) -> tuple[str, ...]:
        return self.missing if bundle.version else ()

    def pull_chart(self, name: str, chart: Artifact) -> Path:
        return Path(f"/charts/{name}/{chart.version}/chart.tgz")

    def read(self, stage: str, name: str) -> Values:
        return self.files.get((stage, name), {})

    def write_pins(self, stage: str, name: str, pins: Mapping[tuple[str, ...], str]) -> bool:
        self._do(f"pin {stage}/{name}")
        before = self.files.get((stage, name), {})
        self.files[stage, name] = merge_pins(before, pins)
        return before != self.files[stage, name]

    def path(self, stage: str, name: str) -> Path:
        return Path("values") / stage / f"{name}.yaml"

    def get(self, url: str, seconds: float) -> tuple[int, str]:
        assert seconds > 0
        stage, path = url.removeprefix("http://").split(".test", 1)
        if path == "/version":
            image = self.revisions[stage, "notejam"][-1].values["image"]
            tags = {bundle.images["app"].digest: bundle.images["app"].tag for bundle in self.bundles.values()}
            version = "stale" if self.fail == "verify" and self.fail_stage == stage else tags[image["digest"]]
            return 200, f'{{"version": "{version}"}}'
        return 200, "ok"

    def now(self) -> datetime:
        return self.now_

    def sleep(self, seconds: float) -> None:
        self.now_ += timedelta(seconds=seconds)
        self._do("sleep", keep=False)

    def step(self, text: str) -> None:
        self.said.append(f"-> {text}")

    def progress(self, text: str) -> None:
        self.said.append(f"   {text}")

    def done(self, text: str) -> None:
        self.said.append(f"ok {text}")

    def failure(self, title: str, lines: Sequence[str]) -> None:
        self.said += [f"failed: {title}", *lines]

    # --- the test's handle ---

    def _do(self, event: str, *, keep: bool = True) -> None:
        if keep:
            self.events.append(event)
        self.on_event(event)

    def outside(self) -> Outside:
        """Return this world as what the promotion works on."""
        return Outside(
            helm=self,
            cluster=self,
            records=self,
            registry=self,
            values=self,
            web=self,
            clock=self,
            console=self,
        )
