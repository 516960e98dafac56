"""The Job of `helm upgrade`: volumes that grow, what is waited for and when, and how it ends."""

import json
import re
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pgha import rollout
from pgha.keeper import ANNOTATION
from pgha.kube import ApiError
from pgha.patroni import Member
from pgha.steps import HopelessError
from pgha.volumes import grow, quantity

from tests.charts.played import OneMember

REFUSAL = (
    'PATCH: 403 persistentvolumeclaims "data-db-0" is forbidden: only dynamically provisioned pvc can be '
    "resized and the storageclass that provisions the pvc must support resize"
)


class Claims:
    """Stands for the API: claims by their name, with size and phase; refuses as the real one does."""

    def __init__(self, refusal: str = "", **claims: tuple[str, str]) -> None:
        self.claims = {name.replace("_", "-"): claim for name, claim in claims.items()}
        self.refusal = refusal
        self.patches: list[tuple[str, str]] = []

    def find(self, path: str) -> dict[str, Any] | None:
        name = path.rpartition("/")[2]
        if name not in self.claims:
            return None
        size, phase = self.claims[name]
        return {"spec": {"resources": {"requests": {"storage": size}}}, "status": {"phase": phase}}

    def call(self, _: str, path: str, body: dict[str, Any]) -> None:
        name = path.rpartition("/")[2]
        if self.refusal:
            raise ApiError(403, self.refusal)
        if self.claims[name][1] != "Bound":
            raise ApiError(403, f"{name}: Only bound persistent volume claims can be expanded")
        size = body["spec"]["resources"]["requests"]["storage"]
        self.claims[name] = (size, "Bound")
        self.patches.append((name, size))


def grow_once(api: Claims, sizes: dict[str, str], members: int) -> tuple[bool, list[str]]:
    said: list[str] = []
    return grow(api, "db", sizes, members, said.append), said  # type: ignore[arg-type]


class TestVolumes:
    def test_smaller_claims_grow(self) -> None:
        api = Claims(
            data_db_0=("1Gi", "Bound"),
            data_db_1=("2048Mi", "Bound"),
            wal_db_0=("512Mi", "Bound"),
            wal_db_1=("1Gi", "Bound"),
        )
        done, _ = grow_once(api, {"data": "2Gi", "wal": "1Gi"}, 2)
        assert done
        assert api.patches == [("data-db-0", "2Gi"), ("wal-db-0", "1Gi")]

    def test_a_claim_of_a_new_member_is_waited_for(self) -> None:
        """It has the size of the StatefulSet's template, and none but a bound one may grow."""
        api = Claims(data_db_0=("1Gi", "Bound"), data_db_1=("1Gi", "Pending"))
        assert grow_once(api, {"data": "2Gi"}, 3) == (
            False,
            [
                "volume data-db-0: from 1Gi to 2Gi",
                (
                    "waiting: volume data-db-1 is not bound yet, and grows after that; "
                    "volume data-db-2 is not there yet"
                ),
            ],
        )
        api.claims |= {"data-db-1": ("1Gi", "Bound"), "data-db-2": ("1Gi", "Bound")}
        assert grow_once(api, {"data": "2Gi"}, 3)[0]
        assert [name for name, _ in api.patches] == ["data-db-0", "data-db-1", "data-db-2"]

    def test_a_claim_that_is_large_enough_is_not_waited_for(self) -> None:
        assert grow_once(Claims(data_db_0=("2Gi", "Pending")), {"data": "2Gi"}, 1) == (True, [])

    def test_a_class_that_cannot_is_named(self) -> None:
        api = Claims(REFUSAL, data_db_0=("1Gi", "Bound"))
        with pytest.raises(HopelessError) as raised:
            grow_once(api, {"data": "2Gi"}, 1)
        assert "data-db-0 cannot grow from 1Gi to 2Gi: " + REFUSAL in str(raised.value)
        assert "move to a class that allows growing" in str(raised.value)

    def test_another_refusal_is_told_as_it_is(self) -> None:
        api = Claims("PATCH: 403 exceeded quota: storage", data_db_0=("1Gi", "Bound"))
        with pytest.raises(ApiError, match="exceeded quota"):
            grow_once(api, {"data": "2Gi"}, 1)

    def test_a_size_that_nobody_can_read(self) -> None:
        with pytest.raises(HopelessError, match="'1e9'"):
            quantity("1e9")


WISHES = {
    "dynamic": {"synchronous_mode": "quorum"},
    "volumes": {"data": "2Gi"},
    "members": 1,
    "version": "new",
}


