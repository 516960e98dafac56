"""The chart notejam on the cluster: upgrades and rollbacks under requests, and what stays afterwards."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.people import Person, Probe
from tests.namespaces import have_namespace

ROOT = Path(__file__).parents[2]
NODE_PORT = 30095
SECONDS = 300
SMALL_DATABASE = ["--set", "members=1", "--set", "storage.size=1Gi"]


@dataclass(frozen=True)
class Installed:
    """Both charts in a namespace of their own."""

    context: str
    namespace: str
    url: str
    chart: list[str]

    def run(self, *command: str) -> str:
        place = ["--kube-context" if command[0] == "helm" else "--context", self.context]
        done = subprocess.run(
            [*command, *place, "--namespace", self.namespace],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def apply(self, verb: str, *settings: str) -> None:
        """Install or upgrade the app, and wait until its pods have been replaced."""
        values = ["replicas=3", "service.type=NodePort", f"service.nodePort={NODE_PORT}", *settings]
        values += [f"externalUrl={self.url}"]
        self.run("helm", verb, "notejam", *self.chart, *(part for v in values for part in ("--set", v)))
        self.wait()

    def wait(self) -> None:
        """Return when the new pods are available and the old ones gone, their last requests with them."""
        self.run("kubectl", "rollout", "status", "deployment/notejam", "--timeout=180s")
        current = self.run(
            "kubectl", "get", "replicaset", "--selector", "app.kubernetes.io/instance=notejam", "--output",
            "jsonpath={range .items[?(@.spec.replicas==0)]}{.metadata.labels.pod-template-hash} {end}",
        )  # fmt: skip
        for old in current.split():
            selector = f"pod-template-hash={old}"
            self.run("kubectl", "wait", "pod", "--selector", selector, "--for=delete", "--timeout=120s")

    def names(self, kinds: str) -> set[str]:
        return set(self.run("kubectl", "get", kinds, "--output", "name").split())

    def session_key(self) -> str:
        """Return a fingerprint of the key."""
        found = json.loads(self.run("kubectl", "get", "secret", "notejam-session", "--output", "json"))
        return hashlib.sha256(found["data"]["secret-key"].encode()).hexdigest()

    def migrations(self) -> str:
        """Return what tells one run of the migration from the next."""
        return self.run("kubectl", "get", "job", "notejam-migrate", "--output", "jsonpath={.metadata.uid}")


def _versions(version: str) -> dict[str, str]:
    command = [sys.executable, "-m", "releaser", "--config", "values/pipeline.yaml", "--output", "json"]
    done = subprocess.run(
        [*command, "bundle", "show", version],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    return {name: chart["version"] for name, chart in json.loads(done.stdout)["charts"].items()}


@pytest.fixture(scope="module")
def installed(context: str, registry: str, version: str) -> Iterator[Installed]:
    namespace = f"test-chart-{os.getpid()}"
    plain = ["--plain-http"] if registry.startswith(("localhost:", "127.0.0.1:")) else []
    versions = _versions(version)

    def chart(name: str) -> list[str]:
        return [f"oci://{registry}/charts/{name}", "--version", versions[name], *plain]

    url = f"http://{os.environ.get('NOTEJAM_ADDRESS', '127.0.0.1')}:{NODE_PORT}"
    made = Installed(context, namespace, url, chart("notejam"))
    with have_namespace(context, namespace):
        # The database is not waited for: that is the migration's part.
        made.run("helm", "install", "notejam-db", *chart("postgres-ha"), *SMALL_DATABASE)
        made.apply("install")
        yield made


def test_the_charts_own_test_passes(installed: Installed) -> None:
    log = installed.run("helm", "test", "notejam", "--logs")
    assert "ok: GET /readyz answers 200" in log
    assert "ok: GET /signin/ answers 200" in log


def test_upgrade_and_rollback_lose_no_request_and_nobody_is_signed_out(installed: Installed) -> None:
    person = Person(installed.url, "chart@example.com")
    person.sign_up()
    person.sign_in()
    person.write("Kept", "across an upgrade and a rollback")
    key, before = installed.session_key(), installed.migrations()

    with Probe(installed.url + "/signin/") as probe:
        installed.apply("upgrade", "podAnnotations.test=upgraded")
        after = installed.migrations()
        installed.run("helm", "rollback", "notejam", "1")
        installed.wait()

    assert probe.refused == []
    assert probe.asked > 100
    assert before != after, "the upgrade ran no migration"
    assert installed.migrations() == after, "the rollback ran a migration"
    assert installed.session_key() == key
    assert "Kept" in person.list_notes()


def test_an_upgrade_that_changes_no_pod_restarts_none(installed: Installed) -> None:
    selector = ["--selector", "app.kubernetes.io/component=web", "--output", "name"]
    before = installed.run("kubectl", "get", "pods", *selector)
    installed.apply("upgrade")
    assert installed.run("kubectl", "get", "pods", *selector) == before


def test_without_the_pause_before_stopping_requests_are_lost(installed: Installed) -> None:
    """The probe would see it: with preStop switched off it does."""
    installed.apply("upgrade", "shutdown.preStopSeconds=0")
    refused: list[str] = []
    for _ in range(5):
        with Probe(installed.url + "/signin/") as probe:
            installed.run("kubectl", "rollout", "restart", "deployment/notejam")
            installed.wait()
        refused += probe.refused
        if refused:
            break
    assert refused, "no request was lost in five rollouts without preStop, so the probe proves nothing"


def test_uninstall_leaves_what_the_readme_says(installed: Installed) -> None:
    installed.run("helm", "uninstall", "notejam", "--wait")
    web = ["--selector", "app.kubernetes.io/component=web"]
    installed.run("kubectl", "wait", "pod", *web, "--for=delete", "--timeout=120s")
    kinds = "deployment,replicaset,pod,service,secret,job,networkpolicy,poddisruptionbudget,serviceaccount"
    left = {name for name in installed.names(kinds) if "notejam-db" not in name and "/default" not in name}
    left -= {name for name in left if name.startswith("pod/notejam-migrate-")}  # the Job's own
    assert left == {"job.batch/notejam-migrate", "pod/notejam-test"}
