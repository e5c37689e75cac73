import asyncio
import json
import threading
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from kcpcache.api import openapi, openapi_v2
from kcpcache.api.openapi_components import references
from kcpcache.registry.catalog import Snapshot, StoredResource
from kcpcache.registry.system import builtin_definitions

NS = "/api/v1/namespaces/{namespace}"
PROTOBUF = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"


async def test_the_index_names_a_document_for_every_group_version(world):
    paths = (await world.client.get("/clusters/root/openapi/v3")).json()["paths"]
    assert paths["api/v1"]["serverRelativeURL"].startswith("/openapi/v3/api/v1?hash=")
    for item in paths.values():
        response = await world.client.get(f"/clusters/root{item['serverRelativeURL']}")
        assert response.status_code == 200
        document = response.json()
        schemas = document["components"]["schemas"]
        assert set(references(document)) <= set(schemas)
        identifiers = [op["operationId"] for item in document["paths"].values() for op in operations(item).values()]
        assert len(identifiers) == len(set(identifiers))


def operations(item: dict[str, Any]) -> dict[str, Any]:
    return {method: found for method, found in item.items() if method != "parameters"}


@pytest.mark.parametrize(
    ("document", "path", "method", "name", "said"),
    [
        ("api/v1", "/api/v1/configmaps", "get", "listCoreV1ConfigMapForAllNamespaces", "list or watch objects of kind"),
        ("api/v1", f"{NS}/configmaps", "get", "listCoreV1NamespacedConfigMap", "list or watch objects of kind"),
        ("api/v1", f"{NS}/configmaps", "post", "createCoreV1NamespacedConfigMap", "create a ConfigMap"),
        ("api/v1", f"{NS}/configmaps", "delete", "deleteCoreV1CollectionNamespacedConfigMap", "delete collection of"),
        ("api/v1", f"{NS}/configmaps/{{name}}", "get", "readCoreV1NamespacedConfigMap", "read the specified"),
        ("api/v1", f"{NS}/configmaps/{{name}}", "put", "replaceCoreV1NamespacedConfigMap", "replace the specified"),
        ("api/v1", f"{NS}/configmaps/{{name}}", "patch", "patchCoreV1NamespacedConfigMap", "partially update the"),
        ("api/v1", f"{NS}/events/{{name}}", "delete", "deleteCoreV1NamespacedEvent", "delete an Event"),
        (
            "api/v1",
            "/api/v1/namespaces/{name}/finalize",
            "put",
            "replaceCoreV1NamespaceFinalize",
            "replace finalize of",
        ),
        (
            "api/v1",
            f"{NS}/serviceaccounts/{{name}}/token",
            "post",
            "createCoreV1NamespacedServiceAccountToken",
            "create token of a ServiceAccount",
        ),
        ("api/v1", "/api/v1/", "get", "getCoreV1APIResources", "get available resources"),
        (
            "apis/rbac.authorization.k8s.io/v1",
            "/apis/rbac.authorization.k8s.io/v1/clusterroles",
            "delete",
            "deleteRbacAuthorizationV1CollectionClusterRole",
            "delete collection of ClusterRole",
        ),
        (
            "apis/stable.example.com/v1",
            "/apis/stable.example.com/v1/namespaces/{namespace}/crontabs/{name}/status",
            "patch",
            "patchStableExampleComV1NamespacedCronTabStatus",
            "partially update status of the specified CronTab",
        ),
    ],
)
async def test_operations_have_the_names_and_words_of_kube_apiserver(world, document, path, method, name, said):
    found = (await world.client.get(f"/openapi/v3/{document}")).json()["paths"][path][method]
    assert found["operationId"] == name
    assert found["description"].startswith(said)
    version_2 = (await world.client.get("/openapi/v2")).json()["paths"][path][method]
    assert (version_2["operationId"], version_2["tags"]) == (name, found["tags"])


