"""Renders of postgres-ha as committed, under Helm 4 and 3; and what must not move between two renders."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Doc = dict[str, Any]
Render = Callable[..., list[Doc]]
Golden = Callable[[str, list[Doc]], None]

CHART = Path(__file__).resolve().parents[2] / "charts" / "postgres-ha"
CASES = sorted(CHART.glob("ci/*-values.yaml"), key=lambda path: path.name)


def case_name(path: Path) -> str:
    return path.name.removesuffix("-values.yaml")


def find(docs: list[Doc], kind: str) -> Doc:
    (found,) = [doc for doc in docs if doc["kind"] == kind]
    return found


def without_generated(docs: list[Doc]) -> list[Doc]:
    """Blank the values of Secrets; keys stay."""
    for doc in docs:
        if doc["kind"] == "Secret":
            doc["data"] = dict.fromkeys(doc["data"], "")
    return sorted(docs, key=lambda doc: (doc["kind"], doc["metadata"]["name"]))


def leaves(values: Doc, path: str = "") -> dict[str, Any]:
    """Every value by its path; an object without keys is one."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{path}.{key}" if path else key
        found |= leaves(value, name) if isinstance(value, dict) and value else {name: value}
    return found


def test_every_option_is_rendered_as_something_else_than_its_default() -> None:
    default = leaves(yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8")))
    same = set(default)
    for path in CASES:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
        below = leaves(given)
        same -= {name for name in default if below.get(name, default[name]) != default[name]}
        # An object that is empty by default has keys of the user's choice.
        same -= {
            name
            for name, value in default.items()
            if value == {} and any(key.startswith(f"{name}.") for key in below)
        }
    assert same == set()


@pytest.mark.parametrize("values", CASES, ids=case_name)
def test_golden(render: Render, golden: Golden, values: Path) -> None:
    golden(f"postgres-ha/{case_name(values)}", render("postgres-ha", values))


@pytest.mark.parametrize("values", CASES, ids=case_name)
def test_helm_3_renders_the_same(render: Render, helm3: str, values: Path) -> None:
    by_3 = render("postgres-ha", values, helm=helm3)
    assert without_generated(by_3) == without_generated(render("postgres-ha", values))


@pytest.mark.parametrize("values", CASES, ids=case_name)
def test_two_renders_differ_in_generated_passwords_only(render: Render, values: Path) -> None:
    first, second = render("postgres-ha", values), render("postgres-ha", values)
    assert without_generated(first) == without_generated(second)


def test_a_new_chart_version_touches_labels_of_metadata_only(render: Render, tmp_path: Path) -> None:
    newer = shutil.copytree(CHART, tmp_path / "postgres-ha")
    meta = newer / "Chart.yaml"
    text = re.sub(r"(?m)^version: .*$", "version: 9.9.9", meta.read_text(encoding="utf-8"))
    meta.write_text(re.sub(r"(?m)^appVersion: .*$", 'appVersion: "9.9.9"', text), encoding="utf-8")

    values = {"image": {"digest": "sha256:" + "a" * 64}}
    before, after = (without_generated(render(chart, values)) for chart in ("postgres-ha", newer))

    assert find(before, "StatefulSet")["metadata"] != find(after, "StatefulSet")["metadata"]
    assert find(before, "StatefulSet")["spec"] == find(after, "StatefulSet")["spec"]
    for old, new in zip(before, after, strict=True):
        old.pop("metadata")
        new.pop("metadata")
    assert before == after


def test_what_kubernetes_never_lets_change(render: Render) -> None:
    """The immutable fields of the StatefulSet, written out: a difference here cannot be upgraded to."""
    identity = {
        "app.kubernetes.io/name": "postgres-ha",
        "app.kubernetes.io/instance": "demo",
        "app.kubernetes.io/component": "database",
    }
    spec = find(render("postgres-ha", {"storage": {"wal": {"enabled": True}}}), "StatefulSet")["spec"]
    assert spec["serviceName"] == "demo-members"
    assert spec["podManagementPolicy"] == "Parallel"
    assert spec["selector"] == {"matchLabels": identity}
    claims = {claim["metadata"]["name"]: claim for claim in spec["volumeClaimTemplates"]}
    assert list(claims) == ["data", "wal"]
    for claim, size in (("data", "8Gi"), ("wal", "2Gi")):
        assert claims[claim]["metadata"]["labels"] == identity
        assert claims[claim]["spec"] == {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": size}},
        }


def test_no_word_of_a_comment_restarts_members(render: Render) -> None:
    """They restart when this text changes: its digest is in the pods."""
    (text,) = [
        text
        for doc in render("postgres-ha", {"storage": {"wal": {"enabled": True}}})
        if doc["kind"] == "ConfigMap" and "-patroni-" in doc["metadata"]["name"]
        for text in doc["data"].values()
    ]
    assert "watchdog:" in text
    assert "#" not in text
