"""Where the app is reached, and the keys that it signs with, as the settings give them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import tzinfo
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from notejam.environment import ConfigError, read_text

SECRET_EXAMPLE = "SECRET_KEY=$(python3 -c 'import secrets; print(secrets.token_hex(32))')"  # noqa: S105 - a command
SECRET_MIN = 32
FALLBACKS_EXAMPLE = "SECRET_KEY_FALLBACKS=THE_KEY_BEFORE,THE_ONE_BEFORE_THAT"
EXTERNAL_EXAMPLE = "NOTEJAM_EXTERNAL_URL=https://notes.example.org"
HOSTS_EXAMPLE = "NOTEJAM_ALLOWED_HOSTS=notes.example.org,notes.internal"
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f]*:[0-9a-f]*:[0-9a-f:.]*")


def read_secret_key(environ: Mapping[str, str], *, required: bool) -> str | None:
    """Read SECRET_KEY."""
    name = "SECRET_KEY"
    key = read_text(environ, name, SECRET_EXAMPLE)
    if key is None:
        if required:
            raise ConfigError(name, "is not set", SECRET_EXAMPLE)
        return None
    if len(key) < SECRET_MIN:
        raise ConfigError(name, f"must have at least {SECRET_MIN} characters", SECRET_EXAMPLE)
    return key


def read_fallback_keys(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Read SECRET_KEY_FALLBACKS: keys that are still believed, and signed with no more."""
    name = "SECRET_KEY_FALLBACKS"
    keys = tuple(re.findall(r"[^\s,]+", read_text(environ, name, FALLBACKS_EXAMPLE) or ""))
    if any(len(key) < SECRET_MIN for key in keys):
        raise ConfigError(name, f"must have at least {SECRET_MIN} characters a key", FALLBACKS_EXAMPLE)
    return keys


def read_allowed_hosts(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Read NOTEJAM_ALLOWED_HOSTS: names or addresses, without ports."""
    name = "NOTEJAM_ALLOWED_HOSTS"
    hosts = tuple(re.findall(r"[^\s,]+", (environ.get(name) or "").lower()))
    if not all(_HOST.fullmatch(host) for host in hosts):
        raise ConfigError(name, "must be names or addresses of hosts, without ports", HOSTS_EXAMPLE)
    return hosts


def read_external_url(environ: Mapping[str, str]) -> str | None:
    """Read NOTEJAM_EXTERNAL_URL: a scheme and a host, perhaps with a port."""
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


def read_timezone(environ: Mapping[str, str]) -> tzinfo:
    """Read NOTEJAM_TIMEZONE, in which people read dates."""
    name = "NOTEJAM_TIMEZONE"
    zone = environ.get(name) or "UTC"
    try:
        return ZoneInfo(zone)
    except (KeyError, ValueError, OSError):  # unknown; not a plain name; the name of a folder
        raise ConfigError(name, "is not the name of a time zone", f"{name}=Europe/Helsinki") from None
