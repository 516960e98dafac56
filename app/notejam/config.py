"""The settings: read from the environment once, checked at start, passed in from there on."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from click import ClickException
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

DATABASE_EXAMPLE = "DATABASE_URL=postgresql://notejam:PASSWORD@db.example.org:5432/notejam"
SECRET_EXAMPLE = "SECRET_KEY=$(python3 -c 'import secrets; print(secrets.token_hex(32))')"  # noqa: S105 - a command
EXTERNAL_EXAMPLE = "NOTEJAM_EXTERNAL_URL=https://notes.example.org"
SECRET_MIN = 32
MAX_THREADS = 64


class ConfigError(ClickException):
    """A setting is missing or malformed. Never carries the value: it may be a password.

    A command of `flask --app notejam` prints it and ends, as it does with every ClickException.
    """

    def __init__(self, name: str, problem: str, example: str) -> None:
        """Say which setting, what is wrong with it, and what a right one looks like."""
        self.name = name
        super().__init__(f"{name} {problem}\n  for example: {example}")


@dataclass(frozen=True)
class Settings:
    """All that can be set. The defaults are for serving; there is none for what must be chosen."""

    database_url: URL = field(repr=False)
    secret_key: str | None = field(default=None, repr=False)
    external_url: str | None = None
    timezone: tzinfo = field(default_factory=lambda: ZoneInfo("UTC"))
    # Requests that one process serves at a time, and so the connections it needs: none ever waits for one.
    threads: int = 8
    version: str = "unknown"
    commit: str = "unknown"

    @property
    def is_https(self) -> bool:
        """Whether people reach the app over TLS, which decides `Secure` on the cookies."""
        return self.external_url is not None and self.external_url.startswith("https://")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], *, serving: bool) -> Settings:
        """Read and check every setting; `serving` makes SECRET_KEY obligatory."""
        return cls(
            database_url=_database_url(environ),
            secret_key=_secret_key(environ, required=serving),
            external_url=_external_url(environ),
            timezone=_timezone(environ),
            threads=read_number(environ, "NOTEJAM_THREADS", default=8, highest=MAX_THREADS),
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


def read_number(environ: Mapping[str, str], name: str, *, default: int, highest: int) -> int:
    """Read a whole number from 1 to `highest`."""
    text = environ.get(name) or str(default)
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= highest:
        raise ConfigError(name, f"must be a whole number from 1 to {highest}", f"{name}={default}")
    return int(text)


def _read(environ: Mapping[str, str], name: str, example: str) -> str | None:
    """Read NAME, or the file that NAME_FILE names (as mounted secrets are)."""
    file_name = f"{name}_FILE"
    value, path = environ.get(name), environ.get(file_name)
    if not path:
        return value or None
    if value:
        raise ConfigError(file_name, f"and {name} are both set; keep one", example)
    try:
        return Path(path).read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(
            file_name, f"names a file that cannot be read: {reason}", f"{file_name}=/run/secrets/x"
        ) from None


def _database_url(environ: Mapping[str, str]) -> URL:
    name = "DATABASE_URL"
    text = _read(environ, name, DATABASE_EXAMPLE)
    if text is None:
        raise ConfigError(name, "is not set", DATABASE_EXAMPLE)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # The parser's own message may quote the value with its password.
        raise ConfigError(name, "is not a database address", DATABASE_EXAMPLE) from None
    if url.drivername in {"postgresql", "postgres", "postgresql+psycopg"}:
        if not url.database:
            raise ConfigError(name, "names no database", DATABASE_EXAMPLE)
        return url.set(drivername="postgresql+psycopg")
    if url.drivername in {"sqlite", "sqlite+pysqlite"}:
        if not url.database or url.database == ":memory:":
            raise ConfigError(
                name, "must name a file: a database in memory is lost", "DATABASE_URL=sqlite:////tmp/n.sqlite"
            )
        return url
    raise ConfigError(name, "must begin with postgresql:// or sqlite:///", DATABASE_EXAMPLE)


def _secret_key(environ: Mapping[str, str], *, required: bool) -> str | None:
    name = "SECRET_KEY"
    key = _read(environ, name, SECRET_EXAMPLE)
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
