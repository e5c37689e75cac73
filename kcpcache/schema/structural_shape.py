"""The JSON types of a schema's keywords, and bounds on its size: what all other checks rely on."""

from collections.abc import Iterator
from typing import Any

from kcpcache.meta.errors import FieldError, field_invalid, field_type_invalid
from kcpcache.meta.objects import Object
from kcpcache.schema.values import INT64, as_go_reads

_MAX_DEPTH = 64
_MAX_ERRORS = 100

_STRINGS = ("type", "format", "pattern", "title", "description", "x-kubernetes-list-type", "x-kubernetes-map-type")
_FLAGS = (
    "nullable",
    "uniqueItems",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
)
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_NUMBERS = ("minimum", "maximum", "multipleOf")
_STRING_LISTS = ("required", "x-kubernetes-list-map-keys")
_SCHEMA_LISTS = ("allOf", "anyOf", "oneOf")
_RULE_STRINGS = ("rule", "message", "messageExpression", "reason", "fieldPath")


def check_shape(schema: Any, path: str) -> list[FieldError]:
    """Keywords that have another JSON type than they must have, at most 100; nesting over 64 levels."""
    errors: list[FieldError] = []
    for error in _schema(schema, path, 0):
        errors.append(error)
        if len(errors) >= _MAX_ERRORS:
            break
    return errors


def _wrong(path: str, value: Any, wanted: str) -> FieldError:
    return field_type_invalid(path, as_go_reads(value), f"must be {wanted}")


def _schema(schema: Any, path: str, depth: int) -> Iterator[FieldError]:
    if not isinstance(schema, dict):
        yield _wrong(path, schema, "an object")
        return
    if depth > _MAX_DEPTH:
        yield field_invalid(path, "object", f"must not be nested deeper than {_MAX_DEPTH} levels")
        return
    yield from _scalars(schema, path)
    yield from _lists(schema, path)
    yield from _rules(schema.get("x-kubernetes-validations"), f"{path}.x-kubernetes-validations")
    yield from _children(schema, path, depth)


def _scalars(schema: Object, path: str) -> Iterator[FieldError]:
    for keyword in _STRINGS:
        if not isinstance(schema.get(keyword), str | None):
            yield _wrong(f"{path}.{keyword}", schema[keyword], "a string")
    for keyword in _FLAGS:
        if not isinstance(schema.get(keyword), bool | None):
            yield _wrong(f"{path}.{keyword}", schema[keyword], "a boolean")
    for keyword in (*_COUNTS, *_NUMBERS):
        value = schema.get(keyword)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            yield _wrong(f"{path}.{keyword}", value, "a number")
        elif keyword in _COUNTS and (not isinstance(value, int) or value not in INT64):
            yield _wrong(f"{path}.{keyword}", value, "an integer of 64 bits")


def _lists(schema: Object, path: str) -> Iterator[FieldError]:
    for keyword in _STRING_LISTS:
        value = schema.get(keyword)
        if value is None:
            continue
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            yield _wrong(f"{path}.{keyword}", value, "a list of strings")
    if not isinstance(schema.get("enum"), list | None):
        yield _wrong(f"{path}.enum", schema["enum"], "a list")


def _rules(rules: Any, path: str) -> Iterator[FieldError]:
    if rules is None:
        return
    if not isinstance(rules, list):
        yield _wrong(path, rules, "a list")
        return
    for index, rule in enumerate(rules):
        at = f"{path}[{index}]"
        if not isinstance(rule, dict):
            yield _wrong(at, rule, "an object")
            continue
        for keyword in _RULE_STRINGS:
            if not isinstance(rule.get(keyword), str | None):
                yield _wrong(f"{at}.{keyword}", rule[keyword], "a string")
        if not isinstance(rule.get("optionalOldSelf"), bool | None):
            yield _wrong(f"{at}.optionalOldSelf", rule["optionalOldSelf"], "a boolean")


def _children(schema: Object, path: str, depth: int) -> Iterator[FieldError]:
    properties = schema.get("properties")
    if isinstance(properties, dict):
        for name, child in properties.items():
            yield from _schema(child, f"{path}.properties[{name}]", depth + 1)
    elif properties is not None:
        yield _wrong(f"{path}.properties", properties, "an object")
    additional = schema.get("additionalProperties")
    if additional is not None and not isinstance(additional, bool):
        yield from _schema(additional, f"{path}.additionalProperties", depth + 1)
    items = schema.get("items")
    if items is not None and not isinstance(items, list):
        yield from _schema(items, f"{path}.items", depth + 1)
    if schema.get("not") is not None:
        yield from _schema(schema["not"], f"{path}.not", depth + 1)
    for keyword in _SCHEMA_LISTS:
        branches = schema.get(keyword)
        if isinstance(branches, list):
            for index, branch in enumerate(branches):
                yield from _schema(branch, f"{path}.{keyword}[{index}]", depth + 1)
        elif branches is not None:
            yield _wrong(f"{path}.{keyword}", branches, "a list")
