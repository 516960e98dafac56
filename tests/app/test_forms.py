"""Whatever is sent to a form: it is taken as it is, or the field says why not. Never a fault of the app."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from notejam import create_app
from notejam.config import Settings
from notejam.limit_settings import NO_LIMITS
from notejam.models import NOTE_NAME_MAX

from tests.app.store import DATABASES, SECRET, MakeDatabase
from tests.app.website import PASSWORD, Auth, Visitor

SHORT = settings(max_examples=30, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])

TROUBLE = "\x00\x01\x1b\x7f\x85\n\r\t \u200b\u202e\ufffd\ufeff\uffff\U0001f600'\"<>&%;\\é"
values = st.text(max_size=300) | st.text(alphabet=TROUBLE, max_size=30)
emails = st.emails() | values
visible = st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=NOTE_NAME_MAX)


@dataclass
class Site:
    """One app for many examples."""

    visitor: Visitor
    token: str

    def post(self, path: str, fields: dict[str, str]) -> int:
        return self.visitor.post_raw(path, {"csrf_token": self.token, **fields}).status

    def note_path(self) -> str:
        """Return the address of a note, and write one first if there is none."""
        if not self.visitor.get("/").html.select("td.note a"):
            self.post("/notes/create/", {"name": "A", "text": "b", "pad": "0"})
        return str(self.visitor.get("/").html.select("td.note a")[0]["href"])


@pytest.fixture(scope="module", params=DATABASES)
def site(request: pytest.FixtureRequest, make_database: MakeDatabase) -> Iterator[Site]:
    with make_database(request.param) as url:
        app = create_app(Settings(database_url=url, secret_key=SECRET, threads=2, limits=NO_LIMITS))
        visitor = Visitor(app.test_client())
        auth = Auth(visitor)
        auth.sign_up()
        auth.sign_in()
        yield Site(visitor, visitor.token_for("/notes/create/"))
        app.extensions["notejam.engine"].dispose()


@SHORT
@given(email=emails, password=values, repeat=st.none() | values)
def test_sign_up(site: Site, email: str, password: str, repeat: str | None) -> None:
    fields = {"email": email, "password": password, "repeat_password": password if repeat is None else repeat}

    assert site.post("/signup/", fields) in {200, 302}


@SHORT
@given(email=emails, password=values)
def test_sign_in(site: Site, email: str, password: str) -> None:
    visitor = Visitor(site.visitor.client.application.test_client())

    assert visitor.post("/signin/", {"email": email, "password": password}).status in {200, 302}


@SHORT
@given(name=values, text=values, pad=st.just("0") | values)
def test_create(site: Site, name: str, text: str, pad: str) -> None:
    assert site.post("/notes/create/", {"name": name, "text": text, "pad": pad}) in {200, 302}


@SHORT
@given(name=values)
def test_pad(site: Site, name: str) -> None:
    assert site.post("/pads/create/", {"name": name}) in {200, 302}


@SHORT
@given(email=emails)
def test_forgot_password(site: Site, email: str) -> None:
    assert site.post("/forgot-password/", {"email": email}) in {200, 302}


@SHORT
@given(old=values, new=values, repeat=st.none() | values)
def test_settings(site: Site, old: str, new: str, repeat: str | None) -> None:
    """With a wrong old password: a right one would end the session of the other examples."""
    fields = {"old_password": old, "new_password": new, "repeat_new_password": repeat or new}

    assert site.post("/settings/", fields) == 200


@SHORT
@given(name=values, text=values, pad=st.just("0") | values)
def test_edit(site: Site, name: str, text: str, pad: str) -> None:
    path = site.note_path()

    assert site.post(f"{path}edit/", {"name": name, "text": text, "pad": pad}) in {200, 302}
    assert site.visitor.get(path).status == 200


@SHORT
@given(part=st.text(min_size=1, max_size=30), query=st.text(max_size=40))
def test_any_address(site: Site, part: str, query: str) -> None:
    for path in ("/{}/", "/notes/{}/", "/pads/{}/edit/", "/reset-password/{}/", "/static/{}"):
        page = site.visitor.get(
            path.format(quote(part, safe="")), query_string={"page": query, "order": query}
        )
        assert page.status in {200, 302, 308, 404, 405}


@SHORT
@given(name=visible.filter(str.strip), text=visible.filter(str.strip))
def test_a_note_reads_as_it_was_written(site: Site, name: str, text: str) -> None:
    assert site.post("/notes/create/", {"name": name, "text": text, "pad": "0"}) == 302
    newest = site.visitor.get("/").html.select("td.note a")[0]
    page = site.visitor.get(str(newest["href"]))

    assert newest.get_text() == name
    assert page.heading == f"notejam: {name}"
    assert page.html.select("div.note")[0].get_text() == text


@SHORT
@given(body=st.binary(max_size=200), query=st.text(max_size=40))
def test_any_bytes(site: Site, body: bytes, query: str) -> None:
    page = site.visitor.post_raw(
        "/notes/create/",
        b"csrf_token=" + site.token.encode() + b"&" + body,
        content_type="application/x-www-form-urlencoded",
        query_string={"pad": query, "order": query, "next": query},
    )

    assert page.status in {200, 302, 400}
    for path in ("/", "/signin/"):
        assert site.visitor.get(path, query_string={"order": query, "next": query}).status == 200


@pytest.mark.parametrize("path", ["/signin/", "/signup/", "/notes/create/"])
def test_files_and_json_are_not_taken(site: Site, path: str) -> None:
    import io

    names = ("email", "password", "repeat_password", "name", "text", "pad")
    files = {name: (io.BytesIO(b"x"), "x.txt") for name in names}
    assert site.visitor.post_raw(path, {"csrf_token": site.token, **files}).status == 200
    for body in ("[1]", "1", "{}", '{"email": 1, "name": [], "password": {}}', "{"):
        headers = {"X-CSRFToken": site.token, "Content-Type": "application/json"}
        assert site.visitor.post_raw(path, body, headers=headers).status == 200


def test_a_field_sent_twice(site: Site) -> None:
    fields = {"csrf_token": site.token, "name": ["first", "second"], "text": ["a", "b"], "pad": ["0", "7"]}

    assert site.visitor.post_raw("/notes/create/", fields).status == 302


def test_values_are_kept_and_passwords_are_not(site: Site) -> None:
    page = site.visitor.post(
        "/signup/", {"email": '"><b>x', "password": PASSWORD, "repeat_password": "other"}
    )

    assert page.html.select("input[name=email]")[0]["value"] == '"><b>x'
    assert not page.html.select("b")
    assert PASSWORD not in page.response.get_data(as_text=True)
