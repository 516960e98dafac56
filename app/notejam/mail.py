"""Mail: composed here, and sent by a thread of its own, so that no page waits for the mail server."""

from __future__ import annotations

import logging
import smtplib
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import cast
from urllib.parse import urlsplit

from flask import Flask, current_app

from notejam import dates
from notejam.config import Settings
from notejam.mail_settings import MailKind, MailSettings

RESET_SUBJECT = "Notejam password"
RESET_TEXT = """\
Hello,

somebody, probably you, asked for a new password for the Notejam account {email}.
Choose it here, within one hour:

{link}

The link works once. If you did not ask for it, there is nothing to do: your password stays as it is.
"""
# More than this waits for no mail server: it is away, or somebody asks for mails without end.
WAITING_MAX = 200
ATTEMPTS = 3
RETRY_SECONDS = 3.0

logger = logging.getLogger("notejam.mail")

Make = Callable[[], EmailMessage]


def reset_mail(settings: Settings, email: str, link: str) -> EmailMessage:
    """Write the mail with the link to choose a new password."""
    message = EmailMessage()
    message["Subject"] = RESET_SUBJECT
    message["From"] = Address(addr_spec=settings.mail.sender)
    message["To"] = Address(addr_spec=email)
    message["Date"] = format_datetime(dates.utc_now())
    message["Message-ID"] = make_msgid(domain=urlsplit(settings.external_url or "").hostname or "localhost")
    message["Auto-Submitted"] = "auto-generated"
    # As it is: quoting would break the link in two wherever the source of the mail is read.
    message.set_content(RESET_TEXT.format(email=email, link=link), cte="7bit")
    return message


def deliver(settings: MailSettings, message: EmailMessage) -> None:
    """Hand a mail to the server. Raises OSError or SMTPException."""
    with _connect(settings) as server:
        if settings.kind is MailKind.STARTTLS:
            server.starttls(context=ssl.create_default_context())
        if settings.user:
            server.login(settings.user, settings.password)
        server.send_message(message)


def _connect(settings: MailSettings) -> smtplib.SMTP:
    # Said at the beginning; the machine's own name, which would be the default, is nobody's business.
    own_name = settings.sender.rpartition("@")[2]
    where = (settings.host, settings.port, own_name)
    if settings.kind is MailKind.TLS:
        return smtplib.SMTP_SSL(*where, timeout=settings.timeout, context=ssl.create_default_context())
    return smtplib.SMTP(*where, timeout=settings.timeout)


class Outbox:
    """What is to be sent. Mails still in it are sent before the process ends."""

    def __init__(self, settings: MailSettings) -> None:
        """Send with these settings."""
        self._settings = settings
        # It starts its threads at first use, so in the workers and not in the process that they come from.
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="mail")
        self._places = threading.BoundedSemaphore(WAITING_MAX)
        self._ending = threading.Event()

    def add(self, make: Make | None) -> None:
        """Have a mail made and sent; with None, do the same work for no mail."""
        if not self._places.acquire(blocking=False):
            logger.error("a mail was dropped: %s others wait to be sent", WAITING_MAX)
            return
        self._threads.submit(self._work, make)

    def close(self) -> None:
        """Send what is waiting, once more each, and stop."""
        self._ending.set()
        self._threads.shutdown()

    def _work(self, make: Make | None) -> None:
        try:
            if make is not None:
                self._send(make())
        except Exception as error:  # noqa: BLE001 - a thread's last words would be lost
            # Only the kind: the text of such an error may hold the address, the password or the link.
            logger.error("a mail could not be made: %s", type(error).__name__)  # noqa: TRY400
        finally:
            self._places.release()

    def _send(self, message: EmailMessage) -> None:
        if self._settings.kind is MailKind.OFF:
            logger.error("a mail was not sent: NOTEJAM_MAIL_URL is not set")
            return
        if self._settings.kind is MailKind.LOG:
            logger.info("A mail to %s, which is only shown here:\n%s", message["To"], message.get_content())
            return
        for attempt in range(1, ATTEMPTS + 1):
            try:
                deliver(self._settings, message)
            except (OSError, smtplib.SMTPException) as error:
                code = getattr(error, "smtp_code", None)
                problem = f"{type(error).__name__}{f' {code}' if code else ''}"
                if attempt == ATTEMPTS or self._ending.is_set():
                    logger.error("a mail could not be sent: %s", problem)  # noqa: TRY400 - see above
                    return
                logger.warning("a mail could not be sent yet: %s", problem)
                self._ending.wait(RETRY_SECONDS)
            else:
                logger.info("a mail was sent")
                return


def outbox() -> Outbox:
    """Return the outbox of the current app."""
    return cast("Outbox", current_app.extensions["notejam.outbox"])


def init_app(app: Flask, settings: Settings) -> None:
    """Give the app its outbox."""
    app.extensions["notejam.outbox"] = Outbox(settings.mail)
