"""What the chart's README shows is what works: its commands run as they stand there, in this order."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path

from tests.faults.database import CHART, ROOT
from tests.namespaces import have_namespace, write_kubeconfig
from tests.pages import fetch_block

BLOCKS = ("install", "members", "psql", "rotate", "remove")
KEPT = "pvc,secret,configmap"


def test_the_readme_s_commands_run(context: str, image: str, tmp_path: Path) -> None:
    del image  # it is there: what `make up` pushed is what is installed
    wrapper = tmp_path / "releaser"
    wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} -m releaser "$@"\n')
    wrapper.chmod(0o755)
    kubeconfig = write_kubeconfig(context, tmp_path / "kubeconfig")
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "KUBECONFIG": str(kubeconfig),
    }
    with have_namespace(context, f"faults-{secrets.token_hex(3)}") as namespace:
        script = "".join(fetch_block(CHART / "README.md", name) for name in BLOCKS)
        # The namespace is there already, under the `restricted` policy.
        script = script.replace("kubectl create namespace notes\n", "")
        script = script.replace("--namespace notes", f"--namespace {namespace}")
        selector = "app.kubernetes.io/instance=notejam-db"
        script += f"kubectl --namespace {namespace} get {KEPT} --selector {selector} --output name\n"
        done = subprocess.run(
            ["bash", "-euxc", script],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=800,
            check=False,
            env=environment,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        said = done.stdout
        assert "PostgreSQL 17" in said
        assert "PAUSED: nothing fails over by itself" in said
        assert "Phase:" in said
        assert "Succeeded" in said
        # Names as `kubectl get --output name` writes them.
        assert [line for line in said.partition("uninstalled")[2].splitlines() if "/" in line] == []
