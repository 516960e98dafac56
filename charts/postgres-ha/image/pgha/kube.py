"""The few calls to the Kubernetes API that this needs."""

import http.client
import json
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

TOKEN_DIRECTORY = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT = 5


class ApiError(OSError):
    """The API server answered, and the answer is no."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Api:
    """Objects of one namespace; paths are relative to it, with their API group where it is not the core's."""

    def __init__(self, connection: http.client.HTTPConnection, token: str | Path, namespace: str) -> None:
        """Take a token, or the file that always has the current one."""
        self._connection = connection
        self._token = token
        self._namespace = namespace

    @classmethod
    def in_cluster(cls) -> Self:
        """Take the pod's own token."""
        context = ssl.create_default_context(cafile=str(TOKEN_DIRECTORY / "ca.crt"))
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], int(os.environ["KUBERNETES_SERVICE_PORT"])
        connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=context)
        return cls(connection, TOKEN_DIRECTORY / "token", os.environ["POD_NAMESPACE"])

    def close(self) -> None:
        """Close the connection; the next call opens it again."""
        self._connection.close()

    def call(self, method: str, path: str, body: object = None, group: str = "") -> dict[str, Any]:
        """Send one request; raise ApiError for an answer that is no success, OSError where none came."""
        base = f"/apis/{group}" if group else "/api/v1"
        # The kubelet renews it every hour.
        token = self._token if isinstance(self._token, str) else self._token.read_text("ascii").strip()
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/merge-patch+json" if method == "PATCH" else "application/json",
        }
        text = None if body is None else json.dumps(body)
        try:
            self._connection.request(method, f"{base}/namespaces/{self._namespace}{path}", text, headers)
            response = self._connection.getresponse()
            answer = response.read().decode()
        except (OSError, http.client.HTTPException) as error:
            # Half a conversation would be taken for the answer to the next request.
            self._connection.close()
            raise OSError(f"{method} {path}: {error!r}") from error
        if response.status >= http.HTTPStatus.BAD_REQUEST:
            raise ApiError(response.status, f"{method} {path}: {response.status} {_reason(answer, response)}")
        found: dict[str, Any] = json.loads(answer)
        return found

    def find(self, path: str, group: str = "") -> dict[str, Any] | None:
        """Return an object, or None where there is none."""
        try:
            return self.call("GET", path, group=group)
        except ApiError as error:
            if error.status == http.HTTPStatus.NOT_FOUND:
                return None
            raise

    def delete(self, path: str) -> bool:
        """Delete an object; say whether there was one."""
        try:
            self.call("DELETE", path)
        except ApiError as error:
            if error.status == http.HTTPStatus.NOT_FOUND:
                return False
            raise
        return True

    def patch_unchanged(self, path: str, version: str, metadata: Mapping[str, object]) -> bool:
        """Patch an object's metadata if it still is of this resourceVersion; say whether it was."""
        try:
            self.call("PATCH", path, {"metadata": {**metadata, "resourceVersion": version}})
        except ApiError as error:
            if error.status == http.HTTPStatus.CONFLICT:
                return False
            raise
        return True

    def pods(self, selector: str) -> list[dict[str, Any]]:
        """Return the pods with these labels, by name."""
        found: list[dict[str, Any]] = self.call("GET", f"/pods?labelSelector={quote(selector)}")["items"]
        return sorted(found, key=lambda pod: str(pod["metadata"]["name"]))

    def annotate(self, pod: str, annotations: dict[str, str | None]) -> None:
        """Set annotations of a pod. The kubelet then also brings its mounted Secrets up to date at once."""
        self.call("PATCH", f"/pods/{pod}", {"metadata": {"annotations": annotations}})


def tell(error: Exception) -> str:
    """Put an error into one line."""
    return " ".join(f"{error} is missing".split() if isinstance(error, KeyError) else str(error).split())


def _reason(answer: str, response: http.client.HTTPResponse) -> str:
    try:
        return str(json.loads(answer)["message"])
    except (ValueError, KeyError, TypeError):
        return response.reason
