"""Reads YAML as Helm's values: text keys, and what JSON knows."""

from __future__ import annotations

import math
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError

BOM = "\ufeff"


class YamlError(Exception):
    """The text is no YAML that we take, or cannot be edited as asked; `line` counts from 1."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


class _Constructor(SafeConstructor):
    """Reads `2026-01-01` as the text it is: a date has no place in JSON, which Helm is given."""


_Constructor.add_constructor("tag:yaml.org,2002:timestamp", _Constructor.construct_yaml_str)


def make_yaml() -> YAML:
    """Return a reader: after a document with a version directive it is of no use any more."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Constructor
    return yaml


def read(text: str) -> dict[str, Any]:
    """Return the mapping that a YAML text holds, as plain dicts, lists and JSON scalars."""
    try:
        data = make_yaml().load(text.removeprefix(BOM))
        plain = _plain(data, ())
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(str(error.problem or error.context).split("\n")[0].split())
        raise YamlError(problem, mark.line + 1 if mark else None) from error
    except YAMLError as error:
        raise YamlError(" ".join(str(error).split())) from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        # ruamel.yaml stumbles over `!!bool maybe` and `!!int ''` without saying where.
        raise YamlError(f"a value does not fit its tag: {error!r}") from error
    except RecursionError as error:
        raise YamlError("it is nested too deeply, or an alias holds itself") from error
    if plain is None:
        return {}
    if not isinstance(plain, dict):
        raise YamlError(f"it must be a mapping of keys to values, not a {_kind_of(plain)}", 1)
    return plain


def _kind_of(value: object) -> str:
    return {list: "list", dict: "mapping", type(None): "null"}.get(type(value), "scalar")


def _plain(data: Any, path: tuple[str, ...]) -> Any:
    """Copy without sharing, so that an alias is a copy like it is for Helm."""
    if isinstance(data, dict):
        for key in data:
            if not isinstance(key, str):
                raise YamlError(f"the key {'.'.join((*path, str(key)))} is not text: put it in quotes")
        return {key: _plain(value, (*path, key)) for key, value in data.items()}
    if isinstance(data, list):
        return [_plain(value, (*path, str(index))) for index, value in enumerate(data)]
    if isinstance(data, float) and not math.isfinite(data):
        raise YamlError(f"{'.'.join(path)} is no number that JSON knows: put it in quotes")
    if data is None or isinstance(data, str | bool | int | float):
        return data
    raise YamlError(f"{'.'.join(path) or 'it'} is a {type(data).__name__}, which is no value for Helm")
