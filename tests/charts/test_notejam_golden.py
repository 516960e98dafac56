"""What the chart notejam renders: the same under Helm 3 and 4, each time, and in the next version."""

import copy
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).resolve().parents[2] / "charts" / "notejam"
CASES = sorted((CHART / "ci").glob("*-values.yaml"))
VERSIONED = {"helm.sh/chart", "app.kubernetes.io/version"}

Doc = dict[str, Any]
Render = Callable[..., list[Doc]]


def _sorted(docs: Sequence[Doc]) -> list[Doc]:
    return sorted(docs, key=lambda doc: (doc["kind"], doc["metadata"]["name"]))


def _without_generated_key(docs: Sequence[Doc]) -> list[Doc]:
    kept = copy.deepcopy(_sorted(docs))
    for doc in kept:
        if doc["kind"] == "Secret":
            doc["data"] = sorted(doc["data"])
    return kept


def test_there_is_a_case_with_everything_and_one_with_nothing() -> None:
    assert [case.name for case in CASES] == [
        "default-values.yaml",
        "everything-values.yaml",
        "minimal-values.yaml",
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
@pytest.mark.parametrize("version", ["helm4", "helm3"])
def test_golden(
    case: Path,
    version: str,
    request: pytest.FixtureRequest,
    render: Render,
    golden: Callable[[str, Sequence[Doc]], None],
) -> None:
    helm = request.getfixturevalue(version)
    golden(f"notejam/{case.name.removesuffix('-values.yaml')}", render("notejam", case, helm=helm))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_rendering_twice_gives_the_same(case: Path, render: Render) -> None:
    first, second = (_without_generated_key(render("notejam", case)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
@pytest.mark.parametrize("version", ["helm4", "helm3"])
def test_lint_is_clean(case: Path, version: str, request: pytest.FixtureRequest) -> None:
    helm = request.getfixturevalue(version)
    done = subprocess.run(
        [helm, "lint", "--strict", "--quiet", str(CHART), "--values", str(case)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _packaged(helm: str, version: str, into: Path) -> Path:
    """Package the chart the way a release does: both versions are set, the digest stands in the values."""
    source = into / version / "notejam"
    shutil.copytree(CHART, source)
    values = (source / "values.yaml").read_text()
    (source / "values.yaml").write_text(values.replace('digest: ""', "digest: sha256:" + "1" * 64))
    subprocess.run(
        [helm, "package", str(source), "--version", version, "--app-version", version, "-d", str(into)],
        capture_output=True,
        check=True,
        timeout=60,
    )
    return into / f"notejam-{version}.tgz"


def test_a_new_version_changes_only_the_labels_of_objects(helm4: str, render: Render, tmp_path: Path) -> None:
    old, new = (
        _without_generated_key(render(_packaged(helm4, version, tmp_path)))
        for version in ("0.1.0-h0123456789ab", "0.1.0-hba9876543210")
    )
    assert old != new
    for doc in [*old, *new]:
        for label in VERSIONED:
            del doc["metadata"]["labels"][label]
    assert old == new


def test_the_package_holds_what_an_install_needs_and_no_more(helm4: str, tmp_path: Path) -> None:
    package = _packaged(helm4, "0.1.0", tmp_path)
    done = subprocess.run(
        ["tar", "--list", "--file", str(package)], capture_output=True, text=True, check=True
    )
    names = {name.removeprefix("notejam/").partition("/")[0] for name in done.stdout.split()}
    assert names == {
        ".helmignore",
        "Chart.yaml",
        "README.md",
        "templates",
        "values.schema.json",
        "values.yaml",
    }


def _places(node: Any, key: str) -> list[Any]:
    """Everything that stands under this key, at any depth."""
    found = []
    if isinstance(node, dict):
        for name, child in node.items():
            found += [child] if name == key else []
            found += _places(child, key)
    elif isinstance(node, list):
        for child in node:
            found += _places(child, key)
    return found


def test_objects_carry_the_full_labels_and_selectors_only_the_lasting_ones(render: Render) -> None:
    for doc in render("notejam"):
        labels = doc["metadata"]["labels"]
        assert set(labels) == VERSIONED | {
            "app.kubernetes.io/name",
            "app.kubernetes.io/instance",
            "app.kubernetes.io/component",
            "app.kubernetes.io/part-of",
            "app.kubernetes.io/managed-by",
        }, doc["kind"]
        spec = doc.get("spec", {})
        selectors = [*_places(spec, "matchLabels"), *_places(spec, "labels")]
        selectors += [spec["selector"]] if doc["kind"] == "Service" else []
        for selector in selectors:
            assert set(selector) == {
                "app.kubernetes.io/name",
                "app.kubernetes.io/instance",
                "app.kubernetes.io/component",
            }, doc["kind"]


def _leaves(node: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    if not isinstance(node, dict) or not node:
        return {path: node}
    return {
        leaf: value for key, child in node.items() for leaf, value in _leaves(child, (*path, key)).items()
    }


def _without(values: Doc, path: tuple[str, ...]) -> Doc:
    changed = copy.deepcopy(values)
    parent = changed
    for key in path[:-1]:
        parent = parent[key]
    del parent[path[-1]]
    return changed


def test_every_option_does_something(render: Render) -> None:
    """Taking any one option out of "everything" must change what is rendered."""
    defaults = _leaves(yaml.safe_load((CHART / "values.yaml").read_text()))
    everything = yaml.safe_load((CHART / "ci" / "everything-values.yaml").read_text())
    not_alone = {
        ("image", "tag"),  # the digest beats it
        ("externalUrl",),  # mail demands it
        ("session", "existingSecret"),  # excludes session.key
        ("service", "type"),  # the schema refuses the other values without it
        ("service", "loadBalancerSourceRanges"),  # the schema demands them
    }
    everywhere = _sorted(render("notejam", everything))
    idle = []
    for path, value in _leaves(everything).items():
        if path in not_alone or path[0] == "global" or defaults.get(path) == value:
            continue
        if _sorted(render("notejam", _without(everything, path))) == everywhere:
            idle.append(".".join(path))
    assert idle == []


def test_everything_sets_every_option() -> None:
    defaults = _leaves(yaml.safe_load((CHART / "values.yaml").read_text()))
    everything = _leaves(yaml.safe_load((CHART / "ci" / "everything-values.yaml").read_text()))
    set_there = {path[:length] for path in everything for length in range(len(path) + 1)}
    assert set(defaults) - set_there == {("session", "existingSecret"), ("session", "formerKeysSecretKey")}


def test_helm_under_test_are_two_versions(helm4: str, helm3: str) -> None:
    for helm, major in ((helm4, "v4"), (helm3, "v3")):
        done = subprocess.run(
            [helm, "version", "--template", "{{.Version}}"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.startswith(major)
