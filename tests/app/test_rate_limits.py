"""Limits in rate: they hold across processes, and end."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from notejam.limit_settings import NO_LIMITS, Limit, Limits
from notejam.models import RateLimit, User
from notejam.rate_limits import client_network
from sqlalchemy import URL

from tests.app.store import Clock, MakeApp, Store
from tests.app.website import PASSWORD, Auth, Page, Visitor

WRONG = "violet-anchor-43"


def from_address(app: Flask, address: str) -> Auth:
    client = app.test_client()
    client.environ_base["REMOTE_ADDR"] = address
    return Auth(Visitor(client))


def is_refused(page: Page, minutes: str, seconds: int) -> bool:
    assert page.status in {200, 302, 429}
    if page.status != 429:
        return False
    assert page.heading == "notejam: Too many attempts"
    assert page.texts("main p")[0] == f"That was tried too often. Please try again in {minutes}."
    assert page.response.headers["Retry-After"] == str(seconds)
    return True


@pytest.mark.parametrize("email", ["ann@example.com", "nobody@example.com"])
@pytest.mark.usefixtures("ann")
def test_ten_wrong_passwords_for_an_account(app: Flask, clock: Clock, email: str) -> None:
    """Whether there is such an account or not, and wherever they come from."""
    for number in range(10):
        assert from_address(app, f"192.0.2.{number}").sign_in(email.upper(), WRONG).status == 200
    clock.advance(minutes=5)

    for password in (WRONG, PASSWORD):
        page = from_address(app, "192.0.2.99").sign_in(email, password)
        assert is_refused(page, "10 minutes", 600)
    clock.advance(minutes=10, seconds=-1)
    assert is_refused(from_address(app, "192.0.2.99").sign_in(email, WRONG), "a minute", 1)
    clock.advance(seconds=1)
    assert from_address(app, "192.0.2.99").sign_in(email, WRONG).status == 200


def test_another_account_is_not_concerned(app: Flask, ann: User, bob: User) -> None:
    for _ in range(11):
        from_address(app, "192.0.2.1").sign_in(ann.email, WRONG)

    assert from_address(app, "192.0.2.1").sign_in(bob.email).status == 302


def test_the_right_password_begins_anew(auth: Auth, ann: User, store: Store) -> None:
    for _ in range(3):
        for _ in range(9):
            assert auth.sign_in(ann.email, WRONG).status == 200
        assert auth.sign_in(ann.email).status == 302

    assert [row.count for row in store.all(RateLimit)] == [27], "that of the address goes on"


def test_a_hundred_wrong_passwords_from_an_address(make_app: MakeApp, database: URL, ann: User) -> None:
    app = make_app(database, limits=Limits(sign_in_address=Limit(5, timedelta(minutes=15))))
    for number in range(5):
        assert from_address(app, "2001:db8::1").sign_in(f"{number}@example.com", WRONG).status == 200

    assert from_address(app, "2001:db8::abcd").sign_in(ann.email).status == 429, "of the same network"
    assert from_address(app, "2001:db8:0:1::1").sign_in(ann.email).status == 302


def test_forms_that_are_not_complete_do_not_count(auth: Auth, ann: User) -> None:
    for _ in range(12):
        assert auth.sign_in(ann.email, "").status == 200
        assert auth.sign_in("x", WRONG).status == 200

    assert auth.sign_in(ann.email).status == 302


def test_wrong_old_passwords_count_as_wrong_sign_ins(signed_in: Visitor) -> None:
    fields = {"new_password": "harbour-lantern-7", "repeat_new_password": "harbour-lantern-7"}
    for _ in range(10):
        assert signed_in.post("/settings/", {"old_password": WRONG, **fields}).status == 200

    assert signed_in.post("/settings/", {"old_password": PASSWORD, **fields}).status == 429


def test_twenty_sign_ups_from_an_address(app: Flask, ann: User, clock: Clock) -> None:
    auth = from_address(app, "192.0.2.1")
    for number in range(10):
        assert auth.sign_up(f"{number}@example.com").status == 302
        assert auth.sign_up(ann.email).status == 200, "to ask who is signed up counts, too"
        assert auth.sign_up("x").status == 200, "a form that does not pass tells nothing"

    assert is_refused(auth.sign_up("more@example.com"), "60 minutes", 3600)
    assert from_address(app, "192.0.2.2").sign_up("more@example.com").status == 302
    clock.advance(hours=1)
    assert auth.sign_up("evenmore@example.com").status == 302


def test_five_mails_an_hour(app: Flask, clock: Clock) -> None:
    def ask(address: str, email: str) -> Page:
        return from_address(app, address).visitor.post("/forgot-password/", {"email": email})

    for number in range(5):
        assert ask("192.0.2.1", f"{number}@example.com").status == 302
        assert ask(f"192.0.2.1{number}", "ann@example.com").status == 302
    assert is_refused(ask("192.0.2.1", "more@example.com"), "60 minutes", 3600)
    assert is_refused(ask("192.0.2.99", "Ann@Example.com"), "60 minutes", 3600), "to one account"
    clock.advance(hours=1)
    assert ask("192.0.2.1", "ann@example.com").status == 302


def test_switched_off(make_app: MakeApp, database: URL, store: Store) -> None:
    auth = from_address(make_app(database, limits=NO_LIMITS), "192.0.2.1")
    for number in range(25):
        assert auth.sign_up(f"{number}@example.com").status == 302
        assert auth.sign_in("0@example.com", WRONG).status == 200
        assert auth.visitor.post("/forgot-password/", {"email": "0@example.com"}).status == 302

    assert store.all(RateLimit) == []


def test_they_hold_across_processes(make_app: MakeApp, database: URL, ann: User) -> None:
    """Two apps have nothing in common but the database."""
    apps = [make_app(database), make_app(database)]
    statuses = [
        from_address(apps[number % 2], "192.0.2.1").sign_in(ann.email, WRONG).status for number in range(12)
    ]

    assert statuses == [200] * 10 + [429] * 2


def run_at_once(count: int, act: Callable[[int], int]) -> list[int]:
    both = threading.Barrier(count, timeout=30)
    results: list[int] = []

    def run(number: int) -> None:
        both.wait()
        results.append(act(number))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_they_hold_for_tries_at_the_same_moment(make_app: MakeApp, database: URL, ann: User) -> None:
    apps = [make_app(database, threads=8), make_app(database, threads=8)]
    visitors = [from_address(apps[number % 2], "192.0.2.1") for number in range(16)]
    tokens = [auth.visitor.token_for("/signin/") for auth in visitors]

    def guess(number: int) -> int:
        fields = {"csrf_token": tokens[number], "email": ann.email, "password": WRONG}
        return visitors[number].visitor.post_raw("/signin/", fields).status

    assert sorted(run_at_once(16, guess)) == [200] * 10 + [429] * 6


def test_right_passwords_at_the_same_moment_are_not_refused(
    make_app: MakeApp, database: URL, ann: User
) -> None:
    app = make_app(database, threads=16)
    visitors = [from_address(app, "192.0.2.1") for _ in range(16)]
    tokens = [auth.visitor.token_for("/signin/") for auth in visitors]

    def enter(number: int) -> int:
        fields = {"csrf_token": tokens[number], "email": ann.email, "password": PASSWORD}
        return visitors[number].visitor.post_raw("/signin/", fields).status

    assert run_at_once(16, enter) == [302] * 16


def test_sign_ups_at_the_same_moment(make_app: MakeApp, database: URL, store: Store) -> None:
    app = make_app(database, threads=8, limits=Limits(sign_up_address=Limit(3, timedelta(hours=1))))
    visitors = [from_address(app, "192.0.2.1") for _ in range(8)]
    tokens = [auth.visitor.token_for("/signup/") for auth in visitors]

    def sign_up(number: int) -> int:
        passwords = {"password": PASSWORD, "repeat_password": PASSWORD}
        fields = {"csrf_token": tokens[number], "email": f"{number}@example.com", **passwords}
        return visitors[number].visitor.post_raw("/signup/", fields).status

    assert sorted(run_at_once(8, sign_up)) == [302] * 3 + [429] * 5
    assert len(store.all(User)) == 3


def test_nobody_is_named_in_the_table_and_it_does_not_grow(auth: Auth, store: Store, clock: Clock) -> None:
    for number in range(5):
        auth.sign_in(f"{number}@example.com", WRONG)
    rows = store.all(RateLimit)
    assert len(rows) == 6
    assert all(len(row.id) == 64 and "@" not in row.id and "." not in row.id for row in rows)
    clock.advance(minutes=16)
    auth.sign_in("more@example.com", WRONG)

    assert len(store.all(RateLimit)) == 2


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("not an address", "not an address"),
        (None, ""),
    ],
)
def test_networks(address: str | None, network: str) -> None:
    assert client_network(address) == network
