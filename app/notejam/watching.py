"""What logs, metrics and traces tell of a request: when it began, its trace, its route, whose it is."""

from __future__ import annotations

import re
import secrets
import time
from functools import cache

from flask import Flask, Response, current_app, g, request, request_started
from sqlalchemy import inspect

from notejam import logs, tracing
from notejam.metrics import method_label, metrics

_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
)
_PART = re.compile(r"<(?:[^<>]*:)?(\w+)>")
HIDDEN = "-"


def read_trace_id(traceparent: str | None) -> str:
    """Read the trace from a W3C header, or begin one."""
    found = _TRACEPARENT.fullmatch((traceparent or "").strip())
    return found[1] if found else secrets.token_hex(16)


def route() -> str:
    """Name the route of the request: its address with the names of its parts, not their values."""
    rule = request.url_rule
    return _template_of(rule.rule) if rule else "none"


@cache
def _template_of(rule: str) -> str:
    return _PART.sub(r"<\1>", rule)


def shown_path() -> str:
    """Write the address for a log: with ids, without whatever else it holds, such as the token of a link."""
    rule = request.url_rule
    if rule is None:
        # Nobody knows what was typed or pasted there; more than the first part is not told.
        first = request.path.split("/")[1]
        known = {other.rule.split("/")[1] for other in current_app.url_map.iter_rules()}
        return f"/{first if first in known else HIDDEN}/{HIDDEN}"
    values = request.view_args or {}

    def show(part: re.Match[str]) -> str:
        value = values.get(part[1])
        return str(value) if isinstance(value, int) else HIDDEN

    return _PART.sub(show, rule.rule)


def user_id() -> int | None:
    """Tell whose request it is, as far as the page has asked; the database is not asked for this."""
    user = g.get("signed_in_user")
    identity = inspect(user).identity if user is not None else None
    return identity[0] if identity else None


def _begin(_: Flask, **__: object) -> None:
    g.begun = time.monotonic()
    g.trace_id = tracing.begin() or read_trace_id(request.headers.get("traceparent"))
    metrics().in_flight.inc()


def _finish(response: Response) -> Response:
    seconds = time.monotonic() - g.begun
    method, template, counted = method_label(request.method), route(), metrics()
    counted.requests.labels(method, template, str(response.status_code)).inc()
    counted.seconds.labels(method, template).observe(seconds)
    tracing.describe(response.status_code, template, user_id())
    if request.blueprint != "health":
        logs.log_request(response, seconds=seconds, path=shown_path(), route=template, user_id=user_id())
    return response


def _end(_: BaseException | None) -> None:
    if g.pop("begun", None) is not None:
        metrics().in_flight.dec()
        tracing.end()


def init_app(app: Flask) -> None:
    """Watch every request. First of all `init_app`s, so that its end is the last thing to happen."""
    request_started.connect(_begin, app)
    app.after_request(_finish)
    app.teardown_request(_end)
