"""The settings: read from the environment once, checked at start, passed in from there on."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import NoReturn
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from sqlalchemy import URL

from notejam.database_url import read_database_url, read_replica_url
from notejam.environment import ConfigError, read_choice, read_number, read_text

SECRET_EXAMPLE = "SECRET_KEY=$(python3 -c 'import secrets; print(secrets.token_hex(32))')"  # noqa: S105 - a command
EXTERNAL_EXAMPLE = "NOTEJAM_EXTERNAL_URL=https://notes.example.org"
SECRET_MIN = 32
MAX_THREADS = 64
LOG_ADDRESSES = ("none", "network", "full")
# OpenTelemetry's own variables; its library reads them, and the others of their kind, by itself.
TRACES_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


@dataclass(frozen=True)
class Settings:
    """All that can be set. The defaults are for serving; there is none for what must be chosen."""

    database_url: URL = field(repr=False)
    secret_key: str | None = field(default=None, repr=False)
    external_url: str | None = None
    timezone: tzinfo = field(default_factory=lambda: ZoneInfo("UTC"))
    # Requests that one process serves at a time, and so the connections it needs: none ever waits for one.
    threads: int = 8
    # Reads may go there, as long as it has what the person wrote.
    database_replica_url: URL | None = field(default=None, repr=False)
    # How long a request waits for a database that refuses connections, as in a failover; 0 waits for none.
    database_wait_seconds: int = 5
    # 0 serves no metrics.
    metrics_port: int = 9102
    # What the logs tell of where a request came from: see logs.py.
    log_addresses: str = "none"
    tracing: bool = False
    version: str = "unknown"
    commit: str = "unknown"

    @property
    def is_https(self) -> bool:
        """Whether people reach the app over TLS, which decides `Secure` on the cookies."""
        return self.external_url is not None and self.external_url.startswith("https://")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], *, serving: bool) -> Settings:
        """Read and check every setting; `serving` makes SECRET_KEY obligatory."""
        database_url = read_database_url(environ)
        return cls(
            database_url=database_url,
            secret_key=_secret_key(environ, required=serving),
            external_url=_external_url(environ),
            timezone=_timezone(environ),
            threads=read_number(environ, "NOTEJAM_THREADS", default=8, highest=MAX_THREADS),
            database_replica_url=read_replica_url(environ, database_url),
            database_wait_seconds=read_number(
                environ, "NOTEJAM_DATABASE_WAIT", default=5, lowest=0, highest=30
            ),
            metrics_port=read_number(environ, "NOTEJAM_METRICS_PORT", default=9102, lowest=0, highest=65535),
            log_addresses=read_choice(environ, "NOTEJAM_LOG_ADDRESSES", LOG_ADDRESSES),
            tracing=_tracing(environ),
            version=environ.get("NOTEJAM_VERSION") or "unknown",
            commit=environ.get("NOTEJAM_COMMIT") or "unknown",
        )


def load_for_serving(environ: Mapping[str, str]) -> Settings:
    """Read the settings, or end the process with a message in place of a traceback."""
    try:
        return Settings.from_environment(environ, serving=True)
    except ConfigError as error:
        stop(error)


def stop(error: ConfigError) -> NoReturn:
    """End the process: what is wrong goes to stderr, and nothing else does."""
    sys.stderr.write(f"notejam: {error}\n")
    sys.exit(1)


def _secret_key(environ: Mapping[str, str], *, required: bool) -> str | None:
    name = "SECRET_KEY"
    key = read_text(environ, name, SECRET_EXAMPLE)
    if key is None:
        if required:
            raise ConfigError(name, "is not set", SECRET_EXAMPLE)
        return None
    if len(key) < SECRET_MIN:
        raise ConfigError(name, f"must have at least {SECRET_MIN} characters", SECRET_EXAMPLE)
    return key


def _external_url(environ: Mapping[str, str]) -> str | None:
    name = "NOTEJAM_EXTERNAL_URL"
    text = environ.get(name)
    if not text:
        return None
    problem = "must be http:// or https:// and a host, with no path"
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises for a port that is no number
    except ValueError:
        raise ConfigError(name, problem, EXTERNAL_EXAMPLE) from None
    plain = not (parts.query or parts.fragment or parts.username or parts.password) and parts.path in {
        "",
        "/",
    }
    host = re.fullmatch(r"[A-Za-z0-9.-]+|[0-9a-f:]+", parts.hostname or "")
    if parts.scheme not in {"http", "https"} or not host or not plain:
        raise ConfigError(name, problem, EXTERNAL_EXAMPLE)
    return f"{parts.scheme}://{parts.netloc}"


def _timezone(environ: Mapping[str, str]) -> tzinfo:
    name = "NOTEJAM_TIMEZONE"
    zone = environ.get(name) or "UTC"
    try:
        return ZoneInfo(zone)
    except (KeyError, ValueError, OSError):  # unknown; not a plain name; the name of a folder
        raise ConfigError(name, "is not the name of a time zone", f"{name}=Europe/Helsinki") from None


def _tracing(environ: Mapping[str, str]) -> bool:
    """Tell whether traces are wanted: when there is a place to send them."""
    wanted = False
    for name in TRACES_ENDPOINTS:
        text = environ.get(name)
        if text and not re.fullmatch(r"https?://[^\s/]+(/\S*)?", text):
            raise ConfigError(name, "must be http:// or https:// and a host", f"{name}=http://collector:4318")
        wanted = wanted or bool(text)
    return wanted and environ.get("OTEL_SDK_DISABLED", "").lower() != "true"
