"""Sign-out: at once for the person, never for another site."""

import pytest
from sqlalchemy import URL

from tests.app.store import MakeApp
from tests.app.website import Visitor

HOST = "http://localhost"


def is_signed_in(visitor: Visitor) -> bool:
    return visitor.get("/").status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {},
        {"Referer": f"{HOST}/notes/1/"},
        {"Sec-Fetch-Site": "none", "Referer": "https://evil.example/"},
    ],
)
def test_at_once(signed_in: Visitor, headers: dict[str, str]) -> None:
    page = signed_in.get("/signout/", headers=headers)

    assert (page.status, page.location) == (302, "/signin/")
    assert signed_in.follow(page).flashes == []
    assert not is_signed_in(signed_in)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Referer": f"{HOST}/"},
        {"Referer": "https://evil.example/"},
        {"Referer": "http://localhost.evil.example/"},
        {"Referer": "https://localhost:444/"},
        {"Referer": "http://[broken"},
        {"Sec-Fetch-Site": "same-origin", "Sec-Purpose": "prefetch;prerender"},
        {"Sec-Fetch-Site": "none", "Purpose": "prefetch"},
    ],
)
def test_after_a_button(signed_in: Visitor, headers: dict[str, str]) -> None:
    page = signed_in.get("/signout/", headers=headers)

    assert (page.status, page.title) == (200, "Sign Out")
    assert page.html.select("form[method=post] input[type=submit]")[0]["value"] == "Sign out"
    assert is_signed_in(signed_in)

    pressed = signed_in.post_raw("/signout/", {"csrf_token": page.token})
    assert (pressed.status, pressed.location) == (302, "/signin/")
    assert not is_signed_in(signed_in)


def test_external_address_is_the_site_itself(make_app: MakeApp, database: URL) -> None:
    """Behind a proxy that ends TLS the app sees http, and the browser says https."""
    visitor = Visitor(make_app(database, external_url="https://notes.example.org").test_client())
    page = visitor.get("/signout/", headers={"Referer": "https://notes.example.org/"})

    assert page.status == 302


def test_head_signs_nobody_out(signed_in: Visitor) -> None:
    assert signed_in.client.head("/signout/", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
    assert is_signed_in(signed_in)


@pytest.mark.parametrize("token", [None, "", "wrong"])
def test_post_needs_a_token(signed_in: Visitor, token: str | None) -> None:
    assert signed_in.post_raw("/signout/", {"csrf_token": token} if token is not None else {}).status == 400
    assert is_signed_in(signed_in)


@pytest.mark.parametrize("path", ["/signin/", "/signup/", "/notes/create/", "/signout/", "/nowhere/"])
@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {"Origin": "null"}]
)
def test_another_sites_form_cannot_replace_the_cookie(
    stranger: Visitor, path: str, headers: dict[str, str]
) -> None:
    """Such a form comes without the cookie; an answer that sets a fresh one would sign the person out."""
    page = stranger.post_raw(path, {"email": "x"}, headers=headers)

    assert page.status in {302, 400, 404}
    assert "Set-Cookie" not in page.response.headers


def test_a_visitor_from_another_site_can_sign_in(stranger: Visitor) -> None:
    page = stranger.get("/signin/", headers={"Sec-Fetch-Site": "cross-site"})

    assert "Set-Cookie" in page.response.headers
