"""What people do who forgot their password, for the tests of it."""

from __future__ import annotations

import re

from tests.app.mail_server import MailServer
from tests.app.website import Page, Visitor

EXTERNAL = "http://notes.example.org"
NEW = "harbour-lantern-7"
GONE = [("error", "This link is not valid any more")]


def ask(visitor: Visitor, email: str = "ann@example.com") -> Page:
    return visitor.post("/forgot-password/", {"email": email})


def link_to(server: MailServer, count: int = 1) -> str:
    """Wait for mails and return the path of the link in the last."""
    text = server.wait_for(count)[-1].get_content()
    [link] = re.findall(r"https?://\S+", text)
    assert link.startswith(f"{EXTERNAL}/reset-password/")
    return str(link).removeprefix(EXTERNAL)


def choose(visitor: Visitor, path: str, password: str = NEW, repeat: str | None = None) -> Page:
    repeated = password if repeat is None else repeat
    return visitor.post(path, {"new_password": password, "repeat_new_password": repeated})
