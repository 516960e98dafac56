"""A visitor of the app who prepares what is measured."""

from __future__ import annotations

import re
import sys
from http.client import HTTPConnection
from urllib.parse import urlencode


def fetch(
    port: int, method: str, path: str, form: dict[str, str] | None = None, cookie: str = ""
) -> tuple[int, str, str]:
    """Ask once; return status (0: nobody answers), body, and the cookie from now on."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Cookie": cookie} if cookie else {}
    if form is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    try:
        connection.request(method, path, urlencode(form) if form else None, headers)
        response = connection.getresponse()
        body = response.read().decode()
    except OSError:
        return 0, "", cookie
    finally:
        connection.close()
    return response.status, body, (response.getheader("Set-Cookie") or cookie).partition(";")[0]


def token_in(body: str) -> str:
    """Find the token of a form."""
    found = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', body)
    if found is None:
        sys.exit("bench-app: a page holds no form")
    return found[1]


def sign_in(port: int, email: str, password: str) -> str:
    """Sign in; return the cookie."""
    _, body, cookie = fetch(port, "GET", "/signin/")
    form = {"csrf_token": token_in(body), "email": email, "password": password}
    status, _, cookie = fetch(port, "POST", "/signin/", form, cookie)
    if status != 302:  # noqa: PLR2004 - to the list
        sys.exit(f"bench-app: sign-in was answered {status}")
    # The message after the sign-in is shown, and with that gone from the cookie.
    return fetch(port, "GET", "/", cookie=cookie)[2]


def request_bytes(method: str, path: str, cookie: str = "", form: dict[str, str] | None = None) -> bytes:
    """Write a request as a browser sends it."""
    body = urlencode(form).encode() if form else b""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "User-Agent: bench-app", "Accept: text/html"]
    lines += [f"Cookie: {cookie}"] if cookie else []
    if form:
        lines += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body
