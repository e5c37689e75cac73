"""What an update may leave as it is though the schema would refuse it now (KEP-4008), and what it may not."""

import pytest

from kcpcache.schema.compiled import compile_schema

STRING, INTEGER = {"type": "string"}, {"type": "integer"}
SHORT = STRING | {"maxLength": 1}


def fields(**properties):
    return {"type": "object", "properties": properties}


def listed(items, list_type=None, *keys):
    schema = {"type": "array", "items": items}
    schema |= {"x-kubernetes-list-type": list_type} if list_type else {}
    return schema | ({"x-kubernetes-list-map-keys": list(keys)} if keys else {})


def ruled(schema, rule, **more):
    return schema | {"x-kubernetes-validations": [{"rule": rule, **more}]}


def blamed(schema, new, old):
    """The fields of ``spec`` that an update is refused for."""
    found = compile_schema(fields(spec=schema)).validate({"spec": new}, {"spec": old})
    return [error.path.removeprefix("spec") for error in found]


@pytest.mark.parametrize(
    ("schema", "value", "other"),
    [
        (INTEGER, "x", "y"),
        (INTEGER | {"minimum": 5}, 1, 2),
        (INTEGER | {"maximum": 5}, 8, 9),
        (INTEGER | {"multipleOf": 2}, 1, 3),
        (STRING | {"enum": ["a"]}, "b", "c"),
        (STRING | {"pattern": "^a"}, "b", "c"),
        (STRING | {"minLength": 2}, "b", "c"),
        (STRING | {"format": "date"}, "b", "c"),
        (STRING | {"anyOf": [{"enum": ["a"]}, {"maxLength": 0}]}, "b", "c"),
        (STRING | {"oneOf": [{"minLength": 1}, {"maxLength": 1}]}, "b", "c"),
        (STRING | {"allOf": [{"enum": ["a"]}, {"minLength": 1}]}, "b", "c"),
        (STRING | {"not": {"minLength": 1}}, "b", "c"),
        (listed(STRING) | {"maxItems": 1}, ["a", "b"], ["a", "c"]),
        (listed(STRING) | {"minItems": 2}, ["a"], ["b"]),
        (fields(x=STRING, y=INTEGER) | {"required": ["x"]}, {}, {"y": 1}),
        (fields() | {"additionalProperties": INTEGER, "maxProperties": 1}, {"a": 1, "b": 2}, {"a": 1, "b": 3}),
        (fields() | {"additionalProperties": INTEGER, "minProperties": 2}, {"a": 1}, {"a": 2}),
        (ruled(INTEGER, "self > 5"), 1, 2),
    ],
)
def test_whatever_a_value_breaks_it_may_stay(schema, value, other):
    outer = fields(a=schema, b=STRING)
    assert blamed(outer, {"a": value, "b": "new"}, {"a": value, "b": "old"}) == []
    assert blamed(outer, {"a": other, "b": "new"}, {"a": value, "b": "old"}) != []
    assert blamed(outer, {"a": value}, {}) != []


def test_what_moves_to_another_field_is_new_there():
    assert blamed(fields(a=SHORT, b=SHORT), {"b": "long"}, {"a": "long"}) == [".b"]


def test_values_of_maps_are_compared_by_their_key():
    schema = {"type": "object", "additionalProperties": SHORT}
    assert blamed(schema, {"a": "long", "b": "x"}, {"a": "long"}) == []
    assert blamed(schema, {"b": "long"}, {"a": "long"}) == [".b"]


@pytest.mark.parametrize("list_type", [None, "atomic", "set"])
@pytest.mark.parametrize("item", [SHORT, ruled(STRING, "self.size() < 2")])
def test_items_of_other_lists_than_maps_are_compared_with_nothing(list_type, item):
    schema = fields(a=listed(item, list_type), b=STRING)
    assert blamed(schema, {"a": ["long"], "b": "new"}, {"a": ["long"]}) == []
    assert blamed(schema, {"a": ["long", "x"]}, {"a": ["long"]}) == [".a[0]"]


@pytest.mark.parametrize("value", [SHORT, ruled(STRING, "self.size() < 2")])
def test_items_of_list_maps_are_compared_by_all_their_keys(value):
    item = fields(k=STRING, port=INTEGER, v=value) | {"required": ["k", "port"]}
    schema = listed(item, "map", "k", "port")
    old = [{"k": "a", "port": 1, "v": "long"}, {"k": "a", "port": 2, "v": "x"}]
    assert blamed(schema, [{"k": "b", "port": 1, "v": "y"}, *old[::-1]], old) == []
    assert blamed(schema, [{"k": "a", "port": 2, "v": "long"}], old) == ["[0].v"]


