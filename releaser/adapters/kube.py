"""Clients of the Kubernetes API by name of context, and its errors as people read them."""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import msgspec
from lightkube import Client
from lightkube.config import client_adapter
from lightkube.config.kubeconfig import SingleConfig
from lightkube.core.exceptions import ApiError, ConfigError

from releaser.adapters.kubeconfig import CONTEXTS, read_config
from releaser.errors import ForbiddenError, InputError, UnavailableError

TIMEOUT = httpx2.Timeout(10.0)
# `User "jane" cannot list resource "pods" in API group "" in the namespace "notejam-testing"`
DENIED = re.compile(
    r'cannot (?P<verb>\w+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"'
    r'(?: in the namespace "(?P<namespace>[^"]+)")?'
)


class KubeClients:
    """Opens a client for each context that is asked for, once.

    The kubeconfig is found like kubectl does it: every file of KUBECONFIG, the first that names
    something wins, or ~/.kube/config.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        named = environment.get("KUBECONFIG", "")
        self._files = [Path(part) for part in named.split(os.pathsep) if part] or [
            Path.home() / ".kube" / "config"
        ]
        self._configs: dict[str, SingleConfig] = {}
        self._clients: dict[str, Client] = {}
        self._raw: dict[str, httpx2.Client] = {}
        # Connections end with this object, or with the program.
        weakref.finalize(self, _close, self._clients, self._raw)

    def client(self, context: str) -> Client:
        """Return the client of a context."""
        if context not in self._clients:
            config = self._config(context)
            with translated(context):
                self._clients[context] = Client(
                    config=config, timeout=TIMEOUT, field_manager="releaser", trust_env=_may_use_proxy(config)
                )
        return self._clients[context]

    def raw(self, context: str) -> httpx2.Client:
        """Return a client for what lightkube has no call for."""
        if context not in self._raw:
            config = self._config(context)
            with translated(context):
                parameters = client_adapter.ConnectionParams(
                    timeout=TIMEOUT, trust_env=_may_use_proxy(config)
                )
                self._raw[context] = client_adapter.Client(config, parameters)
        return self._raw[context]

    def _config(self, context: str) -> SingleConfig:
        if context not in self._configs:
            self._configs[context] = read_config(self._files, context)
        return self._configs[context]


def _close(*groups: Mapping[str, Client | httpx2.Client]) -> None:
    for group in groups:
        for client in group.values():
            client.close()


def _may_use_proxy(config: SingleConfig) -> bool:
    """Whether proxies of the environment count: they do not lead to this machine."""
    host = urlsplit(config.cluster.server).hostname or ""
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


def status_of(error: httpx2.HTTPStatusError) -> int:
    """Return the code of an answer."""
    return int(error.response.status_code)


@contextmanager
def translated(context: str, namespace: str = "") -> Iterator[None]:
    """Raise errors of ours for whatever the API or the way to it does wrong.

    An answer that a caller can use, like 404 or 409, it must catch inside.
    """
    try:
        yield
    except httpx2.HTTPStatusError as error:
        raise _from_status(error, context, namespace) from error
    except httpx2.TimeoutException as error:
        raise UnavailableError(
            f"the cluster of context {context} does not answer in time", _look(context)
        ) from error
    except httpx2.HTTPError as error:
        raise UnavailableError(
            f"the cluster of context {context} does not answer: {_reason(error)}", _look(context)
        ) from error
    except ssl.SSLError as error:
        raise InputError(f"context {context}: a certificate of the kubeconfig: {error}", CONTEXTS) from error
    except ConfigError as error:
        raise ForbiddenError(
            f"context {context}: {error}", f"log in: kubectl --context {context} auth whoami"
        ) from error
    except OSError as error:
        # The program that brings the credentials, or a file that the kubeconfig names.
        raise InputError(
            f"context {context} needs {error.filename}: {error.strerror}",
            f"try: kubectl --context {context} version",
        ) from error
    except (KeyError, msgspec.DecodeError) as error:
        # lightkube takes headers, and a token from the program that brings the credentials, for granted.
        raise UnavailableError(
            f"the cluster of context {context} gave no usable answer: {error}", _look(context)
        ) from error


def _look(context: str) -> str:
    return f"look whether it runs: kubectl --context {context} version"


def _from_status(error: httpx2.HTTPStatusError, context: str, namespace: str) -> UnavailableError:
    code = status_of(error)
    said = error.status.message if isinstance(error, ApiError) and error.status.message else ""
    said = said or error.response.reason_phrase or str(code)
    if code == HTTPStatus.UNAUTHORIZED:
        return ForbiddenError(
            f"the cluster of context {context} does not accept who you are: {said}",
            f"log in again, then try: kubectl --context {context} auth whoami",
        )
    if code == HTTPStatus.FORBIDDEN:
        return ForbiddenError(f"context {context}: {said}", can_i(context, namespace, said))
    if code == HTTPStatus.TOO_MANY_REQUESTS or code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return UnavailableError(f"the cluster of context {context} answers {code}: {said}", _look(context))
    return UnavailableError(f"the cluster of context {context} refuses: {code} {said}")


def can_i(context: str, namespace: str, said: str) -> str:
    """Return the command that shows whether a right is there."""
    denied = DENIED.search(said)
    if not denied:
        return f"see your rights: kubectl auth can-i --list -n {namespace or 'default'} --context {context}"
    resource = denied["resource"] + (f".{denied['group']}" if denied["group"] else "")
    place = f" -n {denied['namespace'] or namespace}" if denied["namespace"] or namespace else ""
    command = f"kubectl auth can-i {denied['verb']} {resource}{place} --context {context}"
    return f"ask for the right; see it: {command}"


def _reason(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return re.sub(r"\[(Errno -?\d+|[A-Z]+: [A-Z_]+)\] ", "", text)
