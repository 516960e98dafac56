"""As much of a Kubernetes API as the adapters' tests need: objects, versions, conflicts, trouble."""

from __future__ import annotations

import copy
import json
import threading
from typing import TYPE_CHECKING, Any

import httpx2
from lightkube import Client
from lightkube.config.kubeconfig import KubeConfig, SingleConfig
from lightkube.config.models import Cluster, User

from releaser.adapters.kube import KubeClients

if TYPE_CHECKING:
    from collections.abc import Callable

Answer = httpx2.Response | Exception | None


class TinyApi:
    """Keeps objects by path. `before` may answer, raise or change things before each request."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.requests: list[str] = []
        self.before: Callable[[httpx2.Request], Answer] = lambda _: None
        self._version = 0
        self._lock = threading.Lock()

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(f"{request.method} {request.url.path}")
        answer = self.before(request)
        if isinstance(answer, Exception):
            raise answer
        with self._lock:
            return answer or self._handle(request, request.url.path)

    def put(self, path: str, data: dict[str, Any]) -> dict[str, Any]:
        """Store an object under a new version, like somebody else would."""
        self._version += 1
        metadata = {"creationTimestamp": "2026-01-01T00:00:00Z", **data.get("metadata", {})}
        self.objects[path] = {**data, "metadata": {**metadata, "resourceVersion": str(self._version)}}
        return self.objects[path]

    def _handle(self, request: httpx2.Request, path: str) -> httpx2.Response:
        found = self.objects.get(path)
        data = json.loads(request.content) if request.content else {}
        if request.method == "POST":
            return self._create(f"{path}/{data['metadata']['name']}", data)
        if found is None:
            is_list = request.method == "GET" and path.endswith("s")
            labels = request.url.params.get("labelSelector", "")
            return self._list(path, labels) if is_list else refuse(404, f"{path} not found")
        if request.method == "PUT":
            return self._replace(path, found, data)
        if request.method == "DELETE":
            del self.objects[path]
        return answer_with(found)

    def _create(self, path: str, data: dict[str, Any]) -> httpx2.Response:
        return refuse(409, "already exists") if path in self.objects else answer_with(self.put(path, data))

    def _replace(self, path: str, found: dict[str, Any], data: dict[str, Any]) -> httpx2.Response:
        version = data["metadata"].get("resourceVersion")
        if version and version != found["metadata"]["resourceVersion"]:
            return refuse(409, "the object has been modified")
        return answer_with(self.put(path, data))

    def _list(self, path: str, selector: str) -> httpx2.Response:
        wanted = dict(part.split("=") for part in selector.split(",") if part)
        items = [
            copy.deepcopy(item)
            for key, item in self.objects.items()
            if key.startswith(f"{path}/") and wanted.items() <= item["metadata"].get("labels", {}).items()
        ]
        return answer_with({"items": items, "metadata": {}})


def answer_with(data: dict[str, Any], status: int = 200) -> httpx2.Response:
    return httpx2.Response(status, json=data, headers={"Content-Type": "application/json"})


def refuse(status: int, message: str) -> httpx2.Response:
    return answer_with({"kind": "Status", "code": status, "message": message}, status)


class TinyClients(KubeClients):
    """Clients whose requests all go to a tiny API."""

    def __init__(self, api: TinyApi) -> None:
        super().__init__({"KUBECONFIG": "/nonexistent"})
        config = KubeConfig.from_one(cluster=Cluster(server="http://tiny"), user=User()).get()
        assert isinstance(config, SingleConfig)
        transport = httpx2.MockTransport(api)
        self._tiny = Client(config=config, transport=transport, field_manager="releaser", trust_env=False)
        self._tiny_raw = httpx2.Client(base_url="http://tiny", transport=transport, trust_env=False)

    def client(self, context: str) -> Client:
        assert context == "kind-notejam"
        return self._tiny

    def raw(self, context: str) -> httpx2.Client:
        assert context == "kind-notejam"
        return self._tiny_raw
