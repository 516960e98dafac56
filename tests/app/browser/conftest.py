"""A real Chromium before the app as gunicorn serves it, on a real PostgreSQL server."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from tests.app.store import SECRET, MakeDatabase

ROOT = Path(__file__).parents[3]
SECONDS = 60
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# Chromium is to speak to the app and to nobody else. Its own sandbox needs rights that containers lack.
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip
DESKTOP = {"width": 1200, "height": 800}


@dataclass(frozen=True)
class Site:
    """The running app."""

    url: str
    log: Path

    def mailed_link(self, email: str) -> str:
        """Wait for the newest mail to somebody, which is printed to the log, and return its link."""
        deadline = time.monotonic() + SECONDS
        while True:
            text = self.log.read_text(encoding="utf-8")
            links: list[str] = re.findall(rf"{re.escape(self.url)}/reset-password/[\w.~-]+/", text)
            if email in text and links:
                return links[-1]
            assert time.monotonic() < deadline, text
            time.sleep(0.05)


@pytest.fixture(scope="session")
def site(make_database: MakeDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The app, as the image starts it."""
    folder = tmp_path_factory.mktemp("site")
    log = folder / "log"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    url = f"http://127.0.0.1:{port}"
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "--config",
        "gunicorn.conf.py",
        "--bind",
        f"127.0.0.1:{port}",
    ]
    with make_database("postgres") as database, log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [*command, "notejam.wsgi:app"],
            cwd=ROOT / "app",
            env={
                "PATH": os.environ["PATH"],
                "DATABASE_URL": database.render_as_string(hide_password=False),
                "SECRET_KEY": SECRET,
                "NOTEJAM_EXTERNAL_URL": url,
                "NOTEJAM_MAIL_URL": "log:",
                "NOTEJAM_METRICS_PORT": "0",
                "NOTEJAM_RATE_LIMITS": "off",
                "WEB_CONCURRENCY": "1",
            },
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait(port, process, log)
            yield Site(url, log)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=SECONDS)


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.05)
        finally:
            connection.close()
    pytest.fail(f"the app did not start:\n{log.read_text(encoding='utf-8')}")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser of this machine: none is downloaded."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.fail(
            f"None of {', '.join(PROGRAMS)} is installed. On Debian: apt-get install chromium", pytrace=False
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def pictures() -> Path:
    """Where pictures of the pages are kept, to be looked at."""
    folder = Path(os.environ.get("NOTEJAM_PICTURES") or ROOT / ".local" / "pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


Open = Callable[..., Page]


@pytest.fixture
def open_page(chromium: Browser, site: Site) -> Iterator[Open]:
    """Open a tab of a fresh browser. At the end: no error in its console, and no other site was asked."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_one(**options: object) -> Page:
        context = chromium.new_context(base_url=site.url, **{"viewport": DESKTOP, **options})  # type: ignore[arg-type] # playwright's many options
        contexts.append(context)
        context.set_default_timeout(SECONDS * 1000)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(f"error in the page: {error}"))
        page.on("console", lambda said: complaints.append(said.text) if is_complaint(said) else None)
        page.on("request", lambda sent: complaints.append(sent.url) if is_foreign(sent.url, site) else None)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert complaints == []


def is_complaint(said: ConsoleMessage) -> bool:
    """Whether the browser tells of an error; that a page itself is missing is none."""
    missing = "404" in said.text and said.page is not None and said.location["url"] == said.page.url
    return said.type == "error" and not missing


def is_foreign(url: str, site: Site) -> bool:
    """Whether a request leaves the site."""
    return urlsplit(url).scheme != "data" and not url.startswith(f"{site.url}/")


@pytest.fixture
def page(open_page: Open) -> Page:
    """A tab of a fresh browser on a desktop."""
    return open_page()


@pytest.fixture
def email() -> str:
    """Somebody who has never been here."""
    return f"ann-{secrets.token_hex(4)}@example.com"
