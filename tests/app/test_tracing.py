"""Traces: off unless asked for; spans of requests and statements, without private values."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from flask import Flask
from notejam.models import User
from notejam.tracing import begin_tracing
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, format_trace_id

from tests.app.serving import GUNICORN, Start, get
from tests.app.store import SECRET, MakeDatabase
from tests.app.test_logs import TRACE, TRACEPARENT
from tests.app.website import Visitor


@pytest.fixture
def spans(app: Flask) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    begin_tracing(app, exporter, "1.2.3")
    yield exporter
    app.extensions["notejam.tracer_provider"].shutdown()


def finished(app: Flask, exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    app.extensions["notejam.tracer_provider"].force_flush()
    found = list(exporter.get_finished_spans())
    exporter.clear()
    return found


def test_a_request_and_its_statements(
    signed_in: Visitor, app: Flask, ann: User, spans: InMemorySpanExporter
) -> None:
    finished(app, spans)
    signed_in.get("/notes/123/?private=1", headers={"traceparent": TRACEPARENT})

    *statements, request = finished(app, spans)
    assert (request.name, request.kind) == ("GET /notes/<note_id>/", SpanKind.SERVER)
    assert request.context is not None
    assert request.parent is not None
    assert format_trace_id(request.context.trace_id) == TRACE
    assert f"{request.parent.span_id:016x}" == TRACEPARENT.split("-")[2]
    assert request.attributes == {
        "http.request.method": "GET",
        "http.route": "/notes/<note_id>/",
        "http.response.status_code": 404,
        "user.id": str(ann.id),
    }
    assert request.resource.attributes["service.version"] == "1.2.3"
    assert [span.name for span in statements if span.name != "PRAGMA"][:2] == ["SELECT", "SELECT"]
    for span in statements:
        assert span.parent is not None
        assert span.parent.span_id == request.context.span_id
    assert "private" not in "".join(span.to_json() for span in [*statements, request])


def test_a_failed_request_is_marked(signed_in: Visitor, app: Flask, spans: InMemorySpanExporter) -> None:
    def fail() -> None:
        raise RuntimeError("a fault")

    app.view_functions["notes.index"] = fail
    signed_in.get("/")

    [request] = [
        span for span in finished(app, spans) if span.kind is SpanKind.SERVER and span.name == "GET /"
    ]
    assert request.status.status_code is StatusCode.ERROR


def test_they_are_not_even_imported_while_they_are_off(app_folder: Path, tmp_path: Path) -> None:
    program = (
        "import sys, notejam\n"
        "notejam.create_app().test_client().get('/healthz')\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'google', 'requests'))])"
    )
    environment = {"DATABASE_URL": f"sqlite:///{tmp_path}/x", "SECRET_KEY": SECRET}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=app_folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "[]\n"


def test_spans_reach_a_collector_from_the_workers(start: Start, make_database: MakeDatabase) -> None:
    received: list[ExportTraceServiceRequest] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    collector = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    with make_database("sqlite") as url:
        process, port = start(
            [*GUNICORN, "--bind", "127.0.0.1:PORT", "notejam.wsgi:app"],
            {
                "DATABASE_URL": str(url),
                "SECRET_KEY": SECRET,
                "WEB_CONCURRENCY": "1",
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
                "OTEL_SERVICE_NAME": "notes",
            },
        )
        assert get(port, "/signin/")[0] == 200
        process.terminate()
        assert process.wait(30) == 0, "what is left is sent at the end"
    collector.shutdown()
    collector.server_close()

    names = {
        span.name
        for request in received
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    }
    assert "GET /signin/" in names
    services = {
        attribute.value.string_value
        for request in received
        for resource in request.resource_spans
        for attribute in resource.resource.attributes
        if attribute.key == "service.name"
    }
    assert services == {"notes"}
