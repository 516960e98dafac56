"""A forgotten password: the mail, its link, the new password."""

import threading

import pytest
from flask import Flask
from notejam import mail, recovery
from notejam.mail_settings import MailKind, MailSettings
from notejam.models import User
from sqlalchemy import URL, event

from tests.app.mail_server import MailServer
from tests.app.recovery import EXTERNAL, NEW, ask, choose, link_to
from tests.app.store import MakeApp, Store
from tests.app.website import Auth, Visitor


@pytest.fixture
def app(mailing_app: Flask) -> Flask:
    return mailing_app


def test_page(client: Visitor) -> None:
    page = client.get("/forgot-password/")

    assert (page.status, page.title, page.heading) == (200, "Forgot Password?", "notejam: Forgot Password?")
    assert page.texts("form label") == ["Email"]
    assert page.html.select("form input[type=submit]")[0]["value"] == "Generate password"
    assert not page.html.select("#logo")
    [link] = client.get("/signin/").html.select("a.small-red")
    assert (link.get_text(), link["href"]) == ("Forgot password?", "/forgot-password/")


@pytest.mark.parametrize("email", ["ann@example.com", "ANN@Example.com"])
def test_the_whole_way(
    client: Visitor, auth: Auth, store: Store, ann: User, mail_server: MailServer, email: str
) -> None:
    page = ask(client, email)
    assert (page.status, page.location) == (302, "/")
    path = link_to(mail_server)
    assert mail_server.wait_for(1)[0]["To"] == ann.email, "as it is stored"

    form = client.get(path)
    assert (form.status, form.title, form.heading) == (200, "New Password", "notejam: New Password")
    assert form.texts("form label") == ["New Password", "Repeat New Password"]
    assert form.html.select("form input[type=submit]")[0]["value"] == "Save"
    saved = choose(client, path)
    assert (saved.status, saved.location) == (302, "/signin/")
    after = client.follow(saved)
    assert ("success", "Your password is successfully changed.") in after.flashes
    assert auth.sign_in(ann.email).status == 200
    assert auth.sign_in(ann.email, NEW).status == 302
    assert store.all(User)[0].password.startswith("scrypt:")


@pytest.mark.usefixtures("ann")
def test_known_and_unknown_are_answered_alike(client: Visitor, mail_server: MailServer) -> None:
    answers = []
    for email in ("ann@example.com", "nobody@example.com"):
        page = ask(client, email)
        headers = {name for name, _ in page.response.headers}
        answers.append((page.status, page.location, headers, client.get("/signin/").flashes[0]))

    assert answers[0] == answers[1]
    assert answers[0][3] == ("success", "Find new password in your inbox")
    ask(client)
    assert [message["To"] for message in mail_server.wait_for(2)] == ["ann@example.com"] * 2


@pytest.mark.usefixtures("ann")
def test_the_answer_waits_for_no_mail(
    client: Visitor, app: Flask, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both cost the same queries, and nothing about the mail happens before the answer is out."""
    costs, events = [], []
    goes_on = threading.Event()
    deliver = mail.deliver

    def deliver_late(*arguments: object) -> None:
        assert goes_on.wait(30)
        deliver(*arguments)  # type: ignore[arg-type] # as they came

    def make(*arguments: object) -> object:
        events.append("made")
        return make_mail(*arguments)  # type: ignore[arg-type] # as they came

    make_mail = recovery._make_mail  # noqa: SLF001 - what must not happen early
    monkeypatch.setattr(recovery, "_make_mail", make)
    monkeypatch.setattr(mail, "deliver", deliver_late)
    statements: list[str] = []
    event.listen(
        app.extensions["notejam.engine"],
        "before_cursor_execute",
        lambda _c, _k, statement, *_: statements.append(statement),
    )
    for email in ("ann@example.com", "nobody@example.com"):
        token = client.token_for("/forgot-password/")
        statements.clear()
        response = client.client.post("/forgot-password/", data={"csrf_token": token, "email": email})
        costs.append(list(statements))
        assert response.status_code == 302
        assert not events, "the answer is there, and not yet closed"
    assert costs[0] == costs[1]
    assert mail_server.envelopes == []
    goes_on.set()
    ask(client)
    mail_server.wait_for(1)


@pytest.mark.parametrize("email", ["ann", "a\x00b@example.com", "ann@example.com\nBcc: eve@example.com"])
def test_invalid_email(client: Visitor, mail_server: MailServer, email: str) -> None:
    page = ask(client, email)

    assert page.status == 200
    assert page.errors == {"email": ["Invalid email address."]}
    assert mail_server.envelopes == []


def test_required(client: Visitor) -> None:
    assert ask(client, " ").errors == {"email": ["This field is required."]}


@pytest.mark.usefixtures("ann")
def test_the_link_is_not_made_from_what_a_visitor_says(
    make_app: MakeApp, database: URL, mail_server: MailServer
) -> None:
    settings = MailSettings(MailKind.PLAIN, "127.0.0.1", mail_server.port)
    visitor = Visitor(make_app(database, external_url=EXTERNAL, mail=settings, proxy_hops=1).test_client())
    headers = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
    token = visitor.get("/forgot-password/", headers=headers).token
    fields = {"csrf_token": token, "email": "ann@example.com"}
    assert visitor.post_raw("/forgot-password/", fields, headers=headers).status == 302

    assert link_to(mail_server)


@pytest.mark.parametrize(
    ("password", "repeat", "errors"),
    [
        (
            "",
            "",
            {"new_password": ["This field is required."], "repeat_new_password": ["This field is required."]},
        ),
        ("short", "short", {"new_password": ["Use at least 8 characters."]}),
        ("iloveyou", "iloveyou", {"new_password": ["This password is too common."]}),
        (NEW, "other", {"repeat_new_password": ["Your passwords don't match"]}),
    ],
)
def test_new_password_refused(
    client: Visitor,
    ann: User,
    mail_server: MailServer,
    store: Store,
    password: str,
    repeat: str,
    errors: dict[str, list[str]],
) -> None:
    ask(client)
    page = choose(client, link_to(mail_server), password, repeat)

    assert page.status == 200
    assert page.errors == errors
    assert store.all(User)[0].password == ann.password
