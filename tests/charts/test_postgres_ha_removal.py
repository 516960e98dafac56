"""The Job of `helm uninstall`: how long it waits for members, and what it says when it fails."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from pgha import removal
from pgha.kube import ApiError


class Pods:
    """Stands for the API: pods that are there for a while, by a clock that sleeping moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *graces: int, until: float) -> None:
        self.now, self.until, self.deleted = 100.0, 100.0 + until, list[str]()
        self.found = [
            {"metadata": {"name": f"db-{ordinal}"}, "spec": {"terminationGracePeriodSeconds": grace}}
            for ordinal, grace in enumerate(graces)
        ]
        monkeypatch.setattr(removal.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(removal.time, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def pods(self, _: str) -> list[dict[str, Any]]:
        return self.found if self.now < self.until else []

    def delete(self, path: str) -> bool:
        self.deleted.append(path)
        return True


def test_members_have_the_time_that_their_pods_give_them(monkeypatch: pytest.MonkeyPatch) -> None:
    removal.wait_for_members(Pods(monkeypatch, 180, 600, until=605), "a=b")  # type: ignore[arg-type]


def test_it_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Pods(monkeypatch, 90, until=10**6)
    with pytest.raises(TimeoutError, match="db-0 did not stop in time; nothing was removed"):
        removal.wait_for_members(api, "a=b")  # type: ignore[arg-type]
    assert api.now <= 100 + 90 + removal.MARGIN + 2


@pytest.mark.parametrize(
    "error", [ApiError(403, "GET /pods: 403 forbidden"), OSError("no route to host"), ValueError("no JSON")]
)
def test_what_goes_wrong_is_said_in_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setenv("SELECTOR", "app.kubernetes.io/instance=demo")
    monkeypatch.setenv("REMOVE", "[]")
    monkeypatch.setattr(removal.Api, "in_cluster", fail)
    assert removal.main() == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: the release's data was not removed: {error}; ")
    assert "kubectl delete pvc,secret,configmap --selector app.kubernetes.io/instance=demo" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("grace", [90, 600])
def test_the_job_lives_longer_than_it_waits(render: Callable[..., list[dict[str, Any]]], grace: int) -> None:
    values = {"uninstall": {"removeData": True}, "terminationGracePeriodSeconds": grace}
    (job,) = [
        doc
        for doc in render("postgres-ha", values)
        if doc["kind"] == "Job" and doc["metadata"]["name"].endswith("-removal")
    ]
    assert job["spec"]["activeDeadlineSeconds"] >= grace + removal.MARGIN + 30


# Secrets of one's own with the names that the chart would give them.
OWN = {
    "uninstall": {"removeData": True},
    "database": {"owner": "head"},
    "credentials": {key: {"existingSecret": f"demo-{key}"} for key in ("app", "internal", "owner")},
}


def removable(docs: list[dict[str, Any]]) -> tuple[list[list[str]], list[str]]:
    """The names of each rule about Secrets, and the Secrets that the Job removes."""
    found = {doc["kind"]: doc for doc in docs if doc["metadata"]["name"].endswith("-removal")}
    may = [rule["resourceNames"] for rule in found["Role"]["rules"] if rule["resources"] == ["secrets"]]
    env = {item["name"]: item for item in found["Job"]["spec"]["template"]["spec"]["containers"][0]["env"]}
    paths = json.loads(env["REMOVE"]["value"])
    return may, [path for path in paths if path.startswith("/secrets/")]


def test_a_secret_of_one_s_own_is_left_alone(render: Callable[..., list[dict[str, Any]]]) -> None:
    users = [{"name": "a", "existingSecret": "demo-user-b"}, {"name": "b", "existingSecret": "c"}]
    may, removed = removable(render("postgres-ha", {**OWN, "users": users}))
    assert may == [["demo-ca", "demo-tls"]]
    assert removed == ["/secrets/demo-ca", "/secrets/demo-tls"]


def test_where_every_secret_is_somebody_s_own_none_may_be_deleted(
    render: Callable[..., list[dict[str, Any]]],
) -> None:
    """A rule without names would be one for all Secrets of the namespace."""
    tls = {"mode": "existingSecret", "existingSecret": "mine"}
    assert removable(render("postgres-ha", {**OWN, "tls": tls})) == ([], [])
