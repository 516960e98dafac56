"""How mail is sent, as the settings give it."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from notejam.environment import ConfigError, read_number, read_text

MAIL_EXAMPLE = "NOTEJAM_MAIL_URL=smtp+starttls://notejam:PASSWORD@mail.example.org:587"
SENDER = "from@notejamapp.com"
LOG = "log:"
_SENDER = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+")


class MailKind(enum.Enum):
    """What becomes of a mail; the values are the schemes of NOTEJAM_MAIL_URL."""

    OFF = ""
    LOG = "log"
    PLAIN = "smtp"
    STARTTLS = "smtp+starttls"
    TLS = "smtps"


_PORTS = {MailKind.PLAIN: 25, MailKind.STARTTLS: 587, MailKind.TLS: 465}


@dataclass(frozen=True)
class MailSettings:
    """The mail server, and how it is spoken to."""

    kind: MailKind = MailKind.OFF
    host: str = ""
    port: int = 0
    user: str = ""
    password: str = field(default="", repr=False)
    sender: str = SENDER
    # Seconds for the connection and for each answer of the server.
    timeout: int = 10


def read_mail(environ: Mapping[str, str]) -> MailSettings:
    """Read NOTEJAM_MAIL_URL, NOTEJAM_MAIL_FROM and NOTEJAM_MAIL_TIMEOUT."""
    sender = environ.get("NOTEJAM_MAIL_FROM") or SENDER
    if not _SENDER.fullmatch(sender):
        raise ConfigError("NOTEJAM_MAIL_FROM", "is not an email address", f"NOTEJAM_MAIL_FROM={SENDER}")
    timeout = read_number(environ, "NOTEJAM_MAIL_TIMEOUT", default=10, highest=60)
    name = "NOTEJAM_MAIL_URL"
    text = read_text(environ, name, MAIL_EXAMPLE)
    if text is None:
        return MailSettings(sender=sender, timeout=timeout)
    if text == LOG:
        return MailSettings(MailKind.LOG, sender=sender, timeout=timeout)
    try:
        parts = urlsplit(text)
        kind, port = MailKind(parts.scheme), parts.port
    except ValueError:  # no such kind, or a port that is no number; the text may hold a password
        kind, port, parts = MailKind.OFF, None, urlsplit("")
    host = parts.hostname
    if kind not in _PORTS or not host or not _is_plain(parts):
        problem = 'must begin with smtp://, smtp+starttls:// or smtps:// and name a host, or be "log:"'
        raise ConfigError(name, problem, MAIL_EXAMPLE)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not (user + password).isascii():
        raise ConfigError(name, "has a user or a password that Python's smtplib cannot send", MAIL_EXAMPLE)
    if kind is MailKind.PLAIN and password:
        raise ConfigError(name, "would send the password unprotected; use smtp+starttls://", MAIL_EXAMPLE)
    return MailSettings(kind, host, port or _PORTS[kind], user, password, sender, timeout)


def _is_plain(parts: SplitResult) -> bool:
    return parts.path in {"", "/"} and not parts.query and not parts.fragment
