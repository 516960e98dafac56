from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from local.schemas import convert

DOCUMENT = {
    "definitions": {
        "io.Pod": {
            "description": "a pod",
            "type": "object",
            "properties": {
                "apiVersion": {"type": "string"},
                "kind": {"type": "string"},
                "spec": {"$ref": "#/definitions/io.Spec"},
            },
            "x-kubernetes-group-version-kind": [
                {"group": "", "kind": "Pod", "version": "v1"},
                {"group": "apps.test.io", "kind": "Pod", "version": "v2"},
            ],
        },
        "io.Spec": {
            "type": "object",
            "required": ["port"],
            "properties": {
                "port": {"$ref": "#/definitions/io.IntOrString"},
                "replicas": {"type": "integer"},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "type": {"type": "string"},
            },
        },
        "io.Unused": {"type": "object"},
        "io.IntOrString": {"type": "string", "format": "int-or-string"},
    }
}


@pytest.fixture
def files() -> dict[str, Any]:
    return convert(DOCUMENT)


def is_valid(files: dict[str, Any], spec: dict[str, Any]) -> bool:
    validator = jsonschema.Draft7Validator(files["pod-v1.json"])
    return validator.is_valid({"apiVersion": "v1", "kind": "Pod", "spec": spec})


def test_a_schema_holds_what_its_kind_needs(files: dict[str, Any]) -> None:
    assert set(files["pod-v1.json"]["definitions"]) == {"io.Pod", "io.Spec", "io.IntOrString"}


def test_one_file_for_each_kind(files: dict[str, Any]) -> None:
    assert set(files) == {"pod-v1.json", "pod-apps-v2.json"}


@pytest.mark.parametrize(
    ("spec", "valid"),
    [
        ({"port": 80}, True),
        ({"port": "http"}, True),
        ({"port": True}, False),
        ({}, False),
        ({"port": 80, "replicas": "two"}, False),
        ({"port": 80, "replicas": None}, True),
        ({"port": 80, "replica": 2}, False),
        ({"port": 80, "labels": {"anything": "goes"}, "type": "x"}, True),
        ({"port": 80, "labels": {"number": 1}}, False),
    ],
)
def test_what_is_valid(files: dict[str, Any], spec: dict[str, Any], valid: bool) -> None:
    assert is_valid(files, spec) == valid
