"""The Helm adapter against a program that records how it is called."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from releaser.adapters import helm_command
from releaser.adapters.helm import HelmAdapter, make_release
from releaser.core.model import Stage
from releaser.errors import ForbiddenError, HelmError, InputError, UnavailableError

pytestmark = pytest.mark.process

STAGE = Stage(
    name="testing",
    previous=None,
    context="kind-notejam",
    namespace="notejam-testing",
    url="",
    checks=(),
    rollout_timeout=timedelta(minutes=5),
    verify_timeout=timedelta(minutes=1),
)
SECRET = "correct-horse-battery"  # of these tests


class FakeHelm:
    def __init__(self, folder: Path, version: str) -> None:
        self.folder = folder
        (folder / "answers").mkdir(parents=True)
        (folder / "version").write_text(version)
        source = Path(__file__).with_name("fake_helm.py").read_text()
        self.path = folder / "helm"
        self.path.write_text(f"#!{sys.executable} -S\n{source}")
        self.path.chmod(0o755)

    def answer(self, command: str, data: Any) -> None:
        (self.folder / "answers" / command).write_text(data if isinstance(data, str) else json.dumps(data))

    def fail(self, command: str, said: str | bytes) -> None:
        path = self.folder / "answers" / f"{command}.err"
        path.write_bytes(said if isinstance(said, bytes) else said.encode())

    def calls(self) -> list[dict[str, Any]]:
        return [json.loads(file.read_text()) for file in sorted((self.folder / "calls").glob("*"))]

    def args(self) -> list[str]:
        return [" ".join(call["args"]) for call in self.calls()]

    def wait_until_ready(self) -> int:
        end = time.monotonic() + 10
        ready = self.folder / "ready"
        while not ready.exists() or not ready.read_text():
            assert time.monotonic() < end
            time.sleep(0.01)
        return int(ready.read_text())


@pytest.fixture
def fake(tmp_path: Path) -> FakeHelm:
    return FakeHelm(tmp_path / "fake", "v4.3.1")


@pytest.fixture
def helm(fake: FakeHelm) -> HelmAdapter:
    return HelmAdapter(str(fake.path), grace=5)


def status(revision: int = 2, state: str = "deployed", **changes: Any) -> dict[str, Any]:
    return {
        "name": "notejam",
        "version": revision,
        "namespace": "notejam-testing",
        "info": {
            "status": state,
            "description": "bundle 1.0.0",
            "last_deployed": "2026-01-02T03:04:05.123456789+01:00",
        },
        "manifest": "---\nnot: [read",
        **changes,
    }


def revisions(*states: str) -> list[dict[str, Any]]:
    return [
        {
            "revision": number,
            "status": state,
            "chart": f"notejam-0.{number}.0-h0a1b2c3d4e5f",
            "app_version": "",
        }
        for number, state in enumerate(states, 1)
    ]


# --- reading -----------------------------------------------------------------------------------


def test_a_release_takes_two_processes(fake: FakeHelm, helm: HelmAdapter) -> None:
    fake.answer("status", status(config={"replicas": 2}))
    fake.answer("history", revisions("superseded", "deployed"))

    release = helm.fetch_release(STAGE, "notejam")

    assert release is not None
    assert (release.name, release.revision, release.status) == ("notejam", 2, "deployed")
    assert (release.chart_name, release.chart_version) == ("notejam", "0.2.0-h0a1b2c3d4e5f")
    assert (release.values, release.description) == ({"replicas": 2}, "bundle 1.0.0")
    assert release.good_revision is None
    assert release.updated == datetime(2026, 1, 2, 2, 4, 5, 123456, tzinfo=UTC)
    assert sorted(fake.args()) == [
        "history notejam --output json --max 256 --namespace notejam-testing --kube-context kind-notejam",
        "status notejam --output json --namespace notejam-testing --kube-context kind-notejam",
    ]


def test_no_values_are_no_values(fake: FakeHelm, helm: HelmAdapter) -> None:
    fake.answer("status", status(config=None))
    fake.answer("history", revisions("superseded", "deployed"))

    release = helm.fetch_release(STAGE, "notejam")

    assert release is not None
    assert release.values == {}


@pytest.mark.parametrize(
    ("states", "good"),
    [
        (("deployed", "pending-upgrade"), 1),
        (("superseded", "deployed", "failed"), 2),
        (("superseded", "deployed", "failed", "pending-rollback"), 2),
        (("failed", "failed"), None),
        (("pending-install",), None),
        (("superseded", "deployed"), None),
        (("superseded", "uninstalled"), None),
        (("superseded", "failed", "superseded", "failed", "failed"), 3),
    ],
)
def test_the_newest_good_revision(states: tuple[str, ...], good: int | None) -> None:
    release = make_release("notejam", status(len(states), states[-1]), revisions(*states))

    assert release.good_revision == good


@pytest.mark.parametrize(("states", "good"), [(("deployed", "failed"), 1), (("superseded", "failed"), None)])
def test_a_failed_revision_that_helm_calls_superseded(states: tuple[str, str], good: int | None) -> None:
    """That is how Helm leaves the history when an upgrade and the rollback from it fail."""
    first, last = states
    history = revisions(first, "superseded", last)
    history[1]["description"] = 'Upgrade "notejam" failed: conflict occurred\nwhile applying'
    if first == "superseded":
        history[0]["description"] = 'Release "notejam" failed: timed out'

    release = make_release("notejam", status(3, last), history)

    assert release.good_revision == good


@pytest.mark.parametrize(
    ("chart", "name", "version"),
    [
        ("notejam-1.2.3", "notejam", "1.2.3"),
        ("postgres-ha-0.1.0-h00112233aabb", "postgres-ha", "0.1.0-h00112233aabb"),
        ("a-1-b-2.0.0+x.y", "a-1-b", "2.0.0+x.y"),
        ("odd", "odd", ""),
    ],
)
def test_name_and_version_of_a_chart(chart: str, name: str, version: str) -> None:
    history = [{"revision": 2, "status": "deployed", "chart": chart}]

    release = make_release("x", status(), history)

    assert (release.chart_name, release.chart_version) == (name, version)


def test_no_release(fake: FakeHelm, helm: HelmAdapter) -> None:
    fake.fail("status", "Error: release: not found\n")
    fake.fail("history", "Error: release: not found\n")

    assert helm.fetch_release(STAGE, "notejam") is None
    assert helm.fetch_revisions(STAGE, "notejam") == {}


def test_good_revisions(fake: FakeHelm, helm: HelmAdapter) -> None:
    history = revisions("superseded", "failed", "deployed", "pending-upgrade", "superseded")
    history[4]["description"] = 'Rollback "notejam" failed: conflict'
    fake.answer("history", history)

    assert helm.fetch_revisions(STAGE, "notejam") == {1: "0.1.0-h0a1b2c3d4e5f", 3: "0.3.0-h0a1b2c3d4e5f"}


@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        (
            'Error: Kubernetes cluster unreachable: Get "https://x/version": dial tcp: connection refused',
            UnavailableError,
            "the cluster of context kind-notejam does not answer: Kubernetes cluster unreachable",
        ),
        (
            'Error: Kubernetes cluster unreachable: context "kind-notejam" does not exist',
            InputError,
            "the kubeconfig has no context kind-notejam",
        ),
        (
            'Error: query: failed to query with labels: secrets is forbidden: User "jane" cannot list',
            ForbiddenError,
            "context kind-notejam: query: failed to query with labels: secrets is forbidden",
        ),
        ("Error: something new", HelmError, "something new"),
        (b"Error: cut \xe2\x82", HelmError, "cut \N{REPLACEMENT CHARACTER}"),
        ("", HelmError, "helm failed with exit code 1"),
    ],
)
def test_what_helm_says(
    fake: FakeHelm, helm: HelmAdapter, said: str | bytes, kind: type[Exception], message: str
) -> None:
    fake.fail("status", said)
    fake.fail("history", said)

    with pytest.raises(kind) as caught:
        helm.fetch_release(STAGE, "notejam")

    assert type(caught.value) is kind
    assert str(caught.value).startswith(message)


def test_an_answer_that_is_no_json(fake: FakeHelm, helm: HelmAdapter) -> None:
    fake.answer("status", "WARNING")
    fake.answer("history", revisions("deployed"))

    with pytest.raises(HelmError, match="helm's answer cannot be read"):
        helm.fetch_release(STAGE, "notejam")


def test_two_contexts(fake: FakeHelm, helm: HelmAdapter) -> None:
    fake.answer("history", revisions("deployed"))

    helm.fetch_revisions(STAGE, "a")
    helm.fetch_revisions(replace(STAGE, context="other"), "a")

    assert [call["args"][-1] for call in fake.calls()] == ["kind-notejam", "other"]


# --- changing ----------------------------------------------------------------------------------


def test_apply(fake: FakeHelm, helm: HelmAdapter, tmp_path: Path) -> None:
    fake.answer("upgrade", status())
    values = {"replicas": 2, "database": {"password": SECRET}}

    run = helm.start_apply(STAGE, "notejam", tmp_path / "notejam-1.0.0.tgz", values, "bundle 1.0.0")
    run.check()

    assert run.is_done()
    (call,) = fake.calls()
    assert json.loads(call["stdin"]) == values
    assert call["group"] == call["pid"]
    expected = (
        f"upgrade notejam {tmp_path}/notejam-1.0.0.tgz --history-max 10 --install --output json "
        "--timeout 300s --values - --description bundle 1.0.0 --namespace notejam-testing "
        "--reset-values --server-side=false --kube-context kind-notejam"
    )
    assert fake.args() == [expected]


def test_apply_with_helm_3(tmp_path: Path) -> None:
    fake = FakeHelm(tmp_path / "fake", "v3.22.0")
    fake.answer("upgrade", status())
    helm = HelmAdapter(str(fake.path))

    helm.start_apply(STAGE, "notejam", tmp_path / "x.tgz", {}, "d").check()
    helm.start_rollback(STAGE, "notejam", 3).check()

    assert not [args for args in fake.args() if "server-side" in args]


def test_rollback_names_the_revision(fake: FakeHelm, helm: HelmAdapter) -> None:
    helm.start_rollback(STAGE, "notejam", 7).check()

    expected = (
        "rollback notejam 7 --namespace notejam-testing --history-max 10 --timeout 300s "
        "--server-side=false --kube-context kind-notejam"
    )
    assert fake.args() == [expected]


def test_nothing_waits_or_cleans_up(fake: FakeHelm, helm: HelmAdapter, tmp_path: Path) -> None:
    fake.answer("upgrade", status())
    helm.start_apply(STAGE, "notejam", tmp_path / "x.tgz", {}, "d").check()
    helm.start_rollback(STAGE, "notejam", 7).check()

    words = " ".join(fake.args())
    for flag in (
        "--wait",
        "--atomic",
        "--rollback-on-failure",
        "--cleanup-on-fail",
        "--create-namespace",
        "--force",
    ):
        assert flag not in words


def test_a_notice_before_the_answer_is_read_over(fake: FakeHelm, helm: HelmAdapter, tmp_path: Path) -> None:
    fake.answer("upgrade", "Pulled: somewhere\n" + json.dumps(status()))

    helm.start_apply(STAGE, "notejam", tmp_path / "x.tgz", {}, "d").check()


def test_a_failure_says_why_and_no_secret(fake: FakeHelm, helm: HelmAdapter, tmp_path: Path) -> None:
    fake.fail(
        "upgrade",
        "level=WARN msg=old\nWARNING: something\n"
        f"Error: UPGRADE FAILED: values don't meet the schema:\n- password '{SECRET}' is too long\n"
        f"- uri postgresql://notejam:{SECRET}@db:5432 and http://user:pw@host\n",
    )
    values = {"database": {"password": SECRET, "secretName": "notejam-db-app"}, "tokens": ["abcd1234"]}

    run = helm.start_apply(STAGE, "notejam", tmp_path / "x.tgz", values, "d")
    with pytest.raises(HelmError) as caught:
        run.check()

    assert caught.value.message == (
        "UPGRADE FAILED: values don't meet the schema:\n- password '***' is too long\n"
        "- uri postgresql://***@db:5432 and http://***@host"
    )
    (call,) = fake.calls()
    assert SECRET not in " ".join(call["args"])


def test_only_the_last_lines_are_told(fake: FakeHelm, helm: HelmAdapter) -> None:
    fake.fail("rollback", "Error: first\n" + "".join(f"line {number}\n" for number in range(50)))

    with pytest.raises(HelmError) as caught:
        helm.start_rollback(STAGE, "notejam", 1).check()

    assert caught.value.message.splitlines() == [f"line {number}" for number in range(38, 50)]


def test_stop_ends_helm_and_waits(fake: FakeHelm, helm: HelmAdapter, tmp_path: Path) -> None:
    (fake.folder / "hang").write_text("")
    run = helm.start_apply(STAGE, "notejam", tmp_path / "x.tgz", {}, "d")
    pid = fake.wait_until_ready()
    assert not run.is_done()

    run.stop()

    assert run.is_done()
    assert fake.calls()[-1] == {"args": fake.calls()[0]["args"], "pid": pid, "signal": "TERM"}
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(HelmError, match="helm was ended before it was done"):
        run.check()
    run.stop()


def test_stop_kills_a_helm_that_does_not_listen(fake: FakeHelm) -> None:
    (fake.folder / "hang").write_text("deaf")
    helm = HelmAdapter(str(fake.path), grace=0.3)
    run = helm.start_rollback(STAGE, "notejam", 1)
    pid = fake.wait_until_ready()

    run.stop()

    assert not Path(f"/proc/{pid}").exists()


def test_stop_after_the_end_keeps_the_outcome(helm: HelmAdapter) -> None:
    run = helm.start_rollback(STAGE, "notejam", 1)
    run.check()

    run.stop()
    run.check()


def test_two_runs_at_once(fake: FakeHelm, helm: HelmAdapter) -> None:
    runs = [helm.start_rollback(STAGE, "notejam", number) for number in (1, 2)]

    for run in runs:
        run.check()

    assert len(fake.calls()) == 2


# --- the program -------------------------------------------------------------------------------


def test_the_environment_leads_nowhere_else(
    fake: FakeHelm, helm: HelmAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HELM_KUBEAPISERVER", "HELM_KUBETOKEN", "HELM_NAMESPACE", "HELM_DRIVER", "HELM_DEBUG"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("HELM_CACHE_HOME", "/somewhere")

    helm.start_rollback(STAGE, "notejam", 1).check()

    assert fake.calls()[0]["env"] == {"HELM_CACHE_HOME": "/somewhere"}


def test_helm_of_the_environment(fake: FakeHelm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELEASER_HELM", str(fake.path))
    HelmAdapter().start_rollback(STAGE, "a", 1).check()

    monkeypatch.delenv("RELEASER_HELM")
    monkeypatch.setenv("PATH", f"{fake.folder}{os.pathsep}{os.environ['PATH']}")
    HelmAdapter().start_rollback(STAGE, "b", 1).check()

    assert [call["args"][1] for call in fake.calls()] == ["a", "b"]


def test_no_helm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RELEASER_HELM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))

    helm = HelmAdapter()  # what needs no helm works without it
    with pytest.raises(InputError) as caught:
        helm.fetch_release(STAGE, "notejam")

    assert caught.value.message == "helm is not installed"
    assert "RELEASER_HELM" in caught.value.hint


@pytest.mark.parametrize("version", ["v3.20.0", "v3.22", "v4", "v4.3.1+gabc", "v4.4.0-rc.1", "v5.0.0"])
def test_good_versions(tmp_path: Path, version: str) -> None:
    helm = HelmAdapter(str(FakeHelm(tmp_path / "fake", version).path))

    helm.start_rollback(STAGE, "notejam", 1).check()


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("v3.19.9", "is version v3.19.9; 3.20 or newer is needed"),
        ("what?", "does not say its version but 'what?'"),
    ],
)
def test_bad_versions(tmp_path: Path, version: str, said: str) -> None:
    helm = HelmAdapter(str(FakeHelm(tmp_path / "fake", version).path))

    with pytest.raises(InputError, match="helm ") as caught:
        helm.start_rollback(STAGE, "notejam", 1)

    assert caught.value.message.endswith(said)


def test_which_values_are_secret() -> None:
    values = {
        "password": "pass-1",
        "auth": {"rootPassword": "pass-2", "existingSecret": "name-of-it"},
        "secretName": "a-name",
        "secretKey": "uri",
        "token": {"value": "pass-3"},
        "apiKey": "pass-4",
        "image": {"digest": "sha256:aa"},
        "list": [{"clientSecret": "pass-5"}],
        "secret": "abc",
        "secretEnabled": True,
    }

    found = set(helm_command.find_secrets(values))
    assert found == {f"pass-{number}" for number in range(1, 6)}
