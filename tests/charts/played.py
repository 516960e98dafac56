"""Plays what a Patroni, or a Kubernetes API, answers."""

import http.client
import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pgha.kube import Api

Answer = tuple[int, Any]


class Server(ThreadingHTTPServer):
    """Answers from `routes`: a value or, to change with time, a function; `seen` holds what came in."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.routes: dict[str, Answer | Callable[[], Answer]] = {}
        self.seen: list[tuple[str, Any, str]] = []

    def bodies(self, route: str) -> list[Any]:
        return [body for seen, body, _ in self.seen if seen == route]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def answer(self) -> None:
        route = f"{self.command} {self.path}"
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append((route, json.loads(text or b"null"), self.headers.get("Authorization") or ""))
        found = self.server.routes.get(route, (404, "no such route"))
        status, body = found() if callable(found) else found
        self.send_response(status)
        self.end_headers()
        self.wfile.write((body if isinstance(body, str) else json.dumps(body)).encode())

    do_GET = do_POST = do_PATCH = answer  # noqa: N815 (the names that http.server calls)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


class NoServer(Api):
    """An Api without a server: whoever derives from it says what is answered."""

    def __init__(self) -> None:
        super().__init__(http.client.HTTPConnection("nowhere"), "token", "stage")


class OneMember(NoServer):
    """A StatefulSet with one pod, which is of the new kind or not, ready or not."""

    def __init__(self, *, is_updated: bool = True, is_ready: bool = True) -> None:
        super().__init__()
        self.is_updated, self.is_ready = is_updated, is_ready

    def find(self, path: str, group: str = "") -> dict[str, Any]:
        assert (path, group) == ("/statefulsets/db", "apps/v1")
        status = {"observedGeneration": 1, "updateRevision": "new"}
        spec = {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}}
        return {"metadata": {"generation": 1}, "status": status, "spec": spec}

    def pods(self, selector: str) -> list[dict[str, Any]]:
        assert selector == "a=b"
        labels = {"controller-revision-hash": "new" if self.is_updated else "old"}
        metadata = {"name": "db-0", "uid": "one", "labels": labels}
        spec = {"containers": [{"name": "keeper"}]}
        conditions = [{"type": "Ready", "status": str(self.is_ready)}]
        status = {"podIP": "10.0.0.1", "conditions": conditions}
        return [{"metadata": metadata, "spec": spec, "status": status}]
