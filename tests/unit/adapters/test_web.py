from __future__ import annotations

import socket
import threading
import time
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from releaser.adapters.clock import SystemClock
from releaser.adapters.web import WebAdapter
from releaser.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/slow":
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b".")
                    self.wfile.flush()
                    time.sleep(0.05)
            except OSError:
                return
        body = "grüße".encode()
        self.send_response({"/moved": 302, "/broken": 500}.get(self.path, 200))
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/moved", 302), ("/broken", 500)])
def test_answers(site: str, path: str, status: int) -> None:
    assert WebAdapter().get(f"{site}{path}", 5) == (status, "grüße")


def test_proxies_do_not_lead_here(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")

    assert WebAdapter().get(site, 5)[0] == 200


def test_an_answer_that_never_ends(site: str) -> None:
    begun = time.monotonic()

    with pytest.raises(UnavailableError, match=r"/slow does not end its answer within 0\.3 s"):
        WebAdapter().get(f"{site}/slow", 0.3)

    assert time.monotonic() - begun < 5


def test_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"

        with pytest.raises(UnavailableError) as caught:
            WebAdapter().get(url, 0.2)

    assert caught.value.message == f"{url} does not answer within 0.2 s"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://127.0.0.1:1/", "http://127.0.0.1:1/ does not answer: connection refused"),
        ("nonsense", "nonsense: Invalid URL"),
        ("http://[::/", "http://[::/: "),
    ],
)
def test_nobody_there(url: str, message: str) -> None:
    with pytest.raises(UnavailableError) as caught:
        WebAdapter().get(url, 1)

    assert caught.value.message.startswith(message)


def test_the_clock() -> None:
    clock = SystemClock()
    begun = clock.now()

    clock.sleep(0.01)

    assert begun.utcoffset() == timedelta(0)
    assert clock.now() - begun >= timedelta(seconds=0.01)
