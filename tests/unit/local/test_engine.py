from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from local.base import Suite, script_of
from local.engine import Engine, is_alive
from local.errors import CommandError, LocalError
from local.machine import AptSources
from local.shell import Shell
from local.testing import PHASES, parse_phases


@pytest.mark.parametrize(
    ("state", "alive"),
    [
        ({"Running": True, "Pid": 10}, True),
        ({"Running": True, "Pid": 11}, False),  # the record is from before a reboot
        ({"Running": False, "Pid": 0}, False),
        ({"Running": False, "Pid": 10}, False),
        ({}, False),
    ],
)
def test_a_container_lives_when_its_process_does(tmp_path: Path, state: dict[str, Any], alive: bool) -> None:
    (tmp_path / "10").mkdir()
    assert is_alive({"State": state}, tmp_path) == alive
    assert not is_alive({}, tmp_path)


def test_a_base_gets_its_updates() -> None:
    text = Suite("trixie").sources(AptSources("http://m.test/debian", "http://m.test/debian-security"))
    assert text.splitlines() == [
        "deb http://m.test/debian trixie main",
        "deb http://m.test/debian trixie-updates main",
        "deb http://m.test/debian-security trixie-security main",
    ]


def test_a_release_that_debootstrap_does_not_know_is_made_like_sid(tmp_path: Path) -> None:
    (tmp_path / "bookworm").touch()
    assert script_of("bookworm", tmp_path).name == "bookworm"
    assert script_of("trixie", tmp_path).name == "sid"


def test_phases_run_in_their_own_order() -> None:
    assert parse_phases("") == [phase for phase in PHASES if phase != "faults"]
    assert parse_phases("faults") == ["faults"]
    assert parse_phases("charts, static") == ["static", "charts"]
    with pytest.raises(LocalError, match="unknown phase units"):
        parse_phases("units")


class Recorder:
    """A shell that notes what would be run; images named "used" are in use."""

    def __init__(self, failures: int = 0) -> None:
        self.ran: list[list[str]] = []
        self.failures = failures

    def run(self, *argv: object, **_: object) -> str:
        self.ran.append([str(word) for word in argv])
        if len(self.ran) <= self.failures:
            raise CommandError("container state improper: stopped")
        if argv[-1] == "used":
            raise CommandError("image is in use by a container")
        return ""

    def works(self, *argv: object, **_: object) -> bool:
        try:
            self.run(*argv)
        except CommandError:
            return False
        return True


def test_images_are_never_removed_by_force() -> None:
    shell = Recorder()
    assert Engine("podman", cast("Shell", shell)).remove_images("free", "used", "other") == 2
    assert shell.ran == [["podman", "rmi", name] for name in ("free", "used", "other")]


def test_a_container_that_podman_cannot_stop_is_removed_at_the_second_attempt() -> None:
    words = ["podman", "rm", "-f", "-v", "-t", "0", "gone"]
    shell = Recorder(failures=1)
    Engine("podman", cast("Shell", shell)).remove("gone")
    assert shell.ran == [words, words]
    with pytest.raises(CommandError, match="improper"):
        Engine("podman", cast("Shell", Recorder(failures=2))).remove("gone")
