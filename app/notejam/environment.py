"""Reading single settings from the environment, and the error for one that is missing or malformed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from click import ClickException


class ConfigError(ClickException):
    """A setting is missing or malformed. Never carries the value: it may be a password.

    A command of `flask --app notejam` prints it and ends, as it does with every ClickException.
    """

    def __init__(self, name: str, problem: str, example: str) -> None:
        """Say which setting, what is wrong with it, and what a right one looks like."""
        self.name = name
        super().__init__(f"{name} {problem}\n  for example: {example}")


def read_number(environ: Mapping[str, str], name: str, *, default: int, highest: int, lowest: int = 1) -> int:
    """Read a whole number from `lowest` to `highest`."""
    text = environ.get(name) or str(default)
    if not re.fullmatch(r"[0-9]{1,9}", text) or not lowest <= int(text) <= highest:
        raise ConfigError(name, f"must be a whole number from {lowest} to {highest}", f"{name}={default}")
    return int(text)


def read_choice(environ: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    """Read one of some words; the first is the default."""
    text = environ.get(name) or choices[0]
    if text not in choices:
        raise ConfigError(name, f"must be one of {', '.join(choices)}", f"{name}={choices[0]}")
    return text


def read_text(environ: Mapping[str, str], name: str, example: str) -> str | None:
    """Read NAME, or the file that NAME_FILE names (as mounted secrets are)."""
    file_name = f"{name}_FILE"
    value, path = environ.get(name), environ.get(file_name)
    if not path:
        return value or None
    if value:
        raise ConfigError(file_name, f"and {name} are both set; keep one", example)
    try:
        return Path(path).read_text(encoding="utf-8").strip() or None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(
            file_name, f"names a file that cannot be read: {reason}", f"{file_name}=/run/secrets/x"
        ) from None
