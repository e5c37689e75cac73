import copy

import pytest

from kcpcache.schema.default import compile_defaulter, compile_filler


def fields(**properties):
    return {"type": "object", "properties": properties}


def string(**more):
    return {"type": "string", **more}


CASES = {
    "an absent field gets its default": (fields(a=string(default="x")), {}, {"a": "x"}),
    "a present field keeps its value": (fields(a=string(default="x")), {"a": "y"}, {"a": "y"}),
    "no default appears below an absent object": (fields(a=fields(b=string(default="x"))), {}, {}),
    "a default object is itself defaulted": (
        fields(a=fields(b=string(default="x")) | {"default": {}}),
        {},
        {"a": {"b": "x"}},
    ),
    "null gives way to the default": (fields(a=string(default="x")), {"a": None}, {"a": "x"}),
    "null stays where it is allowed": (
        fields(a=string(default="x", nullable=True)),
        {"a": None},
        {"a": None},
    ),
    "null without a default goes": (fields(status={"type": "object"}), {"status": None}, {}),
    "null of an unknown field is not the schema's business": (fields(), {"other": None}, {"other": None}),
    "null in a map goes": (
        {"type": "object", "additionalProperties": string()},
        {"a": None, "b": "c"},
        {"b": "c"},
    ),
    "null in a map gives way to the default of its values": (
        {"type": "object", "additionalProperties": string(default="x")},
        {"a": None},
        {"a": "x"},
    ),
    "null in a list stays, for validation to judge": (
        fields(a={"type": "array", "items": string()}),
        {"a": [None]},
        {"a": [None]},
    ),
    "null in a list gives way to a default": (
        fields(a={"type": "array", "items": string(default="x")}),
        {"a": [None]},
        {"a": ["x"]},
    ),
    "null in a list stays where it is allowed": (
        fields(a={"type": "array", "items": string(default="x", nullable=True)}),
        {"a": [None]},
        {"a": [None]},
    ),
    "a default that takes the place of null is itself defaulted": (
        fields(a=fields(b=string(default="x")) | {"default": {}}),
        {"a": None},
        {"a": {"b": "x"}},
    ),
    "values of maps are defaulted": (
        {"type": "object", "additionalProperties": fields(b=string(default="x"))},
        {"k": {}, "l": {"b": "y"}},
        {"k": {"b": "x"}, "l": {"b": "y"}},
    ),
    "items of lists are defaulted": (
        fields(a={"type": "array", "items": fields(b=string(default="x"))}),
        {"a": [{}, {"b": "y"}]},
        {"a": [{"b": "x"}, {"b": "y"}]},
    ),
    "false and zero are defaults": (
        fields(a={"type": "boolean", "default": False}, b={"type": "integer", "default": 0}),
        {},
        {"a": False, "b": 0},
    ),
    "default null is no default": (fields(a=string(default=None)), {}, {}),
    "values of another type than the schema's are left alone": (
        fields(a=fields(b=string(default="x"))),
        {"a": [1]},
        {"a": [1]},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_defaulting(name):
    schema, given, expected = CASES[name]
    obj = copy.deepcopy(given)
    default = compile_defaulter(schema)
    default(obj)
    assert obj == expected
    default(obj)
    assert obj == expected


def test_each_object_has_a_default_of_its_own():
    default = compile_defaulter(fields(a=fields() | {"default": {"list": []}}))
    first, second = {}, {}
    default(first)
    first["a"]["list"].append(1)
    default(second)
    assert second == {"a": {"list": []}}


@pytest.mark.parametrize("name", CASES)
def test_filling_is_defaulting_but_for_nulls_without_a_default(name):
    schema, given, expected = CASES[name]
    obj = copy.deepcopy(given)
    compile_filler(schema)(obj)
    assert obj == ({**given, **expected} if name in {"null without a default goes", "null in a map goes"} else expected)
