"""Links to choose a new password: once, for an hour, for one account."""

import base64
import re
import threading
from dataclasses import replace

import pytest
from flask import Flask
from notejam import passwords, recovery
from notejam.mail_settings import MailKind, MailSettings
from notejam.models import User
from sqlalchemy import URL

from tests.app.mail_server import MailServer
from tests.app.recovery import EXTERNAL, GONE, NEW, ask, choose, link_to
from tests.app.store import Clock, MakeApp, Store
from tests.app.website import PASSWORD, Auth, Visitor


@pytest.fixture
def app(mailing_app: Flask) -> Flask:
    return mailing_app


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
def test_a_link_works_once(client: Visitor, mail_server: MailServer) -> None:
    ask(client)
    path = link_to(mail_server)
    token = client.token_for(path)
    choose(client, path)
    client.get("/signin/")

    assert is_gone(client, path, token)


@pytest.mark.usefixtures("ann")
def test_of_several_links_one_works(client: Visitor, mail_server: MailServer) -> None:
    ask(client)
    first = link_to(mail_server)
    ask(client)
    second = link_to(mail_server, 2)
    token = client.token_for(second)
    assert choose(client, first).location == "/signin/"
    client.get("/signin/")

    assert is_gone(client, second, token)


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize(("minutes", "gone"), [(59, False), (60, True), (60 * 24, True)])
def test_a_link_lasts_an_hour(
    client: Visitor, mail_server: MailServer, clock: Clock, minutes: int, gone: bool
) -> None:
    ask(client)
    path = link_to(mail_server)
    token = client.token_for(path)
    client.get("/signin/")
    clock.advance(minutes=minutes)

    assert is_gone(client, path, token) is gone


def test_a_change_of_password_voids_links(client: Visitor, ann: User, mail_server: MailServer) -> None:
    ask(client)
    path = link_to(mail_server)
    token = client.token_for(path)
    client.get("/signin/")
    other = Visitor(client.client.application.test_client())
    Auth(other).sign_in(ann.email)
    fields = {"old_password": PASSWORD, "new_password": NEW, "repeat_new_password": NEW}
    assert other.post("/settings/", fields).location == "/"

    assert is_gone(client, path, token)


def test_a_new_password_ends_sessions_and_forgives_wrong_ones(
    make_app: MakeApp, database: URL, ann: User, mail_server: MailServer
) -> None:
    settings = MailSettings(MailKind.PLAIN, "127.0.0.1", mail_server.port)
    app = make_app(database, external_url="http://notes.example.org", mail=settings)
    old, new = Auth(Visitor(app.test_client())), Auth(Visitor(app.test_client()))
    old.sign_in(ann.email)
    for _ in range(10):
        assert new.sign_in(ann.email, "wrong").status == 200
    assert new.sign_in(ann.email).status == 429
    ask(new.visitor)
    [link] = re.findall(r"/reset-password/\S+", mail_server.wait_for(1)[0].get_content())
    choose(new.visitor, link)

    assert old.visitor.get("/").status == 302
    assert new.sign_in(ann.email, NEW).status == 302


def test_of_two_uses_at_the_same_moment_one_counts(
    client: Visitor,
    app: Flask,
    ann: User,
    store: Store,
    mail_server: MailServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ask(client, ann.email)
    path = link_to(mail_server)
    other = Visitor(app.test_client())
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
