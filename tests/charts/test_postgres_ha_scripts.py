"""The scripts in the image of postgres-ha, against a Patroni and a Kubernetes API that are played here."""

import importlib
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.charts.played import Server

IMAGE = Path(__file__).resolve().parents[2] / "charts" / "postgres-ha" / "image"
ENV = {"POD_NAME": "db-1", "PATRONI_RESTAPI_USERNAME": "patroni", "PATRONI_RESTAPI_PASSWORD": "s3cret"}


def load(name: str) -> ModuleType:
    if str(IMAGE) not in sys.path:
        sys.path.insert(0, str(IMAGE))
    return importlib.import_module(f"pgha.{name}")


def member(name: str, role: str = "quorum_standby", state: str = "streaming", lag: int = 0) -> dict[str, Any]:
    return {"name": name, "role": role, "state": state, "lag": lag}


def hand_over(script: ModuleType, seconds: float) -> str:
    patroni = load("patroni").Patroni.at(env=ENV)
    return str(script.hand_over(ENV, patroni, script.Deadline(seconds)))


LEADER = member("db-1", "leader", "running")
SWITCHED = [member("db-1"), member("db-0", "leader", "running")]


class TestSwitchoverByHand:
    @pytest.fixture
    def run(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
        cli = load("cli")
        monkeypatch.setattr(load("patroni"), "PORT", server.server_address[1])
        monkeypatch.setattr(cli, "AGAIN_SECONDS", 0.01)
        for name, value in ENV.items():
            monkeypatch.setenv(name, value)
        server.routes |= {
            "GET /cluster": (200, {"members": [LEADER, member("db-0")]}),
            "GET /config": (200, {}),
        }
        return lambda: int(cli.main(["switchover"]))

    def test_it_is_tried_again(
        self, run: Callable[[], int], server: Server, capsys: pytest.CaptureFixture[str]
    ) -> None:
        attempts = iter([(503, "Switchover failed"), (200, "Successfully switched over")])
        server.routes["POST /switchover"] = lambda: next(attempts)
        assert run() == 0
        said = capsys.readouterr().out
        assert "503 Switchover failed; trying again\nSuccessfully switched over\n" in said

    def test_what_does_not_move_is_said_in_the_end(
        self, run: Callable[[], int], server: Server, capsys: pytest.CaptureFixture[str]
    ) -> None:
        server.routes["POST /switchover"] = (503, "Switchover failed")
        assert run() == 1
        assert len(server.bodies("POST /switchover")) == 3
        assert "db-1 still leads; why: kubectl logs db-1" in capsys.readouterr().err

    def test_what_moved_all_the_same_is_not_tried_again(
        self, run: Callable[[], int], server: Server, capsys: pytest.CaptureFixture[str]
    ) -> None:
        clusters = iter([[LEADER, member("db-0")]])
        server.routes |= {
            "GET /cluster": lambda: (200, {"members": next(clusters, SWITCHED)}),
            "POST /switchover": (503, "Switchover failed"),
        }
        assert run() == 0
        assert len(server.bodies("POST /switchover")) == 1
        assert "db-1 does not lead any more" in capsys.readouterr().out


class TestPreStop:
    @pytest.fixture
    def script(
        self, server: Server, monkeypatch: pytest.MonkeyPatch, program: Callable[[str, str], Path]
    ) -> ModuleType:
        module = load("pre_stop")
        monkeypatch.setattr(load("patroni"), "PORT", server.server_address[1])
        monkeypatch.setattr(module, "PAUSE", 0.01)
        psql = program("psql", 'echo "$@" >> "$(dirname "$0")/calls"')
        monkeypatch.setenv("PATH", f"{psql.parent}:{os.environ['PATH']}")
        return module

    @pytest.mark.parametrize(
        ("members", "expected"),
        [
            ([LEADER], ""),
            ([LEADER, member("db-0", state="stopped")], ""),
            ([LEADER, member("db-0")], "db-0"),
            ([LEADER, member("db-0"), member("db-2")], "db-0"),
            # The one that is behind least.
            ([LEADER, member("db-0", lag=64 << 20), member("db-2")], "db-2"),
            # About equally near: not the one that a scale-down takes away next.
            ([LEADER, member("db-0", lag=4096), member("db-2")], "db-0"),
            ([LEADER, member("db-0", state="starting"), member("db-2")], "db-2"),
            # Only a synchronous standby has every commit.
            ([LEADER, member("db-0"), member("db-2", "replica")], "db-0"),
            ([LEADER, member("db-2", "replica")], "db-2"),
            # By number, not by letter.
            ([LEADER, member("db-10"), member("db-9")], "db-9"),
        ],
    )
    def test_candidate(self, members: list[Any], expected: str) -> None:
        parsed = load("patroni").parse_members({"members": members})
        assert load("steps").best_replica(parsed, {"db-1"}) == expected

    def test_a_replica_does_nothing(self, script: ModuleType, server: Server) -> None:
        server.routes["GET /leader"] = (503, "")
        assert "nothing to hand over" in hand_over(script, 5)
        assert [route for route, *_ in server.seen] == ["GET /leader"]

    def test_a_single_member_does_nothing(self, script: ModuleType, server: Server) -> None:
        server.routes |= {"GET /leader": (200, ""), "GET /cluster": (200, {"members": [LEADER]})}
        assert "nobody to hand over to" in hand_over(script, 5)
        assert not server.bodies("POST /switchover")

    def test_the_leader_switches_over_and_rejoins(
        self, script: ModuleType, server: Server, tmp_path: Path
    ) -> None:
        demoting = [member("db-1", "replica", "stopped"), member("db-0", "leader", "running")]
        clusters = iter([[LEADER, member("db-0")]] * 2 + [demoting])
        server.routes |= {
            "GET /leader": (200, ""),
            "GET /cluster": lambda: (200, {"members": next(clusters, SWITCHED)}),
            "POST /switchover": (200, "Successfully switched over"),
        }
        assert hand_over(script, 5) == "Successfully switched over"
        assert server.bodies("POST /switchover") == [{"leader": "db-1", "candidate": "db-0"}]
        (authorization,) = [seen for route, _, seen in server.seen if route.startswith("POST")]
        assert authorization == "Basic cGF0cm9uaTpzM2NyZXQ="
        assert len([route for route, *_ in server.seen if route == "GET /cluster"]) == 4
        assert "CHECKPOINT" in (tmp_path / "bin" / "calls").read_text(encoding="utf-8")

    def test_it_waits_for_a_replica_and_tries_again(self, script: ModuleType, server: Server) -> None:
        clusters = iter([[LEADER, member("db-0", state="starting")]] * 2 + [[LEADER, member("db-0")]] * 2)
        attempts = iter([(412, "no good candidates"), (200, "Successfully switched over")])
        server.routes |= {
            "GET /leader": (200, ""),
            "GET /cluster": lambda: (200, {"members": next(clusters, SWITCHED)}),
            "POST /switchover": lambda: next(attempts),
        }
        assert hand_over(script, 5) == "Successfully switched over"
        assert len(server.bodies("POST /switchover")) == 2

    def test_it_tries_again_where_patroni_takes_up_new_certificates(
        self, script: ModuleType, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its REST server starts anew then, and what is under way ends."""
        monkeypatch.setattr(server, "handle_error", lambda *_: None)
        attempts = iter([ConnectionAbortedError("it starts anew"), (200, "Successfully switched over")])

        def switch() -> tuple[int, str]:
            answer = next(attempts)
            if isinstance(answer, Exception):
                raise answer
            return answer

        clusters = iter([[LEADER, member("db-0")]] * 3)
        server.routes |= {
            "GET /leader": (200, ""),
            "GET /cluster": lambda: (200, {"members": next(clusters, SWITCHED)}),
            "POST /switchover": switch,
        }
        assert hand_over(script, 5) == "Successfully switched over"

    def test_it_does_not_wait_for_members_that_leave(self, script: ModuleType, server: Server) -> None:
        clusters = iter([[LEADER, member("db-0", state="stopping")]] * 2)
        server.routes |= {
            "GET /leader": (200, ""),
            "GET /cluster": lambda: (200, {"members": next(clusters, [LEADER])}),
        }
        assert "nobody to hand over to" in hand_over(script, 5)

    def test_it_does_not_wait_for_itself_for_ever(
        self, script: ModuleType, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(script, "REJOIN_TIMEOUT", 0.1)
        server.routes |= {
            "GET /leader": (200, ""),
            "GET /cluster": (200, {"members": [LEADER, member("db-0")]}),
            "POST /switchover": (200, "Successfully switched over"),
        }
        assert hand_over(script, 5).endswith(", not a replica yet")

    def test_it_gives_up_in_time(self, script: ModuleType, server: Server) -> None:
        server.routes |= {
            "GET /leader": (200, ""),
            "GET /cluster": (200, {"members": [LEADER, member("db-0")]}),
            "POST /switchover": (503, "switchover failed"),
        }
        assert hand_over(script, 0.5).startswith("gave up: ")
        assert server.bodies("POST /switchover")

    def test_a_checkpoint_that_fails_is_no_obstacle(
        self, script: ModuleType, server: Server, program: Callable[[str, str], Path]
    ) -> None:
        program("psql", "exit 2")
        clusters = iter([[LEADER, member("db-0")]] * 2)
        server.routes |= {
            "GET /leader": (200, ""),
            "GET /cluster": lambda: (200, {"members": next(clusters, SWITCHED)}),
            "POST /switchover": (200, "Successfully switched over"),
        }
        assert hand_over(script, 5) == "Successfully switched over"

    def test_a_lock_that_moved_meanwhile_is_enough(self, script: ModuleType, server: Server) -> None:
        leads = iter([(200, "")])
        clusters = iter([[LEADER, member("db-0")]] * 2)
        server.routes |= {
            "GET /leader": lambda: next(leads, (503, "")),
            "GET /cluster": lambda: (200, {"members": next(clusters, SWITCHED)}),
            "POST /switchover": (503, "switchover status unknown"),
        }
        assert hand_over(script, 5) == "the lock is with another member"

    def test_nothing_makes_it_fail(
        self, script: ModuleType, monkeypatch: pytest.MonkeyPatch, server: Server
    ) -> None:
        said: list[str] = []
        monkeypatch.setattr(script, "log", said.append)
        server.routes["GET /leader"] = (200, "")
        script.main({**ENV, "PRE_STOP_SECONDS": "1"})
        monkeypatch.setattr(load("patroni"), "PORT", 1)
        script.main({**ENV, "PRE_STOP_SECONDS": "1"})
        assert [line.startswith(("failed: ", "gave up: ")) for line in said] == [True, True]


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str, str], Path]:
    def make(name: str, body: str) -> Path:
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    return make


class TestEntrypoint:
    def run(
        self, tmp_path: Path, program: Callable[[str, str], Path], *, plain: bool = False
    ) -> subprocess.CompletedProcess[str]:
        told = 'echo "$* umask $(umask) ${PATRONI_REPLICATION_SSLMODE:-}"'
        patroni = program("pgha", f"[ $1 != leader-is-plain ] || exit {0 if plain else 1}; {told}")
        env = {"PATH": f"{patroni.parent}:{os.environ['PATH']}", "PGDATA": str(tmp_path / "17")}
        command = [str(IMAGE / "entrypoint.sh"), "/etc/patroni"]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=10)

    def test_becomes_patroni_without_a_database(
        self, tmp_path: Path, program: Callable[[str, str], Path]
    ) -> None:
        assert self.run(tmp_path, program).stdout == "patroni /etc/patroni umask 0077 \n"
        assert not (tmp_path / "17").exists()

    def test_takes_the_group_s_rights_off_the_data(
        self, tmp_path: Path, program: Callable[[str, str], Path]
    ) -> None:
        data = tmp_path / "17"
        data.mkdir()
        data.chmod(0o2770)
        self.run(tmp_path, program)
        assert stat.S_IMODE(data.stat().st_mode) & 0o777 == 0o700

    def test_insists_on_tls_unless_the_primary_has_none(
        self, tmp_path: Path, program: Callable[[str, str], Path]
    ) -> None:
        assert self.run(tmp_path, program, plain=True).stdout.endswith("umask 0077 prefer\n")

    def test_nothing_starts_on_a_copy_that_may_not_be_on_the_disk(
        self, tmp_path: Path, program: Callable[[str, str], Path]
    ) -> None:
        data = make_copy(tmp_path)
        (data / "backup_manifest.tmp").touch()
        done = self.run(tmp_path, program)
        assert (
            done.stderr
            == f"entrypoint: {data} was cut short before it was on the disk, so nothing starts on it\n"
        )
        assert done.stdout.startswith("patroni /etc/patroni")
        assert [path.name for path in (data / "global").iterdir()] == ["pg_control.unfinished"]
        assert self.run(tmp_path, program).stderr == ""

    @pytest.mark.parametrize("more", [(), ("backup_manifest",), ("backup_manifest.tmp", "postmaster.opts")])
    def test_a_copy_that_is_whole_or_has_run_is_left_as_it_is(
        self, tmp_path: Path, program: Callable[[str, str], Path], more: tuple[str, ...]
    ) -> None:
        data = make_copy(tmp_path)
        for name in more:
            (data / name).touch()
        assert self.run(tmp_path, program).stderr == ""
        assert (data / "global" / "pg_control").exists()


def make_copy(folder: Path) -> Path:
    """Make what pg_basebackup has written when it waits for the disk."""
    data = folder / "17"
    (data / "global").mkdir(parents=True)
    (data / "global" / "pg_control").touch()
    return data
