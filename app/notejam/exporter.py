"""Metrics on a port of their own, for all workers of a gunicorn together.

Every worker keeps its values in files of a folder, under the number of its place: a worker that takes a dead
one's place goes on counting where that one stopped, so there are never more files than places. Every worker
answers on the port, in a thread apart from those that serve people, with the values of all.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, multiprocess, values
from prometheus_client.exposition import choose_encoder

from notejam.environment import ConfigError

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # where the library looks for the folder
PORT_EXAMPLE = "NOTEJAM_METRICS_PORT=9102"
TIMEOUT_SECONDS = 10


class Worker(Protocol):
    """A worker of gunicorn, on which its place is noted."""

    notejam_place: int


class Exporter:
    """The port and the folder. Made once, before the app and the fork."""

    def __init__(self, port: int) -> None:
        """Take the port, and with it the right to empty the folder; raises ConfigError."""
        self.place = "parent"
        try:
            self._listener = socket.create_server(("", port))
        except OSError as error:
            raise ConfigError(
                "NOTEJAM_METRICS_PORT",
                f"names a port that cannot be opened: {os.strerror(error.errno or 0)}",
                PORT_EXAMPLE,
            ) from None
        self._listener.setblocking(False)  # the workers wait for it together, and one of them is first
        self.port: int = self._listener.getsockname()[1]
        self.folder = _empty_folder(Path(tempfile.gettempdir()) / f"notejam-metrics-{self.port}")
        os.environ[FOLDER_VARIABLE] = str(self.folder)
        values.ValueClass = values.MultiProcessValue(lambda: self.place)  # type: ignore[no-untyped-call] # untyped there

    @staticmethod
    def assign(worker: Worker, others: list[Worker]) -> None:
        """Give a new worker the lowest place that is free."""
        taken = {other.notejam_place for other in others}
        worker.notejam_place = next(place for place in range(len(taken) + 1) if place not in taken)

    def begin(self, worker: Worker) -> None:
        """Count in the worker's place, and answer; called in the worker."""
        self.place = str(worker.notejam_place)
        server = ThreadingHTTPServer(("", self.port), _Handler, bind_and_activate=False)
        server.socket.close()
        server.socket = self._listener
        Thread(target=server.serve_forever, name="metrics", daemon=True).start()

    def end(self, worker: Worker) -> None:
        """Take out what a dead worker was busy with; called in the parent. What it has counted stays."""
        multiprocess.mark_process_dead(  # type: ignore[no-untyped-call] # untyped there
            worker.notejam_place, str(self.folder)
        )


_prepared: dict[int, Exporter] = {}


def prepare(port: int) -> Exporter | None:
    """Make what serves metrics on the port; 0 means none. A reload of gunicorn finds what there is."""
    if port and port not in _prepared:
        _prepared[port] = Exporter(port)
    return _prepared.get(port)


def _empty_folder(folder: Path) -> Path:
    """Make the folder anew: what an earlier process left there must not be counted again."""
    try:
        if folder.exists() or folder.is_symlink():
            if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
                raise ConfigError(
                    "NOTEJAM_METRICS_PORT", f"would use {folder}, which is not ours", PORT_EXAMPLE
                )
            shutil.rmtree(folder)
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise ConfigError(
            "NOTEJAM_METRICS_PORT", f"needs the folder {folder}: {error.strerror}", PORT_EXAMPLE
        ) from None
    return folder


class _Handler(BaseHTTPRequestHandler):
    """Answers GET /metrics."""

    timeout = TIMEOUT_SECONDS
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer with the values of all workers."""
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(404)
            return
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call] # untyped there
        encode, content_type = choose_encoder(self.headers.get("Accept", ""))
        body = encode(registry)
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        """Keep Python's version to ourselves."""
        return "notejam"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Say nothing: a scrape every few seconds is no event."""
