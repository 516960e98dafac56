"""Under which names the app answers."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from werkzeug.exceptions import BadRequest

from notejam.config import Settings

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:[0-9]{1,5})?")


class HostRefusedError(BadRequest):
    """The request names another site."""


def is_allowed(host: str, settings: Settings) -> bool:
    """Whether the Host of a request names this app.

    With NOTEJAM_ALLOWED_HOSTS these names and that of the external address do, and no other. Without it also
    bare addresses and names without a dot, as people use within a cluster: no site of somebody else can have
    one. With neither setting nothing is known, and every well-formed name passes.
    """
    found = _HOST.fullmatch(host.lower())
    if found is None:
        return False
    name = found[1].strip("[]").rstrip(".")
    own = urlsplit(settings.external_url or "").hostname
    if name in {own, *settings.allowed_hosts} or not (own or settings.allowed_hosts):
        return True
    return not settings.allowed_hosts and ("." not in name or _is_address(name))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
