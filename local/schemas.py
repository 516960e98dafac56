"""JSON schemas of the Kubernetes objects for kubeconform, from the OpenAPI document of the pinned Kubernetes.

The document comes with Kubernetes' own Go module, so no cluster and no download of schemas is needed;
those of other kinds come with the modules of their projects. They are strict: an unknown field is an error.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from local.crds import find_definitions
from local.keys import digest_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from local.cache import Cache
    from local.gobuild import GoBuilder

TEMPLATE = "{{ .ResourceKind }}{{ .KindSuffix }}.json"
"""How the files are named, as kubeconform wants to be told by -schema-location."""
_REVISION = "3"
_HERE = "#/definitions/"
_OPEN = "x-kubernetes-preserve-unknown-fields"
_KINDS = "x-kubernetes-group-version-kind"


def convert(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Turn an OpenAPI document into schemas by file name, one per kind with just what that kind needs."""
    definitions = {name: strict(schema) for name, schema in document["definitions"].items()}
    kinds = {name: schema.pop(_KINDS, []) for name, schema in definitions.items()}
    files: dict[str, dict[str, Any]] = {}
    for name, found in kinds.items():
        needed = {part: definitions[part] for part in sorted(reachable(definitions, name))} if found else {}
        for kind in found:
            group = kind["group"].split(".", 1)[0]
            suffix = "-".join(part for part in (group, kind["version"]) if part)
            files[f"{kind['kind'].lower()}-{suffix}.json"] = {
                "$schema": "http://json-schema.org/draft-07/schema#",
                "allOf": [{"$ref": f"{_HERE}{name}"}, {"required": ["apiVersion", "kind"]}],
                "definitions": needed,
            }
    return files


def convert_definition(definition: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Turn a CustomResourceDefinition into schemas by file name, one for each version."""
    spec = definition["spec"]
    group, kind = spec["group"].split(".", 1)[0], spec["names"]["kind"].lower()
    return {
        f"{kind}-{group}-{version['name']}.json": {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "allOf": [strict(version["schema"]["openAPIV3Schema"]), {"required": ["apiVersion", "kind"]}],
        }
        for version in spec["versions"]
    }


def reachable(definitions: Mapping[str, Any], name: str) -> set[str]:
    """Return a definition's name and those of all that it refers to, directly or not."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += references(definitions[name])
    return found


def references(schema: Any) -> list[str]:
    """Return the names of the definitions that a schema refers to."""
    if isinstance(schema, dict):
        own = [schema["$ref"].removeprefix(_HERE)] if isinstance(schema.get("$ref"), str) else []
        return own + [name for value in schema.values() for name in references(value)]
    if isinstance(schema, list):
        return [name for value in schema for name in references(value)]
    return []


def strict(schema: Any) -> Any:
    """Make a schema say what Kubernetes means: no unknown fields, null like absent, a port as 80 or http."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "int-or-string":
        return {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    made = {
        key: {name: nullable(strict(value)) for name, value in item.items()}
        if key == "properties"
        else strict(item)
        for key, item in schema.items()
        if key != "description"
    }
    if "properties" in made and not made.get(_OPEN):
        made.setdefault("additionalProperties", False)
    return made


def nullable(schema: Any) -> Any:
    """Allow null for an optional field, which means the same as leaving it out."""
    if isinstance(schema, dict) and isinstance(schema.get("type"), str):
        return {**schema, "type": [schema["type"], "null"]}
    return schema


def make_schemas(cache: Cache, go: GoBuilder) -> Path:
    """Return the folder of the schemas, written when there is none."""
    source = go.source("kubernetes") / "api" / "openapi-spec" / "swagger.json"
    definitions = find_definitions(go)
    inputs = {"document": digest_file(source), "revision": _REVISION}
    inputs |= {path.name: digest_file(path) for path in definitions}

    def build(out: Path) -> None:
        files = convert(json.loads(source.read_text(encoding="utf-8")))
        for path in definitions:
            files |= convert_definition(yaml.safe_load(path.read_text(encoding="utf-8")))
        for name, schema in files.items():
            text = json.dumps(schema, separators=(",", ":"))
            (out / name).write_text(text, encoding="utf-8")

    return cache.make("schemas", inputs, build, keep=2)
