"""What was wrong with the legacy app, by number, each shown to be mended."""

import base64
import hashlib
import json
import pickle
import re
import threading
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask
from notejam import passwords, recovery
from notejam.config import ConfigError, Settings
from notejam.engine import make_engine
from notejam.models import Note, Pad, User
from sqlalchemy import URL, inspect

from tests.app.store import Clock, MakeApp, Store
from tests.app.website import PASSWORD, Auth, Visitor

NEW = "harbour-lantern-7"


def test_problem_1_deleting_a_note_made_through_the_pages(
    signed_in: Visitor, store: Store, ann: User
) -> None:
    pad = store.pad(ann, "Garden")
    for choice, location in (("0", "/"), (str(pad.id), f"/pads/{pad.id}/")):
        signed_in.post("/notes/create/", {"name": "A", "text": "b", "pad": choice})
        [note] = store.all(Note)
        deleted = signed_in.post(f"/notes/{note.id}/delete/")
        assert (deleted.status, deleted.location) == (302, location)
        assert store.all(Note) == []


def test_problem_2_deleting_and_signing_out_need_a_token(signed_in: Visitor, store: Store, ann: User) -> None:
    pad, note = store.pad(ann, "Garden"), store.note(ann)
    for path in (f"/notes/{note.id}/delete/", f"/pads/{pad.id}/delete/", "/signout/"):
        assert signed_in.post_raw(path, {}).status == 400
        assert signed_in.get(path, headers={"Sec-Fetch-Site": "cross-site"}).status == 200

    assert (len(store.all(Pad)), len(store.all(Note))) == (1, 1)
    assert signed_in.get("/").status == 200
    assert signed_in.get("/signout/", headers={"Sec-Fetch-Site": "same-origin"}).status == 302


def test_problem_3_the_key_is_not_in_the_code(app_folder: Path) -> None:
    with pytest.raises(ConfigError, match="SECRET_KEY is not set"):
        Settings.from_environment({"DATABASE_URL": "sqlite:////tmp/x"}, serving=True)
    for path in app_folder.rglob("*.py"):
        assert not re.search(
            r"secret_key\s*=\s*[\"'][^\"']{8}", path.read_text(encoding="utf-8"), re.IGNORECASE
        )


def test_problem_3_sessions_are_no_pickles(signed_in: Visitor) -> None:
    cookie = signed_in.client.get_cookie("session")
    assert cookie is not None
    compressed = cookie.value.startswith(".")
    payload = base64.urlsafe_b64decode(cookie.value.lstrip(".").split(".")[0] + "===")
    content = zlib.decompress(payload) if compressed else payload

    assert isinstance(json.loads(content), dict)
    with pytest.raises(pickle.UnpicklingError):
        pickle.loads(content)  # noqa: S301 - it is JSON


def test_problem_4_the_new_password_is_chosen_not_sent(
    app: Flask, client: Visitor, ann: User, store: Store, clock: Clock
) -> None:
    client.post("/forgot-password/", {"email": ann.email})
    assert store.all(User)[0].password == ann.password, "asking changes nothing"
    link = recovery.make_link(app.extensions["notejam.settings"], ann, clock())
    for date in (clock(), datetime.now(UTC)):
        guess = f"{ann.email}{app.secret_key!s}{date:%Y-%m-%d}"
        assert hashlib.md5(guess.encode()).hexdigest()[:8] not in link  # noqa: S324 - the legacy app's
    path = link.removeprefix("None")
    fields = {"new_password": NEW, "repeat_new_password": NEW}
    assert client.post(path, fields).location == "/signin/"
    assert client.get(path).location == "/forgot-password/", "once"


@pytest.mark.usefixtures("ann")
def test_problem_5_answers_do_not_tell_who_has_an_account(client: Visitor) -> None:
    def answers(email: str) -> list[object]:
        sign_in = client.post("/signin/", {"email": email, "password": "wrong password"})
        forgot = client.post("/forgot-password/", {"email": email})
        return [
            sign_in.status,
            sign_in.flashes,
            forgot.status,
            forgot.location,
            client.get("/signin/").flashes,
        ]

    assert answers("ann@example.com") == answers("nobody@example.com")


