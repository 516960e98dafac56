"""The images of the checkout in the registry, and others upon them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from local.images import ProductImage, Store
from local.settings import read_settings
from local.workshop import make_workshop
from tests.faults.database import ROOT, FaultError, run
from tests.faults.nodes import ENGINE

BUILD_SECONDS = 600


def find_image(product: ProductImage) -> str:
    """Return repository@digest of an image of this checkout; raise FaultError where it was not pushed yet."""
    settings = read_settings(os.environ, ROOT)
    version = make_workshop().image_makers[product.name].version()
    digest = Store(settings).digest(product.name, version)
    if not digest:
        raise FaultError(f"{product.name}:{version} is not in the registry, run `make up` first")
    return f"{settings.registry}/{product.name}@{digest}"


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
