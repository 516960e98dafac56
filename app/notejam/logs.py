"""Logs: one JSON object a line on stdout, with the field names that Google Cloud Logging reads."""

from __future__ import annotations

import json
import logging
import time
from datetime import UTC, datetime
from typing import Any

from flask import Flask, Response, g, request

requests = logging.getLogger("notejam.requests")


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
        if hasattr(record, "http_request"):
            entry["httpRequest"] = record.http_request
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry)


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


def init_app(app: Flask) -> None:
    """Log every request but the probes. The query is left out: it may hold what a person typed."""

    def begin() -> None:
        g.begun = time.monotonic()

    def finish(response: Response) -> Response:
        if request.blueprint != "health" and requests.isEnabledFor(logging.INFO):
            seconds = time.monotonic() - g.begun
            entry = {
                "requestMethod": request.method,
                "requestUrl": request.path,
                "status": response.status_code,
                "responseSize": str(response.content_length or 0),
                "userAgent": request.user_agent.string,
                "remoteIp": request.remote_addr or "",
                "latency": f"{seconds:.6f}s",
            }
            requests.info(
                "%s %s %s", request.method, request.path, response.status, extra={"http_request": entry}
            )
        return response

    app.before_request(begin)
    app.after_request(finish)
