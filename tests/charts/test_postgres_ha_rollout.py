"""The Job of `helm upgrade`, the guard of the disk, the commands: what they ask, say and refuse."""

import argparse
import json
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pgha import cli, disk, rollout, start_patroni
from pgha.patroni import Member, parse_members
from pgha.pods import read_pod
from pgha.steps import Action, Facts, HopelessError, Step

from tests.charts.played import OneMember

MEBIBYTE = disk.MEBIBYTE
LEADER = {"name": "db-0", "role": "leader", "state": "running", "timeline": 3, "host": "10.0.0.1"}
REPLICA = {"name": "db-1", "role": "quorum_standby", "state": "streaming", "timeline": 3, "lag": 3 * MEBIBYTE}
LOST = {"name": "db-2", "role": "replica", "state": "running", "timeline": 2, "lag": "unknown"}


class TestPatch:
    WANTED: ClassVar[dict[str, Any]] = {
        "ttl": 20,
        "postgresql": {"use_slots": True, "parameters": {"a": 1, "b": "x"}},
    }

    def test_only_what_differs(self) -> None:
        current = {"ttl": 20, "postgresql": {"use_slots": True, "parameters": {"a": 1, "b": "y"}}}
        assert rollout.make_patch(current, self.WANTED) == {"postgresql": {"parameters": {"b": "x"}}}

    def test_nothing_for_what_is_so(self) -> None:
        assert rollout.make_patch(self.WANTED, self.WANTED) == {}

    def test_settings_that_nobody_wants_are_removed(self) -> None:
        current = {"ttl": 30, "postgresql": {"use_slots": True, "parameters": {"a": 1, "b": "x", "c": 2}}}
        patch = rollout.make_patch(current, self.WANTED)
        assert patch == {"ttl": 20, "postgresql": {"parameters": {"c": None}}}

    def test_the_guard_of_the_disk_is_left_alone(self) -> None:
        parameters = {"a": 1, "b": "x", disk.SETTING: "on"}
        current = {"ttl": 20, "postgresql": {"use_slots": True, "parameters": parameters}}
        assert rollout.make_patch(current, self.WANTED) == {}

    def test_a_store_without_settings_of_postgres(self) -> None:
        assert rollout.make_patch({"ttl": 20}, self.WANTED) == {"postgresql": self.WANTED["postgresql"]}


def make_rollout(api: Any) -> rollout.Rollout:
    return rollout.Rollout(api, "db", "demo", "patroni:x", 0)


def pod(**status: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "db-0",
            "uid": "1",
            "labels": {"controller-revision-hash": "new"},
            "annotations": {"status": json.dumps({"api_url": "https://10.0.0.1:8008/patroni"})},
        },
        "spec": {"containers": [{"name": "postgres"}, {"name": "keeper"}]},
        "status": {"podIP": "10.0.0.1", **status},
    }


class TestPods:
    def test_what_is_read(self) -> None:
        found = read_pod(pod(conditions=[{"type": "Ready", "status": "True"}]), "new")
        assert (found.is_updated, found.is_ready, found.is_tls, found.has_keeper) == (True,) * 4
        assert not read_pod(pod(), "newer").is_updated

    def test_a_member_from_before_tls(self) -> None:
        old = pod()
        old["metadata"]["annotations"]["status"] = json.dumps({"api_url": "http://10.0.0.1:8008/patroni"})
        old["spec"]["containers"].pop()
        found = read_pod(old, "new")
        assert (found.is_tls, found.has_keeper) == (False, False)

    def test_what_is_hopeless_is_said_after_a_while(self, monkeypatch: pytest.MonkeyPatch) -> None:
        waiting = {"reason": "ImagePullBackOff", "message": "no such image"}
        run = make_rollout(None)
        run._pods = [read_pod(pod(containerStatuses=[{"state": {"waiting": waiting}}]), "new")]  # noqa: SLF001
        run._check_trouble()  # noqa: SLF001
        monkeypatch.setattr(rollout, "PATIENCE", -1.0)
        with pytest.raises(HopelessError, match=r"no such image(.|\n)*helm rollback demo"):
            run._check_trouble()  # noqa: SLF001

    def test_who_does_not_follow_for_a_while_is_stuck(self, monkeypatch: pytest.MonkeyPatch) -> None:
        run = make_rollout(None)
        run._pods = [read_pod(pod(), "new")]  # noqa: SLF001
        name = run._pods[0].name  # noqa: SLF001
        here = Member(name, "replica", "streaming", "10.0.0.1", 1, 10**12, pending_restart=False)
        lost = Facts(1, run._pods, [replace(here, state="running")])  # noqa: SLF001
        assert run._stuck(lost) == frozenset()  # noqa: SLF001
        monkeypatch.setattr(rollout, "PATIENCE", -1.0)
        assert run._stuck(lost) == {name}  # noqa: SLF001
        assert run._stuck(replace(lost, members=[])) == {name}  # noqa: SLF001
        # One that is far behind still follows.
        assert run._stuck(replace(lost, members=[here])) == frozenset()  # noqa: SLF001


