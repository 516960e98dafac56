"""The settings: read from the environment once, checked at start, passed in from there on."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import NoReturn
from zoneinfo import ZoneInfo

from sqlalchemy import URL

from notejam.database_url import read_database_url, read_replica_url
from notejam.environment import ConfigError, read_choice, read_number
from notejam.limit_settings import Limits, read_limits
from notejam.mail_settings import MailKind, MailSettings, read_mail
from notejam.site_settings import (
    EXTERNAL_EXAMPLE,
    read_allowed_hosts,
    read_external_url,
    read_fallback_keys,
    read_secret_key,
    read_timezone,
)

MAX_THREADS = 64
LOG_ADDRESSES = ("none", "network", "full")
# OpenTelemetry's own variables; its library reads them, and the others of their kind, by itself.
TRACES_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


@dataclass(frozen=True)
class Settings:
    """All that can be set. The defaults are for serving; there is none for what must be chosen."""

    database_url: URL = field(repr=False)
    secret_key: str | None = field(default=None, repr=False)
    # Believed, never signed with: the keys before, and for a while the next one.
    secret_key_fallbacks: tuple[str, ...] = field(default=(), repr=False)
    external_url: str | None = None
    # Names under which the app answers, beside that of the external address.
    allowed_hosts: tuple[str, ...] = ()
    # How many proxies stand in front and add to X-Forwarded-For and X-Forwarded-Proto.
    proxy_hops: int = 0
    mail: MailSettings = field(default_factory=MailSettings)
    limits: Limits = field(default_factory=Limits)
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
        made = cls(
            database_url=database_url,
            secret_key=read_secret_key(environ, required=serving),
            secret_key_fallbacks=read_fallback_keys(environ),
            external_url=read_external_url(environ),
            allowed_hosts=read_allowed_hosts(environ),
            proxy_hops=read_number(environ, "NOTEJAM_PROXY_HOPS", default=0, lowest=0, highest=10),
            mail=read_mail(environ),
            limits=read_limits(environ),
            timezone=read_timezone(environ),
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
        if serving and made.external_url is None and made.mail.kind is not MailKind.OFF:
            raise ConfigError(
                "NOTEJAM_EXTERNAL_URL", "is not set, and the links in mails begin with it", EXTERNAL_EXAMPLE
            )
        return made


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


def _tracing(environ: Mapping[str, str]) -> bool:
    """Tell whether traces are wanted: when there is a place to send them."""
    wanted = False
    for name in TRACES_ENDPOINTS:
        text = environ.get(name)
        if text and not re.fullmatch(r"https?://[^\s/]+(/\S*)?", text):
            raise ConfigError(name, "must be http:// or https:// and a host", f"{name}=http://collector:4318")
        wanted = wanted or bool(text)
    return wanted and environ.get("OTEL_SDK_DISABLED", "").lower() != "true"
