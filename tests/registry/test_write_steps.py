"""Steps of a write by themselves; texts of apiextensions-apiserver 0.33.5."""

import pytest

from kcpcache.meta.errors import FieldError, field_duplicate, field_invalid
from kcpcache.registry.definitions import definition_of_crd
from kcpcache.registry.embedded import decode_embedded
from kcpcache.registry.view import WriteOptions
from kcpcache.registry.write_checks import prune
from kcpcache.registry.write_steps import UndecodableError, within_status


@pytest.mark.parametrize(
    ("path", "named"), [("status.phase", "phase"), ("status.conditions[0].type", "conditions[0].type"), ("status", "")]
)
def test_a_write_of_a_status_names_fields_as_the_schema_of_the_status_does(path, named):
    error = FieldError("FieldValueTypeInvalid", path, f'Invalid value: "x": {path} in body must be of type string')
    told = within_status(error)
    assert (told.reason, told.path) == (error.reason, path)
    assert told.body == f'Invalid value: "x": {named} in body must be of type string'
    other = FieldError("FieldValueInvalid", "spec.a", "Invalid value: 1: spec.a in body should be less")
    assert within_status(other) is other


def test_values_are_shown_as_go_shows_them():
    assert field_invalid("a", "x\u200b\t\x00é", "no").body == 'Invalid value: "x\\u200b\\t\\x00é": no'
    assert field_duplicate("a", {"port": 1, "host": "x"}).body == (
        'Duplicate value: map[string]interface {}{"host":"x", "port":1}'
    )


def embedding():
    names = {"plural": "things", "kind": "Thing"}
    inner = {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"inner": inner}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    spec = {"group": "example.com", "scope": "Cluster", "names": names, "versions": [version]}
    definition = definition_of_crd({"spec": spec})
    return definition, definition.version("v1")


def test_what_is_empty_in_embedded_metadata_goes_from_an_apply_too():
    obj = {"inner": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "", "labels": {"a": "b"}}}}
    decode_embedded(*embedding(), obj, applied=True)
    assert obj["inner"]["metadata"] == {"labels": {"a": "b"}}


def test_what_is_of_a_wrong_type_there_is_left_to_the_validation_of_an_apply():
    obj = {"inner": {"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": 1}}}
    decode_embedded(*embedding(), obj, applied=True)
    assert obj["inner"]["metadata"] == {"labels": 1}
    with pytest.raises(UndecodableError):
        decode_embedded(*embedding(), obj)


def test_what_embedded_metadata_does_not_have_is_named_at_any_depth():
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "u", "odd": 1}
    meta = {"name": "a", "ownerReferences": [owner], "odd": {}}
    obj = {"inner": {"apiVersion": "v1", "kind": "Pod", "metadata": meta}}
    found = decode_embedded(*embedding(), obj)
    assert sorted(found) == ["inner.metadata.odd", "inner.metadata.ownerReferences[0].odd"]
    assert "odd" not in owner


@pytest.mark.parametrize(("validation", "told"), [("Warn", True), ("Ignore", False)])
def test_a_write_is_told_of_it(validation, told):
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "u", "odd": 1}
    inner = {"apiVersion": "v1", "kind": "Pod", "metadata": {"ownerReferences": [owner]}}
    obj = {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "a"}, "inner": inner}
    options = WriteOptions(field_validation=validation)
    prune(*embedding(), obj, options)
    assert options.warnings == (['unknown field "inner.metadata.ownerReferences[0].odd"'] if told else [])
