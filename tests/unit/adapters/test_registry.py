"""Against a real registry, one for the session; every test has a prefix of its own."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import socket
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from releaser.adapters.oci import MANIFEST, OciClient, digest_of
from releaser.adapters.registry import BUNDLE_TYPE, CHART_LAYER, OciRegistry
from releaser.core.model import Artifact, Bundle, Image
from releaser.errors import ForbiddenError, InputError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.process

HEX = "0123456789abcdef" * 4
SOME = f"sha256:{HEX}"
LOGIN = base64.b64encode(b"jane:correct horse").decode()
BCRYPT = "$2b$12$impdEErvDHYi1.OZJzOD1.s/ZATXfQ3NBkjVEx334a6p.nM2iOAu."  # of "correct horse"


@pytest.fixture(scope="session")
def host(start_registry: Callable[[str], str]) -> str:
    return start_registry("")


@pytest.fixture
def name(host: str, request: pytest.FixtureRequest) -> str:
    return f"{host}/t{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]}"


@pytest.fixture
def registry(name: str, tmp_path: Path) -> OciRegistry:
    return OciRegistry(name, tmp_path / "cache")


def make_bundle(version: str = "1.2.3", **changes: Any) -> Bundle:
    return Bundle(
        **{
            "version": version,
            "commit": "0a1b2c3",
            "charts": {"notejam": Artifact("1.0.0", SOME)},
            "images": {"app": Image("app", SOME)},
            **changes,
        }
    )


def pack_chart(text: str = "apiVersion: v2\nname: notejam\nversion: 1.0.0\n") -> bytes:
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as tar,
    ):
        entry = tarfile.TarInfo("notejam/Chart.yaml")
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()


def push_artifact(client: OciClient, repository: str, layers: dict[str, bytes], tag: str = "x") -> str:
    client.push_blob(repository, b"{}")
    for layer in layers.values():
        client.push_blob(repository, layer)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.cncf.helm.config.v1+json",
            "digest": digest_of(b"{}"),
            "size": 2,
        },
        "layers": [
            {"mediaType": media_type, "digest": digest_of(layer), "size": len(layer)}
            for media_type, layer in layers.items()
        ],
    }
    data = json.dumps(manifest).encode()
    client.push_manifest(repository, tag, data)
    return digest_of(data)


def push_raw_bundle(client: OciClient, document: Any, **changes: Any) -> None:
    layer = document if isinstance(document, bytes) else json.dumps(document).encode()
    client.push_blob("bundle", b"{}")
    client.push_blob("bundle", layer)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": BUNDLE_TYPE,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest_of(b"{}"), "size": 2},
        "layers": [{"mediaType": BUNDLE_TYPE, "digest": digest_of(layer), "size": len(layer)}],
        **changes,
    }
    client.push_manifest("bundle", "1.2.3", json.dumps(manifest).encode())


# --- bundles -----------------------------------------------------------------------------------


def test_a_bundle_comes_back_with_its_digest(registry: OciRegistry, name: str) -> None:
    bundle = make_bundle("1.2.3-rc.1+build.5", images={"app": Image("team/app", SOME, "1.2")})

    digest = registry.push_bundle(bundle)

    found = registry.fetch_bundle("1.2.3-rc.1+build.5")
    assert found == Bundle(**{**vars(bundle), "digest": digest})
    answer = requests.get(
        f"http://{name.replace('/', '/v2/', 1)}/bundle/manifests/1.2.3-rc.1_build.5",
        headers={"Accept": MANIFEST},
        timeout=5,
    )
    assert answer.headers["Docker-Content-Digest"] == digest
    assert answer.json()["artifactType"] == BUNDLE_TYPE
    assert answer.json()["annotations"] == {
        "org.opencontainers.image.version": "1.2.3-rc.1+build.5",
        "org.opencontainers.image.revision": "0a1b2c3",
    }


def test_the_same_bundle_has_the_same_digest(registry: OciRegistry) -> None:
    charts = {"a": Artifact("1.0.0", SOME), "b": Artifact("2.0.0", SOME)}

    first = registry.push_bundle(make_bundle(charts=charts))
    again = registry.push_bundle(make_bundle(charts=dict(reversed(charts.items()))))

    assert first == again


def test_a_version_never_changes(registry: OciRegistry, name: str) -> None:
    digest = registry.push_bundle(make_bundle())

    with pytest.raises(InputError) as caught:
        registry.push_bundle(make_bundle(commit="ffffffff"))

    assert caught.value.message == f"bundle 1.2.3 is in {name} with other contents: {digest}"
    assert registry.fetch_bundle("1.2.3").commit == "0a1b2c3"


def test_a_missing_version_names_the_newest(registry: OciRegistry, name: str) -> None:
    for version in ("1.9.0", "1.10.0", "0.1.0", "2.0.0-rc.1", "1.10.0+b", "1.0.0"):
        registry.push_bundle(make_bundle(version))

    with pytest.raises(InputError) as caught:
        registry.fetch_bundle("3.0.0")

    assert caught.value.message == f"bundle 3.0.0 is not in {name}"
    assert caught.value.hint.startswith("there are 2.0.0-rc.1, 1.10.0")
    assert caught.value.hint.endswith("0.1.0; all: releaser bundle list") or "and 1 more" in caught.value.hint


def test_without_bundles_the_hint_says_so(registry: OciRegistry) -> None:
    with pytest.raises(InputError) as caught:
        registry.fetch_bundle("1.0.0")

    assert caught.value.hint == "there are no bundles yet: releaser bundle push --help"
    assert registry.fetch_versions() == []


def test_all_versions_over_pages(registry: OciRegistry, name: str) -> None:
    client = OciClient(name)
    push_raw_bundle(client, {})
    manifest = client.fetch_manifest("bundle", "1.2.3")
    assert manifest is not None
    for number in range(120):
        client.push_manifest("bundle", f"0.0.{number}", manifest)
    client.push_manifest("bundle", "latest", manifest)

    versions = registry.fetch_versions()

    assert versions == [*(f"0.0.{number}" for number in range(120)), "1.2.3"]


GOOD: dict[str, Any] = {
    "apiVersion": "releaser/v1",
    "kind": "ReleaseBundle",
    "version": "1.2.3",
    "charts": {"notejam": {"version": "1.0.0", "digest": SOME}},
    "images": {"app": {"repository": "app", "digest": SOME}},
}


@pytest.mark.parametrize(
    ("document", "changes", "problem"),
    [
        (b"not json", {}, "it is no JSON"),
        ([], {}, "it is no JSON object"),
        ({**GOOD, "apiVersion": "releaser/v9"}, {}, "it is a releaser/v9 ReleaseBundle, not a releaser/v1"),
        ({**GOOD, "version": "1.2"}, {}, "version: '1.2' is no semantic version"),
        ({**GOOD, "version": "9.9.9"}, {}, "it says that it is version 9.9.9"),
        ({**GOOD, "charts": None}, {}, "charts is missing"),
        ({**GOOD, "charts": {"../x": GOOD["charts"]["notejam"]}}, {}, "charts: '../x' is no name of a chart"),
        (
            {**GOOD, "charts": {"a": {"version": "1.0.0", "digest": "sha256:12"}}},
            {},
            "charts.a.digest: 'sha256:12'",
        ),
        ({**GOOD, "charts": {"a": "b"}}, {}, "version is missing"),
        ({**GOOD, "images": {"app": {"repository": "../app", "digest": SOME}}}, {}, "images.app.repository:"),
        ({**GOOD, "images": {"app": {"repository": "app", "digest": 5}}}, {}, "digest is no text"),
        (GOOD, {"artifactType": "text/plain"}, "its artifactType is text/plain"),
        (GOOD, {"layers": []}, "it has 0 layers of type"),
    ],
)
def test_what_is_no_bundle(
    registry: OciRegistry, name: str, document: Any, changes: dict[str, Any], problem: str
) -> None:
    push_raw_bundle(OciClient(name), document, **changes)

    with pytest.raises(InputError) as caught:
        registry.fetch_bundle("1.2.3")

    assert caught.value.message.startswith(f"{name}/bundle:1.2.3 is no release bundle: ")
    assert problem in caught.value.message


def test_unknown_fields_are_ignored(registry: OciRegistry, name: str) -> None:
    push_raw_bundle(OciClient(name), {**GOOD, "signature": {"by": "x"}})

    assert registry.fetch_bundle("1.2.3").charts == {"notejam": Artifact("1.0.0", SOME)}


def test_a_bad_bundle_is_not_pushed(registry: OciRegistry) -> None:
    with pytest.raises(InputError, match="is no digest"):
        registry.push_bundle(make_bundle(images={"app": Image("app", "sha256:short")}))

    assert registry.fetch_versions() == []


# --- references --------------------------------------------------------------------------------


def test_missing_references_are_found(registry: OciRegistry, name: str) -> None:
    client = OciClient(name)
    chart = push_artifact(client, "charts/notejam", {CHART_LAYER: pack_chart()})
    image = push_artifact(client, "app", {"application/octet-stream": b"layer"})
    bundle = make_bundle(
        charts={"notejam": Artifact("1.0.0", chart), "postgres-ha": Artifact("1.0.0", SOME)},
        images={"app": Image("app", image), "postgres": Image("postgres", SOME)},
    )

    assert registry.find_missing(bundle) == (f"{name}/charts/postgres-ha@{SOME}", f"{name}/postgres@{SOME}")


# --- charts ------------------------------------------------------------------------------------


def test_a_chart_is_kept_and_checked_again(registry: OciRegistry, name: str, tmp_path: Path) -> None:
    packed = pack_chart()
    digest = push_artifact(OciClient(name), "charts/notejam", {CHART_LAYER: packed})
    chart = Artifact("1.0.0+x", digest)

    path = registry.pull_chart("notejam", chart)

    assert path == tmp_path / "cache" / f"notejam-1.0.0+x-{digest[7:19]}.tgz"
    assert path.read_bytes() == packed
    path.write_bytes(b"something else")
    assert registry.pull_chart("notejam", chart).read_bytes() == packed
    assert sorted(file.suffix for file in path.parent.iterdir()) == [".json", ".tgz"]


def test_a_kept_chart_needs_no_registry(registry: OciRegistry, name: str, tmp_path: Path) -> None:
    digest = push_artifact(OciClient(name), "charts/notejam", {CHART_LAYER: pack_chart()})
    path = registry.pull_chart("notejam", Artifact("1.0.0", digest))

    away = OciRegistry("127.0.0.1:1/notejam", tmp_path / "cache")

    assert away.pull_chart("notejam", Artifact("1.0.0", digest)) == path


def test_a_chart_with_provenance(registry: OciRegistry, name: str) -> None:
    layers = {"application/vnd.cncf.helm.chart.provenance.v1.prov": b"prov", CHART_LAYER: pack_chart()}
    digest = push_artifact(OciClient(name), "charts/notejam", layers)

    assert registry.pull_chart("notejam", Artifact("1.0.0", digest)).read_bytes() == layers[CHART_LAYER]


def test_a_chart_that_is_missing_or_none(registry: OciRegistry, name: str) -> None:
    image = push_artifact(OciClient(name), "charts/notejam", {"text/plain": b"x"})

    with pytest.raises(InputError) as missing:
        registry.pull_chart("notejam", Artifact("1.0.0", SOME))
    with pytest.raises(InputError) as none:
        registry.pull_chart("notejam", Artifact("1.0.0", image))

    assert missing.value.message == f"{name}/charts/notejam@{SOME} is not in the registry"
    assert none.value.message.startswith(f"{name}/charts/notejam@{image} is no Helm chart: it has 0 layers")


def test_a_cache_that_cannot_be_written(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    digest = push_artifact(OciClient(name), "charts/notejam", {CHART_LAYER: pack_chart()})
    registry = OciRegistry(name, tmp_path / "file" / "cache")

    with pytest.raises(InputError, match="the chart cannot be kept: Not a directory"):
        registry.pull_chart("notejam", Artifact("1.0.0", digest))


# --- trouble -----------------------------------------------------------------------------------


def test_nobody_listens() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{probe.getsockname()[1]}"

        with pytest.raises(UnavailableError) as caught:
            OciClient(f"{host}/notejam").fetch_tags("bundle")

    assert caught.value.message == f"registry {host} does not answer: Connection refused"
    assert caught.value.hint == f"look whether it runs: curl http://{host}/v2/"


def test_https_is_spoken_to_other_machines() -> None:
    assert OciClient("ghcr.io/notejam").url("app") == "https://ghcr.io/v2/notejam/app"
    assert OciClient("http://registry:5000/a/b").url("app") == "http://registry:5000/v2/a/b/app"
    assert OciClient("localhost:5001").url("app") == "http://localhost:5001/v2/app"
    assert OciClient("https://localhost:5001").url("app") == "https://localhost:5001/v2/app"
    assert OciClient("localhost.example.com/x").url("app").startswith("https://")


@pytest.mark.parametrize("registry", ["", "ftp://x/y", "host/UPPER", "host/a b", "user:pw@host/x"])
def test_what_is_no_registry(registry: str) -> None:
    with pytest.raises(InputError, match="is no name of a registry"):
        OciClient(registry)


class Broken(BaseHTTPRequestHandler):
    """Answers what `answer` says to whatever is asked."""

    answer: tuple[int, dict[str, str], bytes] = (200, {}, b"")

    def do_GET(self) -> None:
        status, headers, body = self.answer
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def broken() -> Iterator[Callable[..., OciClient]]:
    handler = type("Handler", (Broken,), {})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()

    def answer(status: int, headers: dict[str, str], body: bytes = b"") -> OciClient:
        handler.answer = (status, headers, body)  # type: ignore[attr-defined] # of the class above
        return OciClient(f"127.0.0.1:{server.server_port}/notejam")

    yield answer
    server.shutdown()
    thread.join()
    server.server_close()


def test_bytes_of_another_digest(broken: Callable[..., OciClient]) -> None:
    client = broken(200, {}, b"forged")

    with pytest.raises(UnavailableError, match="the registry sent bytes of another digest"):
        client.fetch_manifest("app", SOME)


@pytest.mark.parametrize(
    ("status", "said"), [(500, "answers 500"), (429, "answers 429"), (418, "answers 418")]
)
def test_other_answers(broken: Callable[..., OciClient], status: int, said: str) -> None:
    client = broken(status, {}, b"oops")

    with pytest.raises(UnavailableError, match=said):
        client.fetch_manifest("app", "1.0.0")


@pytest.mark.parametrize("headers", [{}, {"Www-Authenticate": 'Basic realm="x"'}])
def test_a_refusal_says_how_to_log_in(broken: Callable[..., OciClient], headers: dict[str, str]) -> None:
    client = broken(401, headers)

    with pytest.raises(ForbiddenError) as caught:
        client.fetch_manifest("app", "1.0.0")

    assert caught.value.hint == f"log in: docker login {client.host}"


class Guarded(BaseHTTPRequestHandler):
    """Wants a token for each repository, and gives it at /token to who knows the password."""

    def do_GET(self) -> None:
        if self.path.startswith("/token"):
            allowed = self.headers["Authorization"] == f"Basic {LOGIN}"
            scope = parse_qs(urlsplit(self.path).query)["scope"][0]
            self.answer(200 if allowed else 401, json.dumps({"token": f"for {scope}"}).encode())
            return
        repository = self.path.removeprefix("/v2/").split("/tags")[0]
        scope = f"repository:{repository}:pull"
        if self.headers["Authorization"] == f"Bearer for {scope}":
            self.answer(200, json.dumps({"tags": [repository]}).encode())
            return
        realm = f"http://127.0.0.1:{self.server.server_port}/token"  # type: ignore[attr-defined] # HTTPServer
        self.answer(401, b"", f'Bearer realm="{realm}",service="registry",scope="{scope}"')

    def answer(self, status: int, body: bytes, challenge: str = "") -> None:
        self.send_response(status)
        if challenge:
            self.send_header("Www-Authenticate", challenge)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_each_repository_gets_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = HTTPServer(("127.0.0.1", 0), Guarded)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    host = f"127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text(json.dumps({"auths": {host: {"auth": LOGIN}}}))
    try:
        client = OciClient(f"{host}/notejam")
        for repository in ("app", "bundle", "app"):
            assert client.fetch_tags(repository) == [f"notejam/{repository}"]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_docker_config_that_is_none(
    broken: Callable[..., OciClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text("{")

    with pytest.raises(ForbiddenError, match=r"the credentials for registry .* cannot be read"):
        broken(200, {}).fetch_tags("app")


def test_tags_that_are_none(broken: Callable[..., OciClient]) -> None:
    with pytest.raises(UnavailableError, match="the tags of"):
        broken(200, {}, b"<html>").fetch_tags("bundle")


def test_basic_auth_of_docker_login(
    start_registry: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    htpasswd = tmp_path / "htpasswd"
    htpasswd.write_text(f"jane:{BCRYPT}\n")
    host = start_registry(f'auth: {{htpasswd: {{realm: "registry", path: {htpasswd}}}}}')
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".docker").mkdir()

    with pytest.raises(ForbiddenError, match="refuses"):
        OciRegistry(f"{host}/notejam", tmp_path / "cache").fetch_versions()

    (tmp_path / ".docker" / "config.json").write_text(json.dumps({"auths": {host: {"auth": LOGIN}}}))
    registry = OciRegistry(f"{host}/notejam", tmp_path / "cache")
    registry.push_bundle(make_bundle())
    assert registry.fetch_versions() == ["1.2.3"]
