"""The adapters against the real thing: API, kubelets, registry, helm.

NOTEJAM_HELMS names the helm programs to try, separated by colons; it is `helm` when not set.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from releaser.adapters import lease
from releaser.adapters.cluster import ClusterAdapter
from releaser.adapters.cluster_map import UNKNOWN
from releaser.adapters.helm import HelmAdapter
from releaser.adapters.kube import KubeClients
from releaser.adapters.records import RecordsAdapter
from releaser.adapters.registry import OciRegistry
from releaser.core.model import Bundle, Container, Phase, Pod, Promotion, Release, Stage, Workload
from releaser.errors import ForbiddenError, HelmError, InputError, LockedError, UnavailableError

HELMS = os.environ.get("NOTEJAM_HELMS", "helm").split(":")
T = TypeVar("T")

POD = """\
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 1
      securityContext: {runAsNonRoot: true, runAsUser: 10001, seccompProfile: {type: RuntimeDefault}}
      containers:
      - name: main
        image: {{ .image }}
        command: ["sh", "-c", {{ .command | quote }}]
        resources: {requests: {cpu: 1m, memory: 8Mi}}
        securityContext:
          allowPrivilegeEscalation: {{ .privileged | default false }}
          capabilities: {drop: [ALL]}
"""
CHART = {
    "Chart.yaml": "apiVersion: v2\nname: trial-chart\nversion: VERSION\n",
    "values.yaml": "image: none\ncommand: sleep infinity\nhook: 'true'\nreplicas: 1\nprivileged: false\n",
    "values.schema.json": json.dumps(
        {"type": "object", "properties": {"password": {"type": "string", "maxLength": 8}}}
    ),
    "templates/_pod.tpl": '{{ define "pod" }}' + POD + "{{ end }}",
    "templates/all.yaml": """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}, labels: {app.kubernetes.io/instance: {{ .Release.Name }}}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
{{ include "pod" .Values }}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: {{ .Release.Name }}-db, labels: {app.kubernetes.io/instance: {{ .Release.Name }}}}
spec:
  serviceName: none
  replicas: 1
  updateStrategy: {type: OnDelete}
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
{{ include "pod" (dict "image" .Values.image "command" "sleep infinity") }}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .Release.Name }}-hook
  labels: {app.kubernetes.io/instance: {{ .Release.Name }}}
  annotations:
    helm.sh/hook: pre-install,pre-upgrade,pre-rollback
    helm.sh/hook-delete-policy: before-hook-creation
spec:
  backoffLimit: 0
  template:
    metadata: {labels: {app: hook}}
    spec:
      restartPolicy: Never
{{ include "pod" (dict "image" .Values.image "command" .Values.hook) }}
""",
}


def wait_for(find: Callable[[], T | None], what: str, seconds: float = 120) -> T:
    """Poll until there is something."""
    end = time.monotonic() + seconds
    while True:
        found = find()
        if found:
            return found
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.3)


def pack_chart(folder: Path, version: str) -> Path:
    path = folder / f"trial-chart-{version}.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in CHART.items():
            data = text.replace("VERSION", version).encode()
            entry = tarfile.TarInfo(f"trial-chart/{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


@pytest.fixture
def stage(context: str, namespace: str) -> Stage:
    return Stage("trial", None, context, namespace, "", (), timedelta(minutes=2), timedelta(minutes=1))


@pytest.fixture
def kubectl(stage: Stage) -> Callable[..., str]:
    def run(*args: str) -> str:
        command = ["kubectl", "--context", stage.context, "-n", stage.namespace, *args]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def cluster() -> ClusterAdapter:
    return ClusterAdapter()


@pytest.fixture(scope="session")
def image(registry: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image that the nodes can pull: the app of the newest bundle that is all there."""
    adapter = OciRegistry(registry, tmp_path_factory.mktemp("cache"))
    for version in reversed(adapter.fetch_versions()):
        bundle = adapter.fetch_bundle(version)
        if not adapter.find_missing(bundle):
            for name, artifact in bundle.charts.items():
                assert adapter.pull_chart(name, artifact).stat().st_size > 0
            return f"{registry}/{bundle.images['app'].repository}@{bundle.images['app'].digest}"
    pytest.fail(f"{registry} holds no bundle: run `make up` first")