class TestDisk:
    def space(self, free: int) -> list[disk.Space]:
        return [disk.Space("/pgdata", 4096 * MEBIBYTE, free * MEBIBYTE)]

    @pytest.mark.parametrize(("total", "reserve"), [(256, 64), (4096, 204), (10**6, 1024)])
    def test_the_reserve(self, total: int, reserve: int) -> None:
        assert disk.Space("/pgdata", total * MEBIBYTE, 0).reserve // MEBIBYTE == reserve

    def test_writes_stop_below_the_reserve_and_start_well_above_it(self) -> None:
        assert disk.describe_low(self.space(200), is_stopped=False) == "/pgdata has 200 of 4096 MiB left"
        assert disk.describe_low(self.space(250), is_stopped=False) == ""
        assert disk.describe_low(self.space(250), is_stopped=True)
        assert not disk.describe_low(self.space(400), is_stopped=True)

    def test_the_setting_is_touched_only_when_it_must_change(self) -> None:
        free: dict[str, Any] = {"postgresql": {"parameters": {}}}
        stopped = {"postgresql": {"parameters": {disk.SETTING: "on"}}}
        assert disk.read_only_patch(free, low=False) is None
        assert disk.read_only_patch(stopped, low=True) is None
        assert disk.read_only_patch(free, low=True) == stopped
        assert disk.read_only_patch(stopped, low=False) == {
            "postgresql": {"parameters": {disk.SETTING: None}}
        }

    def test_only_mounted_volumes_count(self, tmp_path: Path) -> None:
        assert disk.measure((tmp_path, tmp_path / "absent")) == []
        assert [space.path for space in disk.measure((Path("/proc"),))] == ["/proc"]


class TestClock:
    def test_a_replica_wakes_when_there_is_news(self) -> None:
        clock = start_patroni.Clock()
        clock.event = threading.Event()

        def process_unhealthy_cluster() -> float:
            begun = time.monotonic()
            clock.sleep(30)
            return time.monotonic() - begun

        clock.event.set()
        assert process_unhealthy_cluster() < 5

    def test_the_second_after_a_shutdown_is_short(self, monkeypatch: pytest.MonkeyPatch) -> None:
        slept: list[float] = []
        monkeypatch.setattr(time, "sleep", slept.append)

        def on_shutdown() -> None:
            start_patroni.Clock().sleep(1)

        on_shutdown()
        start_patroni.Clock().sleep(2)
        assert slept == [start_patroni.SHORT, 2]

    def test_it_is_the_module_in_everything_else(self) -> None:
        assert start_patroni.Clock().time is time.time


class Talk:
    """Stands for Patroni: a fixed cluster, and what was asked for."""

    def __init__(self, *members: dict[str, Any], **config: Any) -> None:
        self.found, self.stored = parse_members({"members": members}), config
        self.asked: list[tuple[str, ...]] = []

    def members(self) -> list[Member]:
        return self.found

    def config(self) -> dict[str, Any]:
        return self.stored

    def switchover(self, leader: str, candidate: str) -> str:
        self.asked.append((leader, candidate))
        return "Successfully switched over"


