"""What Kubernetes answers to JSON of the wrong types, as a real API server says it."""

import pytest

from kcpcache.registry.builtin import apiextensions, coordination, core, rbac
from kcpcache.registry.builtin.decoding import decoding_error, fill_in_nulls, metadata_error


@pytest.mark.parametrize(
    ("message", "obj", "why"),
    [
        (core.CONFIG_MAP, {"data": {"a": 1}}, "number into Go struct field ConfigMap.data of type string"),
        (core.CONFIG_MAP, {"data": []}, "array into Go struct field ConfigMap.data of type map[string]string"),
        (core.CONFIG_MAP, {"immutable": "x"}, "string into Go struct field ConfigMap.immutable of type bool"),
        (core.CONFIG_MAP, {"binaryData": {"a": 5}}, "number into Go struct field ConfigMap.binaryData of type []uint8"),
        (core.CONFIG_MAP, {"metadata": "x"}, "string into Go struct field ConfigMap.metadata of type v1.ObjectMeta"),
        (
            core.CONFIG_MAP,
            {"metadata": {"labels": {"a": 1}}},
            "number into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        (
            core.CONFIG_MAP,
            {"metadata": {"ownerReferences": [{"controller": "x"}]}},
            "string into Go struct field OwnerReference.metadata.ownerReferences.controller of type bool",
        ),
        (
            core.CONFIG_MAP,
            {"metadata": {"generation": 1.5}},
            "number 1.5 into Go struct field ObjectMeta.metadata.generation of type int64",
        ),
        (
            core.CONFIG_MAP,
            {"metadata": {"creationTimestamp": 5}},
            "number into Go struct field ObjectMeta.metadata.creationTimestamp of type string",
        ),
        (
            rbac.CLUSTER_ROLE,
            {"rules": [{"verbs": [1]}]},
            "number into Go struct field PolicyRule.rules.verbs of type string",
        ),
        (rbac.CLUSTER_ROLE, {"rules": ["x"]}, "string into Go struct field ClusterRole.rules of type v1.PolicyRule"),
        (
            coordination.LEASE,
            {"spec": {"leaseDurationSeconds": 2**31}},
            "number 2147483648 into Go struct field LeaseSpec.spec.leaseDurationSeconds of type int32",
        ),
        (
            apiextensions.CUSTOM_RESOURCE_DEFINITION,
            {"spec": {"versions": [{"schema": {"openAPIV3Schema": {"properties": {"a": {"maxLength": "x"}}}}}]}},
            (
                "string into Go struct field "
                "JSONSchemaProps.spec.versions.schema.openAPIV3Schema.properties.maxLength of type int64"
            ),
        ),
    ],
)
def test_the_first_value_of_a_wrong_type_is_named_by_struct_path_and_go_type(message, obj, why):
    assert decoding_error(message, obj) == f"json: cannot unmarshal {why}"


@pytest.mark.parametrize(("text", "at"), [("?", 0), ("YQ=?", 3), ("YQ", 0), ("YWFhYQ", 4), ("YQ==YQ==", 8)])
def test_what_is_no_base64_is_said_with_the_place(text, at):
    assert decoding_error(core.CONFIG_MAP, {"binaryData": {"a": text}}) == f"illegal base64 data at input byte {at}"


def test_a_time_that_is_none_is_said_with_the_layout():
    why = 'parsing time "soon" as "2006-01-02T15:04:05Z07:00": cannot parse "soon" as "2006"'
    assert decoding_error(coordination.LEASE, {"spec": {"renewTime": "soon"}}) == why
    assert metadata_error({"creationTimestamp": "soon"}) == why


def test_custom_objects_have_go_types_in_their_metadata_only():
    assert metadata_error({"labels": {"a": 1}}) == (
        "json: cannot unmarshal number into Go struct field ObjectMeta.labels of type string"
    )


