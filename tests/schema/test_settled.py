"""What is seen at a glance, that an object stays as it is, agrees with pruning and defaulting it."""

import pytest

from kcpcache.schema.compiled import compile_schema

PORT = {"type": "object", "properties": {"port": {"type": "integer"}, "protocol": {"type": "string", "default": "TCP"}}}
KEEP = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
EMBEDDED = {"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"spec": {"type": "object"}}}


def of(**properties):
    return compile_schema({"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}})


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "array", "items": PORT}, [{"port": 1, "protocol": "UDP"}, {"protocol": ""}]),
        ({"type": "object", "additionalProperties": PORT}, {"a": {"protocol": "x"}}),
        ({"type": "object", "additionalProperties": {"type": "string"}}, {"a": "b"}),
        ({"type": "object", "additionalProperties": True}, {"a": {}}),
        ({"type": "string", "nullable": True}, None),
        ({"x-kubernetes-int-or-string": True}, "80%"),
        (KEEP, {"any": {"thing": [None, {"at": "all"}]}}),
        (EMBEDDED, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": {"a": "b"}}, "spec": {}}),
    ],
)
def test_the_usual_objects_are_seen_to_be_settled(schema, value):
    obj = {"apiVersion": "a/v1", "kind": "A", "metadata": {"name": "a"}, "spec": {"x": value}}
    assert of(x=schema).is_settled(obj)


@pytest.mark.parametrize(
    ("schema", "value", "shown"),
    [
        ({"type": "array", "items": PORT}, [{"port": 1}], [{"port": 1, "protocol": "TCP"}]),
        ({"type": "array", "items": PORT}, [{"protocol": "a", "b": 1}], [{"protocol": "a"}]),
        ({"type": "object", "additionalProperties": PORT}, {"a": {}}, {"a": {"protocol": "TCP"}}),
        (
            {"type": "object", "additionalProperties": {"type": "string"}},
            {"a": None, "b": "c"},
            {"b": "c"},
        ),
        ({"type": "string", "default": "a"}, None, "a"),
        ({"type": "array", "items": {"type": "string", "default": "a"}}, [None], ["a"]),
        ({**KEEP, "properties": {"port": PORT}}, {"port": {}, "b": 1}, {"port": {"protocol": "TCP"}, "b": 1}),
        (
            EMBEDDED,
            {"apiVersion": 1, "kind": "Pod", "metadata": {"name": 1, "odd": 2, "labels": {"a": 1, "b": "c"}}},
            {"kind": "Pod", "metadata": {"labels": {"b": "c"}}},
        ),
        (EMBEDDED, {"apiVersion": "v1", "kind": [], "metadata": "none", "odd": 1}, {"apiVersion": "v1"}),
    ],
)
def test_what_is_not_is_pruned_and_defaulted(schema, value, shown):
    made = of(x=schema)
    obj = {"spec": {"x": value}}
    assert not made.is_settled(obj)
    made.settle(obj)
    assert obj == {"spec": {"x": shown}}
    assert made.is_settled(obj)


def test_nulls_are_dropped_from_converted_objects_unless_a_default_stands_for_them():
    made = of(a={"type": "string"}, b={"type": "string", "default": "x"}, c={"type": "string", "nullable": True})
    obj = {"spec": {"a": None, "b": None, "c": None}}
    made.drop_nulls(obj)
    assert obj == {"spec": {"b": None, "c": None}}
