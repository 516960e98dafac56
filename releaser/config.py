"""Reads the pipeline file: YAML -> checked -> `core.model.Pipeline`. Errors name file:key."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from releaser.core import verification
from releaser.core.model import Bundle, Chart, Check, Image, Pipeline, Stage
from releaser.core.pins import BUNDLE_FILE
from releaser.errors import InputError

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
DURATION = re.compile(r"([0-9]{1,5})(s|m|h)")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours"}
EXAMPLE = "see docs/pipeline.md for every key and an example"


def _duration(value: Any) -> timedelta:
    match = DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None or int(match[1]) == 0:
        message = "must be a duration such as 30s, 5m or 1h"
        raise ValueError(message)
    return timedelta(**{UNITS[match[2]]: int(match[1])})


def _url(value: str) -> str:
    if value and not re.fullmatch(r"https?://[^/\s]+(/\S*)?", value):
        message = "must be a URL such as http://127.0.0.1:30080"
        raise ValueError(message)
    return value.rstrip("/")


NAME = r"^[a-z0-9]([a-z0-9-]{0,51}[a-z0-9])?$"
REGISTRY = r"^[^\s/]+(/[a-z0-9._-]+)*$"
PATH = r"^/"
VALUES_KEY = r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$"
MEANINGS = {
    NAME: "must be 1 to 53 lower-case letters, digits and hyphens",
    REGISTRY: "must be a host and a path in lower case, such as registry.example.com/notejam",
    PATH: "must begin with /",
    VALUES_KEY: "must be a key of the chart's values, such as image or web.image",
    "string_type": "must be text: put it in quotes",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "int_type": "must be a number",
    "int_parsing": "must be a number",
    "too_short": "must have at least one item",
    "missing": "this key is required",
    "extra_forbidden": "unknown key",
    "invalid_key": "is not text: put it in quotes",
}
"""Patterns and pydantic's types of errors in plain words."""

Duration = Annotated[timedelta, BeforeValidator(_duration)]
Name = Annotated[str, Field(pattern=NAME)]
Url = Annotated[str, AfterValidator(_url)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Check(_Strict):
    path: Annotated[str, Field(pattern=PATH)]
    status: Annotated[int, Field(ge=100, le=599)] = 200
    contains: str = ""
    json_: Annotated[dict[str, str], Field(alias="json")] = {}


class _Timeouts(_Strict):
    rollout: Duration = timedelta(minutes=5)
    verify: Duration = timedelta(seconds=30)


class _Chart(_Strict):
    name: Name
    release: Name
    images: dict[Name, Annotated[str, Field(pattern=VALUES_KEY)]] = {}


class _Stage(_Strict):
    name: Name
    namespace: Name
    context: str | None = None
    url: Url = ""
    verify: list[_Check] | None = None
    timeouts: _Timeouts = _Timeouts()


class _Pipeline(_Strict):
    registry: Annotated[str, Field(pattern=REGISTRY)]
    context: str = ""
    timeouts: _Timeouts = _Timeouts()
    verify: list[_Check] = []
    charts: Annotated[list[_Chart], Field(min_length=1)]
    stages: Annotated[list[_Stage], Field(min_length=1)]


def load_pipeline(path: Path, environment: Mapping[str, str] = os.environ) -> Pipeline:
    """Read and check a pipeline file.

    Raises InputError that names the file and the key; ${NAME} and ${NAME:-default} in texts are
    replaced from the environment.
    """
    document = _read(path)
    try:
        checked = _Pipeline.model_validate(_expand(document, environment, path, ""))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"] if part != "[key]")
        raise InputError(f"{path}:{key}: {_say(first)}", EXAMPLE) from None
    _check_names(path, checked)
    _check_places(path, checked)
    _check_placeholders(path, checked)
    stages: list[Stage] = []
    for stage in checked.stages:
        own = {name: getattr(stage.timeouts, name) for name in stage.timeouts.model_fields_set}
        timeouts = checked.timeouts.model_copy(update=own)
        checks = checked.verify if stage.verify is None else stage.verify
        stages.append(
            Stage(
                name=stage.name,
                previous=stages[-1].name if stages else None,
                context=stage.context if stage.context is not None else checked.context,
                namespace=stage.namespace,
                url=stage.url,
                checks=tuple(
                    Check(check.path, check.status, check.contains, check.json_)
                    for check in (checks if stage.url else [])
                ),
                rollout_timeout=timeouts.rollout,
                verify_timeout=timeouts.verify,
            )
        )
    charts = tuple(Chart(chart.name, chart.release, chart.images) for chart in checked.charts)
    return Pipeline(registry=checked.registry, charts=charts, stages=tuple(stages))


def _read(path: Path) -> Any:
    yaml = YAML(typ="safe", pure=True)
    try:
        document = yaml.load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        hint = "run it where the project's values/ folder is, or name the file: --config PATH"
        raise InputError(f"{path}: there is no such pipeline file", hint) from None
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise InputError(f"{path}: cannot be read: {why}", "name another file: --config PATH") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}:{line}: is not UTF-8 text", "save it as UTF-8") from None
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        is_half = str(error.context).startswith("expected")  # "expected one document", "but found another"
        what = f"{error.context}, {error.problem}" if is_half else error.problem
        raise InputError(f"{path}:{line}: not valid YAML: {what}", EXAMPLE) from None
    except YAMLError as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}", EXAMPLE) from None
    if not isinstance(document, dict):
        raise InputError(f"{path}: the file must hold a mapping with registry, charts and stages", EXAMPLE)
    return document


