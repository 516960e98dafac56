"""Plays a cluster that a chart is rendered against, as far as Helm's `lookup` asks."""

import base64
import json
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).resolve().parents[2] / "charts" / "postgres-ha"
KINDS = {
    "v1": ("Secret", "ConfigMap", "Service", "ServiceAccount", "Pod", "PersistentVolumeClaim"),
    "apps/v1": ("StatefulSet",),
    "batch/v1": ("Job", "CronJob"),
    "policy/v1": ("PodDisruptionBudget",),
    "networking.k8s.io/v1": ("NetworkPolicy",),
    "rbac.authorization.k8s.io/v1": ("Role", "RoleBinding"),
    "cert-manager.io/v1": ("Certificate",),
}


# What an object has that an earlier revision of the release made: Helm 4 looks.
OWNED = {
    "labels": {"app.kubernetes.io/managed-by": "Helm"},
    "annotations": {
        "meta.helm.sh/release-name": "demo",
        "meta.helm.sh/release-namespace": "default",
    },
}


def _plural(kind: str) -> str:
    return kind.lower().replace("policy", "policie") + "s"


class Cluster:
    """Stands for a Kubernetes API that has Secrets and these objects, as far as Helm's `lookup` asks."""

    def __init__(self) -> None:
        self.secrets: dict[str, dict[str, str]] = {}
        self.objects: list[dict[str, Any]] = []

    def add(self, kind: str, name: str, labels: Mapping[str, str] | None = None, **more: Any) -> None:
        """Add an object of the release's namespace."""
        (version,) = [version for version, kinds in KINDS.items() if kind in kinds]
        metadata = {"name": name, **OWNED, "labels": {**OWNED["labels"], **(labels or {})}}
        self.objects.append({"apiVersion": version, "kind": kind, "metadata": metadata, **more})

    def _find(self, path: str) -> dict[str, Any] | None:
        """One object by its name, or all of a kind."""
        folder, _, last = path.partition("/namespaces/default/")[2].partition("/")
        found = [one for one in self.objects if _plural(one["kind"]) == folder]
        if last:
            return next((one for one in found if one["metadata"]["name"] == last), None)
        kinds = {_plural(kind): (kind, version) for version, names in KINDS.items() for kind in names}
        if folder not in kinds:
            return None
        kind, version = kinds[folder]
        return {"apiVersion": version, "kind": f"{kind}List", "metadata": {}, "items": found}

    def answer(self, path: str) -> dict[str, Any] | None:
        version = path.removeprefix("/api/").removeprefix("/apis/")
        folder, _, name = path.rpartition("/")
        if path == "/version":
            return {"major": "1", "minor": "34", "gitVersion": "v1.34.4"}
        if path == "/api":
            return {"kind": "APIVersions", "versions": ["v1"]}
        if path == "/apis":
            found = [{"groupVersion": name, "version": "v1"} for name in KINDS if "/" in name]
            groups = [{"name": one["groupVersion"].partition("/")[0], "versions": [one]} for one in found]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        if version in KINDS:
            resources = [{"name": _plural(kind), "kind": kind, "namespaced": True} for kind in KINDS[version]]
            return {"kind": "APIResourceList", "groupVersion": version, "resources": resources}
        if folder.endswith("/secrets") and name in self.secrets:
            data = {
                key: base64.b64encode(value.encode()).decode() for key, value in self.secrets[name].items()
            }
            return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, **OWNED}, "data": data}
        return self._find(path)


@contextmanager
def serve(cluster: Cluster) -> Iterator[str]:
    """Yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = cluster.answer(self.path.partition("?")[0])
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound"}
            self.wfile.write(json.dumps(found or missing).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Release:
    """The chart, rendered by one Helm against the cluster at an address."""

    def __init__(self, helm: str, address: str, home: Path) -> None:
        self._command = [helm, "template", "demo", str(CHART), "--kube-version", "1.34.4"]
        self._command += ["--dry-run=server", "--disable-openapi-validation", "--kube-apiserver", address]
        # Helm 3 asks for it when it upgrades, and not here.
        self._command += ["--api-versions", "cert-manager.io/v1/Certificate"]
        self._environ = {**os.environ, "KUBECONFIG": os.devnull, "HOME": str(home)}

    def _render(self, sets: tuple[str, ...], *, is_upgrade: bool) -> subprocess.CompletedProcess[str]:
        words = [word for value in sets for word in ("--set", value)]
        words += ["--is-upgrade"] if is_upgrade else []
        return subprocess.run(
            [*self._command, *words],
            capture_output=True, text=True, check=False, timeout=60, env=self._environ,
        )  # fmt: skip

    def docs(self, *sets: str, is_upgrade: bool = False) -> list[dict[str, Any]]:
        """Return all objects."""
        done = self._render(sets, is_upgrade=is_upgrade)
        assert done.returncode == 0, done.stderr
        return [doc for doc in yaml.load_all(done.stdout, Loader=yaml.CSafeLoader) if doc]

    def secrets(self, *sets: str) -> dict[str, dict[str, Any]]:
        """Return the Secrets by name, with decoded data."""
        found = {doc["metadata"]["name"]: doc for doc in self.docs(*sets) if doc["kind"] == "Secret"}
        for doc in found.values():
            doc["data"] = {key: base64.b64decode(text).decode() for key, text in doc["data"].items()}
        return found

    def error(self, *sets: str, is_upgrade: bool = False) -> str:
        """Return why it is refused."""
        done = self._render(sets, is_upgrade=is_upgrade)
        assert done.returncode != 0, "the values were accepted"
        return done.stderr