class Cluster:
    """Stands for the API: one volume, and what the primary's keeper tells."""

    def __init__(self, **told: Any) -> None:
        self.told, self.fails = told, 0
        self.config = "db-patroni-1"
        self.claims = Claims(data_db_0=("1Gi", "Bound"))

    def find(self, path: str, *_: str) -> dict[str, Any] | None:
        self.fails -= 1
        if self.fails >= 0:
            raise ApiError(503, "GET: 503 the API is away")
        if path == "/statefulsets/db":
            return {"spec": {"template": {"spec": self.make_spec(self.config)}}}
        return self.claims.find(path)

    def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        if method == "PATCH":
            self.claims.call(method, path, body)
            return {}
        told = {"annotations": {ANNOTATION: json.dumps(self.told)}}
        return {"metadata": told, "spec": self.make_spec("db-patroni-1")}

    @staticmethod
    def make_spec(config: str) -> dict[str, Any]:
        files = [{"configMap": {"name": config}}, {"secret": {"name": "db-tls"}}]
        return {"volumes": [{"name": "config", "projected": {"sources": files}}, {"emptyDir": {}}]}


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[rollout.Rollout, Cluster]]:
    def make(**told: Any) -> tuple[rollout.Rollout, Cluster]:
        cluster = Cluster(**told)
        run = rollout.Rollout(cluster, "db", "demo", "patroni:x", 0.0)  # type: ignore[arg-type]
        leader = rollout.Pod("db-0", "1", is_updated=False, is_ready=True, is_ending=False)
        monkeypatch.setattr(rollout, "PAUSE", 0.0)
        monkeypatch.setattr(run, "_deadline", float("inf"))
        monkeypatch.setattr(run, "_leader", lambda: leader)
        monkeypatch.setattr(run, "change_settings", lambda *_, **__: True)

        def advance() -> bool:
            cluster.told |= {"version": "new"}
            return True

        monkeypatch.setattr(run, "advance", advance)
        return run, cluster

    return make


Start = Callable[..., tuple[rollout.Rollout, Cluster]]