def test_lists_within_items_of_list_maps_are_found_too():
    inner = listed(fields(k=STRING, v=SHORT) | {"required": ["k"]}, "map", "k")
    schema = listed(fields(k=STRING, inner=inner) | {"required": ["k"]}, "map", "k")
    old = [{"k": "a", "inner": [{"k": "b", "v": "long"}]}]
    new = [{"k": "a", "inner": [{"k": "c", "v": "x"}, {"k": "b", "v": "long"}]}]
    assert blamed(schema, new, old) == []
    assert blamed(listed(schema["items"]), new, old) == ["[0].inner[1].v"]


def test_what_is_said_of_an_object_as_a_whole_is_asked_again_when_any_of_it_changes():
    whole = fields(a=STRING, b=STRING) | {"oneOf": [{"required": ["a"]}, {"required": ["x"]}]}
    assert blamed(fields(s=whole), {"s": {"b": "1"}}, {"s": {"b": "1"}}) == []
    assert blamed(fields(s=whole), {"s": {"b": "2"}}, {"s": {"b": "1"}}) != []
    schema = fields(s=ruled(fields(a=STRING, b=STRING), "self.a == 'good'"), t=STRING)
    old = {"s": {"a": "bad", "b": "1"}, "t": "1"}
    assert blamed(schema, {**old, "t": "2"}, old) == []
    assert blamed(schema, {"s": {"a": "bad", "b": "2"}, "t": "1"}, old) == [".s"]


@pytest.mark.parametrize("more", [{}, {"optionalOldSelf": True}])
def test_transition_rules_are_asked_of_what_does_not_change_too(more):
    rule = "self != oldSelf.value()" if more else "self != oldSelf"
    assert blamed(fields(a=ruled(STRING, rule, **more), b=STRING), {"a": "x", "b": "2"}, {"a": "x", "b": "1"}) == [".a"]


def test_what_stands_twice_may_where_anything_did_before():
    """Kubernetes asks of the old object as a whole whether its sets and maps were sound."""
    keyed = listed(fields(k=STRING) | {"required": ["k"]}, "map", "k")
    schema, twice = fields(a=keyed, b=listed(STRING, "set")), [{"k": "x"}, {"k": "x"}]
    assert blamed(schema, {"a": twice, "b": ["x"]}, {"a": twice}) == []
    assert blamed(schema, {"a": twice, "b": ["x", "x"]}, {"a": twice}) == []
    assert blamed(schema, {"a": twice}, {"a": [{"k": "x"}]}) == [".a[1]"]


def test_embedded_resources_say_what_they_are_on_every_update():
    embedded = fields(x=STRING) | {"x-kubernetes-embedded-resource": True}
    assert blamed(fields(a=embedded, b=STRING), {"a": {"kind": "X"}, "b": "2"}, {"a": {"kind": "X"}, "b": "1"}) == [
        ".a.apiVersion"
    ]


@pytest.mark.parametrize(
    ("resource", "errors"),
    [
        ({"apiVersion": "", "kind": ""}, ['apiVersion: Invalid value: "": must not be empty']),
        ({"apiVersion": "v1", "kind": "X", "metadata": None}, []),
        ({"apiVersion": "v1", "kind": "X", "metadata": {}}, []),
        ({"apiVersion": "v1", "kind": "X", "metadata": {"name": "A"}}, []),
        ({"apiVersion": "v1", "kind": "X", "metadata": {"name": "a/b"}}, ['metadata.name: Invalid value: "a/b"']),
        ({"apiVersion": "v1", "kind": "X", "metadata": {"namespace": "A"}}, ['metadata.namespace: Invalid value: "A"']),
        ({"apiVersion": "v1", "kind": "X", "metadata": {"finalizers": ["a b"]}}, ["metadata.finalizers"]),
        ({"kind": "X"}, ["apiVersion: Required value: must not be empty"]),
        ({"apiVersion": 1, "kind": "X"}, ["apiVersion: Invalid value: 1: must be a string"]),
    ],
)
def test_embedded_resources_are_judged_as_objects_are(resource, errors):
    """After apiextensions-apiserver: an empty type is invalid, a missing one required, no metadata is no fault."""
    embedded = {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True}
    found = [error.message for error in compile_schema(fields(a=embedded)).validate({"a": resource})]
    assert len([text for text in found if any(text.startswith(f"a.{error}") for error in errors)]) == len(errors)
    assert bool(found) == bool(errors)
