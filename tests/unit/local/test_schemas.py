from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from local.crds import SOURCES
from local.gobuild import module_version
from local.schemas import convert, convert_definition

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


def test_a_definition_has_a_schema_for_each_version() -> None:
    labels = {"type": "object", "additionalProperties": {"type": "string"}}
    spec = {
        "type": "object",
        "required": ["port"],
        "properties": {"port": {"type": "integer"}, "labels": labels},
    }
    schema = {
        "type": "object",
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
        },
    }
    versions = [{"name": name, "schema": {"openAPIV3Schema": schema}} for name in ("v1", "v1beta1")]
    names = {"kind": "PodMonitor"}
    files = convert_definition({"spec": {"group": "mon.test.io", "names": names, "versions": versions}})
    assert set(files) == {"podmonitor-mon-v1.json", "podmonitor-mon-v1beta1.json"}
    validator = jsonschema.Draft7Validator(files["podmonitor-mon-v1.json"])

    def is_well(**spec: Any) -> bool:
        metadata = {"name": "a", "labels": {"b": "c"}}
        return validator.is_valid(
            {"apiVersion": "mon.test.io/v1", "kind": "PodMonitor", "metadata": metadata, "spec": spec}
        )

    assert is_well(port=1, labels={"any": "thing"})
    assert not is_well(labels={})
    assert not is_well(port=1, prot=2)


def test_cert_manager_is_the_one_that_the_fault_suite_installs() -> None:
    (source,) = [source for source in SOURCES if source.module.endswith("/cert-manager")]
    folder = Path(__file__).parents[3] / "local" / "go" / "cert-manager"
    assert source.version == module_version((folder / "go.mod").read_text(), source.module)
    assert f"{source.module} {source.version} {source.checksum}\n" in (folder / "go.sum").read_text()
