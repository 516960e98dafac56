"""What a person reads after wrong input: one message, the next command, the exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from releaser.cli import main

PIPELINE = """\
registry: 127.0.0.1:1/notejam
context: nowhere
charts:
  - name: notejam
    release: notejam
    images: {app: image}
stages:
  - name: development
    namespace: notejam-development
  - name: testing
    namespace: notejam-testing
"""
KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters: [{name: gone, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: ann, user: {}}]
contexts: [{name: nowhere, context: {cluster: gone, user: ann}}]
current-context: nowhere
"""


class Ran:
    """What a command printed and how it ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


class Runner:
    """Runs commands in this process, in a folder with a pipeline."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys
        self.pipeline = folder / "pipeline.yaml"
        self.pipeline.write_text(PIPELINE)

    def __call__(self, *arguments: str) -> Ran:
        with pytest.raises(SystemExit) as ended:
            main(["--config", str(self.pipeline), *arguments])
        code = ended.value.code
        printed = self.capsys.readouterr()
        assert isinstance(code, int)
        assert "Traceback" not in printed.out + printed.err
        return Ran(code, printed.out, printed.err)


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Runner:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(KUBECONFIG)
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    return Runner(tmp_path, capsys)


@pytest.mark.parametrize(
    "arguments",
    [
        ("promote", "--to", "staging", "--yes"),
        ("plan", "--to", "staging"),
        ("rollback", "staging"),
        ("history", "staging"),
    ],
)
def test_an_unknown_stage(run: Runner, arguments: tuple[str, ...]) -> None:
    ran = run(*arguments)
    assert ran.code == 2
    assert f"error: {run.pipeline}:stages: there is no stage 'staging'\n" in ran.err
    assert "next:  known stages: development, testing\n" in ran.err


def test_a_missing_pipeline_file(run: Runner) -> None:
    run.pipeline.unlink()
    ran = run("status")
    assert ran.code == 2
    assert f"error: {run.pipeline}: there is no such pipeline file\n" in ran.err
    assert "--config PATH" in ran.err


def test_a_malformed_pipeline_file_names_the_line(run: Runner) -> None:
    run.pipeline.write_text("registry: x\ncharts: [\n")
    ran = run("status")
    assert ran.code == 2
    assert f"error: {run.pipeline}:3: not valid YAML" in ran.err


def test_an_unknown_key_is_named(run: Runner) -> None:
    run.pipeline.write_text(
        PIPELINE.replace("    namespace: notejam-testing", "    namespce: notejam-testing")
    )
    ran = run("status")
    assert ran.code == 2
    assert f"{run.pipeline}:stages.1.namesp" in ran.err


@pytest.mark.parametrize("version", ["1.2", "v1.2.3", "latest", ""])
def test_a_version_that_is_not_semantic(run: Runner, version: str) -> None:
    ran = run("promote", "--to", "development", "--version", version, "--yes")
    assert ran.code == 2
    assert f"error: --version: {version!r} is not a semantic version\n" in ran.err
    assert "write it like 1.4.0" in ran.err


def test_a_registry_that_does_not_answer(run: Runner) -> None:
    ran = run("promote", "--to", "development", "--version", "1.0.0", "--yes")
    assert ran.code == 6
    assert "127.0.0.1:1" in ran.err
    assert "next:" in ran.err


def test_a_cluster_that_does_not_answer(run: Runner) -> None:
    ran = run("status")
    assert ran.code == 6
    assert "nowhere" in ran.err
    assert "kubectl --context nowhere version" in ran.err


def test_a_context_that_is_not_in_the_kubeconfig(run: Runner) -> None:
    run.pipeline.write_text(PIPELINE.replace("nowhere", "elsewhere"))
    ran = run("status")
    assert ran.code in {2, 6}
    assert "elsewhere" in ran.err
    assert "kubectl config get-contexts" in ran.err


def test_wrong_flags_show_the_usage(run: Runner) -> None:
    ran = run("promote", "--too", "testing")
    assert ran.code == 2
    assert "No such option" in ran.err


def test_errors_are_json_when_json_is_asked_for(run: Runner) -> None:
    ran = run("--output", "json", "promote", "--to", "staging")
    assert ran.code == 2
    assert '"exit_code": 2' in ran.out
    assert "there is no stage 'staging'" in ran.out


def test_help_names_every_command(run: Runner) -> None:
    ran = run("--help")
    assert ran.code == 0
    for command in ("plan", "promote", "status", "history", "rollback", "bundle"):
        assert f"  {command} " in ran.out
