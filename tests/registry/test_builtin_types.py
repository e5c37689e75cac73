from collections.abc import Iterator
from typing import Any

import pytest

from kcpcache.registry.builtin import admissionregistration, apiextensions, core, rbac
from kcpcache.registry.builtin.events import EVENTS_EVENT, to_core_form, to_events_form
from kcpcache.registry.builtin.meta import OBJECT_META
from kcpcache.registry.builtin.resources import BUILTIN_RESOURCES
from kcpcache.registry.builtin.schema import embedded_structs, openapi_components, structural_schema
from kcpcache.registry.builtin.types import ListOf, walk
from kcpcache.registry.builtin.wire import protobuf_types
from kcpcache.schema.compiled import compile_schema
from kcpcache.schema.structural import check_structural

REFERENCE = "#/components/schemas/"
IDS = [f"{found.plural}.{found.group}" for found in BUILTIN_RESOURCES]
MESSAGES = {message.name: message for found in BUILTIN_RESOURCES for message in walk(found.schema)}


def references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for value in schema.values():
            yield from references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from references(value)


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES.keys())
def test_names_and_numbers_of_a_messages_fields_are_unique_and_described(message):
    assert len({field.name for field in message.fields}) == len(message.fields)
    assert len({field.number for field in message.fields}) == len(message.fields)
    assert all(field.description.endswith((".", "…")) for field in message.fields)
    for field in message.fields:
        assert bool(field.list_type) == isinstance(field.type, ListOf)
        assert (field.list_type == "map") == bool(field.list_keys)


@pytest.mark.parametrize("found", BUILTIN_RESOURCES, ids=IDS)
def test_every_built_in_schema_is_structural_but_for_its_metadata(found):
    schema = structural_schema(found.schema)
    without = {**schema, "properties": {k: v for k, v in schema["properties"].items() if k != "metadata"}}
    assert [error.message for error in check_structural(without, "schema")] == []
    assert not list(references(schema)) or found.plural == "customresourcedefinitions"


def test_a_schema_is_made_once():
    assert structural_schema(rbac.ROLE) is structural_schema(rbac.ROLE)


def test_lists_say_how_they_merge():
    metadata = structural_schema(core.CONFIG_MAP)["properties"]["metadata"]["properties"]
    owners = metadata["ownerReferences"]
    assert owners["x-kubernetes-list-type"] == "map"
    assert owners["x-kubernetes-list-map-keys"] == ["uid"]
    assert owners["x-kubernetes-patch-strategy"] == "merge"
    assert owners["x-kubernetes-patch-merge-key"] == "uid"
    assert owners["items"]["x-kubernetes-map-type"] == "atomic"
    assert owners["items"]["required"] == ["uid"]
    finalizers = metadata["finalizers"]
    assert finalizers["x-kubernetes-list-type"] == "set"
    assert finalizers["x-kubernetes-patch-strategy"] == "merge"
    assert "x-kubernetes-patch-merge-key" not in finalizers
    assert metadata["managedFields"]["x-kubernetes-list-type"] == "atomic"
    assert "x-kubernetes-patch-strategy" not in metadata["managedFields"]


MERGED = {
    "namespaces": {"status.conditions": "type"},
    "serviceaccounts": {"secrets": "name"},
    "customresourcedefinitions": {"spec.versions.schema.openAPIV3Schema.x-kubernetes-validations": "rule"},
    "mutatingwebhookconfigurations": {"webhooks": "name", "webhooks.matchConditions": "name"},
    "validatingwebhookconfigurations": {"webhooks": "name", "webhooks.matchConditions": "name"},
    "validatingadmissionpolicies": {"spec.matchConditions": "name", "spec.variables": "name"},
}
"""Lists with a patch strategy and their merge keys, after kube 1.33's OpenAPI; all other lists are replaced."""


def merged(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for name, child in schema.get("properties", {}).items():
        here = f"{path}.{name}".lstrip(".")
        if "x-kubernetes-patch-strategy" in child:
            yield here, child.get("x-kubernetes-patch-merge-key", "")
        yield from merged(child.get("items", child), here)


@pytest.mark.parametrize("found", BUILTIN_RESOURCES, ids=IDS)
def test_a_strategic_merge_patch_merges_the_lists_that_it_merges_in_kubernetes(found):
    of_all = {"metadata.ownerReferences": "uid", "metadata.finalizers": ""}
    assert dict(merged(structural_schema(found.schema))) == of_all | MERGED.get(found.plural, {})


def test_inlined_messages_stand_among_the_other_fields():
    schema = structural_schema(admissionregistration.VALIDATING_ADMISSION_POLICY)
    rules = schema["properties"]["spec"]["properties"]["matchConstraints"]["properties"]["resourceRules"]
    assert list(rules["items"]["properties"]) == [
        "resourceNames",
        "operations",
        "apiGroups",
        "apiVersions",
        "resources",
        "scope",
    ]


def test_a_recursive_type_keeps_unknown_fields_within_itself():
    version = structural_schema(apiextensions.CUSTOM_RESOURCE_DEFINITION)["properties"]["spec"]["properties"][
        "versions"
    ]["items"]
    root = version["properties"]["schema"]["properties"]["openAPIV3Schema"]["properties"]
    assert root["type"]["type"] == "string"
    assert root["properties"]["additionalProperties"] == {
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
    }
    assert root["items"]["x-kubernetes-preserve-unknown-fields"] is True


def test_what_kube_takes_passes_and_unknown_fields_are_pruned():
    schema = compile_schema(structural_schema(rbac.ROLE))
    role: dict[str, Any] = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "r", "creationTimestamp": None},
        "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"], "oops": 1}],
    }
    assert schema.prune(role) == ["rules[0].oops"]
    schema.default(role)
    assert schema.validate(role) == []
    role["rules"][0]["verbs"] = "get"
    assert [error.path for error in schema.validate(role)] == ["rules[0].verbs"]


