#!/usr/bin/python3
"""Patroni runs this on a role change: a new primary takes the role label away from every other member.

The Service of the primary selects pods by that label. A primary that is frozen, or on a node that is cut off,
cannot give its label back; Kubernetes notices it after 40 s and more. Until then the Service would have two
pods, one of them unable to write. A member that is alive sets its own label again within one loop of Patroni.

Arguments: action, role, scope. Environment: POD_NAME, POD_NAMESPACE, the cluster's address.
"""

import http.client
import json
import os
import ssl
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

TOKEN_DIRECTORY = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT = 5


class Api:
    """The few calls to the Kubernetes API that this needs."""

    def __init__(self, connection: http.client.HTTPConnection, token: str, namespace: str) -> None:
        self._connection = connection
        self._token = token
        self._base = f"/api/v1/namespaces/{namespace}"

    def call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Send one request; an answer that is no success raises OSError."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/merge-patch+json"}
        text = None if body is None else json.dumps(body)
        self._connection.request(method, self._base + path, text, headers)
        response = self._connection.getresponse()
        answer = response.read().decode()
        if response.status >= http.HTTPStatus.BAD_REQUEST:
            message = f"{method} {path}: {response.status} {response.reason}"
            raise OSError(message)
        found: dict[str, Any] = json.loads(answer)
        return found


def strip_others(api: Api, me: str, scope: str) -> list[str]:
    """Remove role=primary from every pod but this one; return the names of the pods changed."""
    leader = api.call("GET", f"/configmaps/{scope}-leader")
    # The callback may run late. Whoever holds the lock by now cleans up itself.
    if leader["metadata"].get("annotations", {}).get("leader") != me:
        return []
    selector = quote(f"cluster-name={scope},role=primary")
    stripped = []
    for pod in api.call("GET", f"/pods?labelSelector={selector}")["items"]:
        name = pod["metadata"]["name"]
        if name != me:
            # The version makes the API refuse the patch if the pod changed meanwhile.
            version = pod["metadata"]["resourceVersion"]
            patch = {"metadata": {"resourceVersion": version, "labels": {"role": None}}}
            api.call("PATCH", f"/pods/{name}", patch)
            stripped.append(name)
    return stripped


def main(arguments: list[str]) -> int:
    """Run for Patroni, which logs the exit status and goes on."""
    action, role, scope = arguments
    if action != "on_role_change" or role != "primary":
        return 0
    context = ssl.create_default_context(cafile=str(TOKEN_DIRECTORY / "ca.crt"))
    connection = http.client.HTTPSConnection(
        os.environ["KUBERNETES_SERVICE_HOST"],
        int(os.environ["KUBERNETES_SERVICE_PORT"]),
        timeout=TIMEOUT,
        context=context,
    )
    token = (TOKEN_DIRECTORY / "token").read_text(encoding="ascii").strip()
    try:
        stripped = strip_others(
            Api(connection, token, os.environ["POD_NAMESPACE"]), os.environ["POD_NAME"], scope
        )
    except OSError as error:
        sys.stderr.write(f"on-role-change: could not strip the role label: {error}\n")
        return 1
    if stripped:
        sys.stderr.write(f"on-role-change: took role=primary from {', '.join(stripped)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
