import copy

import pytest

from kcpcache.schema.prune import compile_pruner

PRESERVE = {"x-kubernetes-preserve-unknown-fields": True}
STRING = {"type": "string"}


def spec(schema):
    return {"type": "object", "properties": {"spec": schema}}


CASES = {
    "unknown fields go": (
        spec({"type": "object", "properties": {"a": STRING}}),
        {"spec": {"a": "1", "b": 2}},
        {"spec": {"a": "1"}},
        ["spec.b"],
    ),
    "unknown fields of list items are named by index": (
        spec({"type": "array", "items": {"type": "object", "properties": {"a": STRING}}}),
        {"spec": [{"bar": 1, "a": "1"}, {"a": "2"}, {"bar": {}}]},
        {"spec": [{"a": "1"}, {"a": "2"}, {}]},
        ["spec[0].bar", "spec[2].bar"],
    ),
    "type and metadata of the root stay whole": (
        {"type": "object"},
        {"apiVersion": "v1", "kind": "X", "metadata": {"labels": {"a": "b"}}, "data": 1},
        {"apiVersion": "v1", "kind": "X", "metadata": {"labels": {"a": "b"}}},
        ["data"],
    ),
    "type and metadata deeper down are fields like others": (
        spec({"type": "object"}),
        {"spec": {"kind": "X", "metadata": {}}},
        {"spec": {}},
        ["spec.kind", "spec.metadata"],
    ),
    "type and metadata of embedded resources stay, but for what metadata does not have": (
        spec({"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"a": STRING}}),
        {"spec": {"apiVersion": "v1", "kind": "X", "metadata": {"q": 1, "labels": {"l": "1"}}, "a": "", "b": ""}},
        {"spec": {"apiVersion": "v1", "kind": "X", "metadata": {"labels": {"l": "1"}}, "a": ""}},
        ["spec.b", "spec.metadata.q"],
    ),
    "preserving keeps everything": (
        spec({"type": "object"} | PRESERVE),
        {"spec": {"x": {"y": [{"z": 1}]}}},
        {"spec": {"x": {"y": [{"z": 1}]}}},
        [],
    ),
    "properties below a preserving node prune again": (
        spec({"type": "object", "properties": {"a": {"type": "object"}}} | PRESERVE),
        {"spec": {"x": 1, "a": {"gone": 1}}},
        {"spec": {"x": 1, "a": {}}},
        ["spec.a.gone"],
    ),
    "values of a map are pruned by its schema": (
        spec({"type": "object", "additionalProperties": {"type": "object", "properties": {"a": STRING}}}),
        {"spec": {"k": {"a": "", "b": ""}, "l": {}}},
        {"spec": {"k": {"a": ""}, "l": {}}},
        ["spec.k.b"],
    ),
    "values of a map of anything keep no fields": (
        spec({"type": "object", "additionalProperties": True}),
        {"spec": {"a": 1, "b": {"c": 1}, "d": [{"e": 1}]}},
        {"spec": {"a": 1, "b": {}, "d": [{}]}},
        ["spec.b.c", "spec.d[0].e"],
    ),
    "embedded resources that are preserved are kept whole but for what metadata does not have": (
        spec({"type": "object", "x-kubernetes-embedded-resource": True} | PRESERVE),
        {"spec": {"kind": "X", "metadata": {"q": 1, "name": "n"}, "a": {"b": 1}}},
        {"spec": {"kind": "X", "metadata": {"name": "n"}, "a": {"b": 1}}},
        ["spec.metadata.q"],
    ),
    "objects where scalars should be are emptied, for validation to judge": (
        spec(STRING),
        {"spec": {"a": [{"b": 1}]}},
        {"spec": {}},
        ["spec.a"],
    ),
    "lists where objects should be keep their scalars": (
        spec({"type": "object"}),
        {"spec": [1, {"a": 1}, [{"b": 1}]]},
        {"spec": [1, {}, [{}]]},
        ["spec[1].a", "spec[2][0].b"],
    ),
    "items of a preserving list are preserved": (
        spec({"items": {"type": "object", "properties": {"a": {"type": "object"}}}} | PRESERVE),
        {"spec": [{"x": 1, "a": {"gone": 1}}]},
        {"spec": [{"x": 1, "a": {}}]},
        ["spec[0].a.gone"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_pruning(name):
    schema, given, kept, dropped = CASES[name]
    obj = copy.deepcopy(given)
    assert compile_pruner(schema)(obj) == dropped
    assert obj == kept
