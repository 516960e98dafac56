"""Real promotions on the real cluster: one that is good, and those that are not."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from tests.cluster.people import Person, Probe
from tests.cluster.trial import Done, Trial

# A watchdog: the first test makes three stages and promotes a second version through them.
pytestmark = [pytest.mark.process, pytest.mark.timeout(900)]

# A failure is told in less than a minute where the machine has nothing else to do; at a timeout, after five.
FAST = 150
RELEASES = ("notejam", "notejam-db")


def failing_promote(trial: Trial, version: str) -> tuple[Done, Probe, float]:
    """Promote a bad version to development under a probe; return the outcome and its seconds."""
    with Probe(trial.url("development") + "/signin/") as probe:
        began = time.monotonic()
        done = trial.releaser("promote", "--to", "development", "--version", version, "--yes")
        took = time.monotonic() - began
    return done, probe, took


def asking_pod(trial: Trial, name: str, label: str) -> dict[str, object]:
    """A pod with the label of somebody's application, which asks whether the database takes connections."""
    postgres = trial.first["images"]["postgres"]
    container = {
        "name": "ask",
        "image": f"{trial.registry}/postgres@{postgres['digest']}",
        "command": ["pg_isready", "-h", "notejam-db-primary", "-t", "5"],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/name": label}},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "containers": [container],
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 999,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        },
    }


@pytest.fixture(scope="module")
def live(trial: Trial) -> Trial:
    """The bundle of `make up` in all three stages."""
    trial.promote("development", trial.version)
    trial.promote("testing")
    trial.promote("production")
    return trial


@pytest.fixture(scope="module")
def second(live: Trial) -> str:
    """A second version in all stages, and a note written in production before it came."""
    person = Person(live.url("production"), f"ann-{live.id}@example.com")
    person.sign_up()
    person.sign_in()
    person.write("Before", "written before the promotion")
    old = {pod["metadata"]["name"] for pod in live.pods("production")}
    version = live.make_version("v2")
    live.promote("development", version)
    live.promote("testing")
    with Probe(live.url("production") + "/signin/") as probe:
        live.promote("production")
    assert probe.refused == []
    assert not old & {pod["metadata"]["name"] for pod in live.pods("production")}, "old pods are still there"
    return version


def test_one_digest_from_the_registry_to_the_running_pods(live: Trial, second: str) -> None:
    digest = live.store.digest_of("app", live.bundle(second)["images"]["app"]["digest"])

    values = yaml.safe_load((live.values / "production" / "notejam.yaml").read_text())
    assert values["image"]["digest"] == digest
    manifest = live.helm("get", "manifest", "notejam", stage="production")
    deployment = next(doc for doc in yaml.safe_load_all(manifest) if doc and doc["kind"] == "Deployment")
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == f"{live.registry}/app@{digest}"
    pods = live.pods("production")
    assert len(pods) == deployment["spec"]["replicas"]
    for pod in pods:
        assert [status["imageID"].split("@")[-1] for status in pod["status"]["containerStatuses"]] == [digest]


def test_the_note_written_before_is_still_there(live: Trial, second: str) -> None:
    assert second
    person = Person(live.url("production"), f"ann-{live.id}@example.com")
    person.sign_in()
    assert "Before" in person.list_notes()


def test_the_note_survives_the_deletion_of_every_pod(live: Trial, second: str) -> None:
    assert second
    pods = [pod["metadata"] for name in RELEASES for pod in live.pods("production", name)]
    before, names = {pod["uid"] for pod in pods}, {pod["name"] for pod in pods}

    live.kubectl("production", "delete", "pods", "--all", "--wait", "--timeout=180s")
    live.kubectl("production", "rollout", "status", "deployment/notejam", "--timeout=240s")
    # `rollout status` does not know the update strategy OnDelete.
    members = sum(name.startswith("notejam-db-") and name[-1].isdigit() for name in names)
    ready = f"--for=jsonpath={{.status.readyReplicas}}={members}"
    live.kubectl("production", "wait", "statefulset/notejam-db", ready, "--timeout=240s")

    after = {pod["metadata"]["uid"] for name in RELEASES for pod in live.pods("production", name)}
    assert not before & after
    person = Person(live.url("production"), f"ann-{live.id}@example.com")
    person.sign_in()
    assert "Before" in person.list_notes()


def test_only_the_app_reaches_the_database(live: Trial, second: str) -> None:
    """The same pod is let in with the app's label, and not without."""
    assert second
    asked = {}
    for name, label in (("stranger", "somebody"), ("friend", "notejam")):
        pod = asking_pod(live, name, label)
        live.kubectl("production", "create", "-f", "-", stdin=json.dumps(pod))
        ended = "--for=jsonpath={.status.containerStatuses[0].state.terminated}"
        live.kubectl("production", "wait", f"pod/{name}", ended, "--timeout=120s")
        asked[name] = live.kubectl("production", "logs", name).strip()
        live.kubectl("production", "delete", "pod", name, "--wait=false")
    assert asked == {
        "stranger": "notejam-db-primary:5432 - no response",
        "friend": "notejam-db-primary:5432 - accepting connections",
    }


