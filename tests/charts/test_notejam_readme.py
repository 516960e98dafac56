"""The commands in the README of the chart notejam fit the charts of this checkout."""

import itertools
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "notejam"
README = (CHART / "README.md").read_text(encoding="utf-8")

Render = Callable[..., list[dict[str, Any]]]


def _block(name: str) -> list[list[str]]:
    """Split the commands of the sh block below the marker <!-- name -->."""
    found = re.search(rf"<!-- {name} -->\n```sh\n(.*?)```", README, re.DOTALL)
    assert found, f"the README has no block {name}"
    lines = found[1].replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if line]


def _values_of(command: list[str], option: str) -> list[str]:
    return [value for flag, value in itertools.pairwise(command) if flag == option]


INSTALLS = [command for command in _block("install") if command[:2] == ["helm", "install"]]


def test_both_charts_are_installed_database_first() -> None:
    assert [command[2] for command in INSTALLS] == ["notejam-db", "notejam"]


@pytest.mark.parametrize("command", INSTALLS, ids=lambda command: command[2])
def test_install_commands_render(command: list[str], render: Render) -> None:
    release, address = command[2:4]
    sets = _values_of(command, "--set")
    assert render(address.rpartition("/")[2], sets=sets, release=release, namespace="notejam-by-hand")


def test_every_command_names_the_namespace() -> None:
    for command in [*_block("install"), *_block("uninstall")]:
        assert "notejam-by-hand" in command, command


def test_the_installed_app_finds_the_installed_database(render: Render) -> None:
    database, app = (
        render(command[3].rpartition("/")[2], release=command[2], namespace="n") for command in INSTALLS
    )
    secrets = {doc["metadata"]["name"]: set(doc["data"]) for doc in database if doc["kind"] == "Secret"}
    (job,) = (doc for doc in app if doc["kind"] == "Job")
    (variable,) = job["spec"]["template"]["spec"]["containers"][0]["env"]
    wanted = variable["valueFrom"]["secretKeyRef"]
    assert wanted["key"] in secrets[wanted["name"]]


def test_the_table_of_objects_is_complete(render: Render) -> None:
    rows = re.findall(r"^\| ([A-Za-z]+) \| `(<name>[a-z-]*)` \|", README, re.MULTILINE)
    listed = {(kind, name.replace("<name>", "demo")) for kind, name in rows}
    assert listed == {(doc["kind"], doc["metadata"]["name"]) for doc in render("notejam")}