# --- rights and namespace ----------------------------------------------------------------------


def test_a_namespace_is_made(stage: Stage, cluster: ClusterAdapter, kubectl: Callable[..., str]) -> None:
    made = replace(stage, namespace=f"{stage.namespace}-made")
    try:
        cluster.check_access(made)
        assert cluster.fetch_workloads(made, "x") == ()
        assert RecordsAdapter().fetch_promotions(made) == ()
        assert RecordsAdapter().fetch_lock(made) is None
        assert cluster.ensure_namespace(made)
        assert not cluster.ensure_namespace(made)
        labels = json.loads(kubectl("get", "namespace", made.namespace, "-o", "json"))["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
        assert labels["app.kubernetes.io/managed-by"] == "releaser"
    finally:
        kubectl("delete", "namespace", made.namespace, "--wait=false")
    with pytest.raises(UnavailableError, match="is being deleted"):
        cluster.check_access(made)


@pytest.fixture
def stranger(kubectl: Callable[..., str], tmp_path: Path) -> Iterator[str]:
    """A context of somebody without rights, in a kubeconfig of its own before the usual one."""
    kubectl("create", "serviceaccount", "stranger")
    config = json.loads(kubectl("config", "view", "--raw", "--minify", "-o", "json"))
    token = kubectl("create", "token", "stranger").strip()
    file = tmp_path / "kubeconfig"
    file.write_text(
        json.dumps(
            {
                "clusters": [{"name": "c", "cluster": config["clusters"][0]["cluster"]}],
                "users": [{"name": "stranger", "user": {"token": token}}],
                "contexts": [{"name": "stranger", "context": {"cluster": "c", "user": "stranger"}}],
            }
        )
    )
    usual = os.environ.get("KUBECONFIG", str(Path.home() / ".kube" / "config"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", f"{file}{os.pathsep}{usual}")
        yield "stranger"


def test_without_rights_the_right_is_named(stage: Stage, stranger: str, kubectl: Callable[..., str]) -> None:
    theirs = replace(stage, context=stranger)
    cluster = ClusterAdapter()

    with pytest.raises(ForbiddenError, match=f"context stranger may not read namespace {stage.namespace}"):
        cluster.check_access(theirs)
    with pytest.raises(ForbiddenError) as caught:
        cluster.fetch_workloads(theirs, "x")
    assert f"system:serviceaccount:{stage.namespace}:stranger" in caught.value.message
    assert caught.value.hint.endswith(
        f"kubectl auth can-i list deployments.apps -n {stage.namespace} --context stranger"
    )
    with pytest.raises(ForbiddenError):
        RecordsAdapter().acquire_lock(theirs, "stranger")
    with pytest.raises(ForbiddenError, match="secrets is forbidden"):
        HelmAdapter(HELMS[0]).fetch_release(theirs, "x")

    # Rights inside the namespace are enough: few may read the namespace itself.
    kubectl(
        "create", "rolebinding", "r", "--clusterrole=edit", f"--serviceaccount={stage.namespace}:stranger"
    )
    wait_for(lambda: can_access(cluster, theirs), "the new rights count")
    assert not cluster.ensure_namespace(theirs)
    with pytest.raises(ForbiddenError):
        cluster.check_access(replace(theirs, namespace=f"{stage.namespace}-new"))


def can_access(cluster: ClusterAdapter, stage: Stage) -> bool:
    try:
        cluster.check_access(stage)
    except ForbiddenError:
        return False
    return True


@pytest.fixture
def away(stage: Stage, tmp_path: Path) -> Iterator[Stage]:
    """A stage of a cluster that nobody runs."""
    file = tmp_path / "kubeconfig"
    cluster = {"name": "away", "cluster": {"server": "https://127.0.0.1:1"}}
    context = {"name": "away", "context": {"cluster": "away", "user": "u"}}
    user = {"name": "u", "user": {"token": "t"}}
    file.write_text(json.dumps({"clusters": [cluster], "users": [user], "contexts": [context]}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(file))
        yield replace(stage, context="away")


def test_a_cluster_that_is_away(away: Stage) -> None:
    said = "the cluster of context away does not answer"
    with pytest.raises(UnavailableError, match=f"{said}: Connection refused"):
        ClusterAdapter().check_access(away)
    for program in HELMS:
        with pytest.raises(UnavailableError, match=said):
            HelmAdapter(program).fetch_release(away, "x")
        with pytest.raises(InputError, match="the kubeconfig has no context none"):
            HelmAdapter(program).fetch_release(replace(away, context="none"), "x")


# --- records and lock --------------------------------------------------------------------------


def make_promotion(number: int) -> Promotion:
    started = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number)
    bundle = Bundle("1.0.0", "", {}, {})
    return Promotion(f"{number:03}", "promotion", "trial", bundle, Phase.RUNNING, "jane", started)


def test_records(stage: Stage) -> None:
    records = RecordsAdapter()
    for number in range(51):
        records.save_promotion(stage, make_promotion(number))
    last = replace(make_promotion(50), phase=Phase.SUCCEEDED, message="grüße")
    records.save_promotion(stage, last)

    found = records.fetch_promotions(stage)

    assert len(found) == 50
    assert (found[0], found[-1].id) == (last, "001")


def test_of_many_who_want_the_lock_one_gets_it(stage: Stage) -> None:
    for _ in range(3):  # the first time it is made, then it is taken again
        adapters = [RecordsAdapter() for _ in range(6)]
        outcomes = compete(adapters, stage)
        assert sorted(outcomes).count("taken") == 1, outcomes
        assert all(outcome == "taken" or "locked by" in outcome for outcome in outcomes)
        (winner,) = [item for item in adapters if item.is_lock_held()]
        winner.release_lock()
        lock = winner.fetch_lock(stage)
        assert lock is not None
        assert lock.holder == ""


def compete(adapters: list[RecordsAdapter], stage: Stage) -> list[str]:
    outcomes: list[str] = []
    gate = threading.Barrier(len(adapters))

    def take(adapter: RecordsAdapter, number: int) -> None:
        adapter.fetch_lock(stage)  # connected before the race
        gate.wait(20)
        try:
            adapter.acquire_lock(stage, f"holder {number}")
            outcomes.append("taken")
        except LockedError as error:
            outcomes.append(error.message)

    threads = [threading.Thread(target=take, args=(item, number)) for number, item in enumerate(adapters)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_the_lock_is_renewed_and_lost(stage: Stage, kubectl: Callable[..., str]) -> None:
    clients = KubeClients()
    lease.acquire(clients, stage, "jane").leave()
    found = lease.fetch_lease(clients, stage)
    assert found is not None
    every = timedelta(seconds=0.3)
    held = lease.HeldLease(
        clients.client(stage.context),
        stage,
        found,
        duration=timedelta(seconds=20),
        renew_every=every,
        retry_every=every,
    )
    begin = lease.to_lock(found).renewed

    def renewed() -> bool:
        now = lease.fetch_lease(clients, stage)
        return now is not None and lease.to_lock(now).renewed > begin

    wait_for(renewed, "the lock is renewed")
    kubectl("annotate", "lease", "releaser", "note=seen")
    begin = datetime.now(UTC)
    wait_for(renewed, "it is renewed after somebody has written on it")
    assert held.is_held()
    kubectl("patch", "lease", "releaser", "--type=merge", "-p", '{"spec": {"holderIdentity": "joe"}}')
    wait_for(lambda: not held.is_held(), "the loss is seen")
    held.release()
    assert kubectl("get", "lease", "releaser", "-o", "jsonpath={.spec.holderIdentity}") == "joe"


# --- releases and workloads --------------------------------------------------------------------


class World:
    """One helm program at work in one namespace."""

    def __init__(
        self, helm: HelmAdapter, cluster: ClusterAdapter, stage: Stage, image: str, folder: Path
    ) -> None:
        self.helm = helm
        self.cluster = cluster
        self.stage = stage
        self.image = image
        self.folder = folder

    def apply(self, version: str, **values: Any) -> None:
        chart = pack_chart(self.folder, version)
        run = self.helm.start_apply(
            self.stage, "web", chart, {"image": self.image, **values}, f"bundle {version}"
        )
        run.check()

    def release(self) -> Release:
        found = self.helm.fetch_release(self.stage, "web")
        assert found is not None
        return found

    def workload(self, kind: str = "Deployment") -> Workload:
        return next(item for item in self.cluster.fetch_workloads(self.stage, "web") if item.kind == kind)

    def newest(self) -> list[Pod]:
        workload = self.workload()
        return [pod for pod in workload.pods if pod.revision == workload.revision]

    def wait_available(self) -> Workload:
        def find() -> Workload | None:
            found = self.workload()
            is_new = found.observed_generation >= found.generation and len(found.pods) == found.desired
            return found if is_new and found.updated == found.available == found.desired else None

        return wait_for(find, "the Deployment is available")

    def wait_container(self, test: Callable[[Container], bool], what: str) -> tuple[Pod, Container]:
        def find() -> tuple[Pod, Container] | None:
            pairs = [(pod, container) for pod in self.newest() for container in pod.containers]
            return next((pair for pair in pairs if test(pair[1])), None)

        return wait_for(find, what)


@pytest.fixture(params=HELMS)
def world(
    request: pytest.FixtureRequest, cluster: ClusterAdapter, stage: Stage, image: str, tmp_path: Path
) -> World:
    return World(HelmAdapter(request.param), cluster, stage, image, tmp_path)


def test_a_release_from_first_install_to_rollback(world: World) -> None:
    assert world.helm.fetch_release(world.stage, "web") is None
    assert world.helm.fetch_revisions(world.stage, "web") == {}

    before = datetime.now(UTC) - timedelta(seconds=1)
    world.apply("0.1.0-h0a", replicas=2)

    release = world.release()
    assert (release.revision, release.status, release.good_revision) == (1, "deployed", None)
    assert (release.chart_name, release.chart_version) == ("trial-chart", "0.1.0-h0a")
    assert release.values == {"image": world.image, "replicas": 2}
    assert release.description == "bundle 0.1.0-h0a"
    assert release.updated is not None
    assert before < release.updated < datetime.now(UTC) + timedelta(seconds=1)
    first = world.wait_available()
    assert (first.desired, first.total, len(first.pods)) == (2, 2, 2)
    assert {pod.revision for pod in first.pods} == {first.revision}
    for pod in first.pods:
        assert (pod.phase, pod.ready, pod.is_terminating) == ("Running", True, False)
        assert pod.node
        (container,) = pod.containers
        assert (container.name, container.image, container.state) == ("main", world.image, "running")
        assert container.image_id.endswith(world.image.partition("@")[2])
    job = world.workload("Job")
    assert (job.is_complete, job.failed, job.available) == (True, "", 1)
    assert [pod.phase for pod in job.pods] == ["Succeeded"]

    world.apply("0.2.0", command="sleep 10000000")
    second = world.wait_available()
    assert second.revision != first.revision
    assert second.generation > first.generation
    assert world.release().values == {"image": world.image, "command": "sleep 10000000"}

    world.helm.start_rollback(world.stage, "web", 1).check()
    assert world.release().revision == 3
    assert world.release().chart_version == "0.1.0-h0a"
    assert world.wait_available().revision == first.revision
    versions = {1: "0.1.0-h0a", 2: "0.2.0", 3: "0.1.0-h0a"}
    assert world.helm.fetch_revisions(world.stage, "web") == versions


def test_no_values_are_not_those_of_before(world: World) -> None:
    """Helm keeps the former values when it is given none, unless told otherwise."""
    chart = pack_chart(world.folder, "1.0.0")
    for values in ({"image": world.image, "replicas": 0}, {}):
        run = world.helm.start_apply(world.stage, "web", chart, values, "x")
        if values:
            run.check()
    stopped = wait_for(lambda: world.release() if world.release().revision == 2 else None, "revision 2")
    run.stop()

    assert stopped.values == {}


def test_a_stateful_set_that_waits_for_hands(world: World, kubectl: Callable[..., str]) -> None:
    world.apply("0.1.0")
    first = wait_for(lambda: ready_stateful_set(world), "the StatefulSet is ready")
    assert first.is_on_delete
    assert [pod.revision for pod in first.pods] == [first.revision]

    patch = [{"op": "add", "path": "/spec/template/metadata/annotations", "value": {"a": "b"}}]
    kubectl("patch", "statefulset", "web-db", "--type=json", "-p", json.dumps(patch))

    def find() -> Workload | None:
        found = world.workload("StatefulSet")
        return found if found.revision not in (first.revision, UNKNOWN) else None

    second = wait_for(find, "the controller has seen the change")
    assert [pod.revision for pod in second.pods] == [first.revision]


def ready_stateful_set(world: World) -> Workload | None:
    found = world.workload("StatefulSet")
    return found if found.ready == found.desired else None


def test_what_goes_wrong_is_seen(world: World) -> None:
    since = datetime.now(UTC)
    world.apply("0.1.0", command="echo first line; echo it is broken; exit 7")
    pod, container = world.wait_container(lambda item: item.restarts >= 1, "it crashes")
    _, container = world.wait_container(lambda item: item.reason == "CrashLoopBackOff", "it backs off")
    assert (container.state, container.last_reason, container.last_exit_code) == ("waiting", "Error", 7)
    for previous in (True, False):
        log = world.cluster.fetch_logs(world.stage, pod.name, "main", previous=previous, lines=1)
        assert log == ("it is broken",)
    assert world.cluster.fetch_logs(world.stage, pod.name, "none", previous=False, lines=1) == ()
    assert world.cluster.fetch_logs(world.stage, "none", "main", previous=False, lines=1) == ()

    missing = world.image.partition("@")[0] + "@sha256:" + "0" * 64
    run = world.helm.start_apply(
        world.stage, "web", pack_chart(world.folder, "0.2.0"), {"image": missing}, "a missing image"
    )
    job = wait_for(lambda: waiting_hook(world), "the hook's image cannot be pulled")
    assert job.failed == ""
    run.stop()
    assert run.is_done()
    release = world.release()
    assert (release.revision, release.good_revision) == (2, 1)
    assert release.status in ("failed", "pending-upgrade")
    reasons = {event.reason for event in world.cluster.fetch_events(world.stage, since)}
    assert {"BackOff", "Failed"} <= reasons
    assert world.cluster.fetch_events(world.stage, datetime.now(UTC) + timedelta(minutes=1)) == ()


def waiting_hook(world: World) -> Workload | None:
    for item in world.cluster.fetch_workloads(world.stage, "web"):
        for pod in item.pods:
            if item.kind == "Job" and pod.containers[0].reason in ("ErrImagePull", "ImagePullBackOff"):
                return item
    return None


def test_pods_that_may_not_be_made(world: World) -> None:
    world.apply("0.1.0", privileged=True)

    failed = wait_for(lambda: world.workload().failed, "the Deployment says why", 60)

    assert failed.startswith("FailedCreate: pods ")
    assert "violates PodSecurity" in failed


def test_a_failed_hook(world: World) -> None:
    with pytest.raises(HelmError) as caught:
        world.apply("0.1.0", hook="exit 3")

    assert "web-hook" in caught.value.message or "BackoffLimitExceeded" in caught.value.message
    assert world.workload("Job").failed.startswith("BackoffLimitExceeded: ")
    release = world.release()
    assert (release.status, release.good_revision) == ("failed", None)


def test_a_schema_that_says_no_tells_no_secret(world: World) -> None:
    with pytest.raises(HelmError) as caught:
        world.apply("0.1.0", password="correct horse")

    assert "password" in caught.value.message
    assert "correct horse" not in caught.value.message
    assert world.helm.fetch_release(world.stage, "web") is None


def test_what_was_changed_by_hand_is_put_right(world: World, kubectl: Callable[..., str]) -> None:
    """Also in a rollback: there a conflict would leave the stage in between."""
    world.apply("0.1.0")
    kubectl("set", "env", "deployment/web", "BY=hand")
    kubectl("scale", "deployment/web", "--replicas=3")
    patch = '[{"op": "replace", "path": "/spec/template/spec/containers/0/command/2", "value": "sleep 5000"}]'
    kubectl("patch", "deployment", "web", "--type=json", "-p", patch)

    world.apply("0.2.0", command="sleep 9000")
    command = "jsonpath={.spec.template.spec.containers[0].command[2]} {.spec.replicas}"
    assert kubectl("get", "deployment", "web", "-o", command) == "sleep 9000 1"

    kubectl("patch", "deployment", "web", "--type=json", "-p", patch)
    world.helm.start_rollback(world.stage, "web", 1).check()
    assert kubectl("get", "deployment", "web", "-o", command) == "sleep infinity 1"


def test_a_release_installed_by_hand_is_taken_over(
    world: World, request: pytest.FixtureRequest, kubectl: Callable[..., str]
) -> None:
    """Helm 4 installs with server-side apply; the releaser goes on with the merge, and back."""
    program = request.node.callspec.params["world"]
    stage, chart = world.stage, pack_chart(world.folder, "0.1.0")
    command = [
        *(program, "install", "web", str(chart), "--set", f"image={world.image}"),
        *("--kube-context", stage.context, "-n", stage.namespace),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=120)

    world.apply("0.2.0", command="sleep 9000", replicas=2)
    world.wait_available()
    world.helm.start_rollback(stage, "web", 1).check()

    what = "jsonpath={.spec.template.spec.containers[0].command[2]} {.spec.replicas}"
    assert kubectl("get", "deployment", "web", "-o", what) == "sleep infinity 1"
    assert len(world.wait_available().pods) == 1


def test_a_killed_helm_leaves_a_pending_revision_that_can_be_forgotten(
    world: World, request: pytest.FixtureRequest
) -> None:
    world.apply("0.1.0")
    stage, chart = world.stage, pack_chart(world.folder, "0.2.0")
    command = [
        *(request.node.callspec.params["world"], "upgrade", "web", str(chart)),
        *("--set", f"image={world.image},hook=sleep 60"),
        *("--kube-context", stage.context, "-n", stage.namespace),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as killed:
        wait_for(lambda: world.release().revision == 2, "helm has begun")
        killed.kill()

    release = world.release()
    assert (release.revision, release.status, release.good_revision) == (2, "pending-upgrade", 1)
    assert release.is_pending
    with pytest.raises(HelmError, match=r"another operation .* is in progress"):
        world.apply("0.3.0")
    with pytest.raises(InputError, match="revision 1 of web is deployed, not pending"):
        world.cluster.forget_pending(world.stage, "web", 1)

    world.cluster.forget_pending(world.stage, "web", 2)

    assert (world.release().revision, world.release().status) == (1, "deployed")
    world.apply("0.3.0")
    assert world.release().status == "deployed"


def test_a_helm_that_is_ended_says_so_in_the_release(world: World) -> None:
    """Helm writes down that it was ended when it is given the time."""
    world.apply("0.1.0")
    chart = pack_chart(world.folder, "0.2.0")
    values = {"image": world.image, "hook": "sleep 60"}
    run = world.helm.start_apply(world.stage, "web", chart, values, "interrupted")
    wait_for(lambda: world.release().revision == 2, "helm has begun")
    assert not run.is_done()

    run.stop()

    assert run.is_done()
    with pytest.raises(HelmError, match="helm was ended before it was done"):
        run.check()
    release = world.release()
    assert (release.revision, release.status, release.good_revision) == (2, "failed", 1)
