"""Logs: one JSON object a line on stdout, with the field names that Google Cloud Logging reads.

They tell who (by id), which page, how it ended and how long it took. They never hold what people write or
type, nor passwords, tokens or cookies. Where a request came from is left out, unless NOTEJAM_LOG_ADDRESSES is
`network` (the first 24 bits of an IPv4 address, 48 of an IPv6 one) or `full`.
"""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from typing import Any, cast

from flask import Response, current_app, g, has_app_context, request
from sqlalchemy.exc import DBAPIError

from notejam.config import Settings

requests = logging.getLogger("notejam.requests")
PREFIXES = {4: 24, 6: 48}
USER_AGENT_MAX = 200


class JsonFormatter(logging.Formatter):
    """One JSON object a record."""

    def format(self, record: logging.LogRecord) -> str:
        """Make the line."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "severity": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
        }
        if has_app_context() and "trace_id" in g:
            entry["trace_id"] = g.trace_id
        entry |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[1]:
            entry["exception"] = "".join(describe_exception(record.exc_info[1]))
        return json.dumps(entry)


def describe_exception(error: BaseException) -> Iterator[str]:
    """Write an exception and what led to it as Python does, but without what a database quotes from rows."""
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield from describe_exception(cause)
        yield "\nwhich led to\n\n"
    yield "Traceback (most recent call last):\n"
    yield from traceback.format_tb(error.__traceback__)
    yield f"{type(error).__module__}.{type(error).__qualname__}: {reason_of(error)}\n"


def reason_of(error: BaseException) -> str:
    """Say what is wrong. A server's error may quote a row: its code stands for it. Others quote nothing."""
    source = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(source, "sqlstate", None)
    return f"{type(source).__name__}, SQLSTATE {code}" if code else str(source)


def logging_config() -> dict[str, Any]:
    """Set up logging for serving, in the form that gunicorn's `logconfig_dict` takes."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JsonFormatter}},
        "handlers": {
            "stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "json"}
        },
        "root": {"level": "INFO", "handlers": ["stdout"]},
        "loggers": {
            # Its "there was no token" adds nothing to the 400 in the log of requests.
            "flask_wtf": {"level": "WARNING"},
            "alembic": {"level": "WARNING"},
            # gunicorn adds plain-text handlers of its own where it finds none.
            "gunicorn.error": {"level": "INFO", "handlers": ["stdout"], "propagate": False},
            # The log of requests is the app's own, see below.
            "gunicorn.access": {"level": "WARNING"},
        },
    }


def shown_address(address: str | None, policy: str) -> str | None:
    """Write a visitor's address as the policy has it."""
    if not address or policy == "none":
        return None
    if policy == "full":
        return address
    try:
        network = ip_network((address, PREFIXES[ip_address(address).version]), strict=False)
    except ValueError:  # a proxy may send anything
        return None
    return str(network)


def log_request(response: Response, *, seconds: float, path: str, route: str, user_id: int | None) -> None:
    """Log a request that has been answered. The query is left out: it may hold what a person typed."""
    if not requests.isEnabledFor(logging.INFO):
        return
    settings = cast("Settings", current_app.extensions["notejam.settings"])
    entry: dict[str, Any] = {
        "requestMethod": request.method,
        "requestUrl": path,
        "status": response.status_code,
        "responseSize": str(response.content_length or 0),
        "userAgent": request.user_agent.string[:USER_AGENT_MAX],
        "latency": f"{seconds:.6f}s",
    }
    address = shown_address(request.remote_addr, settings.log_addresses)
    if address:
        entry["remoteIp"] = address
    fields: dict[str, Any] = {"route": route, "httpRequest": entry}
    if user_id is not None:
        fields["user_id"] = user_id
    requests.info("%s %s %s", request.method, path, response.status, extra={"fields": fields})
