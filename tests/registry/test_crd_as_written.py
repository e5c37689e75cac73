"""CustomResourceDefinitions are judged and stored as Kubernetes writes them, whatever spelling they came in.

Every case was seen at kube-apiserver 1.33.5.
"""

import base64
from copy import deepcopy

import pytest
from odd_certificates import certificate, of_a_version_that_is_not_there
from test_crd_rules import CRDS, SCHEMA, crd, messages, updated, version

from kcpcache.registry.builtin.apiextensions import CUSTOM_RESOURCE_DEFINITION as CRD_TYPE
from kcpcache.registry.builtin.canonical import as_written
from kcpcache.registry.builtin.core import CONFIG_MAP
from kcpcache.schema.structural import check_structural
from kcpcache.schema.structural_defaults import has_default

SELECTABLE = [{"jsonPath": ".spec.f0"}]


def with_field(keyword, value):
    schema = deepcopy(SCHEMA)
    schema["properties"]["spec"]["properties"]["f1"][keyword] = value
    return schema


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("nullable", False),
        ("exclusiveMaximum", False),
        ("uniqueItems", False),
        ("x-kubernetes-embedded-resource", False),
        ("title", ""),
        ("pattern", ""),
        ("format", ""),
        ("required", []),
        ("enum", []),
        ("allOf", []),
        ("properties", {}),
        ("patternProperties", {}),
        ("x-kubernetes-list-map-keys", []),
        ("x-kubernetes-validations", []),
        ("default", None),
        ("maximum", None),
    ],
)
def test_a_keyword_that_says_nothing_is_left_out(keyword, value):
    """So versions whose schemas differ in nothing else have the same, and fields to select by find it."""
    found = crd(
        version("v1", selectableFields=SELECTABLE),
        version("v2", storage=False, schema=with_field(keyword, value), selectableFields=SELECTABLE),
    )
    one, other = (each["schema"]["openAPIV3Schema"] for each in found["spec"]["versions"])
    assert one == other == SCHEMA
    assert messages(found) == []


@pytest.mark.parametrize(
    ("keyword", "value"), [("maxLength", 0), ("$ref", ""), ("x-kubernetes-preserve-unknown-fields", False)]
)
def test_a_pointer_says_something_even_if_it_points_to_nothing(keyword, value):
    found = crd(version(schema=with_field(keyword, value)))
    spec = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert spec["properties"]["f1"] == {"type": "string", keyword: value}


def test_a_schema_is_written_so_at_any_depth():
    odd = {"nullable": False, "minLength": 0}
    deep = {
        "items": dict(odd),
        "additionalProperties": dict(odd),
        "not": dict(odd),
        "anyOf": [dict(odd), None],
        "properties": {"a": dict(odd), "b": None},
    }
    found = crd(version(schema=deep))
    assert found["spec"]["versions"][0]["schema"]["openAPIV3Schema"] == {
        "items": {"minLength": 0},
        "additionalProperties": {"minLength": 0},
        "not": {"minLength": 0},
        "anyOf": [{"minLength": 0}, {}],
        "properties": {"a": {"minLength": 0}, "b": {}},
    }


def test_what_is_always_written_stands_there():
    found = crd({"name": "v1", "storage": True, "additionalPrinterColumns": [], "selectableFields": []}, shortNames=[])
    assert found["spec"]["versions"] == [{"name": "v1", "served": False, "storage": True}]
    found = {"metadata": {}, "spec": {"conversion": {"webhook": {"clientConfig": {"caBundle": ""}}}}}
    CRDS.default(found)
    assert found["spec"]["conversion"] == {"strategy": "", "webhook": {"clientConfig": {}}}
    assert found["spec"]["names"] == {"plural": "", "kind": ""}
    assert (found["spec"]["group"], found["spec"]["scope"]) == ("", "")


