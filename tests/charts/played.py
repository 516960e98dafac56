"""Plays what a Patroni, or a Kubernetes API, answers."""

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

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
