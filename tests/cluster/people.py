"""A person with a browser, as far as HTTP goes, and a probe that counts what it is refused."""

from __future__ import annotations

import re
import threading
import time
from types import TracebackType
from typing import Self

import requests

SECONDS = 10
PASSWORD = "correct-horse-battery-9"


class Person:
    """Signs up, signs in, writes and reads notes."""

    def __init__(self, url: str, email: str) -> None:
        self.url, self.email = url, email
        self.session = requests.Session()

    def sign_up(self) -> None:
        page = self._post("/signup/", email=self.email, password=PASSWORD, repeat_password=PASSWORD)
        assert "Account is created. Now you can sign in." in page.text, page.text

    def sign_in(self) -> None:
        page = self._post("/signin/", email=self.email, password=PASSWORD)
        assert "You are signed in!" in page.text, page.text

    def write(self, name: str, text: str) -> None:
        page = self._post("/notes/create/", name=name, text=text, pad="0")
        assert "Note is successfully created" in page.text, page.text

    def list_notes(self) -> str:
        answer = self.session.get(f"{self.url}/", timeout=SECONDS)
        assert answer.status_code == requests.codes.ok, answer.text
        return answer.text

    def _post(self, path: str, **fields: str) -> requests.Response:
        form = self.session.get(self.url + path, timeout=SECONDS)
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', form.text)
        assert token, form.text
        return self.session.post(
            self.url + path,
            data={**fields, "csrf_token": token[1]},
            headers={"Referer": self.url + path},
            timeout=SECONDS,
        )


class Probe:
    """Asks for a page over and over, with a new connection each time, while its block runs.

    `asked` counts the requests, `refused` holds what went wrong. It ends by itself after `limit`
    requests.
    """

    def __init__(self, url: str, *, limit: int = 6000) -> None:
        self.url, self.limit = url, limit
        self.asked = 0
        self.refused: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._stop.wait(0.05) and self.asked < self.limit:
            self.asked += 1
            began = time.monotonic()
            try:
                answer = requests.get(self.url, timeout=SECONDS, headers={"Connection": "close"})
                if answer.status_code != requests.codes.ok:
                    self.refused.append(f"status {answer.status_code}")
            except requests.RequestException as error:
                self.refused.append(f"{type(error).__name__} after {time.monotonic() - began:.1f} s")
