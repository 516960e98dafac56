"""Requests to an OCI registry: authentication, timeouts, and errors as people read them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urljoin, urlsplit

import oras.auth
import oras.container
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from releaser.errors import ForbiddenError, InputError, UnavailableError

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
ALL_MANIFESTS = (
    f"{MANIFEST}, application/vnd.oci.image.index.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json"
)
TIMEOUT = (5.0, 30.0)  # seconds to connect, seconds between bytes
PAGE = 100  # tags that are asked for at once
MOST = 64 * 1024 * 1024  # bytes of the largest blob that is read
LOOPBACK = re.compile(r"(localhost|127(\.\d+){3}|\[::1\])(:\d+)?")
REGISTRY = re.compile(r"[A-Za-z0-9.\-\[\]:]+(/[a-z0-9]+([._-]+[a-z0-9]+)*)*")


def digest_of(data: bytes) -> str:
    """Return the digest that names these bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class _Auth(oras.auth.TokenAuth):  # type: ignore[misc]  # oras has no types
    """Answers challenges with what `docker login` has left behind.

    Two things are other than in oras: every challenge gets a new token, since one is for the
    repository that it was asked for; and the realm of Basic is not the address of a token server.
    """

    def __init__(self, session: requests.Session, host: str, scheme: str) -> None:
        super().__init__()
        self.session, self.prefix, self.hostname, self._tls_verify = session, scheme, host, True
        self._basic_header: dict[str, str] = {}

    def load(self) -> None:
        """Read the credentials for the host, once."""
        if not self._auth_config:
            self.load_configs(oras.container.Container("bundle", registry=self.hostname))

    def get_auth_header(self) -> dict[str, str]:
        """Return what worked last time."""
        return self._basic_header or dict(super().get_auth_header())

    def authenticate_request(
        self, original: requests.Response, headers: dict[str, str], refresh: bool = False
    ) -> tuple[dict[str, str], bool]:
        """Return headers that answer the challenge, and whether there are any."""
        self.token = None
        if original.headers.get("Www-Authenticate", "").lower().startswith("basic"):
            credentials = getattr(self, "_basic_auth", None)
            if not credentials or self._basic_header:
                return headers, False
            self._basic_header = {"Authorization": f"Basic {credentials}"}
            return {**headers, **self._basic_header}, True
        authenticated: tuple[dict[str, str], bool] = super().authenticate_request(original, headers, refresh)
        return authenticated