@pytest.mark.parametrize("value", [0, [], {}, "", False])
def test_only_an_empty_value_of_the_fields_own_type_is_nothing(value):
    """Of another type it is the decoder's to refuse."""
    for name, own in (("shortNames", []), ("singular", "")):
        found = {"spec": {"names": {name: value}}}
        as_written(CRD_TYPE, found)
        assert (name in found["spec"]["names"]) is (value != own or type(value) is not type(own))


def test_maps_of_texts_keep_their_texts():
    found = {"metadata": {"name": "x"}, "data": {"a": ""}, "binaryData": {}}
    as_written(CONFIG_MAP, found)
    assert found["data"] == {"a": ""}
    assert "binaryData" not in found


def test_a_rule_without_a_rule_is_told_so():
    schema = {"type": "object", "x-kubernetes-validations": [{"message": "m"}]}
    path = "spec.validation.openAPIV3Schema.x-kubernetes-validations[0].rule"
    assert messages(crd(version(schema=schema))) == [f"{path}: Required value: rule is not specified"]


# Names


def test_a_stored_definition_has_the_name_that_it_has():
    """Only its plural and group are looked at again: they may not change."""
    stored = crd()
    stored["metadata"]["resourceVersion"] = "1"
    changed = deepcopy(stored)
    changed["metadata"]["generateName"] = "x"
    assert messages(changed) == []
    changed["spec"]["names"]["plural"] = "gadgets"
    assert messages(changed) == []
    assert updated(changed, stored) == ['spec.names.plural: Invalid value: "gadgets": field is immutable']


def test_without_a_name_nothing_is_said_of_how_it_should_be():
    found = crd()
    found["metadata"]["name"] = ""
    assert messages(found) == []


def test_a_scope_that_is_left_out_is_shown_as_the_empty_text_that_it_is():
    stored = crd()
    stored["status"] = {"conditions": [{"type": "Established", "status": "True"}], "storedVersions": ["v1"]}
    changed = deepcopy(stored)
    del changed["spec"]["scope"]
    assert updated(changed, stored) == ['spec.scope: Invalid value: "": field is immutable']


# Versions


def test_of_two_storage_versions_of_one_name_one_is_not_stored():
    found = crd(version(), version())
    found["status"] = {"storedVersions": ["v1"]}
    assert 'status.storedVersions: Invalid value: []string{"v1"}: must have the storage version v1' in messages(found)


def test_a_storage_version_without_a_name_counts_as_stored():
    found = crd(version(""))
    CRDS.prepare_create(found)
    assert found["status"]["storedVersions"] == [""]


# preserveUnknownFields


def test_beside_unknown_fields_there_are_no_defaults_and_no_webhook():
    found = crd(preserveUnknownFields=True)
    cannot = (
        "spec.preserveUnknownFields: Invalid value: true: cannot set to true, set x-kubernetes-preserve-unknown-fields "
        "to true in spec.versions[*].schema instead"
    )
    assert messages(found) == [cannot]
    defaulted = crd(version(schema=with_field("default", "x")), preserveUnknownFields=True)
    must = "spec.preserveUnknownFields: Invalid value: true: must be false in order to use defaults in the schema"
    assert messages(defaulted) == [must, cannot]
    webhook = {"conversionReviewVersions": ["v1"], "clientConfig": {"url": "https://x"}}
    converted = crd(preserveUnknownFields=True, conversion={"strategy": "Webhook", "webhook": webhook})
    where = 'spec.conversion.strategy: Invalid value: "Webhook": must be None if spec.preserveUnknownFields is true'
    assert messages(converted) == [cannot, where]


@pytest.mark.parametrize("keyword", ["items", "additionalProperties", "additionalItems", "not"])
def test_a_default_is_found_wherever_it_stands(keyword):
    assert has_default({keyword: {"default": 1}})
    assert has_default({"anyOf": [1, {keyword: {"default": 1}}]})
    assert has_default({"properties": {"a": {"definitions": {"b": {"default": False}}}}})
    assert not has_default({keyword: {"default": None}, "properties": {"default": {}}, "items": [None]})


