"""Logs: one JSON object a line, with what helps and without what is private."""

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from notejam.logs import JsonFormatter, shown_address
from notejam.models import User
from notejam.watching import read_trace_id
from sqlalchemy import URL

from tests.app.postgres_server import PostgresServer
from tests.app.store import NOWHERE, MakeApp
from tests.app.website import Auth, Visitor

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[dict[str, Any]]]:
    """What the app logs, as it would be written; formatted at once, as in service."""
    written: list[str] = []

    class Writer(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(self.format(record))

    handler = Writer()
    handler.setFormatter(JsonFormatter())
    caplog.set_level(logging.INFO)
    logging.getLogger().addHandler(handler)

    def read() -> list[dict[str, Any]]:
        logging.getLogger().removeHandler(handler)
        assert all("\n" not in line for line in written)
        return [json.loads(line) for line in written]

    return read


Lines = Callable[[], list[dict[str, Any]]]


def test_a_fault_is_one_line() -> None:
    fault = ValueError('two\nlines and a "quote"')
    where = (type(fault), fault, None)
    record = logging.LogRecord("notejam", logging.ERROR, __file__, 1, "it %s", ("failed",), where)
    line = JsonFormatter().format(record)

    assert "\n" not in line
    entry = json.loads(line)
    assert (entry["severity"], entry["message"], entry["logger"]) == ("ERROR", "it failed", "notejam")
    assert 'two\nlines and a "quote"' in entry["exception"]
    assert entry["time"].endswith("+00:00")


def test_requests_are_logged_without_what_people_typed(stranger: Visitor, lines: Lines) -> None:
    headers = {"traceparent": TRACEPARENT, "User-Agent": "x" * 500}
    stranger.post("/signin/?next=private", {"email": "secret@x", "password": "secret"}, headers=headers)
    stranger.get("/healthz")

    entries = lines()
    assert [entry["message"] for entry in entries] == ["GET /signin/ 200 OK", "POST /signin/ 200 OK"]
    entry = entries[-1]
    assert (entry["severity"], entry["trace_id"], entry["route"]) == ("INFO", TRACE, "/signin/")
    assert "user_id" not in entry
    request = entry["httpRequest"]
    assert (request["requestMethod"], request["requestUrl"], request["status"]) == ("POST", "/signin/", 200)
    assert len(request["userAgent"]) == 200
    assert "remoteIp" not in request
    for private in ("secret", "private", "127.0.0.1"):
        assert private not in json.dumps(entries)


def test_whose_request_it_is(signed_in: Visitor, ann: User, lines: Lines) -> None:
    signed_in.get("/notes/123/")

    entry = lines()[-1]
    assert (entry["user_id"], entry["route"]) == (ann.id, "/notes/<note_id>/")
    assert entry["httpRequest"]["requestUrl"] == "/notes/123/"
    assert ann.email not in json.dumps(entry)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/reset-password/a-secret-token/", "/reset-password/-/"),
        ("/reset-password/a-secret-token", "/reset-password/-"),
        ("/reset-password/a-secret-token/more", "/reset-password/-"),
        ("/a-secret-token", "/-/-"),
        ("/notes/a-secret-token/", "/notes/-"),
        ("/static/notejam.css", "/static/-"),
    ],
)
def test_addresses_are_logged_without_what_may_be_secret(
    stranger: Visitor, lines: Lines, path: str, shown: str
) -> None:
    stranger.get(path)

    [entry] = lines()
    assert entry["httpRequest"]["requestUrl"] == shown
    assert "secret-token" not in json.dumps(entry)


@pytest.mark.parametrize(
    ("policy", "address", "shown"),
    [
        ("none", "203.0.113.77", None),
        ("network", "203.0.113.77", "203.0.113.0/24"),
        ("network", "2001:db8:1:2::7", "2001:db8:1::/48"),
        ("network", "unknown", None),
        ("network", None, None),
        ("full", "203.0.113.77", "203.0.113.77"),
    ],
)
def test_where_requests_come_from(policy: str, address: str | None, shown: str | None) -> None:
    assert shown_address(address, policy) == shown


def test_addresses_are_logged_where_that_is_asked_for(make_app: MakeApp, lines: Lines) -> None:
    make_app(NOWHERE, log_addresses="network").test_client().get("/signin/")

    assert lines()[-1]["httpRequest"]["remoteIp"] == "127.0.0.0/24"


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        (TRACEPARENT, True),
        (f"{TRACEPARENT}-from-the-future", True),
        (None, False),
        ("", False),
        ("nonsense", False),
        (f"ff-{TRACE}-00f067aa0ba902b7-01", False),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE.upper()}-00f067aa0ba902b7-01", False),
    ],
)
def test_traces_are_taken_over(header: str | None, kept: bool) -> None:
    found = read_trace_id(header)

    assert len(found) == 32
    assert (found == TRACE) is kept
    assert kept or found != read_trace_id(header)


def test_all_lines_of_a_request_carry_its_trace(make_app: MakeApp, lines: Lines) -> None:
    visitor = Visitor(make_app(NOWHERE).test_client())
    token = visitor.token_for("/signin/")
    fields = {"csrf_token": token, "email": "ann@example.com", "password": "violet-anchor-42"}
    assert visitor.post_raw("/signin/", fields, headers={"traceparent": TRACEPARENT}).status == 503

    warning, request = lines()[-2:]
    assert warning["severity"] == "WARNING"
    assert warning["message"].startswith("the database is unavailable: connection failed")
    assert warning["trace_id"] == request["trace_id"] == TRACE
    assert "violet" not in json.dumps([warning, request])


def test_a_fault_of_the_database_quotes_no_rows(
    make_app: MakeApp, postgres: PostgresServer, postgres_database: URL, lines: Lines
) -> None:
    visitor = Visitor(make_app(postgres_database).test_client())
    Auth(visitor).sign_up()
    Auth(visitor).sign_in()
    postgres.execute(
        "ALTER TABLE notes ADD CHECK (name <> 'private name'), ALTER COLUMN text TYPE varchar(3)",
        str(postgres_database.database),
    )
    page = visitor.post("/notes/create/", {"name": "private name", "text": "private text", "pad": "0"})

    assert page.status == 500
    entries = lines()
    [fault] = [entry for entry in entries if entry["severity"] == "ERROR"]
    assert fault["exception"].count("StringDataRightTruncation, SQLSTATE 22001") == 2, "the driver's and ours"
    assert "private" not in json.dumps(entries)
