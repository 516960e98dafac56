"""Patroni's REST API: of this pod, or of another member by its address.

TLS is spoken where the folder of certificates is there. Members are called by their IP addresses, which no
certificate names: it is the authority that is checked, and only members have certificates of it.
"""

import base64
import hashlib
import http.client
import json
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

PORT = 8008
TIMEOUT = 5.0
# Patroni answers a switchover when it is done, after 20 s at the latest.
SWITCHOVER_TIMEOUT = 30.0
TLS = Path("/etc/postgres-ha/tls")


@dataclass(frozen=True)
class Member:
    """A member as its peers see it; lag is in bytes, None where nobody knows."""

    name: str
    role: str
    state: str
    host: str
    timeline: int | None
    lag: int | None
    pending_restart: bool

    @property
    def is_leader(self) -> bool:
        """Whether it holds the lock."""
        return self.role in {"leader", "standby_leader"}

    @property
    def is_streaming(self) -> bool:
        """Whether it follows the leader."""
        return self.state == "streaming"

    @property
    def is_synchronous(self) -> bool:
        """Whether a commit may count on it."""
        return self.role in {"sync_standby", "quorum_standby"}

    @property
    def ordinal(self) -> int:
        """Number at the end of a StatefulSet pod's name."""
        return int(self.name.rpartition("-")[2])


def parse_members(cluster: Mapping[str, Any]) -> list[Member]:
    """Read the answer to GET /cluster, sorted by name."""
    found = [
        Member(
            name=str(item["name"]),
            role=str(item.get("role", "")),
            state=str(item.get("state", "")),
            host=str(item.get("host", "")),
            timeline=item.get("timeline"),
            lag=item["lag"] if isinstance(item.get("lag"), int) else None,
            pending_restart=bool(item.get("pending_restart")),
        )
        for item in cluster.get("members", [])
    ]
    return sorted(found, key=lambda member: member.ordinal)


class PatroniError(OSError):
    """Patroni answered, and the answer is no."""


class Patroni:
    """The Patroni of one member."""

    def __init__(self, host: str, port: int, credentials: str, context: ssl.SSLContext | None = None) -> None:
        self._host, self._port, self._context = host, port, context
        self._headers = {"Authorization": "Basic " + base64.b64encode(credentials.encode()).decode()}

    @classmethod
    def at(cls, host: str = "127.0.0.1", env: Mapping[str, str] = os.environ) -> Self:
        """Reach a member with this pod's name, password and certificate."""
        credentials = f"{env['PATRONI_RESTAPI_USERNAME']}:{env['PATRONI_RESTAPI_PASSWORD']}"
        return cls(host, PORT, credentials, tls_context())

    def call(self, method: str, path: str, body: object = None, timeout: float = TIMEOUT) -> tuple[int, str]:
        """Send one request; return status and text. Raises OSError where nobody answers."""
        connection: http.client.HTTPConnection
        if self._context is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout)
        else:
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=timeout, context=self._context
            )
        try:
            connection.request(method, path, None if body is None else json.dumps(body), self._headers)
            response = connection.getresponse()
            return response.status, response.read().decode()
        except http.client.HTTPException as error:
            raise OSError(f"{method} {path}: {error!r}") from error
        finally:
            connection.close()

    def members(self) -> list[Member]:
        """Return who is in the cluster."""
        return parse_members(json.loads(self._expect("GET", "/cluster")))

    def is_leader(self) -> bool:
        """Whether this member holds the lock."""
        return self.call("GET", "/leader")[0] == http.HTTPStatus.OK

    def config(self) -> dict[str, Any]:
        """Return the settings that Patroni keeps in its store."""
        found: dict[str, Any] = json.loads(self._expect("GET", "/config"))
        return found

    def patch_config(self, patch: Mapping[str, Any]) -> None:
        """Change settings in Patroni's store; None removes one."""
        self._expect("PATCH", "/config", dict(patch))

    def wake(self) -> None:
        """Make Patroni look now instead of at its next loop: a change that changes nothing."""
        self.patch_config({"wake": None})

    def switchover(self, leader: str, candidate: str, timeout: float = SWITCHOVER_TIMEOUT) -> str:
        """Move the lock; return Patroni's words. Raises PatroniError where it did not move."""
        return self._expect(
            "POST", "/switchover", {"leader": leader, "candidate": candidate}, timeout=max(1.0, timeout)
        )

    def restart(self) -> str:
        """Restart this member's Postgres in its place."""
        return self._expect("POST", "/restart", {}, timeout=120)

    def reinitialize(self) -> str:
        """Throw this member's data away and copy it from the leader."""
        return self._expect("POST", "/reinitialize", {"force": True})

    def _expect(self, method: str, path: str, body: object = None, timeout: float = TIMEOUT) -> str:
        status, text = self.call(method, path, body, timeout)
        if status >= http.HTTPStatus.BAD_REQUEST:
            # Some refusals come as a page for browsers.
            said = "" if text.lstrip().startswith("<") else f" {text.strip()}"
            raise PatroniError(f"{method} {path}: {status}{said}")
        return text


def tls_context(folder: Path = TLS) -> ssl.SSLContext | None:
    """Return how to speak TLS to members; None where there are no certificates."""
    if not (folder / "tls.crt").exists():
        return None
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    context.check_hostname = False
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    return context


def fingerprint(folder: Path = TLS) -> str:
    """Return what tells one set of certificates from another; empty where there is none."""
    names = ("tls.crt", "tls.key", "ca.crt")
    if not all((folder / name).exists() for name in names):
        return ""
    return hashlib.sha256(b"".join((folder / name).read_bytes() for name in names)).hexdigest()
