"""What is counted, for Prometheus. Labels come from the code alone, never from what a visitor sends."""

from __future__ import annotations

from typing import cast

from flask import Flask, current_app
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from sqlalchemy import Engine, event

from notejam.config import Settings

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Seconds: pages take milliseconds, hashes of passwords a tenth, a wait for the database up to ten.
BUCKETS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The counters of one app. Gauges add up over the live workers."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register all of them, at zero."""
        self.registry = registry
        request = ("method", "route")
        self.requests = Counter(
            "notejam_http_requests_total", "Requests answered.", (*request, "status"), registry=registry
        )
        self.seconds = Histogram(
            "notejam_http_request_duration_seconds",
            "Time from a request to its answer.",
            request,
            buckets=BUCKETS,
            registry=registry,
        )
        self.in_flight = self._gauge("notejam_http_requests_in_flight", "Requests being answered now.")
        self.connections = self._gauge(
            "notejam_database_connections", "Connections to the database, by role and state.", "role", "state"
        )
        self.unavailable = Counter(
            "notejam_database_unavailable_total",
            "Requests refused because the database was away.",
            registry=registry,
        )
        self.reads = Counter(
            "notejam_database_reads_total",
            "Pages by where they were read from.",
            ("role",),
            registry=registry,
        )
        self.sign_ins = Counter(
            "notejam_sign_ins_total", "Attempts to sign in, by result.", ("result",), registry=registry
        )
        self.notes_created = Counter("notejam_notes_created_total", "Notes created.", registry=registry)
        self.build = Gauge(
            "notejam_build_info",
            "1, labelled with the build.",
            ("version", "commit"),
            registry=registry,
            multiprocess_mode="livemax",
        )

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry, multiprocess_mode="livesum")

    def watch_pool(self, engine: Engine, role: str) -> None:
        """Follow the connections of an engine: how many there are and how many are in use."""
        opened = self.connections.labels(role, "open")
        in_use = self.connections.labels(role, "in_use")
        event.listen(engine, "connect", lambda *_: opened.inc())
        event.listen(engine, "close", lambda *_: opened.dec())
        event.listen(engine, "close_detached", lambda *_: opened.dec())
        event.listen(engine, "checkout", lambda *_: in_use.inc())
        event.listen(engine, "checkin", lambda *_: in_use.dec())


def metrics() -> Metrics:
    """Return the counters of the current app."""
    return cast("Metrics", current_app.extensions["notejam.metrics"])


def count_sign_in(result: str) -> None:
    """Count an attempt to sign in: `ok`, `wrong` or `limited`."""
    metrics().sign_ins.labels(result).inc()


def count_note() -> None:
    """Count a note that was created."""
    metrics().notes_created.inc()


def method_label(method: str) -> str:
    """Name a method; a visitor may send any word."""
    return method if method in METHODS else "other"


def init_app(app: Flask, settings: Settings) -> None:
    """Give the app its counters."""
    made = Metrics(CollectorRegistry())
    app.extensions["notejam.metrics"] = made
    made.watch_pool(app.extensions["notejam.engine"], "primary")
    if app.extensions["notejam.replica"] is not None:
        made.watch_pool(app.extensions["notejam.replica"].engine, "replica")
    made.build.labels(settings.version, settings.commit).set(1)
