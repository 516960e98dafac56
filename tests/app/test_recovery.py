"""A forgotten password: the mail, its link, the new password."""

import base64
import re
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask import Flask
from notejam import mail, passwords, recovery
from notejam.limit_settings import NO_LIMITS
from notejam.mail_settings import MailKind, MailSettings
from notejam.models import User
from sqlalchemy import URL, event

from tests.app.mail_server import MailServer, run_mail_server
from tests.app.store import Clock, MakeApp, Store
from tests.app.website import PASSWORD, Auth, Page, Visitor

EXTERNAL = "https://notes.example.org"
NEW = "harbour-lantern-7"
GONE = [("error", "This link is not valid any more")]


@pytest.fixture(scope="module")
def mail_server() -> Iterator[MailServer]:
    with run_mail_server() as server:
        yield server


@pytest.fixture
def server(mail_server: MailServer) -> MailServer:
    mail_server.envelopes.clear()
    return mail_server


@pytest.fixture
def app(make_app: MakeApp, database: URL, server: MailServer) -> Flask:
    settings = MailSettings(MailKind.PLAIN, "127.0.0.1", server.port, timeout=10)
    return make_app(database, external_url=EXTERNAL, mail=settings, limits=NO_LIMITS)


@pytest.fixture
def client(app: Flask) -> Visitor:
    """Somebody who comes over https, so that the browser keeps the Secure cookie."""
    client = app.test_client()
    client.environ_base["wsgi.url_scheme"] = "https"
    return Visitor(client)


def link_to(server: MailServer, count: int = 1) -> str:
    """Wait for mails and return the path of the link in the last."""
    text = server.wait_for(count)[-1].get_content()
    [link] = re.findall(r"https?://\S+", text)
    assert link.startswith(f"{EXTERNAL}/reset-password/")
    return str(link).removeprefix(EXTERNAL)


def ask(visitor: Visitor, email: str = "ann@example.com", **options: str) -> Page:
    return visitor.post("/forgot-password/", {"email": email}, **options)


def choose(visitor: Visitor, path: str, password: str = NEW, repeat: str | None = None) -> Page:
    repeated = password if repeat is None else repeat
    return visitor.post(path, {"new_password": password, "repeat_new_password": repeated})


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
    client: Visitor, auth: Auth, store: Store, ann: User, server: MailServer, email: str
) -> None:
    page = ask(client, email)
    assert (page.status, page.location) == (302, "/")
    path = link_to(server)
    assert server.wait_for(1)[0]["To"] == ann.email, "as it is stored"

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
def test_known_and_unknown_are_answered_alike(client: Visitor, server: MailServer) -> None:
    answers = []
    for email in ("ann@example.com", "nobody@example.com"):
        page = ask(client, email)
        headers = {name for name, _ in page.response.headers}
        answers.append((page.status, page.location, headers, client.get("/signin/").flashes[0]))

    assert answers[0] == answers[1]
    assert answers[0][3] == ("success", "Find new password in your inbox")
    ask(client)
    assert [message["To"] for message in server.wait_for(2)] == ["ann@example.com"] * 2


@pytest.mark.usefixtures("ann")
def test_the_answer_waits_for_no_mail(
    client: Visitor, app: Flask, server: MailServer, monkeypatch: pytest.MonkeyPatch
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
    assert server.envelopes == []
    goes_on.set()
    ask(client)
    server.wait_for(1)


@pytest.mark.parametrize("email", ["ann", "a\x00b@example.com", "ann@example.com\nBcc: eve@example.com"])
def test_invalid_email(client: Visitor, server: MailServer, email: str) -> None:
    page = ask(client, email)

    assert page.status == 200
    assert page.errors == {"email": ["Invalid email address."]}
    assert server.envelopes == []


def test_required(client: Visitor) -> None:
    assert ask(client, " ").errors == {"email": ["This field is required."]}


@pytest.mark.usefixtures("ann")
def test_the_link_is_not_made_from_what_a_visitor_says(
    make_app: MakeApp, database: URL, server: MailServer
) -> None:
    settings = MailSettings(MailKind.PLAIN, "127.0.0.1", server.port)
    visitor = Visitor(make_app(database, external_url=EXTERNAL, mail=settings, proxy_hops=1).test_client())
    headers = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
    token = visitor.get("/forgot-password/", headers=headers).token
    fields = {"csrf_token": token, "email": "ann@example.com"}
    assert visitor.post_raw("/forgot-password/", fields, headers=headers).status == 302

    assert link_to(server)


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
    server: MailServer,
    store: Store,
    password: str,
    repeat: str,
    errors: dict[str, list[str]],
) -> None:
    ask(client)
    page = choose(client, link_to(server), password, repeat)

    assert page.status == 200
    assert page.errors == errors
    assert store.all(User)[0].password == ann.password


def is_gone(visitor: Visitor, path: str, token: str) -> bool:
    fields = {"csrf_token": token, "new_password": "another-one-9", "repeat_new_password": "another-one-9"}
    for send in (lambda: visitor.get(path), lambda: visitor.post_raw(path, fields)):
        page = send()
        if page.status != 302:
            return False
        assert page.location == "/forgot-password/"
        assert visitor.follow(page).flashes == GONE
    return True


@pytest.mark.usefixtures("ann")
def test_a_link_works_once(client: Visitor, server: MailServer) -> None:
    ask(client)
    path = link_to(server)
    token = client.token_for(path)
    choose(client, path)
    client.get("/signin/")

    assert is_gone(client, path, token)


