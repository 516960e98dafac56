"""Images upon that of the checkout, for the registry that the cluster takes them from."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.faults.database import run
from tests.faults.nodes import ENGINE

BUILD_SECONDS = 600


def push_upon(base: str, folder: Path, name: str) -> str:
    """Build a folder's Dockerfile upon a base (repository@digest); return what came of it, likewise."""
    plain = ("--tls-verify=false",) if ENGINE == "podman" else ()
    words = ("--quiet", "--build-arg", f"BASE={base}", "--tag", name, str(folder))
    run(ENGINE, "build", *plain, *words, seconds=BUILD_SECONDS)
    if ENGINE == "podman":
        with tempfile.NamedTemporaryFile() as file:
            run(ENGINE, "push", *plain, "--digestfile", file.name, name)
            digest = Path(file.name).read_text().strip()
    else:
        run(ENGINE, "push", name)
        digests = run(ENGINE, "inspect", "--format", '{{join .RepoDigests " "}}', name)
        digest = digests.partition("@")[2].split()[0]
    run(ENGINE, "rmi", name)
    return f"{name.rpartition(':')[0]}@{digest}"
