"""What was built before, kept outside the repository.

An entry is a folder named by the key of its inputs. It carries `entry.json`: the inputs themselves and the
SHA-256 sums of its files. Both are compared on use, so an entry under a wrong key, a truncated file or one
that somebody edited is never taken. An entry appears at once, by renaming a finished folder; one lock per
key lets two runs wait for each other instead of building twice.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local.keys import digest_file, make_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

ENTRY = "entry.json"


@dataclass(frozen=True)
class Flaw:
    """Why an entry cannot be used."""

    reason: str


class Cache:
    """Entries of several kinds below one folder."""

    def __init__(self, root: Path, say: Callable[[str], None] = print) -> None:
        """Take the folder, and a way to tell about waiting and about entries that are thrown away."""
        self.root = root
        self.say = say

    def path(self, kind: str, inputs: Mapping[str, str]) -> Path:
        """Folder of an entry, whether it exists or not."""
        return self.root / kind / make_key(inputs)[:24]

    def find(self, kind: str, inputs: Mapping[str, str]) -> Path | None:
        """Return a good entry's folder, or None."""
        folder = self.path(kind, inputs)
        if not folder.exists():
            return None
        flaw = check_entry(folder, kind, inputs)
        if flaw:
            self.say(f"cache entry {kind}/{folder.name} is not used: {flaw.reason}")
            return None
        os.utime(folder)
        return folder

    def make(
        self, kind: str, inputs: Mapping[str, str], build: Callable[[Path], None], keep: int = 3
    ) -> Path:
        """Return the entry's folder, building it first where there is no good one."""
        folder = self.path(kind, inputs)
        with self.lock(f"{kind}-{folder.name}", f"{kind}/{folder.name}"):
            found = self.find(kind, inputs)
            if found:
                return found
            work = self.root / "tmp" / f"{kind}-{folder.name}"
            _remove(work)  # left by a run that was killed: whoever holds the lock may remove it
            work.mkdir(parents=True)
            try:
                build(work)
                write_entry(work, kind, inputs)
                _remove(folder)
                folder.parent.mkdir(parents=True, exist_ok=True)
                work.rename(folder)
            finally:
                _remove(work)
        self._drop_old(kind, keep)
        return folder

    @contextmanager
    def lock(self, name: str, what: str) -> Iterator[None]:
        """Hold a lock that the kernel lets go of when this process ends in whatever way."""
        locks = self.root / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        with (locks / name).open("a+", encoding="utf-8") as file:
            told = False
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if not told:
                        file.seek(0)
                        self.say(
                            f"another run (process {file.read().strip() or '?'}) holds {what}: waiting for it"
                        )
                        told = True
                    time.sleep(0.5)
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    def clear(self) -> None:
        """Remove everything; the locks stay, since another run may hold one."""
        if self.root.exists():
            for path in self.root.iterdir():
                if path.name != "locks":
                    _remove(path)

    def _drop_old(self, kind: str, keep: int) -> None:
        entries = [path for path in (self.root / kind).iterdir() if path.is_dir()]
        for path in sorted(entries, key=lambda entry: entry.stat().st_mtime, reverse=True)[keep:]:
            _remove(path)


def write_entry(folder: Path, kind: str, inputs: Mapping[str, str]) -> None:
    """Write down what an entry was built from and what its files sum to."""
    outputs = {
        path.relative_to(folder).as_posix(): {"sha256": digest_file(path), "bytes": path.stat().st_size}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    text = json.dumps({"kind": kind, "inputs": dict(inputs), "outputs": outputs}, indent=1, sort_keys=True)
    with (folder / ENTRY).open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def check_entry(folder: Path, kind: str, inputs: Mapping[str, str]) -> Flaw | None:
    """Say what is wrong with an entry, if anything is."""
    try:
        entry = json.loads((folder / ENTRY).read_text(encoding="utf-8"))
        outputs = {name: (item["bytes"], item["sha256"]) for name, item in entry["outputs"].items()}
        same = entry["kind"] == kind and entry["inputs"] == dict(inputs)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Flaw(f"{ENTRY} is missing or cannot be read")
    if not same:
        return Flaw("it was built from other inputs")
    flaws = (_check_file(folder / name, *expected) for name, expected in outputs.items())
    return next(filter(None, flaws), None if outputs else Flaw("it holds no files"))


def _check_file(path: Path, size: int, digest: str) -> Flaw | None:
    if not path.is_file():
        return Flaw(f"{path.name} is missing")
    if path.stat().st_size != size:
        return Flaw(f"{path.name} has {path.stat().st_size} bytes instead of {size}")
    if digest_file(path) != digest:
        return Flaw(f"{path.name} has another SHA-256 sum than when it was built")
    return None


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