@pytest.mark.parametrize(
    ("name", "path", "operation", "kind"),
    [
        ("api", "/api/", "getCoreAPIVersions", "APIVersions"),
        ("apis", "/apis/", "getAPIVersions", "APIGroupList"),
        (
            "apis/rbac.authorization.k8s.io",
            "/apis/rbac.authorization.k8s.io/",
            "getRbacAuthorizationAPIGroup",
            "APIGroup",
        ),
        ("version", "/version/", "getCodeVersion", "Info"),
    ],
)
async def test_discovery_is_described_too(world, name, path, operation, kind):
    index = (await world.client.get("/openapi/v3")).json()["paths"]
    assert name in index
    found = (await world.client.get(f"/openapi/v3/{name}")).json()
    assert found["paths"][path]["get"]["operationId"] == operation
    answer = found["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
    assert answer.rpartition(".")[2] == kind
    wanted = found["components"]["schemas"][answer.rpartition("/")[2]]["required"]
    assert set(wanted) <= set((await world.client.get(f"/clusters/root{path}")).json())
    assert "apis/stable.example.com" not in index  # of groups of CRDs, as in kube-apiserver, the versions only


async def test_answers_have_the_codes_of_kube_apiserver_and_need_a_token(world):
    found = await document(world, "api/v1")
    path = found["paths"][f"{NS}/configmaps/{{name}}"]
    collection = found["paths"][f"{NS}/configmaps"]
    codes = {
        action["operationId"]: sorted(action["responses"])
        for item in (path, collection)
        for action in operations(item).values()
    }
    assert codes == {
        "readCoreV1NamespacedConfigMap": ["200", "401"],
        "replaceCoreV1NamespacedConfigMap": ["200", "201", "401"],
        "patchCoreV1NamespacedConfigMap": ["200", "201", "401"],
        "deleteCoreV1NamespacedConfigMap": ["200", "202", "401"],
        "listCoreV1NamespacedConfigMap": ["200", "401"],
        "createCoreV1NamespacedConfigMap": ["200", "201", "202", "401"],
        "deleteCoreV1CollectionNamespacedConfigMap": ["200", "401"],
    }
    assert "application/json;stream=watch" in collection["get"]["responses"]["200"]["content"]
    scheme = {"type": "apiKey", "name": "authorization", "in": "header", "description": "Bearer Token authentication"}
    assert (found["components"]["securitySchemes"], found["security"]) == (
        {"BearerToken": scheme},
        [{"BearerToken": []}],
    )
    version_2 = (await world.client.get("/openapi/v2")).json()
    assert (version_2["securityDefinitions"], version_2["security"]) == ({"BearerToken": scheme}, [{"BearerToken": []}])


async def test_a_document_that_is_asked_for_by_its_hash_may_be_kept_for_a_year(world):
    url = (await world.client.get("/openapi/v3")).json()["paths"]["api/v1"]["serverRelativeURL"]
    kept = await world.client.get(url)
    assert kept.headers.get_list("cache-control") == ["private, immutable"]
    assert parsedate_to_datetime(kept.headers["expires"]) > datetime.now(UTC) + timedelta(days=300)
    for other in ("/openapi/v3/api/v1", "/openapi/v3/api/v1?hash=00"):
        assert (await world.client.get(other)).headers.get_list("cache-control") == ["no-cache, private"]


async def document(world, name: str) -> dict[str, Any]:
    return (await world.client.get(f"/openapi/v3/{name}")).json()


async def test_a_custom_type_is_described_with_its_kind_and_its_fields(world):
    schema = (await document(world, "apis/stable.example.com/v1"))["components"]["schemas"][
        "com.example.stable.v1.CronTab"
    ]
    assert schema["x-kubernetes-group-version-kind"] == [
        {"group": "stable.example.com", "version": "v1", "kind": "CronTab"}
    ]
    assert schema["properties"]["spec"]["properties"]["replicas"] == {"type": "integer"}


@pytest.mark.parametrize(
    ("name", "path", "types"),
    [
        ("api/v1", "/api/v1/namespaces/{namespace}/configmaps/{name}", 4),
        ("apis/stable.example.com/v1", "/apis/stable.example.com/v1/namespaces/{namespace}/crontabs/{name}", 3),
    ],
)
async def test_a_patch_lists_its_parameters_and_every_content_type(world, name, path, types):
    paths = (await document(world, name))["paths"]
    patch = paths[path]["patch"]
    assert {"fieldValidation", "dryRun", "fieldManager", "force"} <= {p["name"] for p in patch["parameters"]}
    for write in (paths[path]["put"], paths[path.removesuffix("/{name}")]["post"]):
        assert {"fieldValidation", "dryRun", "fieldManager"} <= {p["name"] for p in write["parameters"]}
    content = patch["requestBody"]["content"]
    assert len(content) == types
    assert ("application/strategic-merge-patch+json" in content) == (types == 4)
    assert patch["x-kubernetes-action"] == "patch"


async def test_subresources_have_paths_and_scale_is_a_scale(world):
    paths = (await document(world, "apis/stable.example.com/v1"))["paths"]
    base = "/apis/stable.example.com/v1/namespaces/{namespace}/crontabs/{name}"
    assert set(operations(paths[f"{base}/status"])) == {"get", "put", "patch"}
    assert paths[f"{base}/scale"]["get"]["x-kubernetes-group-version-kind"]["kind"] == "Scale"
    assert set(operations(paths["/apis/stable.example.com/v1/crontabs"])) == {"get"}


async def test_a_document_is_sent_once_to_those_who_keep_it(world):
    first = await world.client.get("/openapi/v3/api/v1")
    again = await world.client.get("/openapi/v3/api/v1", headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304
    assert (await world.client.get("/openapi/v3/apis/none/v1")).status_code == 404


async def test_a_document_is_made_once_for_all_workspaces_that_serve_the_same():
    one, other = (
        Snapshot({key: StoredResource(definition) for key, definition in builtin_definitions().items()})
        for _ in range(2)
    )
    digest = openapi.group_version_hashes(one)["api/v1"]
    assert openapi.group_version_hashes(other)["api/v1"] == digest
    first = await openapi.document(one, "api/v1", digest)
    assert await openapi.document(other, "api/v1", digest) is first


@pytest.mark.parametrize(
    ("path", "module", "maker"),
    [("/openapi/v3/apis/stable.example.com/v1", openapi, "_document"), ("/openapi/v2", openapi_v2, "document")],
)
async def test_a_document_is_made_once_and_not_by_the_event_loop(world, monkeypatch, path, module, maker):
    threads = []
    make = getattr(module, maker)

    def noting(*args):
        threads.append(threading.get_ident())
        return make(*args)

    monkeypatch.setattr(module, maker, noting)
    monkeypatch.setattr(openapi, "_documents", OrderedDict())
    first, *others = await asyncio.gather(*(world.client.get(path) for _ in range(3)))
    assert first.status_code == 200
    assert all(other.content == first.content for other in (*others, await world.client.get(path)))
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()


async def test_only_the_documents_that_were_asked_for_last_are_kept(world, monkeypatch):
    kept = OrderedDict()
    monkeypatch.setattr(openapi, "_documents", kept)
    monkeypatch.setattr(openapi, "_MOST_DOCUMENTS", 2)
    for name in ("api/v1", "apis/rbac.authorization.k8s.io/v1", "api/v1", "apis/stable.example.com/v1"):
        assert (await world.client.get(f"/openapi/v3/{name}")).status_code == 200
    assert [json.loads(text)["paths"] != {} for text in kept.values()] == [True, True]
    groups = ["/apis/rbac.authorization.k8s.io" in "".join(json.loads(text)["paths"]) for text in kept.values()]
    assert not any(groups)


async def test_version_2_is_one_document_whose_references_lead_somewhere(world):
    found = (await world.client.get("/openapi/v2")).json()
    assert found["swagger"] == "2.0"
    text = json.dumps(found)
    assert "#/components/" not in text
    assert "allOf" not in text
    wanted = {part.split('"')[0] for part in text.split("#/definitions/")[1:]}
    assert wanted <= set(found["definitions"])
    body, *_ = found["paths"]["/api/v1/namespaces/{namespace}/configmaps"]["post"]["parameters"]
    assert (body["in"], body["schema"]) == ("body", {"$ref": "#/definitions/io.k8s.api.core.v1.ConfigMap"})


_STRING, _MESSAGE, _BOOL = 9, 11, 8


def gnostic_document() -> Any:
    """As much of gnostic's OpenAPIv2.proto as proves that the encoding can be read, with its field numbers."""
    file = descriptor_pb2.FileDescriptorProto(name="openapi.proto", package="o", syntax="proto3")

    def message(kind: str, /, **fields: tuple[int, str, bool]) -> None:
        added = file.message_type.add(name=kind)
        for field, (number, type_, repeated) in fields.items():
            scalar = {"string": _STRING, "bool": _BOOL}.get(type_)
            added.field.add(
                name=field,
                number=number,
                type=scalar or _MESSAGE,
                type_name=None if scalar else f".o.{type_}",
                label=3 if repeated else 1,
            )

    message("Any", yaml=(2, "string", False))
    message("NamedAny", name=(1, "string", False), value=(2, "Any", False))
    message("Type", value=(1, "string", True))
    message("Items", schema=(1, "Schema", True))
    message("Properties", additional_properties=(1, "NamedSchema", True))
    message("NamedSchema", name=(1, "string", False), value=(2, "Schema", False))
    message(
        "Schema", ref=(1, "string", False), description=(4, "string", False), type=(22, "Type", False),
        items=(23, "Items", False), properties=(25, "Properties", False), vendor_extension=(31, "NamedAny", True),
        required=(19, "string", True), pattern=(13, "string", False),
    )  # fmt: skip
    message("Definitions", additional_properties=(1, "NamedSchema", True))
    message("Query", name=(4, "string", False), type=(6, "string", False))
    message("Path", name=(4, "string", False), required=(1, "bool", False))
    message("NonBody", query=(3, "Query", False), path=(4, "Path", False))
    message("Body", name=(2, "string", False), schema=(5, "Schema", False))
    message("Parameter", body=(1, "Body", False), non_body=(2, "NonBody", False))
    message("ParametersItem", parameter=(1, "Parameter", False))
    message(
        "Operation", operation_id=(5, "string", False), consumes=(7, "string", True),
        parameters=(8, "ParametersItem", True), vendor_extension=(13, "NamedAny", True),
    )  # fmt: skip
    message("PathItem", get=(2, "Operation", False), patch=(8, "Operation", False))
    message("NamedPathItem", name=(1, "string", False), value=(2, "PathItem", False))
    message("Paths", path=(2, "NamedPathItem", True))
    message("Info", title=(1, "string", False))
    message(
        "Document", swagger=(1, "string", False), info=(2, "Info", False), paths=(8, "Paths", False),
        definitions=(9, "Definitions", False),
    )  # fmt: skip
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("o.Document"))


async def test_version_2_as_protobuf_says_the_same_as_json(world):
    response = await world.client.get("/openapi/v2", headers={"accept": PROTOBUF})
    assert "@" not in response.headers["content-type"]
    found = gnostic_document().FromString(response.content)
    plain = (await world.client.get("/openapi/v2")).json()
    assert (found.swagger, found.info.title) == ("2.0", "Kubernetes")
    schemas = {named.name: named.value for named in found.definitions.additional_properties}
    assert set(schemas) == set(plain["definitions"])
    config_map = schemas["io.k8s.api.core.v1.ConfigMap"]
    assert list(config_map.type.value) == ["object"]
    names = [named.name for named in config_map.properties.additional_properties]
    assert names == list(plain["definitions"]["io.k8s.api.core.v1.ConfigMap"]["properties"])
    extensions = {named.name: json.loads(named.value.yaml) for named in config_map.vendor_extension}
    assert extensions["x-kubernetes-group-version-kind"] == [{"group": "", "version": "v1", "kind": "ConfigMap"}]
    paths = {named.name: named.value for named in found.paths.path}
    assert set(paths) == set(plain["paths"])
    patch = paths["/api/v1/namespaces/{namespace}/configmaps/{name}"].patch
    queries = {item.parameter.non_body.query.name for item in patch.parameters}
    assert "fieldValidation" in queries
    assert "application/strategic-merge-patch+json" in patch.consumes
