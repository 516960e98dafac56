"""What a person reads after wrong input, from the real command on the real cluster; nothing is changed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.trial import Done, Trial

pytestmark = pytest.mark.process

Edit = Callable[[Trial, Path], None]


def in_pipeline(old: str, new: str) -> Edit:
    """Change the pipeline file."""

    def edit(trial: Trial, stranger: Path) -> None:  # noqa: ARG001 - one shape for all
        path = trial.values / "pipeline.yaml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return edit


def without_pipeline(trial: Trial, stranger: Path) -> None:  # noqa: ARG001 - one shape for all
    (trial.values / "pipeline.yaml").unlink()


def as_stranger(trial: Trial, stranger: Path) -> None:
    """Use the kubeconfig of somebody without rights."""
    trial.environment["KUBECONFIG"] = str(stranger)


def as_nobody(trial: Trial, stranger: Path) -> None:
    """Use a kubeconfig whose cluster nobody runs."""
    config = json.loads(stranger.read_text())
    config["clusters"][0]["cluster"] = {"server": "https://127.0.0.1:1"}
    stranger.write_text(json.dumps(config))
    as_stranger(trial, stranger)


def as_it_is(trial: Trial, stranger: Path) -> None:
    """Change nothing: the flags are what is wrong."""


@dataclass(frozen=True)
class Case:
    """What is wrong, and what is said about it."""

    edit: Edit
    code: int
    said: str
    hint: str
    arguments: tuple[str, ...] = ("--to", "development", "--version", "VERSION")


CASES = {
    "unknown stage": Case(
        as_it_is,
        2,
        "pipeline.yaml:stages: there is no stage 'staging'",
        "known stages: development, testing, production",
        ("--to", "staging"),
    ),
    "no version": Case(
        as_it_is,
        2,
        "--version: 'latest' is not a semantic version",
        "write it like 1.4.0",
        ("--to", "development", "--version", "latest"),
    ),
    "no such bundle": Case(
        as_it_is,
        2,
        "bundle 99.0.0 is not in ",
        "bundle list",
        ("--to", "development", "--version", "99.0.0"),
    ),
    "no pipeline": Case(
        without_pipeline, 2, "pipeline.yaml: there is no such pipeline file", "--config PATH"
    ),
    "malformed pipeline": Case(in_pipeline("stages:", "stages: ["), 2, "not valid YAML", "docs/pipeline.md"),
    "unknown key": Case(
        in_pipeline("stages:", "colour: red\nstages:"),
        2,
        "pipeline.yaml:colour: unknown key",
        "docs/pipeline.md",
    ),
    "forbidden namespace": Case(as_stranger, 6, "may not read namespace", "kubectl auth can-i"),
    "cluster away": Case(as_nobody, 6, "does not answer", "kubectl"),
}


@pytest.fixture
def stranger(namespace: str, context: str, tmp_path: Path) -> Path:
    """A kubeconfig whose context has the usual name, and whose user has no right to anything."""

    def kubectl(*arguments: str) -> str:
        words = ["kubectl", "--context", context, "-n", namespace, *arguments]
        return subprocess.run(words, check=True, capture_output=True, text=True, timeout=60).stdout

    kubectl("create", "serviceaccount", "stranger")
    config = json.loads(kubectl("config", "view", "--raw", "--minify", "-o", "json"))
    config["users"][0]["user"] = {"token": kubectl("create", "token", "stranger").strip()}
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config))
    return path


@pytest.fixture
def untouched(trial: Trial) -> Iterator[Trial]:
    """The stages, whose files are put back afterwards."""
    files = {path: path.read_bytes() for path in sorted(trial.values.rglob("*")) if path.is_file()}
    yield trial
    trial.environment.clear()
    for path, content in files.items():
        path.write_bytes(content)


def files_of(trial: Trial) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(trial.values.rglob("*")) if path.is_file()}


def namespaces_of(trial: Trial) -> list[str]:
    command = ["kubectl", "--context", trial.context, "get", "namespaces", "-o", "name"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    return [name for name in listed.split() if f"trial-{trial.id}-" in name]


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_one_clear_message_and_nothing_changed(untouched: Trial, stranger: Path, case: Case) -> None:
    case.edit(untouched, stranger)
    before = files_of(untouched)
    arguments = [word.replace("VERSION", untouched.version) for word in case.arguments]

    done: Done = untouched.releaser("promote", *arguments, "--yes")

    assert done.code == case.code, done.text
    errors = [line for line in done.err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1, done.text
    assert case.said in done.err
    assert case.hint in done.err
    assert "Traceback" not in done.text
    assert files_of(untouched) == before
    assert namespaces_of(untouched) == []
