from __future__ import annotations

import json
import ssl
from typing import TYPE_CHECKING

import httpx2
import pytest

from releaser.adapters.kube import KubeClients, translated
from releaser.adapters.kubeconfig import read_config
from releaser.errors import ForbiddenError, InputError, UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

ONE = """\
current-context: a
clusters:
- {name: one, cluster: {server: "https://one:6443", certificate-authority: ca.crt}}
users:
- {name: jane, user: {client-certificate: jane.crt, client-key: /keys/jane.key}}
contexts:
- {name: a, context: {cluster: one, user: jane, namespace: x}}
- {name: b, context: {cluster: two, user: joe}}
- {name: lost, context: {cluster: three}}
- {name: anonymous, context: {cluster: one}}
- {name: root, context: {cluster: one, user: impostor}}
"""
TWO = """\
clusters:
- {name: one, cluster: {server: "https://other:6443"}}
- {name: two, cluster: {server: "https://two:6443"}}
users:
- name: joe
  user:
    tokenFile: token
    exec: {apiVersion: client.authentication.k8s.io/v1, command: login, env: [{name: A, value: b}]}
- {name: impostor, user: {token: t, as: admin}}
contexts: null
"""


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    one, two = tmp_path / "one" / "config", tmp_path / "two" / "config"
    for path, text in ((one, ONE), (two, TWO)):
        path.parent.mkdir()
        path.write_text(text)
    return [one, tmp_path / "missing", two]


def test_the_first_file_wins_and_paths_are_those_of_their_file(files: list[Path], tmp_path: Path) -> None:
    found = read_config(files, "a")

    assert found.cluster.server == "https://one:6443"
    assert found.cluster.certificate_auth == f"{tmp_path}/one/ca.crt"
    assert found.user is not None
    assert (found.user.client_cert, found.user.client_key) == (f"{tmp_path}/one/jane.crt", "/keys/jane.key")


def test_a_context_over_two_files(files: list[Path], tmp_path: Path) -> None:
    found = read_config(files, "b")

    assert found.cluster.server == "https://two:6443"
    assert found.user is not None
    assert found.user.token_file == f"{tmp_path}/two/token"


def test_a_credential_plugin_of_v1(files: list[Path]) -> None:
    """lightkube refuses v1, though its answer is that of v1beta1."""
    user = read_config(files, "b").user

    assert user is not None
    assert user.exec is not None
    assert user.exec.apiVersion == "client.authentication.k8s.io/v1beta1"
    asked, own = user.exec.env or []
    assert json.loads(asked.value)["apiVersion"] == "client.authentication.k8s.io/v1"
    assert (asked.name, own.name, own.value) == ("KUBERNETES_EXEC_INFO", "A", "b")


def test_a_context_without_user(files: list[Path]) -> None:
    user = read_config(files, "anonymous").user

    assert user is not None
    assert user.token is None


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ("none", "the kubeconfig has no context none, only a, anonymous, b, lost, root"),
        ("lost", "context lost names 'three', which the kubeconfig does not have"),
        (
            "root",
            "context root of the kubeconfig: it acts as another user (admin), which the releaser cannot",
        ),
    ],
)
def test_contexts_that_cannot_be_used(files: list[Path], context: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_config(files, context)

    assert caught.value.message == message
    assert caught.value.hint == "see what there is: kubectl config get-contexts"


def test_no_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    with pytest.raises(InputError) as caught:
        KubeClients({}).client("a")

    assert caught.value.message == f"there is no kubeconfig with contexts in {tmp_path}/.kube/config"
    assert caught.value.hint.startswith("name its file in KUBECONFIG")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [\n", ":2: expected the node content"),
        ("contexts: 5\n", "there is no kubeconfig with contexts"),
        ("contexts: [5, {name: a}]\n", "there is no kubeconfig with contexts"),
        (
            "contexts:\n- {name: a, context: {user: x}}\n",
            "context a of the kubeconfig: Object missing required field",
        ),
    ],
)
def test_a_kubeconfig_that_cannot_be_read(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "config"
    file.write_text(text)

    with pytest.raises(InputError) as caught:
        read_config([file], "a")

    assert message in caught.value.message


def test_a_certificate_that_is_missing(files: list[Path]) -> None:
    with pytest.raises(InputError) as caught:
        KubeClients({"KUBECONFIG": str(files[0])}).client("a")

    assert caught.value.message.startswith("context a needs ")


def test_nobody_listens(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(
        "clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\n"
        "contexts: [{name: a, context: {cluster: c}}]\n"
    )
    clients = KubeClients({"KUBECONFIG": str(file)})

    with pytest.raises(UnavailableError) as caught, translated("a"):
        clients.raw("a").get("/version")

    assert caught.value.message == "the cluster of context a does not answer: Connection refused"
    assert caught.value.hint == "look whether it runs: kubectl --context a version"


def status_error(status: int, message: str = "said", **headers: str) -> httpx2.HTTPStatusError:
    request = httpx2.Request("GET", "https://x")
    response = httpx2.Response(status, request=request, headers=headers)
    return httpx2.HTTPStatusError(message, request=request, response=response)


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (
            status_error(401),
            ForbiddenError,
            "the cluster of context a does not accept who you are: Unauthorized",
        ),
        (status_error(403), ForbiddenError, "context a: Forbidden"),
        (status_error(429), UnavailableError, "the cluster of context a answers 429: Too Many Requests"),
        (status_error(503), UnavailableError, "the cluster of context a answers 503: Service Unavailable"),
        (status_error(422), UnavailableError, "the cluster of context a refuses: 422 Unprocessable"),
        (httpx2.ReadTimeout("x"), UnavailableError, "the cluster of context a does not answer in time"),
        (
            httpx2.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"),
            UnavailableError,
            "the cluster of context a does not answer: certificate verify failed",
        ),
        (ssl.SSLError("bad key"), InputError, "context a: a certificate of the kubeconfig:"),
        (
            FileNotFoundError(2, "No such file", "gke-login"),
            InputError,
            "context a needs gke-login: No such file",
        ),
        (KeyError("token"), UnavailableError, "the cluster of context a gave no usable answer: 'token'"),
    ],
)
def test_errors_of_the_api(error: Exception, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught, translated("a", "ns"):
        raise error

    assert type(caught.value) is kind
    assert str(caught.value).startswith(message)
