"""Mail, over a real server."""

import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
import trustme
from notejam import mail
from notejam.config import Settings
from notejam.mail_settings import MailKind, MailSettings

from tests.app.mail_server import MailServer, run_mail_server
from tests.app.store import NOWHERE

LINK = "https://notes.example.org/reset-password/" + "t" * 150 + "/"
PASSWORD = "p@ss:word/%"


def write(email: str = "ann@example.com") -> EmailMessage:
    settings = Settings(database_url=NOWHERE, external_url="https://notes.example.org")
    return mail.reset_mail(settings, email, LINK)


def send(settings: MailSettings, *messages: EmailMessage) -> None:
    """Send as the app does, and wait until the outbox is done."""
    outbox = mail.Outbox(settings)
    for message in messages:
        outbox.add(lambda message=message: message)  # type: ignore[misc] # mypy cannot infer the default
    outbox.close()


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the app logged, without what the server of the tests did."""
    return [record.getMessage() for record in caplog.records if record.name == "notejam.mail"]


@pytest.fixture
def server() -> Iterator[MailServer]:
    with run_mail_server() as server:
        yield server


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A certificate for 127.0.0.1, whose authority this process trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def plain(server: MailServer) -> MailSettings:
    return MailSettings(MailKind.PLAIN, "127.0.0.1", server.port, timeout=5)


def test_what_arrives(server: MailServer) -> None:
    send(plain(server), write())
    [message] = server.wait_for(1)

    assert message["Subject"] == "Notejam password"
    assert message["From"] == "from@notejamapp.com"
    assert message["To"] == "ann@example.com"
    assert message["Date"]
    assert str(message["Message-ID"]).endswith("@notes.example.org>")
    assert LINK in message.get_content()
    assert server.envelopes[0].mail_from == "from@notejamapp.com"
    assert server.envelopes[0].rcpt_tos == ["ann@example.com"]
    assert LINK.encode() in bytes(server.envelopes[0].content or b""), "in one piece in its source, too"


@pytest.mark.parametrize("kind", [MailKind.STARTTLS, MailKind.TLS])
def test_with_tls_and_a_login(certificate: ssl.SSLContext, kind: MailKind) -> None:
    tls = {"starttls" if kind is MailKind.STARTTLS else "tls": certificate}
    with run_mail_server(login=kind is MailKind.STARTTLS, **tls) as server:
        user, password = ("notejam", PASSWORD) if kind is MailKind.STARTTLS else ("", "")
        send(MailSettings(kind, "127.0.0.1", server.port, user, password, timeout=5), write())
        server.wait_for(1)

    assert server.encrypted == [True]
    assert server.logins == ([("notejam", PASSWORD)] if user else [])


@pytest.mark.parametrize("kind", [MailKind.STARTTLS, MailKind.TLS])
def test_a_server_with_another_certificate_gets_nothing(
    kind: MailKind, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail, "RETRY_SECONDS", 0)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with run_mail_server(**{"starttls" if kind is MailKind.STARTTLS else "tls": context}) as server:
        send(MailSettings(kind, "127.0.0.1", server.port, "notejam", PASSWORD, timeout=5), write())

    assert server.envelopes == []
    assert server.logins == []
    assert said(caplog)[-1] == "a mail could not be sent: SSLCertVerificationError"


def test_a_server_that_cannot_encrypt_gets_no_password(
    server: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    send(MailSettings(MailKind.STARTTLS, "127.0.0.1", server.port, "notejam", PASSWORD, timeout=5), write())

    assert server.envelopes == []
    assert said(caplog)[-1] == "a mail could not be sent: SMTPNotSupportedError"


def test_it_is_tried_again(
    server: MailServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail, "RETRY_SECONDS", 0)
    server.answers[:] = ["451 later"]
    outbox = mail.Outbox(plain(server))
    outbox.add(write)
    server.wait_for(2)
    outbox.close()

    assert "a mail could not be sent yet: SMTPDataError 451" in said(caplog)


def test_what_the_log_tells_of_a_failure(
    server: MailServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail, "RETRY_SECONDS", 0)
    server.answers[:] = ["554 no mail for ann@example.com"] * 3
    outbox = mail.Outbox(plain(server))
    outbox.add(write)
    server.wait_for(3)
    outbox.close()

    assert said(caplog)[-1] == "a mail could not be sent: SMTPDataError 554"
    assert "ann@" not in str(said(caplog))
    assert "reset-password" not in str(said(caplog))


def test_a_server_that_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        send(MailSettings(MailKind.PLAIN, "127.0.0.1", port, timeout=1), write())

    assert said(caplog)[-1] == "a mail could not be sent: SMTPServerDisconnected", "after a second"


def test_mails_do_not_pile_up(
    server: MailServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail, "WAITING_MAX", 2)
    goes_on = threading.Event()
    outbox = mail.Outbox(plain(server))

    def wait() -> EmailMessage:
        assert goes_on.wait(30)
        return write()

    for _ in range(5):
        outbox.add(wait)
    goes_on.set()
    outbox.close()

    assert len(server.wait_for(2)) == 2
    assert said(caplog).count("a mail was dropped: 2 others wait to be sent") == 3


def test_a_fault_in_the_making_ends_nothing(server: MailServer, caplog: pytest.LogCaptureFixture) -> None:
    outbox = mail.Outbox(plain(server))
    outbox.add(lambda: write("ann@@example.com"))
    outbox.add(write)
    outbox.close()

    assert [str(message["To"]) for message in server.wait_for(1)] == ["ann@example.com"]
    assert any(text.startswith("a mail could not be made: ") for text in said(caplog))
    assert "@@" not in str(said(caplog))


def test_in_development_it_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="notejam.mail"):
        send(MailSettings(MailKind.LOG), write())

    [shown] = said(caplog)
    assert shown.startswith("A mail to ann@example.com")
    assert LINK in shown


def test_without_a_setting_it_is_missed(caplog: pytest.LogCaptureFixture) -> None:
    send(MailSettings(), write())

    assert said(caplog) == ["a mail was not sent: NOTEJAM_MAIL_URL is not set"]
