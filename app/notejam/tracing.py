"""Traces, for a collector that speaks OTLP. Off unless the settings name one; then, and only then, imported.

A span for each request and one for each statement below it, with routes and statements but no values: the
ready-made instrumentations would also tell addresses, queries and the tokens in links.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Flask, current_app, g, request
from sqlalchemy import Engine, event

from notejam.config import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Tracer


def begin() -> str | None:
    """Begin the span of the request, below the caller's if there is one; return the id of the trace."""
    tracer: Tracer | None = current_app.extensions["notejam.tracer"]
    if tracer is None:
        return None
    from opentelemetry import context, trace
    from opentelemetry.propagate import extract

    span = tracer.start_span(
        request.method,
        context=extract(request.headers),
        kind=trace.SpanKind.SERVER,
        attributes={"http.request.method": request.method},
    )
    g.span = span
    g.span_token = context.attach(trace.set_span_in_context(span))
    return trace.format_trace_id(span.get_span_context().trace_id)


def describe(status: int, route: str, user_id: int | None) -> None:
    """Add to the span what is known at the end."""
    span = g.get("span")
    if span is None:
        return
    from opentelemetry.trace import StatusCode

    span.update_name(f"{request.method} {route}")
    span.set_attribute("http.route", route)
    span.set_attribute("http.response.status_code", status)
    if user_id is not None:
        span.set_attribute("user.id", str(user_id))
    if status >= 500:  # noqa: PLR2004 - a server's error
        span.set_status(StatusCode.ERROR)


def end() -> None:
    """End the span of the request."""
    span = g.pop("span", None)
    if span is not None:
        from opentelemetry import context

        context.detach(g.pop("span_token"))
        span.end()


def _watch_statements(engine: Engine, tracer: Tracer) -> None:
    """Make a span of each statement."""
    from opentelemetry import trace

    def before(_: object, __: object, statement: str, ___: object, execution: Any, ____: object) -> None:
        if execution is not None:
            execution.notejam_span = tracer.start_span(
                statement.split(None, 1)[0] if statement.strip() else "statement",
                kind=trace.SpanKind.CLIENT,
                attributes={"db.system.name": engine.dialect.name, "db.query.text": statement},
            )

    def after(_: object, __: object, ___: str, ____: object, execution: Any, _____: object) -> None:
        if execution is not None:
            execution.notejam_span.end()

    def failed(context: Any) -> None:
        span = getattr(context.execution_context, "notejam_span", None)
        if span is not None:
            span.set_status(trace.StatusCode.ERROR, type(context.original_exception).__name__)
            span.end()

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "after_cursor_execute", after)
    event.listen(engine, "handle_error", failed)


def init_app(app: Flask, settings: Settings) -> None:
    """Send traces, if they are on. Where to, the library reads from its own OTEL_... variables."""
    app.extensions["notejam.tracer"] = None
    if settings.tracing:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        begin_tracing(app, OTLPSpanExporter(), settings.version)


def begin_tracing(app: Flask, exporter: SpanExporter, version: str) -> None:
    """Send traces to this exporter."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win over these.
    named = Resource({"service.name": "notejam", "service.version": version})
    provider = TracerProvider(resource=named.merge(Resource.create()))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("notejam")
    app.extensions["notejam.tracer"] = tracer
    app.extensions["notejam.tracer_provider"] = provider
    _watch_statements(app.extensions["notejam.engine"], tracer)
    replica = app.extensions["notejam.replica"]
    if replica is not None:
        _watch_statements(replica.engine, tracer)
