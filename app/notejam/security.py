"""What guards every page: sign-in, CSRF, where a request comes from, the headers of an answer."""

from __future__ import annotations

import re
from typing import cast
from urllib.parse import quote, urlencode, urlsplit

from flask import Flask, Response, current_app, flash, redirect, request, session, url_for
from flask.sessions import SecureCookieSessionInterface, SessionMixin
from flask_wtf.csrf import CSRFError, CSRFProtect  # type: ignore[import-untyped] # ships no types
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Response as AnyResponse

from notejam import hosts, identity
from notejam.config import Settings

# Every page that is not listed here is for signed-in people only.
PUBLIC = frozenset(
    {
        "accounts.sign_in",
        "accounts.sign_out",
        "accounts.sign_up",
        "health.live",
        "health.ready",
        "health.version",
        "recovery.forgot_password",
        "recovery.reset_password",
        "static",
    }
)
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
NEXT_MAX = 2000
LOG_IN = ("message", "Please log in to access this page.")
YEAR = 365 * 24 * 3600

HEADERS = {
    # No scripts at all; styles and pictures of our own.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

__all__ = ["PUBLIC", "CSRFError"]

csrf = CSRFProtect()


class SessionInterface(SecureCookieSessionInterface):
    """Signed cookies that another site cannot replace.

    A form that another site posts here arrives without the cookie (SameSite), so it looks like a new
    visitor's. To answer with a new visitor's cookie would overwrite the person's own: a sign-out.
    """

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Save, unless this is such a form."""
        has_cookie = self.get_cookie_name(app) in request.cookies
        if request.method not in SAFE_METHODS and not has_cookie and comes_from_elsewhere():
            return
        super().save_session(app, session, response)


def comes_from_elsewhere() -> bool:
    """Whether the request was made by another site, as far as the browser tells."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in {"same-origin", "none"}
    source = request.headers.get("Origin") or request.headers.get("Referer")
    return source is not None and not _is_own_origin(source)


def is_prefetch() -> bool:
    """Whether the browser only guesses that the person will go there."""
    return "prefetch" in (request.headers.get("Sec-Purpose", "") + request.headers.get("Purpose", "")).lower()


def _is_own_origin(address: str) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return f"{parts.scheme}://{parts.netloc}" in {request.host_url.rstrip("/"), _settings().external_url}


def guard() -> AnyResponse | None:
    """Run before every page: which site is asked for, who is asking, and whether the form is ours."""
    # Probes come to the address of a pod.
    if request.blueprint != "health" and not hosts.is_allowed(request.host, _settings()):
        raise hosts.HostRefusedError
    if request.endpoint is None:
        return None  # no such page: the 404 or 405 follows
    if request.endpoint not in PUBLIC and identity.current_user() is None:
        if LOG_IN not in map(tuple, session.get("_flashes", [])):  # a browser may open ten tabs at once
            flash(message=LOG_IN[1], category=LOG_IN[0])
        return redirect(f"{url_for('accounts.sign_in')}?{urlencode({'next': _requested_path()})}")
    if request.method not in SAFE_METHODS:
        csrf.protect()
    return None


def _requested_path() -> str:
    query = request.query_string.decode("ascii", "replace")
    path = quote(request.path) + (f"?{query}" if query else "")
    return path if len(path) <= NEXT_MAX else "/"


def next_page(default: str) -> str:
    """Where to go after sign-in: the `next` of the address if it is a page of this site."""
    target = request.args.get("next", "")
    if not is_own_path(target) or target.partition("?")[0].rstrip("/") == "/signout":
        return default
    return target


def is_own_path(target: str) -> bool:
    r"""Whether a browser takes this for a path of the same site.

    Browsers read `//host`, `/\host` and `/<tab>/host` as another host, so none of these characters pass.
    """
    return len(target) <= NEXT_MAX and bool(re.fullmatch(r"/(?![/\\])[^\\\x00-\x20\x7f-\x9f]*", target))


def add_headers(response: Response) -> Response:
    """Run after every page."""
    # Looked up once: each look-up goes through all of them.
    there = {name.lower() for name in response.headers.keys()}  # noqa: SIM118 - not a dict
    for name, value in HEADERS.items():
        if name.lower() not in there:
            response.headers.add(name, value)
    if _settings().is_https:
        response.headers.setdefault("Strict-Transport-Security", f"max-age={YEAR}")
    if "Cache-Control" not in response.headers:
        # Pages are private: nothing is left behind for whoever uses the browser next.
        response.headers["Cache-Control"] = "no-store"
    # The redirect to the path with its slash is built from the Host header and the scheme behind the
    # proxy. A path says the same and holds for whatever address the person used.
    location = response.headers.get("Location", "")
    if location.startswith(request.host_url):
        response.headers["Location"] = "/" + location.removeprefix(request.host_url)
    return response


def _settings() -> Settings:
    return cast("Settings", current_app.extensions["notejam.settings"])


def init_app(app: Flask, settings: Settings) -> None:
    """Put the guards in place."""
    if settings.proxy_hops:
        hops = settings.proxy_hops
        # Not the forwarded host: no page is made from it, and not every proxy takes away a client's own.
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops)  # type: ignore[method-assign]
    app.session_interface = SessionInterface()
    csrf.init_app(app)
    identity.init_app(app)
    app.before_request(guard)
    app.after_request(add_headers)
