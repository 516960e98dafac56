"""What the chart's README shows is what works: its commands run as they stand there, in this order."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path

from local.workshop import make_workshop
from tests.faults.database import CHART, ROOT, Database, run
from tests.faults.nodes import ENGINE
from tests.namespaces import have_namespace, write_kubeconfig
from tests.pages import fetch_block

# The registry of `make up`, and a name in it that nothing else has.
REGISTRY = "localhost:5001/notejam/readme"
BLOCKS = ("install", "members", "psql", "rotate", "remove")
KEPT = "pvc,secret,configmap"


def run_script(script: str, context: str, tmp_path: Path) -> str:
    """Run what a page shows, in the repository and on the local cluster; return what it prints."""
    wrapper = tmp_path / "releaser"
    wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} -m releaser "$@"\n')
    wrapper.chmod(0o755)
    kubeconfig = write_kubeconfig(context, tmp_path / "kubeconfig")
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "KUBECONFIG": str(kubeconfig),
    }
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
    return done.stdout


def test_the_readme_s_commands_run(context: str, image: str, tmp_path: Path) -> None:
    del image  # it is there: what `make up` pushed is what is installed
    with have_namespace(context, f"faults-{secrets.token_hex(3)}") as namespace:
        script = "".join(fetch_block(CHART / "README.md", name) for name in BLOCKS)
        # The namespace is there already, under the `restricted` policy.
        script = script.replace("kubectl create namespace notes\n", "")
        script = script.replace("--namespace notes", f"--namespace {namespace}")
        selector = "app.kubernetes.io/instance=notejam-db"
        script += f"kubectl --namespace {namespace} get {KEPT} --selector {selector} --output name\n"
        said = run_script(script, context, tmp_path)
        assert "PostgreSQL 17" in said
        assert "PAUSED: nothing fails over by itself" in said
        assert "Phase:" in said
        assert "Succeeded" in said
        # Names as `kubectl get --output name` writes them.
        assert [line for line in said.partition("uninstalled")[2].splitlines() if "/" in line] == []


def test_an_image_of_one_s_own_works(context: str, image: str, tmp_path: Path) -> None:
    base = make_workshop().image_makers["postgres"].base
    plain = " --tls-verify=false" if ENGINE == "podman" else ""
    with have_namespace(context, f"faults-{secrets.token_hex(3)}") as namespace:
        script = fetch_block(CHART / "README.md", "image")
        for shown, here in (
            ("registry=registry.example.com/notejam", f"registry={REGISTRY}"),
            # Debian's image is not in this registry.
            ("podman build", f"{ENGINE} build --build-arg BASE={base}"),
            ("podman push", f"{ENGINE} push{plain}"),
            ("--namespace notes", f"--namespace {namespace}"),
        ):
            assert shown in script
            script = script.replace(shown, here)
        run_script(script, context, tmp_path)
        database = Database(context, namespace, image, release="notejam-db")
        database.size = 3
        database.wait_well(300)
        assert "PostgreSQL 17" in database.sql("SELECT version()")
    run(ENGINE, "rmi", f"{REGISTRY}/postgres:17")
