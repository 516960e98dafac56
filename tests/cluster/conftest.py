"""The running local cluster, and throw-away stages beside the real ones.

`make up` must have run: these tests use its registry and its bundle, and never touch its stages.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.registry import TestRegistry
from tests.cluster.trial import Trial
from tests.namespaces import have_namespace

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def context() -> str:
    """The kube context of the cluster."""
    return os.environ.get("NOTEJAM_CONTEXT", "kind-notejam")


@pytest.fixture(scope="session")
def registry() -> str:
    """The registry with the project's prefix."""
    return os.environ.get("NOTEJAM_REGISTRY", "localhost:5001/notejam")


@pytest.fixture(scope="session")
def store(registry: str) -> TestRegistry:
    """The same registry, for making images and charts that differ a little."""
    return TestRegistry(registry)


@pytest.fixture(scope="session")
def version() -> str:
    """The bundle version that `make up` brought to development."""
    command = [
        sys.executable,
        "-m",
        "releaser",
        "--config",
        "values/pipeline.yaml",
        "--output",
        "json",
        "status",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, (
        f"the local cluster is not up, run `make up` first:\n{done.stdout}{done.stderr}"
    )
    found = json.loads(done.stdout)["stages"][0]["version"]
    assert found, f"development runs no verified bundle, run `make up` first:\n{done.stdout}"
    return str(found)


@pytest.fixture
def namespace(context: str) -> Iterator[str]:
    """A fresh namespace under the `restricted` policy, deleted afterwards."""
    with have_namespace(context, f"test-{secrets.token_hex(4)}") as name:
        yield name


@pytest.fixture(scope="module")
def trial(
    context: str, registry: str, store: TestRegistry, version: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Trial]:
    """Three stages of their own, small, on node ports that are kept for tests."""
    made = Trial(ROOT, tmp_path_factory.mktemp("trial"), context, registry, store, version)
    yield made
    made.remove()
