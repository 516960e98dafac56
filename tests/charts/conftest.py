"""Fixtures of the chart tests: helm4, helm3, render, render_error, golden, walk_pod_specs, postgres.

helm4, helm3      path of the program: environment HELM4 / HELM3, else `helm` / `helm3` on PATH
render(chart, values=None, *, sets=(), release="demo", namespace="demo", helm=None) -> list of documents
                  chart is a folder of charts/ by name, or a Path; values is a dict, or the Path of a file,
                  or a list of these; sets are "--set" arguments; helm is a path (Helm 4 if left out)
render_error(...) the same arguments; the rendering must fail, its message is returned
golden(name, docs)  compares with tests/golden/charts/<name>.yaml; GOLDEN_UPDATE=1 writes the file instead.
                  Secrets are shown decoded, and generated text (PEM, 32 and more letters and digits) masked,
                  so charts must generate at least 32 characters
walk_pod_specs(docs) -> list of PodSpec(where, template, spec), of every workload, hook and test pod
postgres          a PostgreSQL server for the tests of one file
server            a tests.charts.played.Server, running
release           postgres-ha, rendered by Helm 4 and 3 against `cluster`, a tests.charts.looked_up.Cluster
"""

import base64
import copy
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.app.postgres_server import run_postgres
from tests.charts.looked_up import Cluster, Release, serve
from tests.charts.played import Server

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "charts"
KUBE_VERSION = "1.34.4"

Doc = dict[str, Any]
Values = Doc | Path | Sequence[Doc | Path] | None


@dataclass(frozen=True)
class PodSpec:
    """A pod as one object declares it; template holds its metadata and spec."""

    where: str
    template: Doc
    spec: Doc

    @property
    def containers(self) -> list[Doc]:
        """Every container, the init ones first."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]


def _program(variable: str, name: str) -> str:
    found = os.environ.get(variable) or shutil.which(name)
    if not found:
        pytest.fail(f"{name} is not on PATH and {variable} is not set: chart tests need it")
    return found


@pytest.fixture(scope="session")
def helm4() -> str:
    return _program("HELM4", "helm")


@pytest.fixture(scope="session")
def helm3() -> str:
    return _program("HELM3", "helm3")


def _template(
    helm: str, chart: str | Path, values: Values, *, sets: Sequence[str], release: str, namespace: str
) -> subprocess.CompletedProcess[str]:
    folder = chart if isinstance(chart, Path) else ROOT / "charts" / chart
    command = [helm, "template", release, str(folder), "--namespace", namespace]
    command += ["--kube-version", KUBE_VERSION]
    several: Sequence[Doc | Path] = [values] if isinstance(values, dict | Path) else (values or [])
    inline: Doc | None = None
    for item in several:
        if isinstance(item, Path):
            command += ["--values", str(item)]
        elif inline is None:
            inline = item
            command += ["--values", "-"]
        else:
            pytest.fail("one dict of values at most: standard input carries it")
    for assignment in sets:
        command += ["--set", assignment]
    text = None if inline is None else yaml.safe_dump(inline)
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture(scope="session")
def render(helm4: str) -> Callable[..., list[Doc]]:
    def run(
        chart: str | Path,
        values: Values = None,
        *,
        sets: Sequence[str] = (),
        release: str = "demo",
        namespace: str = "demo",
        helm: str | None = None,
    ) -> list[Doc]:
        done = _template(helm or helm4, chart, values, sets=sets, release=release, namespace=namespace)
        assert done.returncode == 0, done.stderr
        # libyaml: six times as fast as the parser in Python
        return [doc for doc in yaml.load_all(done.stdout, Loader=yaml.CSafeLoader) if doc]

    return run


@pytest.fixture(scope="session")
def render_error(helm4: str) -> Callable[..., str]:
    def run(
        chart: str | Path,
        values: Values = None,
        *,
        sets: Sequence[str] = (),
        release: str = "demo",
        namespace: str = "demo",
        helm: str | None = None,
    ) -> str:
        done = _template(helm or helm4, chart, values, sets=sets, release=release, namespace=namespace)
        assert done.returncode != 0, "the values were accepted"
        return done.stderr

    return run


def _masked(doc: Doc) -> Doc:
    if doc["kind"] != "Secret":
        return doc
    shown = copy.deepcopy(doc)
    for key, value in shown.get("data", {}).items():
        shown["data"][key] = base64.b64decode(value).decode()
    for part in ("data", "stringData"):
        for key, value in shown.get(part, {}).items():
            text = re.sub(r"(?s)-----BEGIN ([A-Z ]+)-----.*?-----END \1-----", r"<generated \1>", value)
            shown[part][key] = re.sub(r"[A-Za-z0-9]{32,}", "<generated>", text)
    return shown


def _sorted(docs: Sequence[Doc]) -> list[Doc]:
    """Order by kind and name: Helm 3 and 4 need not agree on the order of output."""
    return sorted(docs, key=lambda doc: (doc["kind"], doc["metadata"]["name"]))


@pytest.fixture
def golden() -> Callable[[str, Sequence[Doc]], None]:
    def compare(name: str, docs: Sequence[Doc]) -> None:
        path = GOLDEN / f"{name}.yaml"
        shown = [_masked(doc) for doc in _sorted(docs)]
        text = yaml.safe_dump_all(shown, sort_keys=True, width=110)
        if os.environ.get("GOLDEN_UPDATE"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"{path} is missing: run once with GOLDEN_UPDATE=1"
        assert text == path.read_text(encoding="utf-8"), f"{path} differs: GOLDEN_UPDATE=1 rewrites it"

    return compare


@pytest.fixture(scope="module")
def postgres() -> Iterator[Any]:
    with run_postgres() as found:
        yield found


@pytest.fixture(scope="session")
def walk_pod_specs() -> Callable[[Sequence[Doc]], list[PodSpec]]:
    def walk(docs: Sequence[Doc]) -> list[PodSpec]:
        found = []
        for doc in docs:
            where = f"{doc['kind']}/{doc['metadata']['name']}"
            if doc["kind"] == "Pod":
                template = doc
            elif doc["kind"] == "CronJob":
                template = doc["spec"]["jobTemplate"]["spec"]["template"]
            elif "template" in doc.get("spec", {}):
                template = doc["spec"]["template"]
            else:
                continue
            found.append(PodSpec(where, template, template["spec"]))
        return found

    return walk


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture(params=["helm4", "helm3"])
def release(request: pytest.FixtureRequest, cluster: Cluster, tmp_path: Path) -> Iterator[Release]:
    with serve(cluster) as address:
        yield Release(request.getfixturevalue(request.param), address, tmp_path)
