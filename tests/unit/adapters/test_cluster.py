"""What ClusterAdapter and the errors say; what it reads is shown against a real cluster."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from releaser.adapters.cluster import ClusterAdapter
from releaser.core.model import Stage
from releaser.errors import ForbiddenError, InputError, UnavailableError
from tests.unit.adapters.tiny_api import TinyApi, TinyClients, answer_with, refuse

if TYPE_CHECKING:
    from collections.abc import Callable

STAGE = Stage(
    "testing", None, "kind-notejam", "notejam-testing", "", (), timedelta(minutes=5), timedelta(minutes=1)
)
NAMESPACE = "/api/v1/namespaces/notejam-testing"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
SECRET = f"{NAMESPACE}/secrets/sh.helm.release.v1.notejam.v3"
DENIED = (
    'pods is forbidden: User "jane" cannot list resource "pods" in API group "" '
    'in the namespace "notejam-testing"'
)


@pytest.fixture
def api() -> TinyApi:
    return TinyApi()


@pytest.fixture
def cluster(api: TinyApi) -> ClusterAdapter:
    return ClusterAdapter(TinyClients(api))


def answers(rules: dict[str, httpx2.Response]) -> Callable[[httpx2.Request], httpx2.Response | None]:
    return lambda request: rules.get(request.url.path)


def test_access(api: TinyApi, cluster: ClusterAdapter) -> None:
    cluster.check_access(STAGE)
    api.put(NAMESPACE, {"metadata": {"name": "notejam-testing"}, "status": {"phase": "Active"}})
    cluster.check_access(STAGE)

    assert api.requests == [f"GET {NAMESPACE}"] * 2


def test_access_to_a_namespace_that_ends(api: TinyApi, cluster: ClusterAdapter) -> None:
    api.put(NAMESPACE, {"metadata": {"name": "notejam-testing"}, "status": {"phase": "Terminating"}})

    with pytest.raises(UnavailableError, match="namespace notejam-testing is being deleted"):
        cluster.check_access(STAGE)


def review(*, allowed: bool) -> httpx2.Response:
    return answer_with({"spec": {}, "metadata": {}, "status": {"allowed": allowed}}, 201)


def test_who_may_not_read_the_namespace_may_read_in_it(api: TinyApi, cluster: ClusterAdapter) -> None:
    api.before = answers({NAMESPACE: refuse(403, "no"), REVIEWS: review(allowed=True)})

    cluster.check_access(STAGE)

    assert not cluster.ensure_namespace(STAGE)


def test_no_access(api: TinyApi, cluster: ClusterAdapter) -> None:
    api.before = answers({NAMESPACE: refuse(403, "no"), REVIEWS: review(allowed=False)})

    with pytest.raises(ForbiddenError) as caught:
        cluster.check_access(STAGE)

    assert caught.value.message == "context kind-notejam may not read namespace notejam-testing"
    assert caught.value.hint.endswith(
        "kubectl auth can-i list pods -n notejam-testing --context kind-notejam"
    )


def test_a_namespace_is_made_restricted(api: TinyApi, cluster: ClusterAdapter) -> None:
    assert cluster.ensure_namespace(STAGE)
    assert not cluster.ensure_namespace(STAGE)

    assert api.objects[NAMESPACE]["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "releaser",
        "pod-security.kubernetes.io/enforce": "restricted",
    }


def test_somebody_else_makes_the_namespace(api: TinyApi, cluster: ClusterAdapter) -> None:
    api.before = lambda request: refuse(409, "exists") if request.method == "POST" else None

    assert not cluster.ensure_namespace(STAGE)


def test_a_refusal_names_the_right(api: TinyApi, cluster: ClusterAdapter) -> None:
    api.put(
        "/apis/batch/v1/namespaces/notejam-testing/jobs/migrate", labelled("migrate", spec={"template": {}})
    )
    api.before = answers({f"{NAMESPACE}/pods": refuse(403, DENIED)})

    with pytest.raises(ForbiddenError) as caught:
        cluster.fetch_workloads(STAGE, "notejam")

    assert caught.value.message == f"context kind-notejam: {DENIED}"
    assert caught.value.hint == (
        "ask for the right; see it: kubectl auth can-i list pods -n notejam-testing --context kind-notejam"
    )


def labelled(name: str, **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "uid": f"uid-{name}", "labels": {"app.kubernetes.io/instance": "notejam"}}
    return {"metadata": {**metadata, **more.pop("metadata", {})}, **more}


def test_five_requests_for_all_workloads(api: TinyApi, cluster: ClusterAdapter) -> None:
    apps = "/apis/apps/v1/namespaces/notejam-testing"
    empty = {"spec": {"selector": {}, "template": {}, "serviceName": ""}}
    api.put(f"{apps}/deployments/web", labelled("web", **empty))
    api.put(
        f"{apps}/deployments/other", {**labelled("other", **empty), "metadata": {"name": "o", "uid": "o"}}
    )
    api.put(f"{apps}/statefulsets/db", labelled("db", **empty))
    api.put("/apis/batch/v1/namespaces/notejam-testing/jobs/migrate", labelled("migrate", **empty))

    found = cluster.fetch_workloads(STAGE, "notejam")

    assert [(item.kind, item.name) for item in found] == [
        ("Deployment", "web"),
        ("StatefulSet", "db"),
        ("Job", "migrate"),
    ]
    assert len(api.requests) == 5
    assert cluster.fetch_workloads(STAGE, "nothing") == ()
    assert len(api.requests) == 8


def test_events_since(api: TinyApi, cluster: ClusterAdapter) -> None:
    since = datetime(2026, 1, 1, 0, 0, 5, 700_000, tzinfo=UTC)
    for name, second in (("late", 9), ("same-second", 5), ("early", 4)):
        time = f"2026-01-01T00:00:0{second}Z"
        event = {"involvedObject": {"kind": "Pod", "name": name}, "lastTimestamp": time, "message": name}
        api.put(f"{NAMESPACE}/events/{name}", {"metadata": {"name": name}, **event})

    found = cluster.fetch_events(STAGE, since)

    assert [event.message for event in found] == ["same-second", "late"]


def test_logs(api: TinyApi, cluster: ClusterAdapter) -> None:
    asked: list[dict[str, str]] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(dict(request.url.params))
        return httpx2.Response(200, content=b"one\ntwo \xff\n")

    api.before = answer

    lines = cluster.fetch_logs(STAGE, "web-1", "web", previous=True, lines=15)

    assert lines == ("one", "two \N{REPLACEMENT CHARACTER}")
    assert api.requests == [f"GET {NAMESPACE}/pods/web-1/log"]
    assert asked == [{"container": "web", "previous": "true", "tailLines": "15", "limitBytes": "262144"}]


@pytest.mark.parametrize("status", [400, 404])
def test_no_logs(api: TinyApi, cluster: ClusterAdapter, status: int) -> None:
    api.before = lambda _: refuse(status, "previous terminated container not found")

    assert cluster.fetch_logs(STAGE, "web-1", "web", previous=True, lines=15) == ()


def test_logs_that_may_not_be_read(api: TinyApi, cluster: ClusterAdapter) -> None:
    api.before = lambda _: refuse(403, "no")

    with pytest.raises(ForbiddenError):
        cluster.fetch_logs(STAGE, "web-1", "web", previous=False, lines=15)


@pytest.mark.parametrize("status", ["pending-upgrade", "pending-install", "pending-rollback"])
def test_a_pending_revision_is_forgotten(api: TinyApi, cluster: ClusterAdapter, status: str) -> None:
    api.put(SECRET, {"metadata": {"name": "x", "labels": {"status": status}}})

    cluster.forget_pending(STAGE, "notejam", 3)
    cluster.forget_pending(STAGE, "notejam", 3)

    assert api.objects == {}


@pytest.mark.parametrize("status", ["deployed", "superseded", "failed", "uninstalling", ""])
def test_no_other_revision_is_forgotten(api: TinyApi, cluster: ClusterAdapter, status: str) -> None:
    api.put(SECRET, {"metadata": {"name": "x", "labels": {"status": status}}})

    with pytest.raises(
        InputError, match=f"revision 3 of notejam is {status}, not pending: it is not forgotten"
    ):
        cluster.forget_pending(STAGE, "notejam", 3)

    assert SECRET in api.objects


def test_the_api_is_away(api: TinyApi, cluster: ClusterAdapter) -> None:
    api.before = lambda _: httpx2.ConnectError("[Errno 111] Connection refused")

    with pytest.raises(UnavailableError, match="kind-notejam does not answer: Connection refused"):
        cluster.fetch_workloads(STAGE, "notejam")


def test_an_answer_without_content_type(api: TinyApi, cluster: ClusterAdapter) -> None:
    """lightkube asks for the header as if it were always there."""
    api.before = lambda _: httpx2.Response(502, content=b"bad gateway")

    with pytest.raises(UnavailableError):
        cluster.check_access(STAGE)