def test_an_extension_that_only_the_new_pods_have_is_waited_for_after_they_are_there(
    start: Start, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, cluster = start(version="old", roles="new", problems=["roles: extension postgis is not available"])
    # Else a failure of this test would take for ever.
    monkeypatch.setattr(run, "_deadline", 0.0)
    run.run(WISHES)
    assert cluster.claims.patches == [("data-db-0", "2Gi")]
    assert capsys.readouterr().out.endswith("done, the primary moved 0 times\n")


def test_roles_are_there_before_members_log_in_with_them(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = start(version="old", roles="old", problems=["roles: the Secret db-internal has no key x"])
    monkeypatch.setattr(run, "_deadline", 0.0)
    monkeypatch.setattr(run, "advance", lambda: pytest.fail("it replaced members without their roles"))
    with pytest.raises(TimeoutError, match="waiting for roles: roles: the Secret db-internal has no key x"):
        run.run(WISHES)


def test_a_keeper_that_tells_nothing_of_roles_is_taken_at_its_word(start: Start) -> None:
    run, cluster = start(version="new")
    assert run.keeper_told("roles", "new")
    cluster.told = {"version": "old", "problems": []}
    assert not run.keeper_told("roles", "new")


def test_a_keeper_that_does_not_run_is_not_waited_for_in_a_pod_of_the_old_kind(
    start: Start, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only a new pod can mend it, and a rollback must get there as well."""
    run, cluster = start(version="old", roles="old")
    fails = rollout.Pod("db-0", "1", is_updated=False, is_ready=False, is_ending=False, trouble="it crashes")
    monkeypatch.setattr(run, "_leader", lambda: fails)
    monkeypatch.setattr(rollout, "PATIENCE", -1.0)
    # It is another container: the keeper tells.
    assert not run.keeper_told("roles", "new")
    fails = replace(fails, has_keeper_trouble=True)
    # With another file come other logins, and members that cannot log in.
    cluster.config = "db-patroni-2"
    assert not run.keeper_told("roles", "new")
    cluster.config = "db-patroni-1"
    monkeypatch.setattr(rollout, "PATIENCE", 60.0)
    assert not run.keeper_told("roles", "new")
    monkeypatch.setattr(rollout, "PATIENCE", -1.0)
    assert run.keeper_told("roles", "new")
    assert "db-0 cannot tell whether roles are there: it crashes" in capsys.readouterr().out
    assert not run.keeper_told("version", "new")
    assert cluster.told["roles"] == "old"


def test_a_keeper_that_does_not_run_in_a_new_pod_is_hopeless(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = start(version="old", roles="old")
    fails = rollout.Pod("db-0", "1", is_updated=True, is_ready=False, is_ending=False, trouble="it crashes")
    monkeypatch.setattr(run, "_leader", lambda: fails)
    monkeypatch.setattr(run, "_pods", [fails])
    monkeypatch.setattr(rollout, "PATIENCE", -1.0)
    with pytest.raises(HopelessError, match=r"db-0 cannot start: it crashes\n.*go back: helm rollback demo"):
        run.keeper_told("version", "new")


def test_an_api_that_is_away_for_a_moment_is_asked_again(start: Start) -> None:
    run, cluster = start(version="new", roles="new")
    cluster.fails = 2
    run.run(WISHES)
    assert cluster.claims.patches == [("data-db-0", "2Gi")]


class Alone(OneMember):
    """Stands for the API and Patroni of one member, whose server may not start."""

    def __init__(
        self, *, state: str = "start failed", is_updated: bool = True, is_paused: bool = False
    ) -> None:
        super().__init__(is_updated=is_updated, is_ready=state == "running")
        self.state, self.is_paused, self.needs_restart = state, is_paused, False
        self.restarts: list[str] = []
        self.deleted: list[str] = []
        self.patches: list[object] = []

    def delete(self, path: str) -> bool:
        self.deleted.append(path)
        return True

    def members(self) -> list[Member]:
        role = "leader" if self.state == "running" else "replica"
        return [Member("db-0", role, self.state, "10.0.0.1", 1, None, self.needs_restart)]

    def config(self) -> dict[str, Any]:
        pause = {"pause": True} if self.is_paused else {}
        return {"postgresql": {"parameters": {"shared_preload_libraries": "nowhere"}}, **pause}

    def patch_config(self, patch: object) -> None:
        self.patches.append(patch)

    def restart(self) -> None:
        self.restarts.append("db-0")


@pytest.fixture
def begin(monkeypatch: pytest.MonkeyPatch) -> Callable[[Alone], rollout.Rollout]:
    def make(alone: Alone) -> rollout.Rollout:
        run = rollout.Rollout(alone, "db", "demo", "patroni:x", 0.0)
        monkeypatch.setattr(run, "_patroni", lambda _: alone)
        return run

    return make


class TestPause:
    """While failover is paused, Patroni starts no Postgres that was stopped."""

    def test_no_member_is_stopped(self, begin: Callable[[Alone], rollout.Rollout]) -> None:
        alone = Alone(state="running", is_updated=False, is_paused=True)
        run = begin(alone)
        assert run.change_settings({"loop_wait": 5, "postgresql": {"parameters": {}}})
        said = (
            r"is paused.*replace db-0 \(it is of the old kind.*\nkubectl exec db-0 -c postgres -- pgha resume"
        )
        with pytest.raises(HopelessError, match=said):
            run.advance()
        assert alone.deleted == []
        assert "pause" not in str(alone.patches)

    def test_a_server_is_restarted_in_its_pod(self, begin: Callable[[Alone], rollout.Rollout]) -> None:
        alone = Alone(state="running", is_paused=True)
        alone.needs_restart = True
        assert not begin(alone).advance()
        assert alone.restarts == ["db-0"]

    def test_what_needs_no_stop_goes_on(self, begin: Callable[[Alone], rollout.Rollout]) -> None:
        run = begin(Alone(state="running", is_paused=True))
        assert run.change_settings({"loop_wait": 5, "postgresql": {"parameters": {}}})
        run._settled_at = 0.0  # noqa: SLF001 - as if the members had read them
        assert run.advance()

    def test_an_install_over_kept_volumes_ends_it(self, begin: Callable[[Alone], rollout.Rollout]) -> None:
        alone = Alone(state="stopped", is_paused=True)
        wanted = {"loop_wait": 5, "postgresql": {"parameters": {}}}
        assert begin(alone).change_settings(wanted, is_install=True)
        gone = {"postgresql": {"parameters": {"shared_preload_libraries": None}}, "loop_wait": 5}
        assert alone.patches == [{**gone, "pause": None}]

    def test_a_rollback_to_what_was_installed_does_not(
        self, begin: Callable[[Alone], rollout.Rollout]
    ) -> None:
        alone = Alone(state="running", is_paused=True)
        wanted = {"loop_wait": 5, "postgresql": {"parameters": {}}}
        assert begin(alone).change_settings(wanted, is_install=True)
        assert "pause" not in str(alone.patches)

    def test_a_member_that_was_stopped_meanwhile_is_not_waited_for(
        self, begin: Callable[[Alone], rollout.Rollout]
    ) -> None:
        run = begin(Alone(state="stopped", is_paused=True))
        with pytest.raises(HopelessError, match=r"failover is paused.*no member leads"):
            run.advance()
        with pytest.raises(HopelessError, match=r"failover is paused.*no member leads"):
            run.keeper_told("roles", "new")


def test_the_job_takes_up_new_certificates(
    begin: Callable[[Alone], rollout.Rollout], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The members do, and with them may come another authority."""
    files = ["one"]
    monkeypatch.setattr(rollout, "fingerprint", lambda: files[-1])
    monkeypatch.setattr(rollout, "tls_context", lambda: files[-1])
    run = begin(Alone(state="running"))
    files.append("two")
    run.look()
    assert run._tls == "two"  # noqa: SLF001 - what it speaks to the members with


class TestNoLeader:
    def test_a_server_that_ends_at_every_start_is_hopeless_after_a_while(
        self, begin: Callable[[Alone], rollout.Rollout], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = begin(Alone())
        assert not run.advance()
        monkeypatch.setattr(rollout, "PATIENCE", -1.0)
        said = (
            "db-0 cannot start: its Postgres ends at every start\n"
            "look: kubectl logs -c postgres db-0; go back: helm rollback demo"
        )
        with pytest.raises(HopelessError, match=re.escape(said)):
            run.advance()

    def test_one_that_does_not_lead_yet_is_waited_for(
        self, begin: Callable[[Alone], rollout.Rollout], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rollout, "PATIENCE", -1.0)
        run = begin(Alone(state="starting"))
        assert not run.advance()

    def test_settings_are_mended_though_nobody_leads(self, begin: Callable[[Alone], rollout.Rollout]) -> None:
        alone = Alone()
        wanted = {"loop_wait": 5, "postgresql": {"parameters": {}}}
        assert begin(alone).change_settings(wanted)
        gone = {"postgresql": {"parameters": {"shared_preload_libraries": None}}, "loop_wait": 5}
        assert alone.patches == [gone]

    @pytest.mark.parametrize("is_updated", [False, True])
    def test_a_member_of_the_old_kind_is_replaced_though_nobody_leads(
        self, begin: Callable[[Alone], rollout.Rollout], *, is_updated: bool
    ) -> None:
        alone = Alone(is_updated=is_updated)
        with pytest.raises(OSError, match="no member leads"):
            begin(alone).keeper_told("roles", "new")
        assert alone.deleted == ([] if is_updated else ["/pods/db-0"])


class TestEnd:
    @pytest.fixture
    def end(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> Callable[[Exception], tuple[int, str]]:
        (tmp_path / "rollout.json").write_text(json.dumps(WISHES))
        for name in ("PATRONI_RESTAPI_USERNAME", "PATRONI_RESTAPI_PASSWORD", "STATEFULSET", "RELEASE"):
            monkeypatch.setenv(name, "db")
        monkeypatch.setenv("ROLLOUT_SECONDS", "60")
        monkeypatch.setattr(rollout, "WISHES", tmp_path)
        handlers: dict[int, object] = {}
        monkeypatch.setattr(rollout.signal, "signal", handlers.__setitem__)

        def run(error: Exception) -> tuple[int, str]:
            def fail() -> None:
                raise error

            monkeypatch.setattr(rollout.Api, "in_cluster", fail)
            code = rollout.main()
            assert handlers == {signal.SIGTERM: rollout.stop}
            return code, capsys.readouterr().err

        return run

    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (ApiError(503, "GET /pods: 503 away"), rollout.AGAIN),
            (OSError("no route to host"), rollout.AGAIN),
            (ValueError("an answer that nobody can read"), rollout.AGAIN),
            (HopelessError("the class cannot grow"), rollout.CANNOT),
            (TimeoutError("not done in time; last: waiting"), rollout.TOO_LATE),
        ],
    )
    def test_each_has_its_exit_code_and_one_line(
        self, end: Callable[[Exception], tuple[int, str]], error: Exception, code: int
    ) -> None:
        found, said = end(error)
        assert found == code
        assert said.startswith(f"error: {error}")
        assert said.count("\n") == 1

    def test_a_job_that_is_deleted_ends_at_once(self) -> None:
        """Process 1 would not hear of it otherwise, and work on beside the next one."""
        with pytest.raises(SystemExit) as raised:
            rollout.stop(signal.SIGTERM, None)
        assert raised.value.code == rollout.AGAIN

    def test_the_job_tries_again_what_may_heal(self, render: Callable[..., list[dict[str, Any]]]) -> None:
        (job,) = [
            doc
            for doc in render("postgres-ha")
            if doc["kind"] == "Job" and doc["metadata"]["name"].endswith("-rollout")
        ]
        codes = job["spec"]["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"]
        assert codes == [rollout.CANNOT, rollout.TOO_LATE]
        assert rollout.AGAIN not in codes