class _Adapter(HTTPAdapter):
    """Gives every request a timeout; oras sets none."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs["timeout"] = kwargs.get("timeout") or TIMEOUT
        return super().send(request, *args, **kwargs)


class OciClient:
    """One registry and prefix, like `localhost:5001/notejam`.

    Plain HTTP is spoken to this machine only, unless the name begins with `http://`. Credentials
    are those of `docker login`.
    """

    def __init__(self, registry: str) -> None:
        scheme, _, rest = registry.rpartition("://")
        self.name = rest.rstrip("/")
        if scheme not in ("", "http", "https") or not REGISTRY.fullmatch(self.name):
            raise InputError(
                f"registry: {registry!r} is no name of a registry", "write it like ghcr.io/notejam"
            )
        self.host, _, self._prefix = self.name.partition("/")
        is_loopback = bool(LOOPBACK.fullmatch(self.host))
        is_plain = scheme == "http" or (is_loopback and scheme != "https")
        scheme = "http" if is_plain else "https"
        self._base = f"{scheme}://{self.host}"
        self._session = session = requests.Session()
        retry = Retry(total=2, backoff_factor=0.2, status_forcelist=[502, 503, 504], raise_on_status=False)
        session.mount("http://", _Adapter(max_retries=retry))
        session.mount("https://", _Adapter(max_retries=retry))
        session.trust_env = not is_loopback  # no proxy stands between this machine and itself
        self._auth = _Auth(session, self.host, scheme)

    def reference(self, repository: str, name: str) -> str:
        """Return how people write it: by digest with @, by tag with a colon."""
        return f"{self.name}/{repository}{'@' if name.startswith('sha256:') else ':'}{name}"

    def url(self, repository: str, *path: str) -> str:
        """Return the address of something in a repository below the prefix."""
        return "/".join((self._base, "v2", *filter(None, (self._prefix, repository)), *path))

    def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, data: bytes | None = None
    ) -> requests.Response:
        """Do a request and return an answer below 500 that is no refusal."""
        try:
            response = self._send(method, url, dict(headers or {}), data)
        except requests.exceptions.SSLError as error:
            raise UnavailableError(
                f"registry {self.host}: its certificate is not accepted: {_reason(error)}",
                "a registry without TLS is written with http:// before its name",
            ) from error
        except requests.exceptions.RequestException as error:
            raise UnavailableError(
                f"registry {self.host} does not answer: {_reason(error)}",
                f"look whether it runs: curl {self._base}/v2/",
            ) from error
        except (ValueError, KeyError) as error:
            raise ForbiddenError(
                f"the credentials for registry {self.host} cannot be read: {error}",
                f"look at ~/.docker/config.json, or log in again: docker login {self.host}",
            ) from error
        if response.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise self._refused(url, f"{response.status_code} {response.reason}")
        if (
            response.status_code == HTTPStatus.TOO_MANY_REQUESTS
            or response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
        ):
            raise UnavailableError(
                f"registry {self.host} answers {response.status_code} {response.reason} to {method} {url}",
                "try again later",
            )
        return response

    def _send(self, method: str, url: str, headers: dict[str, str], data: bytes | None) -> requests.Response:
        """Send, and once more with credentials when asked for them.

        oras can do that too, but tries everything five times within two minutes.
        """
        self._auth.load()
        headers |= self._auth.get_auth_header()
        response = self._session.request(method, url, headers=headers, data=data)
        if response.status_code not in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return response
        headers, is_answer = self._auth.authenticate_request(response, headers)
        return self._session.request(method, url, headers=headers, data=data) if is_answer else response

    def fetch_manifest(self, repository: str, name: str) -> bytes | None:
        """Return the bytes of a manifest, checked when asked for by digest; None when there is none."""
        url = self.url(repository, "manifests", name)
        response = self.request("GET", url, headers={"Accept": ALL_MANIFESTS})
        return self._checked(response, repository, name)

    def has_manifest(self, repository: str, name: str) -> bool:
        """Whether there is a manifest of that tag or digest."""
        url = self.url(repository, "manifests", name)
        response = self.request("HEAD", url, headers={"Accept": ALL_MANIFESTS})
        if response.status_code not in (HTTPStatus.OK, HTTPStatus.NOT_FOUND):
            raise self._unexpected(response, self.reference(repository, name))
        return response.status_code == HTTPStatus.OK

    def fetch_blob(self, repository: str, digest: str) -> bytes | None:
        """Return the bytes of that digest, or None when there are none."""
        response = self.request("GET", self.url(repository, "blobs", digest))
        return self._checked(response, repository, digest)

    def push_blob(self, repository: str, data: bytes) -> None:
        """Put bytes into a repository unless it holds them."""
        digest = digest_of(data)
        reference = self.reference(repository, digest)
        if self.request("HEAD", self.url(repository, "blobs", digest)).status_code == HTTPStatus.OK:
            return
        url = self.url(repository, "blobs", "uploads") + "/"
        started = self.request("POST", url)
        if started.status_code != HTTPStatus.ACCEPTED or "Location" not in started.headers:
            raise self._unexpected(started, reference)
        place = urljoin(url, started.headers["Location"])
        place += ("&" if urlsplit(place).query else "?") + f"digest={digest}"
        ended = self.request("PUT", place, headers={"Content-Type": "application/octet-stream"}, data=data)
        if ended.status_code != HTTPStatus.CREATED:
            raise self._unexpected(ended, reference)

    def push_manifest(self, repository: str, name: str, data: bytes) -> None:
        """Put a manifest under a tag."""
        url = self.url(repository, "manifests", name)
        response = self.request("PUT", url, headers={"Content-Type": MANIFEST}, data=data)
        if response.status_code != HTTPStatus.CREATED:
            raise self._unexpected(response, self.reference(repository, name))

    def fetch_tags(self, repository: str) -> list[str]:
        """Return all tags of a repository, none when it does not exist."""
        url = self.url(repository, "tags", "list") + f"?n={PAGE}"
        tags: list[str] = []
        while True:
            response = self.request("GET", url)
            if response.status_code == HTTPStatus.NOT_FOUND:
                return tags
            try:
                tags += response.json().get("tags") or []
            except (ValueError, AttributeError, TypeError) as error:
                raise self._unexpected(response, f"the tags of {self.name}/{repository}") from error
            following = response.links.get("next", {}).get("url")
            if not following:
                return tags
            url = urljoin(url, following)

    def _checked(self, response: requests.Response, repository: str, name: str) -> bytes | None:
        reference = self.reference(repository, name)
        if response.status_code == HTTPStatus.NOT_FOUND:
            return None
        if response.status_code != HTTPStatus.OK or len(response.content) > MOST:
            raise self._unexpected(response, reference)
        if name.startswith("sha256:") and digest_of(response.content) != name:
            raise UnavailableError(
                f"{reference}: the registry sent bytes of another digest, {digest_of(response.content)}",
                "the registry or something before it is broken: do not use what it holds",
            )
        return response.content

    def _refused(self, url: str, why: str) -> ForbiddenError:
        return ForbiddenError(
            f"registry {self.host} refuses {url}: {why}", f"log in: docker login {self.host}"
        )

    def _unexpected(self, response: requests.Response, reference: str) -> UnavailableError:
        body = " ".join(response.text[:200].split())
        return UnavailableError(
            f"{reference}: the registry answers {response.status_code} {response.reason}: {body}"
        )


def _reason(error: BaseException) -> str:
    """Return the innermost reason that requests and urllib3 wrap."""
    text = str(error)
    for pattern in (r"Failed to establish a new connection: (.+?)'?\)", r"Caused by \w+\((.+)\)"):
        found = re.search(pattern, text)
        if found:
            text = found.group(1)
            break
    return re.sub(r"\[Errno -?\d+\] ", "", text).strip("'\" ")
