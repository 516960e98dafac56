"""What the README shows is what works: its commands run as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.namespaces import write_kubeconfig
from tests.pages import fetch_block

ROOT = Path(__file__).parents[2]


@pytest.fixture
def clean(context: str) -> Iterator[str]:
    """The README's namespace, absent before and after."""
    remove = ["kubectl", "--context", context, "delete", "namespace", "by-hand", "--ignore-not-found"]
    subprocess.run(remove, check=True, capture_output=True, timeout=300)
    yield "by-hand"
    subprocess.run([*remove, "--wait=false"], check=True, capture_output=True, timeout=60)


def test_both_charts_install_by_hand_as_the_readme_shows(
    clean: str, context: str, version: str, tmp_path: Path
) -> None:
    script = fetch_block(ROOT / "README.md", "by-hand").replace(
        "kubectl create namespace by-hand",
        (
            "kubectl create namespace by-hand\n"
            "kubectl label namespace by-hand pod-security.kubernetes.io/enforce=restricted"
        ),
    )
    wrapper = tmp_path / "releaser"
    wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} -m releaser "$@"\n')
    wrapper.chmod(0o755)
    kubeconfig = write_kubeconfig(context, tmp_path / "kubeconfig")
    done = subprocess.run(
        ["bash", "-euxc", script], cwd=ROOT, capture_output=True, text=True, timeout=900, check=False,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "KUBECONFIG": str(kubeconfig)},
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"bundle {version}" in done.stdout
    assert re.search(r"Phase:\s+Succeeded", done.stdout), done.stdout
    assert clean in done.stdout
