"""The committed OpenAPI document of the program, against the program."""

import json
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from kcpcache.api.openapi_components import references
from kcpcache.api.openapi_program import FIXED, program_document
from kcpcache.cli.app import app

COMMITTED = Path(__file__).resolve().parents[2] / "openapi" / "kcpcache.openapi.json"


def test_the_committed_document_is_what_the_program_prints():
    printed = CliRunner().invoke(app, ["openapi"])
    assert printed.exit_code == 0
    # A plain comparison of the texts would show megabytes.
    assert (printed.output == COMMITTED.read_text()) is True, "out of date: make openapi"


def test_the_document_refers_to_what_it_has_and_names_every_operation_once():
    document = json.loads(orjson.dumps(program_document()))
    assert set(references(document)) <= set(document["components"]["schemas"])
    operations = [
        operation
        for item in document["paths"].values()
        for method, operation in item.items()
        if method not in {"parameters", "servers"}
    ]
    identifiers = [operation["operationId"] for operation in operations if "operationId" in operation]
    assert len(identifiers) == len(set(identifiers)) == len(operations) - len(FIXED)


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/namespaces/{namespace}/configmaps/{name}",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        "/apis/cache.kcp.io/v1alpha1/cachedresources/{name}/status",
        "/apis/tenancy.kcp.io/v1alpha1/workspaces",
        "/apis/apis.kcp.io/v1alpha1/apibindings",
        "/apis/apis.kcp.io/v1alpha2/apibindings",
        "/readyz",
    ],
)
def test_built_in_types_kcps_types_and_the_programs_own_endpoints_are_in_it(path: str):
    assert path in program_document()["paths"]


async def test_every_endpoint_of_its_own_is_there(world):
    routes = {route.path for route in world.app.fixed.routes if hasattr(route, "methods")}
    assert routes <= set(FIXED)
    for path, (_, content, _) in FIXED.items():
        if path == "/metrics":  # this world has none
            continue
        answer = await world.client.get(path)
        assert answer.status_code == 200, path
        assert answer.headers["content-type"].split(";")[0] in content