def test_quantities_may_be_numbers_or_strings():
    schema = compile_schema(structural_schema(core.RESOURCE_QUOTA))
    for value in (1, 0.5, "100m"):
        assert schema.validate({"metadata": {"name": "q"}, "spec": {"hard": {"cpu": value}}}) == []


def test_a_quantity_that_is_null_is_zero():
    schema = compile_schema(structural_schema(core.RESOURCE_QUOTA))
    quota = {"metadata": {"name": "q"}, "spec": {"hard": {"cpu": None, "pods": 1}, "scopes": None}}
    schema.default(quota)
    assert quota["spec"] == {"hard": {"cpu": "0", "pods": 1}}
    assert schema.validate(quota) == []


def test_openapi_components_refer_only_to_one_another():
    components = openapi_components()
    assert {ref.removeprefix(REFERENCE) for ref in references(dict(components))} <= components.keys()
    assert openapi_components() is components


def test_openapi_components_are_named_and_marked_as_in_kubernetes():
    components = openapi_components()
    config_map = components["io.k8s.api.core.v1.ConfigMap"]
    assert config_map["x-kubernetes-group-version-kind"] == [{"group": "", "version": "v1", "kind": "ConfigMap"}]
    assert config_map["properties"]["metadata"]["allOf"] == [
        {"$ref": f"{REFERENCE}io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}
    ]
    roles = components["io.k8s.api.rbac.v1.RoleList"]
    assert roles["required"] == ["items"]
    assert roles["x-kubernetes-group-version-kind"] == [
        {"group": "rbac.authorization.k8s.io", "version": "v1", "kind": "RoleList"}
    ]
    assert components["io.k8s.api.rbac.v1.RoleRef"]["required"] == ["kind", "name"]
    schema = components["io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"]
    assert schema["properties"]["allOf"]["items"]["allOf"][0]["$ref"].endswith(".JSONSchemaProps")
    assert {"io.k8s.api.autoscaling.v1.Scale", "io.k8s.api.authentication.v1.TokenRequest"} <= components.keys()


def test_every_kind_can_be_read_from_protobuf():
    known = protobuf_types()
    for found in BUILTIN_RESOURCES:
        assert (found.schema.api_version, found.kind) in known
    for kind in ("Scale", "TokenRequest", "Status", "DeleteOptions"):
        assert kind in {name for _, name in known}
    assert all(not isinstance(found.type, ListOf) for found in OBJECT_META.fields if found.name == "labels")


def test_the_resources_are_those_that_are_promised():
    by_group: dict[str, set[str]] = {}
    for found in BUILTIN_RESOURCES:
        by_group.setdefault(found.group, set()).add(found.plural)
        assert found.create_only == (found.verbs == ("create",)) == (not found.list_kind)
    assert by_group == {
        "": {
            "namespaces",
            "configmaps",
            "secrets",
            "serviceaccounts",
            "events",
            "resourcequotas",
            "limitranges",
        },
        "rbac.authorization.k8s.io": {"roles", "rolebindings", "clusterroles", "clusterrolebindings"},
        "authorization.k8s.io": {
            "subjectaccessreviews",
            "localsubjectaccessreviews",
            "selfsubjectaccessreviews",
            "selfsubjectrulesreviews",
        },
        "authentication.k8s.io": {"tokenreviews", "selfsubjectreviews"},
        "apiextensions.k8s.io": {"customresourcedefinitions"},
        "coordination.k8s.io": {"leases"},
        "events.k8s.io": {"events"},
        "admissionregistration.k8s.io": {
            "mutatingwebhookconfigurations",
            "validatingwebhookconfigurations",
            "validatingadmissionpolicies",
            "validatingadmissionpolicybindings",
        },
        "certificates.k8s.io": {"certificatesigningrequests"},
    }


def test_an_event_has_two_forms_that_convert_into_each_other():
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "e", "namespace": "default"},
        "involvedObject": {"kind": "ConfigMap", "name": "c"},
        "message": "it happened",
        "source": {"component": "me"},
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-02T00:00:00Z",
        "count": 2,
        "reportingComponent": "me",
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "type": "Normal",
    }
    converted = to_events_form(event)
    assert converted == {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "e", "namespace": "default"},
        "regarding": {"kind": "ConfigMap", "name": "c"},
        "note": "it happened",
        "deprecatedSource": {"component": "me"},
        "deprecatedFirstTimestamp": "2026-01-01T00:00:00Z",
        "deprecatedLastTimestamp": "2026-01-02T00:00:00Z",
        "deprecatedCount": 2,
        "reportingController": "me",
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "type": "Normal",
    }
    assert to_core_form(converted) == event
    assert {*converted} - {"apiVersion", "kind"} <= {field.name for field in EVENTS_EVENT.fields}


def test_structs_of_go_are_always_there_and_pointers_and_lists_are_not():
    assert embedded_structs(apiextensions.CUSTOM_RESOURCE_DEFINITION) == {
        "spec": {"names": {}},
        "status": {"acceptedNames": {}},
    }
    assert embedded_structs(core.CONFIG_MAP) == {}
