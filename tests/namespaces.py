"""Namespaces of tests on a real cluster, and the way to it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS = 120


@contextmanager
def have_namespace(context: str, name: str) -> Iterator[str]:
    """Have a namespace under the `restricted` policy; its removal is not waited for."""
    kubectl = ["kubectl", "--context", context]
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    look = [
        "get",
        "namespace",
        name,
        "--ignore-not-found",
        "--output",
        "jsonpath={.metadata.deletionTimestamp}",
    ]
    if _run([*kubectl, *look]):
        # Of a run before, and on its way out: nothing can be made in it.
        _run([*kubectl, "wait", f"namespace/{name}", "--for=delete", f"--timeout={SECONDS - 10}s"])
    _run([*kubectl, "apply", "--filename", "-"], json.dumps(made))
    try:
        yield name
    finally:
        _run([*kubectl, "delete", "namespace", name, "--wait=false"])


def write_kubeconfig(context: str, path: Path) -> Path:
    """Write a kubeconfig with this context alone, for scripts that name none."""
    words = ["config", "view", "--raw", "--minify", "--flatten", "--context", context]
    path.touch(mode=0o600)
    path.write_text(_run(["kubectl", *words]))
    return path


def _run(command: list[str], text: str = "") -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout
