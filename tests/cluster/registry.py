"""Makes variants of images in the registry by its HTTP API alone: another variable, another file."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from typing import Any

import requests

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
SECONDS = 30


class TestRegistry:
    """A registry that speaks plain HTTP, such as the local one."""

    __test__ = False  # a helper, though its name looks like a test's

    def __init__(self, prefix: str) -> None:
        self.host, self.path = prefix.split("/", 1)

    def derive(
        self,
        repository: str,
        digest: str,
        *,
        env: dict[str, str] | None = None,
        files: dict[str, str] | None = None,
    ) -> str:
        """Push a copy of an image with other environment variables and added files; return its digest."""
        manifest = self._get(repository, f"manifests/{digest}", f"{MANIFEST}, {DOCKER_MANIFEST}").json()
        config = self._get(repository, f"blobs/{manifest['config']['digest']}").json()
        kept = [entry for entry in config["config"].get("Env", []) if entry.split("=")[0] not in (env or {})]
        config["config"]["Env"] = kept + [f"{name}={value}" for name, value in (env or {}).items()]
        if files:
            layer, diff_id = _make_layer(files)
            kind = manifest["layers"][0]["mediaType"].replace(".tar+zstd", ".tar+gzip")
            manifest["layers"].append(
                {"mediaType": kind, "digest": self._push_blob(repository, layer), "size": len(layer)}
            )
            config["rootfs"]["diff_ids"].append(diff_id)
            config.setdefault("history", []).append({"created_by": "test"})
        data = json.dumps(config).encode()
        manifest["config"].update(digest=self._push_blob(repository, data), size=len(data))
        body = json.dumps(manifest).encode()
        found = _digest(body)
        answer = requests.put(
            self._url(repository, f"manifests/{found}"),
            data=body,
            headers={"Content-Type": manifest.get("mediaType", MANIFEST)},
            timeout=SECONDS,
        )
        assert answer.status_code == requests.codes.created, answer.text
        return found

    def drop_last_layer(self, repository: str, digest: str) -> None:
        """Delete the last layer of an image: its manifest stays, but nobody can pull it any more."""
        manifest = self._get(repository, f"manifests/{digest}", f"{MANIFEST}, {DOCKER_MANIFEST}").json()
        layer = manifest["layers"][-1]["digest"]
        answer = requests.delete(self._url(repository, f"blobs/{layer}"), timeout=SECONDS)
        assert answer.status_code == requests.codes.accepted, answer.text

    def digest_of(self, repository: str, reference: str) -> str:
        """Return the digest that the registry itself computes for a reference."""
        answer = requests.head(
            self._url(repository, f"manifests/{reference}"),
            headers={"Accept": f"{MANIFEST}, {DOCKER_MANIFEST}"},
            timeout=SECONDS,
        )
        assert answer.status_code == requests.codes.ok, f"{repository}@{reference}: {answer.status_code}"
        return answer.headers["Docker-Content-Digest"]

    def _push_blob(self, repository: str, data: bytes) -> str:
        digest = _digest(data)
        start = requests.post(self._url(repository, "blobs/uploads/"), timeout=SECONDS)
        separator = "&" if "?" in start.headers["Location"] else "?"
        answer = requests.put(
            f"{start.headers['Location']}{separator}digest={digest}",
            data=data,
            headers={"Content-Type": "application/octet-stream"},
            timeout=SECONDS,
        )
        assert answer.status_code == requests.codes.created, answer.text
        return digest

    def _get(self, repository: str, rest: str, accept: str = "*/*") -> Any:
        answer = requests.get(self._url(repository, rest), headers={"Accept": accept}, timeout=SECONDS)
        assert answer.status_code == requests.codes.ok, f"{rest}: {answer.status_code} {answer.text}"
        return answer

    def _url(self, repository: str, rest: str) -> str:
        return f"http://{self.host}/v2/{self.path}/{repository}/{rest}"


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _make_layer(files: dict[str, str]) -> tuple[bytes, str]:
    """Return a gzipped tar of the files and the digest of the tar itself."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        for path, text in files.items():
            info = tarfile.TarInfo(path.lstrip("/"))
            info.size, info.mode = len(text.encode()), 0o644
            archive.addfile(info, io.BytesIO(text.encode()))
    return gzip.compress(plain.getvalue(), mtime=0), _digest(plain.getvalue())
