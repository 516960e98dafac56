"""Keys change without signing anybody out."""

from notejam.models import Pad, User
from sqlalchemy import URL

from tests.app.store import SECRET, MakeApp, Store
from tests.app.website import Auth, Visitor

NEXT = "the key after this one, long enough"


def test_a_key_is_changed_in_steps(make_app: MakeApp, database: URL, ann: User, store: Store) -> None:
    """First the new key is believed, then it signs, then the old one is believed no more."""
    steps = [
        {"secret_key": SECRET},
        {"secret_key": SECRET, "secret_key_fallbacks": (NEXT,)},
        {"secret_key": NEXT, "secret_key_fallbacks": (SECRET,)},
        {"secret_key": NEXT},
    ]
    visitor = Visitor(make_app(database, **steps[0]).test_client())
    Auth(visitor).sign_in(ann.email)
    token = visitor.token_for("/pads/create/")
    for number, step in enumerate(steps[1:]):
        cookie = visitor.client.get_cookie("session")
        assert cookie is not None
        visitor = Visitor(make_app(database, **step).test_client())
        visitor.client.set_cookie("session", cookie.value)
        assert visitor.get("/").status == 200
        if number < 2:
            fields = {"csrf_token": token, "name": f"{number}"}
            assert visitor.post_raw("/pads/create/", fields).status == 302, "a form that was open"
        visitor.get("/")  # takes the flash, and so the cookie is signed anew

    assert [pad.name for pad in store.all(Pad)] == ["0", "1"]


def test_pods_with_either_key_serve_side_by_side(make_app: MakeApp, database: URL, ann: User) -> None:
    old = make_app(database, secret_key=SECRET, secret_key_fallbacks=(NEXT,)).test_client()
    new = make_app(database, secret_key=NEXT, secret_key_fallbacks=(SECRET,)).test_client()
    Auth(Visitor(new)).sign_in(ann.email)
    cookie = new.get_cookie("session")
    assert cookie is not None
    old.set_cookie("session", cookie.value)

    assert old.get("/").status_code == 200


def test_a_key_that_is_gone_is_not_believed(make_app: MakeApp, database: URL, ann: User) -> None:
    first, other = make_app(database), make_app(database, secret_key=NEXT).test_client()
    visitor = Visitor(first.test_client())
    Auth(visitor).sign_in(ann.email)
    cookie = visitor.client.get_cookie("session")
    assert cookie is not None
    other.set_cookie("session", cookie.value)

    assert other.get("/").status_code == 302
