"""The schemas that kcpcache itself serves, with kcp's rules."""

from pathlib import Path

import pytest
import yaml

from kcpcache.schema.compiled import compile_schema
from kcpcache.schema.structural import check_structural

CRDS = sorted((Path(__file__).parents[2] / "openapi" / "crds").glob("*.yaml"))


def schemas(path):
    manifest = yaml.safe_load(path.read_text())
    return {version["name"]: version["schema"]["openAPIV3Schema"] for version in manifest["spec"]["versions"]}


@pytest.mark.parametrize("path", CRDS, ids=lambda path: path.stem)
def test_served_schemas_are_structural(path):
    for version, schema in schemas(path).items():
        assert check_structural(schema, version) == []


def binding(name, path="root:org", **spec):
    reference = {"export": {"name": name, "path": path}}
    return {"metadata": {"name": "b"}, "spec": {"reference": reference, **spec}}


@pytest.fixture
def api_binding():
    (path,) = (path for path in CRDS if path.stem == "apis.kcp.io_apibindings")
    return compile_schema(schemas(path)["v1alpha2"])


def test_a_binding_keeps_its_export(api_binding):
    assert api_binding.validate(binding("x")) == []
    assert api_binding.validate(binding("x"), binding("x")) == []
    messages = [error.message for error in api_binding.validate(binding("y"), binding("x"))]
    assert 'spec.reference: Invalid value: "object": APIExport reference must not be changed' in messages


def test_a_claim_selects_all_or_something(api_binding):
    claim = {
        "group": "",
        "resource": "configmaps",
        "verbs": ["*"],
        "state": "Accepted",
        "selector": {"matchAll": True},
    }
    assert api_binding.validate(binding("x", permissionClaims=[claim])) == []
    del claim["state"]
    assert next(e.message for e in api_binding.validate(binding("x", permissionClaims=[claim]))) == (
        "spec.permissionClaims[0].state: Required value"
    )
