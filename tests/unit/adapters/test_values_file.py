from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

import pytest

from releaser.adapters.values_file import ValuesFilesAdapter
from releaser.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

PINS = {("image", "repository"): "localhost:5001/notejam/app", ("image", "digest"): "sha256:aa"}


@pytest.fixture
def files(tmp_path: Path) -> ValuesFilesAdapter:
    (tmp_path / "values" / "production").mkdir(parents=True)
    return ValuesFilesAdapter(tmp_path / "values")


def write(files: ValuesFilesAdapter, data: bytes) -> Path:
    path = files.path("production", "notejam")
    path.write_bytes(data)
    return path


def test_a_missing_file_is_empty(files: ValuesFilesAdapter) -> None:
    assert files.read("production", "notejam") == {}


def test_a_missing_file_and_folder_are_created(files: ValuesFilesAdapter) -> None:
    assert files.write_pins("testing", "notejam", PINS)

    assert files.path("testing", "notejam").read_text() == (
        "# Pins of notejam in testing, written by the releaser when it promotes.\n"
        "# Keys and comments that you add here stay as they are.\n"
        "image:\n"
        "  repository: localhost:5001/notejam/app\n"
        "  digest: sha256:aa\n"
    )
    assert files.read("testing", "notejam") == {
        "image": {"repository": "localhost:5001/notejam/app", "digest": "sha256:aa"}
    }


def test_the_same_pins_change_nothing(files: ValuesFilesAdapter) -> None:
    files.write_pins("production", "notejam", PINS)
    path = files.path("production", "notejam")
    before = path.stat()

    assert not files.write_pins("production", "notejam", PINS)
    assert path.stat() == before


def test_mode_bytes_and_link_stay(files: ValuesFilesAdapter, tmp_path: Path) -> None:
    real = tmp_path / "real.yaml"
    real.write_bytes(b"\xef\xbb\xbf# n\xc3\xa4me\r\nimage: {digest: 'old'}\r\n# end")
    real.chmod(0o640)
    link = files.path("production", "notejam")
    link.symlink_to(real)

    assert files.write_pins("production", "notejam", {("image", "digest"): "new"})

    assert real.read_bytes() == b"\xef\xbb\xbf# n\xc3\xa4me\r\nimage: {digest: 'new'}\r\n# end"
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["values", "real.yaml"] or not list(
        tmp_path.glob(".*.tmp")
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a: 1\nb: [\n", "notejam.yaml:3: expected the node content"),
        (b"a: 1\na: 2\n", 'notejam.yaml:2: found duplicate key "a"'),
        (b"- a\n", "notejam.yaml:1: it must be a mapping"),
        (b"a: 1\nb: \xff\n", "notejam.yaml:2: is not UTF-8 text"),
        (b"80: a\n", "notejam.yaml: the key 80 is not text"),
    ],
)
def test_errors_name_file_and_line(files: ValuesFilesAdapter, data: bytes, message: str) -> None:
    path = write(files, data)

    for attempt in (
        lambda: files.read("production", "notejam"),
        lambda: files.write_pins("production", "notejam", PINS),
    ):
        with pytest.raises(InputError) as caught:
            attempt()
        assert caught.value.message.removeprefix(f"{path.parent}/").startswith(message[:30])
    assert path.read_bytes() == data


def test_a_list_in_the_way(files: ValuesFilesAdapter) -> None:
    path = write(files, b"x: 1\nimage:\n- a\n")

    with pytest.raises(InputError) as caught:
        files.write_pins("production", "notejam", PINS)

    assert caught.value.message == f"{path}:3: image is a list, so repository cannot be set in it"


def test_a_folder_in_the_way(files: ValuesFilesAdapter) -> None:
    files.path("production", "notejam").mkdir()

    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        files.read("production", "notejam")


def test_a_full_disk_leaves_the_file(files: ValuesFilesAdapter, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(files, b"a: 1\n")

    def fail(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)

    with pytest.raises(InputError) as caught:
        files.write_pins("production", "notejam", PINS)

    assert caught.value.message == (f"{path}: cannot be written: No space left on device. It is as it was.")
    assert path.read_bytes() == b"a: 1\n"
    assert [found.name for found in path.parent.iterdir()] == ["notejam.yaml"]


def test_a_read_only_file_is_left(files: ValuesFilesAdapter, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(files, b"a: 1\n")
    monkeypatch.setattr(os, "access", lambda *_: False)  # as root every file is writable

    with pytest.raises(InputError, match="it is read-only"):
        files.write_pins("production", "notejam", PINS)

    assert path.read_bytes() == b"a: 1\n"