def test_the_same_bundle_again_changes_nothing_and_says_so(live: Trial, second: str) -> None:
    before = [live.revision(stage)["revision"] for stage in ("testing", "production")]
    pins = (live.values / "production" / "notejam.yaml").read_bytes()

    done = live.releaser("promote", "--to", "production", "--yes")

    assert done.code == 0
    assert f"production already runs {second}, verified: nothing to change" in done.out
    assert [live.revision(stage)["revision"] for stage in ("testing", "production")] == before
    assert (live.values / "production" / "notejam.yaml").read_bytes() == pins


def check_back(trial: Trial, before: dict[str, object], second: str, version: str) -> None:
    """The release is back at its former revision, the pods are the old ones, and the record says so."""
    now = trial.revision("development")
    assert now["status"] == "deployed"
    assert now["description"] == f"Rollback to {before['revision']}"
    assert now["chart"] == before["chart"]
    digest = trial.bundle(second)["images"]["app"]["digest"]
    for pod in trial.pods("development"):
        assert pod["status"]["containerStatuses"][0]["imageID"].endswith(digest)
    pins = yaml.safe_load((trial.values / "development" / "bundle.yaml").read_text())
    assert pins["version"] == second
    newest = trial.releaser("--output", "json", "history", "development").json()["promotions"][0]
    assert (newest["phase"], newest["bundle"]["version"]) == ("Failed", version)


def test_an_image_that_cannot_be_pulled_fails_fast_and_nobody_notices(live: Trial, second: str) -> None:
    version = live.make_version("nopull", files={"/app/extra.txt": f"only in this image {live.id}"})
    live.store.drop_last_layer("app", live.bundle(version)["images"]["app"]["digest"])
    before = live.revision("development")

    done, probe, took = failing_promote(live, version)

    assert done.code == 4, done.text
    assert took < FAST, f"{took:.0f} s\n{done.text}"
    assert "cannot be pulled" in done.err
    assert "Job notejam-migrate" in done.err
    assert probe.refused == []
    assert probe.asked > 20
    check_back(live, before, second, version)


def test_a_crash_at_start_fails_fast_with_its_last_words_and_nobody_notices(live: Trial, second: str) -> None:
    version = live.make_version("crash", env={"WEB_CONCURRENCY": "0"})
    before = live.revision("development")

    done, probe, took = failing_promote(live, version)

    assert done.code == 4, done.text
    assert took < FAST, f"{took:.0f} s\n{done.text}"
    assert "at every start" in done.err
    assert "WEB_CONCURRENCY must be a whole number from 1 to" in done.err
    assert probe.refused == []
    assert probe.asked > 20
    check_back(live, before, second, version)


def test_a_killed_promotion_is_taken_up_by_the_next(live: Trial, second: str) -> None:
    version = live.make_version("killed")
    before = int(live.revision("development")["revision"])
    process = subprocess.Popen(
        live.command("promote", "--to", "development", "--version", version, "--yes"),
        cwd=live.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + FAST
    while int(live.revision("development")["revision"]) == before:
        assert time.monotonic() < deadline, "the promotion did not begin"
    for pid in [*_children(process.pid), process.pid]:
        os.kill(pid, signal.SIGKILL)
    process.wait()
    assert "pending" in live.revision("development")["status"]

    lock_runs_out = time.monotonic() + FAST
    while True:
        done = live.releaser("promote", "--to", "development", "--version", version, "--yes")
        if done.code != 3 or time.monotonic() > lock_runs_out:
            break
        assert "lock" in done.err
    assert done.code == 0, done.text
    assert live.revision("development")["status"] == "deployed"
    live.promote("development", second)


def test_rollback_takes_a_stage_to_the_bundle_before_and_forward_again(live: Trial, second: str) -> None:
    done = live.releaser("rollback", "testing", "--yes")
    assert done.code == 0, done.text
    status = live.releaser("--output", "json", "status").json()["stages"]
    assert [row["version"] for row in status] == [second, live.version, second]

    live.promote("testing", second)


def test_two_people_at_once_do_not_get_into_each_others_way(live: Trial, second: str) -> None:
    version = live.make_version("both")
    command = live.command("promote", "--to", "development", "--version", version, "--yes")
    both = [
        subprocess.Popen(
            command, cwd=live.root, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        for _ in range(2)
    ]  # fmt: skip
    said = [process.communicate(timeout=300)[0] for process in both]
    codes = sorted(process.returncode for process in both)

    assert codes in ([0, 3], [0, 0]), said
    if codes == [0, 0]:
        assert any("nothing to change" in text for text in said), said
    live.promote("development", second)


def _children(pid: int) -> list[int]:
    """Return the children of a process and theirs, helm among them: it has a group of its own."""
    listed = subprocess.run(
        ["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout
    parents = {int(line.split()[0]): int(line.split()[1]) for line in listed.splitlines()}
    found, level = [], [pid]
    while level:
        level = [child for child, parent in parents.items() if parent in level]
        found += level
    return found


def test_the_journal_holds_no_secret(live: Trial, second: str) -> None:
    assert second
    secret = json.loads(live.kubectl("production", "get", "secret", "notejam-db-app", "-o", "json"))
    password = base64.b64decode(secret["data"]["password"]).decode()
    kept = live.kubectl("production", "get", "configmaps", "-o", "json")
    kept += live.releaser("--output", "json", "history").out
    for path in Path(live.values).rglob("*.yaml"):
        kept += path.read_text()
    assert password not in kept
