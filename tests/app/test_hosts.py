"""Names under which the app answers, and proxies in front of it."""

import pytest
from notejam.hosts import is_allowed
from notejam.models import RateLimit
from sqlalchemy import URL

from tests.app.store import NOWHERE, MakeApp, Store
from tests.app.website import Auth, Visitor

EXTERNAL = "https://notes.example.org"


def get(make_app: MakeApp, host: str, path: str = "/signin/", **settings: object) -> int:
    return make_app(NOWHERE, **settings).test_client().get(path, headers={"Host": host}).status_code


@pytest.mark.parametrize(
    "host",
    [
        *("notes.example.org", "NOTES.example.org:443", "notes.example.org.", "localhost", "localhost:8000"),
        *("127.0.0.1", "10.244.1.7:8000", "[::1]:8000", "[2001:db8::1]", "notejam", "notejam:80"),
    ],
)
def test_own_names_and_those_within_a_cluster(make_app: MakeApp, host: str) -> None:
    assert get(make_app, host, external_url=EXTERNAL) == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "notes.example.org.evil.example", "xnotes.example.org", "example.org"),
        *("evil.example:443", "notes.example.org@evil.example", "notes.example.org,evil.example"),
        *("", " ", "a b", "a/b", "é", "[::1", "notes.example.org:x", "notes.example.org:999999"),
        *("127.0.0.1.evil.example", "a..b"),
    ],
)
def test_other_names_are_refused(make_app: MakeApp, host: str) -> None:
    visitor = Visitor(make_app(NOWHERE, external_url=EXTERNAL).test_client())
    for path in ("/signin/", "/", "/nowhere/", "/signin", "/static/notejam.css", "/reset-password/x/"):
        page = visitor.get(path, headers={"Host": host})
        assert (page.status, page.heading) == (400, "notejam: Bad request")
        assert "under this name" in page.texts("main p")[0]
        assert "Set-Cookie" not in page.response.headers


def test_probes_come_to_the_address_of_a_pod(make_app: MakeApp) -> None:
    for path in ("/healthz", "/version"):
        assert get(make_app, "10.244.1.7:8000", path, external_url=EXTERNAL, allowed_hosts=("a.b",)) == 200


def test_listed_names_are_the_only_ones(make_app: MakeApp) -> None:
    settings = {"external_url": EXTERNAL, "allowed_hosts": ("notes.internal", "10.0.0.1")}
    for host in ("notes.internal", "notes.internal:80", "10.0.0.1", "notes.example.org"):
        assert get(make_app, host, **settings) == 200
    for host in ("localhost", "10.0.0.2", "notejam", "evil.example"):
        assert get(make_app, host, **settings) == 400


def test_with_no_setting_any_name_will_do(make_app: MakeApp) -> None:
    app = make_app(NOWHERE)

    assert is_allowed("whatever.example:8000", app.extensions["notejam.settings"])
    assert not is_allowed("what ever", app.extensions["notejam.settings"])


@pytest.mark.parametrize(
    ("hops", "forwarded", "counted"),
    [
        (0, "203.0.113.9", "127.0.0.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "1.1.1.1, 203.0.113.9", "203.0.113.9"),
        (2, "203.0.113.9, 10.0.0.1", "203.0.113.9"),
        (2, "1.1.1.1, 203.0.113.9, 10.0.0.1", "203.0.113.9"),
        (2, "203.0.113.9", "127.0.0.1"),
        (1, "", "127.0.0.1"),
    ],
)
def test_the_visitors_address_is_what_the_trusted_proxies_say(
    make_app: MakeApp, database: URL, store: Store, hops: int, forwarded: str, counted: str
) -> None:
    """Seen in what the limits count: a visitor cannot choose an address."""
    for header, address in ((forwarded, "127.0.0.1"), ("", counted)):
        client = make_app(database, proxy_hops=hops if header else 0).test_client()
        client.environ_base |= {"HTTP_X_FORWARDED_FOR": header, "REMOTE_ADDR": address}
        Auth(Visitor(client)).sign_up("not-checked-twice@example.com")

    assert [row.count for row in store.all(RateLimit)] == [2]


def test_the_scheme_comes_from_the_proxy(make_app: MakeApp) -> None:
    """A Referer of the page that people see is the site itself."""
    client = Visitor(make_app(NOWHERE, proxy_hops=1).test_client())
    headers = {"X-Forwarded-Proto": "https", "Referer": "https://localhost/"}

    assert client.get("/signout/", headers=headers).status == 302
    assert client.get("/signout/", headers={"Referer": "https://localhost/"}).status == 200
