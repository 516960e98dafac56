"""A real mail server on loopback, which keeps what it is sent."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from threading import Condition
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

SECONDS = 30


@dataclass
class MailServer:
    """What arrived, and what the server is to answer: one text a mail, then "250 OK"."""

    port: int
    answers: list[str] = field(default_factory=list)
    envelopes: list[Envelope] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    _arrival: Condition = field(default_factory=Condition)

    async def handle_DATA(self, server: SMTP, _: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        with self._arrival:
            self.envelopes.append(envelope)
            self.encrypted.append(server.transport.get_extra_info("sslcontext") is not None)
            self._arrival.notify_all()
        return self.answers.pop(0) if self.answers else "250 OK"

    def authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _kind: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        pair = (data.login.decode(), data.password.decode())
        self.logins.append(pair)
        return AuthResult(success=pair == ("notejam", "p@ss:word/%"))

    def wait_for(self, count: int) -> list[EmailMessage]:
        """Wait until so many mails have arrived, and return them as they are read."""
        with self._arrival:
            assert self._arrival.wait_for(lambda: len(self.envelopes) >= count, SECONDS)
            contents = [envelope.content for envelope in self.envelopes]
        return [message_from_bytes(bytes(content or b""), policy=policy.default) for content in contents]


@contextmanager
def run_mail_server(
    *, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None, login: bool = False
) -> Iterator[MailServer]:
    """Run a server; with certificates it speaks TLS at once or after STARTTLS, perhaps after a login only."""
    with socket.socket() as probe:  # aiosmtpd cannot be asked for the port that it was given
        probe.bind(("127.0.0.1", 0))
        server = MailServer(probe.getsockname()[1])
    options: dict[str, Any] = {}
    if login:
        options = {"authenticator": server.authenticate, "auth_required": True, "auth_require_tls": True}
    controller = Controller(
        server,
        hostname="127.0.0.1",
        port=server.port,
        server_hostname="mail.example.org",
        tls_context=starttls,
        require_starttls=starttls is not None,
        ssl_context=tls,
        **options,
    )
    controller.start()
    try:
        yield server
    finally:
        controller.stop()