# The root beside a status


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (SCHEMA | {"type": "string"}, '.type: Invalid value: "string": only "object" is allowed as the type'),
        (SCHEMA | {"nullable": True}, ': Invalid value: "nullable": only ['),
        (SCHEMA | {"additionalProperties": False, "oneOf": [{}]}, ': Invalid value: "oneOf": only ['),
        (SCHEMA | {"maxProperties": 0, "nullable": False}, ': Invalid value: "maxProperties": only ['),
    ],
)
def test_the_first_keyword_that_may_not_stand_there_is_named(schema, expected):
    found = messages(crd(version(schema=schema, subresources={"status": {}})))
    assert [text for text in found if "status subresource is enabled" in text] == [found[0]]
    assert found[0].startswith(f"spec.validation.openAPIV3Schema{expected}")


def test_a_schema_of_all_versions_stands_beside_the_status_of_any():
    schema = SCHEMA | {"oneOf": [{"required": ["spec"]}]}
    found = crd(version("v1", schema=schema), version("v2", storage=False, schema=schema, subresources={"status": {}}))
    assert [text.partition(": only")[0] for text in messages(found)] == [
        'spec.validation.openAPIV3Schema: Invalid value: "oneOf"'
    ]
    other = crd(
        version("v1", schema=schema), version("v2", storage=False, subresources={"status": {}})
    )  # another schema: each for itself
    assert messages(other) == []


# Structural schemas


def test_what_a_structural_schema_does_not_know_makes_no_difference_to_it():
    either = [{"type": "integer", "example": 1}, {"type": "string", "externalDocs": {"url": "x"}}]
    schema = {
        "type": "object",
        "properties": {
            "port": {"x-kubernetes-int-or-string": True, "anyOf": either},
            "metadata": {"type": "object", "example": {}, "properties": {"name": {"type": "string"}}},
        },
    }
    assert check_structural(schema, "s") == []


@pytest.mark.parametrize("keyword", ["x-kubernetes-list-type", "x-kubernetes-map-type"])
def test_an_empty_type_of_lists_or_maps_is_one_too(keyword):
    schema = {"type": "object", "properties": {"a": {"type": "string", "not": {keyword: ""}}}}
    found = [error.message for error in check_structural(schema, "s")]
    assert f"s.properties[a].not.{keyword}: Forbidden: must be undefined to be structural" in found


# Authorities of a conversion webhook


def trusting(bundle):
    client = {"url": "https://x"} | ({} if bundle is None else {"caBundle": base64.b64encode(bundle).decode()})
    webhook = {"conversionReviewVersions": ["v1"], "clientConfig": client}
    found = crd(conversion={"strategy": "Webhook", "webhook": webhook})
    found["status"] = {"conditions": [{"type": "Established", "status": "True"}], "storedVersions": ["v1"]}
    return found


@pytest.mark.parametrize(
    ("bundle", "why"),
    [
        (b"x", "unable to parse bytes as PEM block"),
        (
            b"-----BEGIN CERTIFICATE-----\neA==\n-----END CERTIFICATE-----\n",
            "failed to parse certificate: x509: malformed certificate",
        ),
        (of_a_version_that_is_not_there(), "failed to parse certificate: x509: malformed certificate"),
        (b"-----BEGIN X-----\neA==\n-----END X-----\n", "no valid certificate authority data seen"),
    ],
)
def test_the_authorities_of_an_established_definitions_webhook_must_be_some(bundle, why):
    """``allowInvalidCABundle``: on create, and where they were none before, they need not be."""
    (found,) = updated(trusting(bundle), trusting(None))
    assert found.startswith("spec.conversion.webhookClientConfig.caBundle: Invalid value: []byte{0x")
    assert found.endswith(f"}}: unable to load root certificates: {why}")
    assert updated(trusting(bundle), trusting(b"y")) == []
    assert updated(trusting(certificate()), trusting(None)) == []
    fresh = trusting(None)
    fresh["status"]["conditions"] = []
    assert updated(trusting(bundle), fresh) == []
    assert messages(trusting(bundle)) == []
