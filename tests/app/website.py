"""A visitor of the app: reads pages as a person does, and sends forms with the token that the page holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bs4 import BeautifulSoup
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

PASSWORD = "violet-anchor-42"


@dataclass(frozen=True)
class Page:
    """An answer, as it is read."""

    response: TestResponse

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def location(self) -> str | None:
        return self.response.headers.get("Location")

    @property
    def html(self) -> BeautifulSoup:
        return BeautifulSoup(self.response.get_data(as_text=True), "html.parser")

    def texts(self, selector: str) -> list[str]:
        return [" ".join(found.get_text().split()) for found in self.html.select(selector)]

    @property
    def title(self) -> str:
        found = self.html.title
        return found.get_text() if found else ""

    @property
    def heading(self) -> str:
        return self.html.select("h1.bold-header")[0].get_text()

    @property
    def errors(self) -> dict[str, list[str]]:
        """What each field says is wrong."""
        found = {}
        for field in self.html.select("form .field"):
            control = field.select("input, select, textarea")[0]
            messages = [item.get_text() for item in field.select("ul.errorlist > li")]
            if messages:
                found[str(control["name"])] = messages
        return found

    @property
    def flashes(self) -> list[tuple[str, str]]:
        return [
            (str(alert["class"][-1]).removeprefix("alert-"), alert.get_text())
            for alert in self.html.select(".alert-area > .alert")
        ]

    @property
    def token(self) -> str:
        return str(self.html.select("input[name=csrf_token]")[0]["value"])


class Visitor:
    """One browser."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    def get(self, path: str, **options: Any) -> Page:
        return Page(self.client.get(path, buffered=True, **options))

    def post(self, path: str, data: dict[str, Any] | None = None, **options: Any) -> Page:
        """Open the page, then send its form."""
        return self.post_raw(path, {"csrf_token": self.token_for(path), **(data or {})}, **options)

    def post_raw(self, path: str, data: Any = None, **options: Any) -> Page:
        """Send a form as it is."""
        return Page(self.client.post(path, data=data, buffered=True, **options))

    def token_for(self, path: str) -> str:
        headers = {"Sec-Fetch-Site": "cross-site"} if path.startswith("/signout/") else {}
        return self.get(path, headers=headers).token

    def follow(self, page: Page) -> Page:
        assert page.location is not None, f"{page.status} is no redirect"
        return self.get(page.location)


class Auth:
    """Accounts, as people make and use them."""

    def __init__(self, visitor: Visitor) -> None:
        self.visitor = visitor

    def sign_up(
        self, email: str = "ann@example.com", password: str = PASSWORD, repeat: str | None = None
    ) -> Page:
        data = {
            "email": email,
            "password": password,
            "repeat_password": password if repeat is None else repeat,
        }
        return self.visitor.post("/signup/", data)

    def sign_in(
        self, email: str = "ann@example.com", password: str = PASSWORD, path: str = "/signin/"
    ) -> Page:
        return self.visitor.post(path, {"email": email, "password": password})

    def sign_out(self) -> Page:
        return self.visitor.get("/signout/", headers={"Sec-Fetch-Site": "same-origin"})
