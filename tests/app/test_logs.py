"""Logs: one JSON object a line."""

import json
import logging

import pytest
from notejam.logs import JsonFormatter

from tests.app.website import Visitor


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


def test_requests_are_logged_without_what_people_typed(
    stranger: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="notejam.requests"):
        stranger.post("/signin/?next=private", {"email": "secret@x", "password": "secret"})
        stranger.get("/healthz")

    assert [record.getMessage() for record in caplog.records] == [
        "GET /signin/ 200 OK",
        "POST /signin/ 200 OK",
    ]
    entry = json.loads(JsonFormatter().format(caplog.records[-1]))["httpRequest"]
    assert (entry["requestMethod"], entry["requestUrl"], entry["status"]) == ("POST", "/signin/", 200)
    assert "secret" not in str(entry)
    assert "private" not in str(entry)