@pytest.mark.usefixtures("ann")
def test_of_several_links_one_works(client: Visitor, server: MailServer) -> None:
    ask(client)
    first = link_to(server)
    ask(client)
    second = link_to(server, 2)
    token = client.token_for(second)
    assert choose(client, first).location == "/signin/"
    client.get("/signin/")

    assert is_gone(client, second, token)


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize(("minutes", "gone"), [(59, False), (60, True), (60 * 24, True)])
def test_a_link_lasts_an_hour(
    client: Visitor, server: MailServer, clock: Clock, minutes: int, gone: bool
) -> None:
    ask(client)
    path = link_to(server)
    token = client.token_for(path)
    client.get("/signin/")
    clock.advance(minutes=minutes)

    assert is_gone(client, path, token) is gone


def test_a_change_of_password_voids_links(client: Visitor, ann: User, server: MailServer) -> None:
    ask(client)
    path = link_to(server)
    token = client.token_for(path)
    client.get("/signin/")
    other = Visitor(client.client.application.test_client())
    other.client.environ_base["wsgi.url_scheme"] = "https"
    Auth(other).sign_in(ann.email)
    fields = {"old_password": PASSWORD, "new_password": NEW, "repeat_new_password": NEW}
    assert other.post("/settings/", fields).location == "/"

    assert is_gone(client, path, token)


def test_a_new_password_ends_sessions_and_forgives_wrong_ones(
    make_app: MakeApp, database: URL, ann: User, server: MailServer
) -> None:
    settings = MailSettings(MailKind.PLAIN, "127.0.0.1", server.port)
    app = make_app(database, external_url="http://notes.example.org", mail=settings)
    old, new = Auth(Visitor(app.test_client())), Auth(Visitor(app.test_client()))
    old.sign_in(ann.email)
    for _ in range(10):
        assert new.sign_in(ann.email, "wrong").status == 200
    assert new.sign_in(ann.email).status == 429
    ask(new.visitor)
    [link] = re.findall(r"/reset-password/\S+", server.wait_for(1)[0].get_content())
    choose(new.visitor, link)

    assert old.visitor.get("/").status == 302
    assert new.sign_in(ann.email, NEW).status == 302


def test_of_two_uses_at_the_same_moment_one_counts(
    client: Visitor, app: Flask, ann: User, store: Store, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(client, ann.email)
    path = link_to(server)
    other = Visitor(app.test_client())
    other.client.environ_base["wsgi.url_scheme"] = "https"
    hash_password = passwords.hash_password
    answers: list[str | None] = []

    def hash_after_the_other(password: str) -> str:
        monkeypatch.setattr(passwords, "hash_password", hash_password)
        first = threading.Thread(
            target=lambda: answers.append(choose(other, path, "first-of-the-two").location)
        )
        first.start()
        first.join()
        return hash_password(password)

    token = client.token_for(path)
    client.get("/signin/")
    monkeypatch.setattr(passwords, "hash_password", hash_after_the_other)
    fields = {"csrf_token": token, "new_password": NEW, "repeat_new_password": NEW}
    page = client.post_raw(path, fields)

    assert answers == ["/signin/"]
    assert page.location == "/forgot-password/"
    assert client.follow(page).flashes == GONE
    with passwords.turn():
        assert passwords.check_password(store.all(User)[0].password, "first-of-the-two")


@pytest.mark.parametrize(
    "token", ["x", "x.y", "WzFd.abc", "%00", "%ff", "é", "a" * 3000, "..", "W10.x", "bnVsbA.x"]
)
def test_made_up_links(client: Visitor, token: str) -> None:
    page = client.get(f"/reset-password/{token}/")

    assert page.status in {302, 404}
    if page.status == 302:
        assert page.location == "/forgot-password/"


def test_a_link_of_another_key_or_kind(client: Visitor, app: Flask, ann: User, clock: Clock) -> None:
    settings = app.extensions["notejam.settings"]
    forged = recovery.make_link(replace(settings, secret_key="k" * 40), ann, clock())
    assert client.get(forged.removeprefix(EXTERNAL)).location == "/forgot-password/"
    for claims in ([], [1], "x", None, 5, [ann.id, None, 5e9], ["1", "x", 5e9]):
        token = recovery._serializer(settings).dumps(claims)  # noqa: SLF001 - only the app can sign such ones
        assert client.get(f"/reset-password/{token}/").location == "/forgot-password/"


def test_links_outlive_a_change_of_keys(
    make_app: MakeApp, database: URL, app: Flask, ann: User, clock: Clock
) -> None:
    link = recovery.make_link(app.extensions["notejam.settings"], ann, clock())
    old = app.extensions["notejam.settings"].secret_key
    later = make_app(
        database, secret_key="n" * 40, secret_key_fallbacks=(old,), external_url="http://n.example"
    )

    assert later.test_client().get(link.removeprefix(EXTERNAL)).status_code == 200


def test_a_link_hides_the_key_of_the_account(app: Flask, ann: User, clock: Clock) -> None:
    token = recovery.make_link(app.extensions["notejam.settings"], ann, clock()).split("/")[-2]
    content = base64.urlsafe_b64decode(token.split(".")[0] + "===")

    assert ann.session_key is not None
    assert ann.session_key.encode() not in content
