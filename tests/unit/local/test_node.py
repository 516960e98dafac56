from __future__ import annotations

import pytest

from local.errors import LocalError
from local.node import image_for, storage_manifest

SOURCE = """\
const storageProvisionerImage = "kindest/provisioner:v1"
const defaultStorageManifest = `
kind: Deployment
image: ` + storageProvisionerImage + `
args:
- ` + storageHelperImage + `
`

const other = `x`
"""
LISTED = [
    "registry.test/kube-proxy:v1",
    "registry.test/coredns/coredns:v1.12.1",
    "registry.test/pause:3.10.1",
]


def test_the_storage_manifest_gets_our_images() -> None:
    made = storage_manifest(SOURCE, "ours/provisioner:1", "ours/helper:1")
    assert made == "kind: Deployment\nimage: ours/provisioner:1\nargs:\n- ours/helper:1\n"


def test_another_source_is_noticed() -> None:
    with pytest.raises(LocalError, match="storageHelperImage"):
        storage_manifest(SOURCE.replace("storageHelperImage", "renamed"), "a", "b")


def test_images_are_found_by_their_program() -> None:
    assert image_for(LISTED, "coredns") == "registry.test/coredns/coredns:v1.12.1"
    assert image_for(LISTED, "pause") == "registry.test/pause:3.10.1"
    with pytest.raises(LocalError, match="etcd"):
        image_for(LISTED, "etcd")
