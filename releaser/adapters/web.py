"""The HTTP requests of the verification."""

from __future__ import annotations

import ipaddress
import time
from urllib.parse import urlsplit

import requests
import urllib3

from releaser.errors import UnavailableError

MOST = 4 * 1024 * 1024  # bytes of an answer that are read
CHUNK = 64 * 1024


class WebAdapter:
    """Plain GET requests: redirects are answers too, and each request is a new connection."""

    def get(self, url: str, seconds: float) -> tuple[int, str]:
        """Return status and body within that time; UnavailableError when none came."""
        end = time.monotonic() + seconds
        with requests.Session() as session:
            # A proxy of the environment does not lead to this machine.
            session.trust_env = not _is_loopback(url)
            try:
                with session.get(
                    url,
                    timeout=seconds,
                    allow_redirects=False,
                    stream=True,
                    headers={"User-Agent": "releaser", "Connection": "close"},
                ) as response:
                    # requests has read the body of a redirect, though it does not follow it.
                    body = response.content if response.is_redirect else b""
                    # `timeout` limits the wait for each byte; the end limits them all.
                    while chunk := response.raw.read1(CHUNK, decode_content=True):
                        body += chunk
                        if time.monotonic() > end or len(body) > MOST:
                            raise UnavailableError(f"{url} does not end its answer within {seconds:g} s")
                    encoding = response.encoding or "utf-8"
                    return response.status_code, _decode(body, encoding)
            except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError) as error:
                raise UnavailableError(f"{url} does not answer within {seconds:g} s") from error
            except requests.exceptions.SSLError as error:
                raise UnavailableError(f"{url}: its certificate is not accepted: {error}") from error
            except requests.exceptions.ConnectionError as error:
                raise UnavailableError(f"{url} does not answer: {_reason(error)}") from error
            except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
                raise UnavailableError(f"{url}: {error}") from error


def _decode(body: bytes, encoding: str) -> str:
    try:
        return body.decode(encoding, errors="replace")
    except LookupError:
        return body.decode("utf-8", errors="replace")


def _is_loopback(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or host.endswith(".localhost") or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _reason(error: BaseException) -> str:
    """Return what lies at the bottom: `Connection refused`, `Name or service not known`."""
    text = str(error)
    for known in ("Connection refused", "Connection reset", "Name or service not known", "No route to host"):
        if known.lower() in text.lower():
            return known.lower()
    return text
