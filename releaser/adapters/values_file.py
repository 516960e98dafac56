"""The values and pins of the stages: values/STAGE/NAME.yaml."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

from releaser.adapters import yaml_edit, yaml_read
from releaser.core.model import Values
from releaser.errors import InputError

HEADER = """\
# Pins of {name} in {stage}, written by the releaser when it promotes.
# Keys and comments that you add here stay as they are.
"""


class ValuesFilesAdapter:
    """Files below one folder. An error names the file as this folder was given."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, stage: str, name: str) -> Path:
        """Return where that file is or would be."""
        return self._folder / stage / f"{name}.yaml"

    def read(self, stage: str, name: str) -> Values:
        """Return the values of that file, empty when there is none."""
        path = self.path(stage, name)
        text = _read_text(path)
        if text is None:
            return {}
        try:
            return yaml_read.read(text)
        except yaml_read.YamlError as error:
            raise _as_input_error(path, error) from error

    def write_pins(self, stage: str, name: str, pins: Mapping[tuple[str, ...], str]) -> bool:
        """Set scalars by path and leave every other byte; True when the file changed."""
        path = self.path(stage, name)
        before = _read_text(path)
        text = HEADER.format(name=name, stage=stage) if before is None else before
        try:
            after = yaml_edit.set_scalars(text, pins)
        except yaml_read.YamlError as error:
            raise _as_input_error(path, error) from error
        if after == before or not pins:
            return False
        try:
            _replace(path, after.encode())
        except OSError as error:
            raise InputError(
                f"{path}: cannot be written: {error.strerror or error}. It is as it was.",
                "Make room or set its permissions, then run the same command again.",
            ) from error
        return True


def _as_input_error(path: Path, error: yaml_read.YamlError) -> InputError:
    place = f"{path}:{error.line}" if error.line else str(path)
    return InputError(f"{place}: {error.message}", f"Correct {path} and run the same command again.")


def _read_text(path: Path) -> str | None:
    """Return the text with its own line breaks, or None when there is no file."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}:{line}: is not UTF-8 text") from error


def _replace(path: Path, data: bytes) -> None:
    """Put new contents in the place of a file at once: a reader sees the old or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    target = path.resolve()
    # Without this a rename would replace a file that its owner made read-only.
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError(13, "it is read-only")
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            if target.exists():
                os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
