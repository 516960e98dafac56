"""Real processes, small ones."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from releaser.adapters.process import Started, run
from releaser.errors import InputError, UnavailableError

pytestmark = pytest.mark.process


def wait_until_there(path: Path) -> str:
    end = time.monotonic() + 10
    while not path.exists() or not path.read_text().strip():
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.01)
    return path.read_text().strip()


def is_running(pid: int) -> bool:
    """Whether it runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(pid: int) -> None:
    end = time.monotonic() + 10
    while is_running(pid):
        assert time.monotonic() < end, f"process {pid} is still there"
        time.sleep(0.01)


def test_input_and_outputs() -> None:
    finished = run(
        ["sh", "-c", "cat; echo $WORD >&2; exit 3"], stdin=b"in", env={**os.environ, "WORD": "err"}
    )

    assert (finished.returncode, finished.stdout, finished.stderr) == (3, b"in", b"err\n")


def test_without_input_stdin_is_empty() -> None:
    assert run(["cat"]).stdout == b""


def test_much_output_does_not_block() -> None:
    finished = run(
        ["sh", "-c", "head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2"], stdin=b"x" * 300_000
    )

    assert (len(finished.stdout), len(finished.stderr)) == (3_000_000, 3_000_000)


def test_a_program_that_is_missing() -> None:
    with pytest.raises(InputError) as caught:
        run(["no-such-program", "x"])

    assert (caught.value.message, caught.value.hint) == (
        "no-such-program is not installed",
        "install it, or add its folder to PATH",
    )


def test_a_file_that_is_no_program(tmp_path: Path) -> None:
    file = tmp_path / "helm"
    file.write_text("#!/bin/sh\n")

    with pytest.raises(InputError, match=f"{file} may not be run"):
        run([str(file)])

    file.chmod(0o755)
    file.write_bytes(b"\x7fELFnothing")
    with pytest.raises(InputError, match=f"{file} cannot be run: Exec format error"):
        run([str(file)])


def test_too_slow(tmp_path: Path) -> None:
    pid = tmp_path / "pid"

    with pytest.raises(UnavailableError, match=r"sh did not end within 0\.5 s"):
        run(["sh", "-c", f"echo $$ > {pid}; exec sleep 60"], timeout=0.5)

    wait_until_gone(int(wait_until_there(pid)))


def test_stop_ends_the_whole_group(tmp_path: Path) -> None:
    parent, child, asked = tmp_path / "parent", tmp_path / "child", tmp_path / "asked"
    child_script = f'trap "echo yes > {asked}; exit" TERM; echo $$ > {child}; while :; do sleep 0.01; done'
    started = Started(["sh", "-c", f"sh -c '{child_script}' & echo $$ > {parent}; wait"])
    pids = [int(wait_until_there(parent)), int(wait_until_there(child))]

    started.stop(grace=5)

    assert started.is_done()
    for pid in pids:
        wait_until_gone(pid)
    assert wait_until_there(asked) == "yes"
    assert os.getpgid(0) not in pids


def test_stop_kills_what_does_not_listen(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    started = Started(["sh", "-c", f"trap '' TERM; echo $$ > {ready}; while :; do sleep 0.01; done"])
    pid = int(wait_until_there(ready))
    begun = time.monotonic()

    started.stop(grace=0.3)

    assert 0.3 <= time.monotonic() - begun < 5
    wait_until_gone(pid)
    finished = started.wait()
    assert finished is not None
    assert finished.returncode == -9


def test_stop_after_the_end_is_nothing() -> None:
    started = Started(["true"])
    started.wait()

    started.stop()

    assert started.is_done()


def test_a_child_left_behind_does_not_hold_stop_up(tmp_path: Path) -> None:
    child = tmp_path / "child"
    started = Started(["sh", "-c", f"(trap '' TERM; echo go > {child}; exec sleep 60) & exit 0"])
    wait_until_there(child)
    begun = time.monotonic()

    started.stop(grace=0.2)

    assert time.monotonic() - begun < 10
