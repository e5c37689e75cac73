"""Each overload of each function that rules have, against what kube-apiserver 1.33 answered."""

from pathlib import Path

import pytest

from kcpcache.schema.cel import compile_rules
from kcpcache.schema.structural import check_structural

WORD = {"type": "string", "maxLength": 20}
INTEGER = {"type": "integer"}


def listed(items, most=10):
    return {"type": "array", "maxItems": most, "items": items}


SCHEMA = {
    "type": "object",
    "properties": {
        "s": WORD,
        "i": INTEGER,
        "n": {"type": "number"},
        "b": {"type": "boolean"},
        "l": listed(WORD),
        "li": listed(INTEGER),
        "m": {"type": "object", "maxProperties": 10, "additionalProperties": INTEGER},
        "io": {"x-kubernetes-int-or-string": True},
        "t": {"type": "string", "format": "date-time"},
        "d": {"type": "string", "format": "duration"},
        "y": WORD | {"format": "byte"},
        "o": {"type": "object", "properties": {"a": WORD}},
        "lo": listed({"type": "object", "properties": {"k": WORD, "v": INTEGER}}, most=5),
    },
}
VALUE = {
    "s": "hello",
    "i": 3,
    "n": 2.5,
    "b": True,
    "l": ["b", "a", "c"],
    "li": [3, 1, 2],
    "m": {"x": 1, "y": 2},
    "io": 5,
    "t": "2024-02-03T04:05:06Z",
    "d": "1h30m",
    "y": "aGk=",
    "o": {"a": "z"},
    "lo": [{"k": "p", "v": 1}, {"k": "q", "v": 2}],
}


def rules(part):
    text = Path(__file__).with_name("cel_functions.txt").read_text(encoding="utf-8")
    return [line for line in text.split("-" * 20)[part].splitlines() if line and not line.startswith("#")]


def errors(rule):
    schema = SCHEMA | {"x-kubernetes-validations": [{"rule": rule}]}
    assert check_structural(schema, "s") == []
    return compile_rules(schema)(VALUE)


@pytest.mark.parametrize("rule", rules(0))
def test_a_function_answers_as_in_kubernetes(rule):
    assert errors(rule) == []


@pytest.mark.parametrize("rule", rules(1))
def test_a_rule_does_not_hold_where_it_does_not_in_kubernetes(rule):
    assert errors(rule) != []