def test_problem_5_sign_in_takes_as_long_without_an_account(
    auth: Auth, ann: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    auth.sign_in("nobody@example.com")  # makes the hash that nobody has, once a process
    costs: list[list[int]] = []
    derive = hashlib.scrypt

    def count(*arguments: object, **options: object) -> bytes:
        costs[-1].append(int(str(options["n"])))
        return derive(*arguments, **options)  # type: ignore[arg-type] # as they came

    monkeypatch.setattr(hashlib, "scrypt", count)
    for email in (ann.email, "nobody@example.com"):
        costs.append([])
        auth.sign_in(email, "wrong password")

    assert costs == [[1024], [1024]]


def test_problem_5_tries_are_limited(auth: Auth, ann: User) -> None:
    statuses = [auth.sign_in(ann.email, "wrong password").status for _ in range(11)]

    assert statuses == [200] * 10 + [429]


@pytest.mark.parametrize("password", ["1234567", "12345678", "password", "x" * 129])
def test_problem_5_passwords_have_a_policy(auth: Auth, password: str) -> None:
    assert "password" in auth.sign_up(password=password).errors


def test_problem_5_sessions_end_with_the_password(
    signed_in: Visitor, ann: User, come_in: Callable[[User], Visitor]
) -> None:
    other = come_in(ann)
    fields = {"old_password": PASSWORD, "new_password": NEW, "repeat_new_password": NEW}
    signed_in.post("/settings/", fields)

    assert (signed_in.get("/").status, other.get("/").status) == (200, 302)


def test_problem_5_cookies_are_guarded(make_app: MakeApp, database: URL) -> None:
    client = make_app(database, external_url="https://notes.example.org").test_client()
    cookie = client.get("/signin/", base_url="https://notes.example.org").headers["Set-Cookie"]

    assert {"Secure", "HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))


def test_problem_6_two_sign_ups_at_once_are_a_form_error(
    app: Flask, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2, timeout=20)
    hash_password = passwords.hash_password

    def hash_together(password: str) -> str:
        both.wait()
        return hash_password(password)

    monkeypatch.setattr(passwords, "hash_password", hash_together)
    answers: list[dict[str, list[str]]] = []

    def sign_up() -> None:
        answers.append(Auth(Visitor(app.test_client())).sign_up().errors)

    threads = [threading.Thread(target=sign_up) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers, key=len) == [{}, {"email": ["User with this email is already signed up"]}]
    assert len(store.all(User)) == 1


def test_problem_7_a_request_makes_no_tables(make_app: MakeApp, empty_database: URL) -> None:
    visitor = Visitor(make_app(empty_database).test_client())
    assert Auth(visitor).sign_in().status in {500, 503}

    engine = make_engine(empty_database, pool_size=1)
    assert inspect(engine).get_table_names() == []
    engine.dispose()


def test_problem_7_no_database_in_memory() -> None:
    for name in ("DATABASE_URL", "sqlite://", "sqlite:///:memory:"):
        environment = {} if name == "DATABASE_URL" else {"DATABASE_URL": name}
        with pytest.raises(ConfigError, match="DATABASE_URL"):
            Settings.from_environment(environment, serving=False)


def test_problem_8_the_development_server_is_not_what_serves(app_folder: Path) -> None:
    command = (app_folder / "Dockerfile").read_text(encoding="utf-8")

    assert 'CMD ["gunicorn"' in command
    for path in (app_folder / "notejam").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "app.run(" not in text
        assert ("run_simple" in text) == (path.name == "__main__.py")


def test_problem_9_everything_on_a_page_is_the_apps_own(signed_in: Visitor) -> None:
    for path in ("/", "/signin/", "/settings/", "/nowhere/"):
        page = signed_in.get(path)
        assert not page.html.select("script, iframe, object, embed, style, [style]")
        assert "://" not in page.response.get_data(as_text=True)
        for link in page.html.select("link[href], img[src]"):
            assert re.fullmatch(r"/static/[a-z]+\.[0-9a-f]{12}\.(css|svg)", str(link.get("href")))


def test_problem_9_static_files_have_names_that_change_with_them(stranger: Visitor) -> None:
    for link in stranger.get("/signin/").html.select("link[href]"):
        response = stranger.get(str(link["href"])).response
        assert response.status_code == 200
        assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert "url(" not in response.get_data(as_text=True)
        assert "@import" not in response.get_data(as_text=True)


def test_problem_9_there_are_pages_for_errors_and_for_probes(stranger: Visitor) -> None:
    assert stranger.get("/nowhere/").heading == "notejam: Page not found"
    assert stranger.get("/healthz").status == 200