def test_nulls_unknown_fields_and_what_decodes_itself_are_no_mistake():
    good = {"metadata": {"labels": None, "name": None}, "data": {"a": None}, "unknown": 5, "kind": "ConfigMap"}
    assert decoding_error(core.CONFIG_MAP, good) == ""
    assert decoding_error(core.RESOURCE_QUOTA, {"spec": {"hard": {"pods": 5, "cpu": "1"}}}) == ""


def test_nulls_in_maps_of_strings_become_empty():
    obj = {"data": {"a": None, "b": "x"}, "binaryData": {"c": None}, "immutable": None}
    fill_in_nulls(core.CONFIG_MAP, obj)
    assert obj == {"data": {"a": "", "b": "x"}, "binaryData": {"c": ""}, "immutable": None}


def nested(**schema):
    below = {"properties": {"a": schema}}
    return {"spec": {"versions": [{"schema": {"openAPIV3Schema": below}}]}}


PLACE = "spec.versions.schema.openAPIV3Schema.properties"


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": 1}, f"number into Go struct field JSONSchemaProps.{PLACE}.type of type string"),
        ({"maxLength": 1.5}, f"number 1.5 into Go struct field JSONSchemaProps.{PLACE}.maxLength of type int64"),
        ({"enum": "x"}, f"string into Go struct field JSONSchemaProps.{PLACE}.enum of type []v1.JSON"),
        ({"not": "x"}, f"string into Go struct field JSONSchemaProps.{PLACE}.not of type v1.JSONSchemaProps"),
        (
            {"allOf": [{"maxLength": "x"}]},
            f"string into Go struct field JSONSchemaProps.{PLACE}.allOf.maxLength of type int64",
        ),
        (
            {"properties": [1]},
            f"array into Go struct field JSONSchemaProps.{PLACE}.properties of type map[string]v1.JSONSchemaProps",
        ),
        (
            {"externalDocs": "x"},
            f"string into Go struct field JSONSchemaProps.{PLACE}.externalDocs of type v1.ExternalDocumentation",
        ),
        (
            {"x-kubernetes-validations": [{"rule": 1}]},
            f"number into Go struct field ValidationRule.{PLACE}.x-kubernetes-validations.rule of type string",
        ),
        ({"items": {"type": 1}}, f"number into Go struct field JSONSchemaProps.{PLACE}.items of type string"),
        ({"items": [{"type": 1}]}, f"number into Go struct field JSONSchemaProps.{PLACE}.items of type string"),
        (
            {"additionalProperties": {"properties": {"b": {"nullable": 1}}}},
            f"number into Go struct field JSONSchemaProps.{PLACE}.additionalProperties of type bool",
        ),
    ],
)
def test_schemas_are_decoded_at_any_depth(schema, why):
    """What decodes itself, because it may be of several types, tells its own place only."""
    found = decoding_error(apiextensions.CUSTOM_RESOURCE_DEFINITION, nested(**schema))
    assert found == f"json: cannot unmarshal {why}"


def test_additional_properties_are_a_schema_or_a_boolean():
    for keyword in ("additionalProperties", "additionalItems"):
        found = decoding_error(apiextensions.CUSTOM_RESOURCE_DEFINITION, nested(**{keyword: "x"}))
        assert found == "boolean or JSON schema expected"
    sound = nested(additionalProperties=True, items={"type": "string", "default": 1}, dependencies={"a": ["b"]})
    assert decoding_error(apiextensions.CUSTOM_RESOURCE_DEFINITION, sound) == ""


@pytest.mark.parametrize(
    ("message", "obj", "field"),
    [
        (core.CONFIG_MAP, {"metadata": {"uid": 1}}, "ObjectMeta.metadata.uid of type types.UID"),
        (
            apiextensions.CUSTOM_RESOURCE_DEFINITION,
            {"spec": {"scope": 1}},
            "CustomResourceDefinitionSpec.spec.scope of type v1.ResourceScope",
        ),
    ],
)
def test_strings_of_a_type_of_their_own_are_named_by_it(message, obj, field):
    assert decoding_error(message, obj) == f"json: cannot unmarshal number into Go struct field {field}"