def _expand(value: Any, environment: Mapping[str, str], path: Path, key: str) -> Any:
    if isinstance(value, dict):
        return {
            name: _expand(below, environment, path, f"{key}.{name}" if key else str(name))
            for name, below in value.items()
        }
    if isinstance(value, list):
        return [_expand(below, environment, path, f"{key}.{index}") for index, below in enumerate(value)]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        found = environment.get(match[1]) or match[2]
        if found is None:
            raise InputError(
                f"{path}:{key}: the environment variable {match[1]} is not set",
                f"export {match[1]}=... or write a default: ${{{match[1]}:-value}}",
            )
        return found

    if "${" in VARIABLE.sub("", value):
        raise InputError(
            f"{path}:{key}: {value!r} holds a ${{ that is no variable", "write ${NAME} or ${NAME:-default}"
        )
    return VARIABLE.sub(replace, value)


def _check_names(path: Path, pipeline: _Pipeline) -> None:
    for key, below, names in (
        ("charts", "name", [chart.name for chart in pipeline.charts]),
        ("charts", "release", [chart.release for chart in pipeline.charts]),
        ("stages", "name", [stage.name for stage in pipeline.stages]),
    ):
        for index, name in enumerate(names):
            if name in names[:index]:
                raise InputError(
                    f"{path}:{key}.{index}.{below}: {name} is there twice", "give each its own name"
                )
    for index, chart in enumerate(pipeline.charts):
        if chart.name == BUNDLE_FILE:
            raise InputError(
                f"{path}:charts.{index}.name: {BUNDLE_FILE}.yaml is the releaser's own file",
                "give the chart another name",
            )
        keys = list(chart.images.values())
        for number, image in enumerate(chart.images):
            if keys[number] in keys[:number]:
                raise InputError(
                    f"{path}:charts.{index}.images.{image}: {keys[number]} is there twice",
                    "give each image a key of its own",
                )


def _check_places(path: Path, pipeline: _Pipeline) -> None:
    places = [
        (pipeline.context if stage.context is None else stage.context, stage.namespace)
        for stage in pipeline.stages
    ]
    for index, place in enumerate(places):
        if place in places[:index]:
            raise InputError(
                f"{path}:stages.{index}.namespace: {place[1]} belongs to another stage already",
                "give each stage a namespace or a context of its own",
            )
    for index, stage in enumerate(pipeline.stages):
        if stage.verify and not stage.url:
            raise InputError(
                f"{path}:stages.{index}.verify: there is no url to ask", f"add stages.{index}.url"
            )


def _check_placeholders(path: Path, pipeline: _Pipeline) -> None:
    images = {image: Image(image, "") for chart in pipeline.charts for image in chart.images}
    example = Bundle("0.0.0", "", {}, images)
    lists = [("verify", pipeline.verify)]
    lists += [(f"stages.{index}.verify", stage.verify or []) for index, stage in enumerate(pipeline.stages)]
    for key, checks in lists:
        for index, check in enumerate(checks):
            for name, text in check.json_.items():
                try:
                    verification.fill(text, example)
                except KeyError as error:
                    names = [f"{{{image}.{what}}}" for image in images for what in ("tag", "digest")]
                    raise InputError(
                        f"{path}:{key}.{index}.json.{name}: nothing is called {{{error.args[0]}}}",
                        f"known are {', '.join(['{version}', '{commit}', *names])}",
                    ) from None


def _say(error: Any) -> str:
    kind = error["type"]
    if kind == "string_pattern_mismatch":
        return f"{error['input']!r} {MEANINGS[error['ctx']['pattern']]}"
    if kind == "value_error":
        return f"{error['input']!r} {error['ctx']['error']}"
    return MEANINGS.get(kind) or str(error["msg"][0].lower() + error["msg"][1:])