class TestCommands:
    def test_the_list(self, capsys: pytest.CaptureFixture[str]) -> None:
        cli.show(Talk(LEADER, REPLICA, LOST), argparse.Namespace())  # type: ignore[arg-type]
        assert capsys.readouterr().out == (
            "MEMBER  ROLE            STATE      TIMELINE  LAG      NOTE\n"
            "db-0    primary         running    3\n"
            "db-1    quorum standby  streaming  3         3.0 MB\n"
            "db-2    replica         running    2         unknown\n"
        )

    def test_a_pause_is_shown(self, capsys: pytest.CaptureFixture[str]) -> None:
        cli.show(Talk(LEADER, pause=True), argparse.Namespace())  # type: ignore[arg-type]
        assert "PAUSED" in capsys.readouterr().out

    @pytest.mark.parametrize("named", ["db-2", "2", None])
    def test_switchover(self, named: str | None) -> None:
        talk = Talk(LEADER, REPLICA, LOST)
        cli.switchover(talk, argparse.Namespace(to=named))  # type: ignore[arg-type]
        assert talk.asked == [("db-0", "db-2" if named else "db-1")]

    @pytest.mark.parametrize(
        ("members", "to", "said"),
        [
            ((LEADER, LOST), None, "no replica follows db-0 closely enough"),
            ((REPLICA,), None, "no member leads"),
            ((LEADER, REPLICA), "db-7", "there is no member db-7; there are db-0, db-1"),
        ],
    )
    def test_what_cannot_be_done(
        self, members: tuple[dict[str, Any], ...], to: str | None, said: str
    ) -> None:
        with pytest.raises(cli.CommandError, match=said):
            cli.switchover(Talk(*members), argparse.Namespace(to=to))  # type: ignore[arg-type]

    def test_the_primary_is_not_copied_anew(self) -> None:
        with pytest.raises(cli.CommandError, match="db-0 leads"):
            cli.reinit(Talk(LEADER, REPLICA), argparse.Namespace(member="0"))  # type: ignore[arg-type]

    def test_a_member_without_an_address_is_not_copied_anew(self) -> None:
        nowhere = {**REPLICA, "host": ""}
        with pytest.raises(cli.CommandError, match="db-1 has no address: its pod does not run"):
            cli.reinit(Talk(LEADER, nowhere), argparse.Namespace(member="1"))  # type: ignore[arg-type]

    def test_an_unreachable_member_is_an_error_of_one_line(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("USERNAME", "PASSWORD"):
            monkeypatch.setenv(f"PATRONI_RESTAPI_{name}", "x")
        monkeypatch.setattr("pgha.patroni.PORT", 1)
        assert cli.main(["list"]) == 1
        assert capsys.readouterr().err.startswith("error: ")


def test_a_switchover_waits_until_the_services_have_taken_up_who_became_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, taken = [100.0], []
    step = Step(Action.SWITCH_OVER, "it is of the old kind", "db-0", "db-1")
    monkeypatch.setattr(rollout.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(rollout, "next_step", lambda _: step)
    api = OneMember()
    found = rollout.Rollout(api, "db", "db", "patroni:x", 1000.0)
    monkeypatch.setattr(found, "_members", lambda _: [])
    monkeypatch.setattr(found, "_take", taken.append)
    for passed in (0.0, 1.9):
        now[0] = 100.0 + passed
        assert not found.advance()
        assert taken == []
    now[0] = 102.0
    found.advance()
    assert taken == [step]
    api.is_ready = False
    found.advance()
    assert taken == [step], "the endpoints have just changed again"


@pytest.mark.parametrize("action", [Action.RESTART, Action.SWITCH_OVER, Action.REPLACE])
def test_nothing_is_restarted_before_the_members_have_read_their_settings(
    monkeypatch: pytest.MonkeyPatch, action: Action
) -> None:
    """A rollback takes back what the primary has not restarted for: it need not, and need not move."""
    now, taken = [100.0], []
    monkeypatch.setattr(rollout.time, "monotonic", lambda: now[0])
    step = Step(action, "a reason", "db-0", "db-1")
    monkeypatch.setattr(rollout, "next_step", lambda _: step)
    found = rollout.Rollout(OneMember(), "db", "db", "patroni:x", 1000.0)
    monkeypatch.setattr(found, "_members", lambda _: [])
    monkeypatch.setattr(found, "_take", taken.append)
    monkeypatch.setattr(found, "_settled_at", 108.0)
    for passed in (0.0, 7.9):
        now[0] = 100.0 + passed
        assert not found.advance()
        # What is of the old kind is replaced in any case.
        assert bool(taken) == (action is Action.REPLACE)
    now[0] = 108.0
    found.advance()
    assert taken[-1] == step
