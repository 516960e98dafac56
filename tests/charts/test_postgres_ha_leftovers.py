"""A member that has only leftovers begins anew: the Patronis are played, the copies are real."""

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from pgha import patroni
from pgha.leftovers import BROKEN, WAITING, begin_anew, empty_log_first, find_log, is_cut_short

from tests.app.postgres_pair import wait_until
from tests.app.postgres_server import find_binaries, make_data, make_folder, running, server_account
from tests.charts.played import Server

BROKEN_ANSWER = f"data dir for the cluster is not empty, {BROKEN}"
LEADER = SimpleNamespace(name="db-0", conn_url="postgres://127.0.0.1:5432/postgres")
NO_POD = SimpleNamespace(name="db-0", conn_url=None)


class Member:
    """Stands for Patroni's Ha, and for its Postgres."""

    def __init__(self, folder: Path) -> None:
        self.data, self.log = folder / "pgdata" / "17", folder / "pgwal" / "17"
        self.answer, self.refusal = BROKEN_ANSWER, ""
        self.paused, self.has_log = False, True
        self.asked = 0
        self.cluster = SimpleNamespace(leader=LEADER)
        self.state_handler = SimpleNamespace(
            data_dir=str(self.data),
            replica_method_options=lambda _: self.options,
            data_directory_empty=lambda: not self.data.exists(),
        )

    @property
    def options(self) -> list[object]:
        return [{"checkpoint": "fast"}, *([{"waldir": str(self.log)}] if self.has_log else [])]

    def is_paused(self) -> bool:
        return self.paused

    def reinitialize(self) -> str | None:
        self.asked += 1
        return self.refusal or None


@pytest.fixture
def member(tmp_path: Path) -> Member:
    found = Member(tmp_path)
    for folder in (found.data / "global", found.log):
        folder.mkdir(parents=True)
    (found.log / "000000010000000000000001").touch()
    return found


@pytest.fixture
def look(member: Member) -> Callable[[], str]:
    run = begin_anew(lambda ha: ha.answer)
    return lambda: run(member)


