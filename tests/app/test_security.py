"""CSRF, headers, where `next` may lead, the files."""

import time
from urllib.parse import urljoin, urlsplit

import pytest
from flask import Flask
from hypothesis import example, given
from hypothesis import strategies as st
from itsdangerous import TimestampSigner
from notejam import security
from notejam.models import Note, User
from sqlalchemy import URL

from tests.app.store import MakeApp, Store
from tests.app.website import PASSWORD, Visitor


def test_every_page_but_the_listed_asks_for_a_person(app: Flask, client: Visitor) -> None:
    endpoints = {rule.endpoint for rule in app.url_map.iter_rules()}

    assert endpoints >= security.PUBLIC, "a listed page does not exist"
    for rule in app.url_map.iter_rules():
        if rule.endpoint not in security.PUBLIC:
            _, path = rule.build(dict.fromkeys(rule.arguments, 1)) or ("", "")
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
                response = client.client.open(path, method=method)
                assert response.headers["Location"].startswith("/signin/"), (method, path)


@pytest.mark.parametrize("path", ["/signin/", "/signup/", "/signout/"])
@pytest.mark.parametrize("token", [None, "", "wrong", "é", "a.b.c"])
def test_public_forms_need_a_token(stranger: Visitor, path: str, token: str | None) -> None:
    stranger.get("/signin/")
    page = stranger.post_raw(
        path, {"email": "a@example.com"} | ({} if token is None else {"csrf_token": token})
    )

    assert (page.status, page.heading) == (400, "notejam: Please send the form again")
    assert "Nothing was changed" in page.texts("main p")[0]


def test_notes_need_a_token(signed_in: Visitor, store: Store) -> None:
    page = signed_in.post_raw("/notes/create/", {"name": "x", "text": "y", "pad": "0"})

    assert page.status == 400
    assert store.all(Note) == []


def test_anothers_token_is_worth_nothing(app: Flask, signed_in: Visitor, bob: User) -> None:
    other = Visitor(app.test_client())
    other.post("/signin/", {"email": bob.email, "password": PASSWORD})
    token = other.token_for("/notes/create/")

    assert signed_in.post_raw("/notes/create/", {"csrf_token": token, "name": "x"}).status == 400


@pytest.mark.parametrize(
    ("hours", "location"), [(2, "/"), (30 * 24, "/"), (32 * 24, "/signin/?next=%2Fnotes%2Fcreate%2F")]
)
def test_a_token_lasts_as_long_as_the_session(
    signed_in: Visitor, monkeypatch: pytest.MonkeyPatch, hours: int, location: str
) -> None:
    """A note that took two hours to write can be saved; after a month the session itself is over."""
    token = signed_in.token_for("/notes/create/")
    later = int(time.time()) + hours * 3600
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda _: later)
    # The browser keeps the cookie that it has: it is not written anew for each page.
    page = signed_in.post_raw("/notes/create/", {"csrf_token": token, "name": "x", "text": "y", "pad": "0"})

    assert (page.status, page.location) == (302, location)


@pytest.mark.parametrize("path", ["/signin/", "/healthz", "/static/notejam.css", "/nowhere/", "/", "/signin"])
def test_headers(stranger: Visitor, path: str) -> None:
    headers = stranger.get(path).response.headers

    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "Strict-Transport-Security" not in headers


def test_https_is_remembered(make_app: MakeApp, database: URL) -> None:
    app = make_app(database, external_url="https://notes.example.org")

    assert app.test_client().get("/signin/").headers["Strict-Transport-Security"] == "max-age=31536000"


def test_pages_bring_nothing_from_elsewhere(signed_in: Visitor, store: Store, ann: User) -> None:
    note = store.note(ann)
    for path in ("/", f"/notes/{note.id}/", "/notes/create/", "/signin/", "/signup/", "/nowhere/"):
        page = signed_in.get(path)
        assert not page.html.select("script, style, [style], [onclick], iframe")
        for link in page.html.select("link[href], img[src]"):
            assert str(link.get("href") or link.get("src")).startswith("/static/")


def test_pages_are_not_kept(signed_in: Visitor) -> None:
    assert signed_in.get("/").response.headers["Cache-Control"] == "no-store"


def test_redirect_to_the_slash_names_no_host(signed_in: Visitor) -> None:
    page = signed_in.get("/notes/create?pad=1", base_url="http://evil.example/")

    assert (page.status, page.location) == (308, "/notes/create/?pad=1")


@pytest.mark.parametrize(
    ("target", "own"),
    [
        *(("/", True), ("/notes/1/?order=name&x=%2F%2Fevil", True), ("/a:b", True), ("/é", True)),
        *(("", False), ("notes", False), ("//evil", False), ("/\\evil", False), ("/\t/evil", False)),
        *(
            ("/ /evil", False),
            ("/a\nb", False),
            ("http://evil", False),
            ("/a\\b", False),
            ("/" + "x" * 2000, False),
        ),
    ],
)
def test_own_paths(target: str, own: bool) -> None:
    assert security.is_own_path(target) is own


@given(st.text(alphabet="/\\.:@?#%a \t\n\x00é", max_size=12) | st.text(max_size=30))
@example("/@evil")
def test_whatever_passes_stays_on_the_site(target: str) -> None:
    if security.is_own_path(target):
        # What browsers do: tabs and line breaks are dropped, a backslash is a slash.
        seen = target.replace("\t", "").replace("\n", "").replace("\r", "").replace("\\", "/")
        assert urlsplit(urljoin("https://notes.example.org/signin/", seen)).netloc == "notes.example.org"


def test_files_are_kept_for_good_under_their_stamp(stranger: Visitor) -> None:
    href = str(stranger.get("/signin/").html.select("link[rel=stylesheet]")[0]["href"])
    response = stranger.get(href).response

    assert response.status_code == 200
    assert response.content_type == "text/css; charset=utf-8"
    assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize("path", ["/static/notejam.css", "/static/notejam.css?v=ofanotherrelease"])
def test_files_of_another_release_are_asked_for_again(stranger: Visitor, path: str) -> None:
    response = stranger.get(path).response

    assert response.headers["Cache-Control"] == "no-cache"
    again = stranger.get(path, headers={"If-None-Match": response.headers["ETag"]})
    assert again.status == 304


@pytest.mark.parametrize(
    "name", ["nothing.css", "../config.py", "%2e%2e/config.py", "..%2fconfig.py", "x%00"]
)
def test_other_files_are_not_there(stranger: Visitor, name: str) -> None:
    assert stranger.get(f"/static/{name}").status in {404, 302}
