"""The manifests in openapi/crds: complete, described, structural, and like kcp's own types."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
CRD_DIRECTORY = REPOSITORY / "openapi" / "crds"
CHECKER = REPOSITORY.parent / "shared" / "check-kcp-api"

FILES = sorted(CRD_DIRECTORY.glob("*.yaml"))
CRDS = {path.name: yaml.safe_load(path.read_text(encoding="utf-8")) for path in FILES}
VERSIONS = [
    pytest.param(version, id=f"{crd['spec']['names']['kind']}-{version['name']}")
    for crd in CRDS.values()
    for version in crd["spec"]["versions"]
]
JUNCTORS = ("allOf", "anyOf", "oneOf")
ONLY_IN_STRUCTURE = {"description", "type", "default", "additionalProperties", "nullable", "title"}


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema that describes a value, with its path; what is inside allOf, anyOf, oneOf, not is not one."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from nodes(schema["additionalProperties"], f"{path}{{}}")


def value_validations(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every schema below allOf, anyOf, oneOf and not: these may restrict values, but declare nothing."""
    restrictions = [inner for junctor in JUNCTORS for inner in schema.get(junctor, [])]
    if "not" in schema:
        restrictions.append(schema["not"])
    for restriction in restrictions:
        for _, node in nodes(restriction):
            yield node
            yield from value_validations(node)


def root_schema(version: dict[str, Any]) -> dict[str, Any]:
    return version["schema"]["openAPIV3Schema"]


def undescribed(schema: dict[str, Any]) -> list[str]:
    """Fields without a description. `.metadata` must not have one: Kubernetes describes it for every type."""
    return [
        f"{path}.{name}"
        for path, node in nodes(schema)
        for name, child in node.get("properties", {}).items()
        if f"{path}.{name}" != ".metadata" and not child.get("description", "").endswith(".")
    ]


def structural_errors(schema: dict[str, Any]) -> list[str]:
    """What a kube-apiserver would refuse about the schema's form, told from the rules for structural schemas."""
    found = []
    for path, node in nodes(schema):
        int_or_string = node.get("x-kubernetes-int-or-string", False)
        if ("type" in node) == int_or_string:
            found.append(f"{path}: needs either a type or x-kubernetes-int-or-string")
        if "properties" in node and "additionalProperties" in node:
            found.append(f"{path}: properties and additionalProperties exclude each other")
        if node.get("type") == "array" and "items" not in node:
            found.append(f"{path}: an array without items")
        undeclared = set(node.get("required", [])) - set(node.get("properties", {}))
        found += [f"{path}.{name}: required, but not declared" for name in sorted(undeclared)]
        if not int_or_string:
            found += [
                f"{path}: {key} inside allOf, anyOf, oneOf or not"
                for inner in value_validations(node)
                for key in sorted(ONLY_IN_STRUCTURE & inner.keys())
            ]
        found += list_map_errors(path, node)
    metadata = schema.get("properties", {}).get("metadata", {"type": "object"})
    if metadata.keys() - {"type", "properties"} or metadata.get("properties", {}).keys() - {"name", "generateName"}:
        found.append(".metadata: must not specify anything other than name and generateName")
    return found


def list_map_errors(path: str, node: dict[str, Any]) -> Iterator[str]:
    keys = node.get("x-kubernetes-list-map-keys", [])
    if (node.get("x-kubernetes-list-type") == "map") != bool(keys):
        yield f"{path}: list type map and its keys go together"
    for key in keys:
        item = node["items"]
        if key not in item.get("properties", {}):
            yield f"{path}[].{key}: a list map key that is not declared"
        elif key not in item.get("required", []) and "default" not in item["properties"][key]:
            yield f"{path}[].{key}: a list map key that is neither required nor defaulted"


def test_there_is_one_manifest_for_each_kcp_type():
    kinds = [crd["spec"]["names"]["kind"] for crd in CRDS.values()]
    assert len(kinds) == len(set(kinds)) == 14


@pytest.mark.parametrize("file", CRDS)
def test_a_file_is_named_after_the_group_and_plural_it_defines(file):
    spec = CRDS[file]["spec"]
    assert file == f"{spec['group']}_{spec['names']['plural']}.yaml"
    assert CRDS[file]["metadata"]["name"] == f"{spec['names']['plural']}.{spec['group']}"


@pytest.mark.parametrize("file", CRDS)
def test_a_type_has_exactly_one_storage_version_and_serves_it(file):
    assert [v["served"] for v in CRDS[file]["spec"]["versions"] if v["storage"]] == [True]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_type_and_field_has_a_description_that_is_a_sentence(version):
    assert root_schema(version)["description"].endswith(".")
    assert undescribed(root_schema(version)) == []


@pytest.mark.parametrize("version", VERSIONS)
def test_every_schema_is_structural(version):
    assert structural_errors(root_schema(version)) == []


@pytest.mark.parametrize("version", VERSIONS)
def test_every_pattern_compiles_and_every_default_of_an_enum_is_one_of_it(version):
    for path, node in nodes(root_schema(version)):
        re.compile(node.get("pattern", ""))
        if "enum" in node and "default" in node:
            assert node["default"] in node["enum"], path


@pytest.mark.parametrize("version", VERSIONS)
def test_spec_comes_before_status_for_readers(version):
    names = [name for name in root_schema(version)["properties"] if name in ("spec", "status")]
    assert names == sorted(names)


def test_cached_resources_print_their_phase_and_counts_in_wide_output_only():
    version = CRDS["cache.kcp.io_cachedresources.yaml"]["spec"]["versions"][0]
    columns = [(c["name"], c.get("priority", 0)) for c in version["additionalPrinterColumns"]]
    assert columns == [("Resource", 0), ("Age", 0), ("Phase", 1), ("Local", 1), ("Cache", 1)]


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "object", "properties": {"a": {}}}, ".a: needs either a type"),
        ({"type": "array"}, "an array without items"),
        ({"type": "object", "required": ["a"]}, ".a: required, but not declared"),
        ({"type": "object", "oneOf": [{"type": "string"}]}, "type inside allOf"),
        (
            {"type": "object", "not": {"properties": {"a": {"anyOf": [{"default": 1}]}}}},
            "default inside allOf",
        ),
        (
            {"type": "object", "properties": {"metadata": {"type": "object", "description": "No."}}},
            ".metadata: must not",
        ),
        (
            {
                "type": "array",
                "items": {"type": "object", "properties": {"a": {"type": "string"}}},
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["a"],
            },
            "neither required nor defaulted",
        ),
    ],
)
def test_the_structural_check_finds_what_it_looks_for(schema, message):
    assert any(message in error for error in structural_errors(schema))


def test_a_field_without_a_description_is_found():
    schema = {"type": "object", "properties": {"spec": {"description": "It.", "properties": {"a": {}}}}}
    assert undescribed(schema) == [".spec.a"]


def test_the_types_agree_with_the_structure_of_kcps_types():
    if not CHECKER.is_file():
        if os.environ.get("CI"):
            pytest.fail(f"no reference structure to compare with: {CHECKER}")
        pytest.skip("the reference structure of kcp's types is not beside this repository")
    result = subprocess.run([sys.executable, CHECKER, CRD_DIRECTORY], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "14 types agree\n"), result.stdout + result.stderr