@pytest.fixture(autouse=True)
def leader(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Play the leader's Patroni."""
    monkeypatch.setattr(patroni, "PORT", server.server_address[1])
    server.routes["GET /leader"] = (200, "")
    return server


class TestACopyThatWasCutShort:
    def test_it_is_made_anew(
        self, member: Member, look: Callable[[], str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert look() == BROKEN_ANSWER
        assert member.asked == 1
        said = f"leftovers: {member.data} is not whole, and no server has run on it: copying it anew\n"
        assert capsys.readouterr().err == said

    @pytest.mark.parametrize(
        ("known", "status", "why"),
        [
            (None, 200, "no other member leads"),
            (NO_POD, 200, "no other member leads"),
            (LEADER, 503, "db-0 says that it does not lead"),
        ],
    )
    def test_without_another_leader_it_is_left_alone_until_there_is_one(
        self,
        member: Member,
        look: Callable[[], str],
        leader: Server,
        capsys: pytest.CaptureFixture[str],
        known: object,
        status: int,
        why: str,
    ) -> None:
        member.cluster.leader = known
        leader.routes["GET /leader"] = (status, "")
        look()
        look()
        assert member.asked == 0
        assert capsys.readouterr().err.count(f"no server has run on it: left alone: {why}\n") == 1
        member.cluster.leader = LEADER
        leader.routes["GET /leader"] = (200, "")
        look()
        assert member.asked == 1
        assert "copying it anew" in capsys.readouterr().err

    def test_what_patroni_refuses_is_said(
        self, member: Member, look: Callable[[], str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        member.refusal = "I am the leader, can not reinitialize"
        look()
        assert "left alone: I am the leader, can not reinitialize\n" in capsys.readouterr().err

    @pytest.mark.parametrize("answer", ["no action. I am (db-1), a secondary", "reinitialize in progress"])
    def test_nothing_is_asked_for_where_patroni_is_content(
        self, member: Member, look: Callable[[], str], answer: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        member.answer = answer
        assert look() == answer
        assert member.asked == 0
        assert capsys.readouterr().err == ""

    def test_a_pause_leaves_it_to_people(self, member: Member, look: Callable[[], str]) -> None:
        member.paused = True
        look()
        assert member.asked == 0

    def test_data_that_a_server_has_run_on_are_left_to_people(
        self, member: Member, look: Callable[[], str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        (member.data / "postmaster.opts").touch()
        look()
        assert member.asked == 0
        assert "a server has run on it: left alone. Copy it anew: pgha reinit" in capsys.readouterr().err

    def test_data_that_a_server_could_start_on_are_no_leftovers(self, member: Member) -> None:
        control = member.data / "global" / "pg_control"
        control.touch()
        assert is_cut_short(member.data)
        control.write_bytes(b"\1" * 8192)
        assert not is_cut_short(member.data)


class TestWaitingForALeader:
    @pytest.fixture(autouse=True)
    def waits(self, member: Member) -> None:
        member.answer = WAITING

    def test_it_is_said_that_the_log_stays(
        self, member: Member, look: Callable[[], str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        look()
        look()
        said = f"{member.data} is empty and {member.log} is not. It is left alone, until another member leads"
        assert capsys.readouterr().err.count(said) == 1
        assert list(member.log.iterdir())

    def test_there_is_nothing_to_say_of_an_empty_log_or_none(
        self, member: Member, look: Callable[[], str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        member.has_log = False
        look()
        member.has_log = True
        shutil.rmtree(member.log)
        look()
        member.log.mkdir()
        look()
        assert capsys.readouterr().err == ""


def test_the_log_is_where_patroni_is_told_to_put_it() -> None:
    assert find_log([{"checkpoint": "fast"}, "verbose", {"waldir": "/pgwal/17"}]) == Path("/pgwal/17")
    assert find_log([{"checkpoint": "fast"}]) is None
    assert find_log({}) is None


class Source:
    """A server that a member is copied from, as Patroni does it."""

    def __init__(self, folder: Path, port: int, password: str) -> None:
        self.member = Member(folder)
        self._port, self._user = port, server_account()
        self._env = {**os.environ, "PGPASSWORD": password}

    def start(self, *more: str) -> subprocess.Popen[bytes]:
        words = [find_binaries() / "pg_basebackup", f"--pgdata={self.member.data}", "--wal-method=stream"]
        words += [f"--waldir={self.member.log}", "--host=127.0.0.1", f"--port={self._port}", *more]
        words += ["--username=postgres", "--checkpoint=fast", "--no-sync"]
        folder = self.member.data.parent
        # With a group of its own, which can be killed: the log is fetched by a second process.
        return subprocess.Popen(words, env=self._env, user=self._user, cwd=folder, start_new_session=True)

    def clone(self, *_: object) -> bool:
        with self.start() as process:
            return process.wait(timeout=60) == 0

    def copy(self) -> bool:
        """Copy it as a Patroni with this change does."""
        return bool(empty_log_first(self.clone)(self.member, LEADER, "from leader 'db-0'"))


@pytest.fixture(scope="module")
def primary() -> Iterator[tuple[Path, int, str]]:
    with make_folder() as folder:
        password = secrets.token_hex(16)
        make_data(folder / "data", password)
        with running(folder / "data") as (port, _):
            yield folder / "data", port, password


@pytest.fixture
def source(primary: tuple[Path, int, str]) -> Iterator[Source]:
    _, port, password = primary
    with make_folder() as folder:
        found = Source(folder, port, password)
        for path in (found.member.data.parent, found.member.log.parent):
            path.mkdir()
            shutil.chown(path, server_account() or os.geteuid())
        yield found


def test_a_member_that_lost_only_its_data_is_copied_anew(
    source: Source, capsys: pytest.CaptureFixture[str]
) -> None:
    member = source.member
    assert source.copy()
    ballast = member.log.with_name(".ballast")
    ballast.touch()
    shutil.rmtree(member.data)
    assert not source.clone()
    assert source.copy()
    assert not is_cut_short(member.data)
    assert ballast.exists()
    said = f"leftovers: emptying {member.log}: its data are not here, and are copied from another member\n"
    assert capsys.readouterr().err == said


def test_the_log_stays_while_the_leader_does_not_answer(
    source: Source, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    member = source.member
    member.log.mkdir()
    (member.log / "kept").touch()
    monkeypatch.setattr(patroni, "PORT", 1)
    assert not source.copy()
    assert [path.name for path in member.log.iterdir()] == ["kept"]
    said = capsys.readouterr().err
    assert f"{member.log} is the log of data that are not here. It is left alone: db-0 leads, but" in said
    assert "Connection refused" in said


def test_a_log_that_cannot_be_emptied_is_said(source: Source, capsys: pytest.CaptureFixture[str]) -> None:
    member = source.member
    elsewhere = member.log.with_name("elsewhere")
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    member.log.symlink_to(elsewhere)
    assert not source.copy()
    assert f"leftovers: cannot empty {member.log}: " in capsys.readouterr().err


def test_the_log_of_data_that_are_there_is_patroni_s(source: Source) -> None:
    member = source.member
    assert source.copy()
    kept = sorted(member.log.iterdir())
    assert not source.copy()
    assert sorted(member.log.iterdir()) == kept


def test_a_copy_that_is_killed_is_known_as_such(source: Source, primary: tuple[Path, int, str]) -> None:
    data = source.member.data
    with source.start("--max-rate=32k") as copying:
        wait_until((data / "global").exists, "the copy to begin")
        os.killpg(copying.pid, signal.SIGKILL)
    assert list(data.iterdir())
    assert is_cut_short(data)
    assert not is_cut_short(primary[0])
