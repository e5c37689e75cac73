"""Whether a schema may be a CustomResourceDefinition's: structural, and free of what Kubernetes does not take.

Rules and texts are those of apiextensions-apiserver's validation (documentation: "Specifying a structural schema",
KEP-1929). Further rules are in ``structural_keywords.py`` (each node's keywords), ``structural_defaults.py`` and
``cel.py``.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Literal, TypeAlias

from kcpcache.meta.errors import FieldError, field_forbidden, field_invalid, field_required
from kcpcache.meta.objects import Object
from kcpcache.schema.patterns import PatternError, compile_pattern, is_large
from kcpcache.schema.structural_defaults import check_default_rules, check_defaults
from kcpcache.schema.structural_keywords import check_keywords, unsupported_keyword
from kcpcache.schema.structural_shape import check_shape

Level: TypeAlias = Literal["root", "item", "field"]

_MAX_PATTERNS, _MAX_LARGE_PATTERNS = 1_000, 8

_JUNCTORS = ("allOf", "anyOf", "oneOf")
_INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]
_NOT_STRUCTURAL = frozenset({"example", "externalDocs"})
"""Keywords that a structural schema does not know, so that they make no difference to it."""
_FORBIDDEN_EMPTY = frozenset({"default", "x-kubernetes-list-type", "x-kubernetes-map-type"})
"""Those below that say something even if they are empty."""
_TYPE_MISSING = {
    "root": "must not be empty at the root",
    "item": "must not be empty for specified array items",
    "field": "must not be empty for specified object fields",
}
_FORBIDDEN_WHEN_NESTED: tuple[tuple[str, str], ...] = (
    ("type", "must be empty to be structural"),
    ("additionalProperties", "must be undefined to be structural"),
    ("default", "must be undefined to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("nullable", "must be false to be structural"),
    ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
    ("x-kubernetes-embedded-resource", "must be false to be structural"),
    ("x-kubernetes-int-or-string", "must be false to be structural"),
    ("x-kubernetes-list-map-keys", "must be empty to be structural"),
    ("x-kubernetes-list-type", "must be undefined to be structural"),
    ("x-kubernetes-map-type", "must be undefined to be structural"),
    ("x-kubernetes-validations", "must be empty to be structural"),
)


def check_structural(schema: Any, path: str) -> list[FieldError]:
    """Everything wrong with an ``openAPIV3Schema`` that stands at ``path``; empty where it may be served.

    Raises nothing, whatever the JSON. Regular expressions and CEL rules are compiled in bounded time. Everything
    else in this package expects schemas that passed this.
    """
    if errors := check_shape(schema, path) or list(_pattern_bounds(schema, path)):
        return errors
    unsupported = unsupported_keyword(schema)
    # What is not supported at all hides whether the rest is structural.
    errors = [] if unsupported else _structural_errors(schema, path)
    if schema.get("nullable") is True:
        errors.append(field_forbidden(f"{path}.nullable", "nullable cannot be true at the root"))
    errors += check_keywords(schema, path)
    if unsupported and not errors:
        return [field_invalid(path, "", f"OpenAPIV3Schema '{unsupported}' is not supported")]
    if not errors:
        from kcpcache.schema.cel_check import check_rules

        errors = check_rules(schema, path) or check_default_rules(schema, path)
    return errors


def _structural_errors(schema: Object, path: str) -> list[FieldError]:
    errors = [*_invariants(schema, "root", path), *_completeness(schema, schema, path, path)]
    return sorted(errors, key=lambda error: error.message) or check_defaults(schema, path)


def _invariants(schema: Object, level: Level, path: str) -> Iterator[FieldError]:
    items, additional = schema.get("items"), schema.get("additionalProperties")
    if schema.get("type") == "array" and items is None:
        yield field_required(f"{path}.items", "must be specified")
    if isinstance(items, dict):
        yield from _invariants(items, "item", f"{path}.items")
    for name, child in (schema.get("properties") or {}).items():
        yield from _invariants(child, "field", f"{path}.properties[{name}]")
    if additional is not None and level == "root":
        yield field_forbidden(f"{path}.additionalProperties", "must not be used at the root")
    if isinstance(additional, dict):
        yield from _invariants(additional, "field", f"{path}.additionalProperties")
    yield from _extensions(schema, path)
    yield from _value_validation(schema, path, on_spine=True)
    yield from _types(schema, level, path)
    yield from _resource_fields(schema, level, path)


def _pattern_bounds(schema: Object, path: str) -> Iterator[FieldError]:
    """Expressions stay in memory as long as the schema: their number and size must not be the author's choice."""
    patterns = set(_patterns(schema))
    large = 0
    if len(patterns) <= _MAX_PATTERNS:
        for pattern in patterns:
            with suppress(PatternError):  # named at its place, later
                large += is_large(pattern)
    if len(patterns) > _MAX_PATTERNS or large > _MAX_LARGE_PATTERNS:
        yield field_forbidden(
            path, f"must not have more than {_MAX_PATTERNS} patterns, or {_MAX_LARGE_PATTERNS} that are large"
        )


def _patterns(schema: Any) -> Iterator[str]:
    if schema.get("pattern"):
        yield schema["pattern"]
    children = [schema.get("items"), schema.get("additionalProperties"), schema.get("not")]
    children += (schema.get("properties") or {}).values()
    for junctor in _JUNCTORS:
        children += schema.get(junctor) or ()
    for child in children:
        if isinstance(child, dict):
            yield from _patterns(child)


def _extensions(schema: Object, path: str) -> Iterator[FieldError]:
    if schema.get("x-kubernetes-int-or-string") is not True:
        return
    for keyword in ("x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"):
        if schema.get(keyword) is True:
            yield field_invalid(f"{path}.{keyword}", True, "must be false if x-kubernetes-int-or-string is true")


def _value_validation(schema: Object, path: str, *, on_spine: bool = False) -> Iterator[FieldError]:
    """What stands in junctors may only validate; outside of others the two spellings of int-or-string are let through.

    ``on_spine``: the schema stands in no junctor itself.
    """
    for junctor in _JUNCTORS:
        for index, branch in enumerate(schema.get(junctor) or ()):
            if on_spine and junctor == "anyOf" and _spells_int_or_string(schema):
                continue
            spelled = on_spine and junctor == "allOf" and index == 0 and _spells_int_or_string(branch)
            yield from _nested(branch, f"{path}.{junctor}[{index}]", skip_any_of=spelled)
    if isinstance(schema.get("not"), dict):
        yield from _nested(schema["not"], f"{path}.not")
    pattern = schema.get("pattern")
    if pattern:
        try:
            compile_pattern(pattern)
        except PatternError as error:
            yield field_invalid(f"{path}.pattern", pattern, f"must be a valid regular expression, but isn't: {error}")


def _spells_int_or_string(schema: Object) -> bool:
    branches = schema.get("anyOf") or ()
    return [{k: v for k, v in branch.items() if k not in _NOT_STRUCTURAL} for branch in branches] == _INT_OR_STRING


def _nested(schema: Object, path: str, *, skip_any_of: bool = False) -> Iterator[FieldError]:
    visible = {k: v for k, v in schema.items() if k != "anyOf"} if skip_any_of else schema
    yield from _value_validation(visible, path)
    if isinstance(schema.get("items"), dict):
        yield from _nested(schema["items"], f"{path}.items")
    properties: Object = schema.get("properties") or {}
    for name, child in properties.items():
        yield from _nested(child, f"{path}.properties[{name}]")
    for keyword, why in _FORBIDDEN_WHEN_NESTED:
        value = schema.get(keyword)
        if (
            value
            or (value is not None and keyword in _FORBIDDEN_EMPTY)
            or (keyword == "additionalProperties" and value == {})
        ):
            yield field_forbidden(f"{path}.{keyword}", why)
    if "metadata" in properties:
        yield field_forbidden(f"{path}.properties[metadata]", "must not be specified in a nested context")


def _types(schema: Object, level: Level, path: str) -> Iterator[FieldError]:
    declared = schema.get("type") or ""
    embedded = schema.get("x-kubernetes-embedded-resource") is True
    free = any(
        schema.get(f"x-kubernetes-{keyword}") is True for keyword in ("int-or-string", "preserve-unknown-fields")
    )
    if embedded and declared != "object":
        why = "must be object if x-kubernetes-embedded-resource is true"
        where = f"{path}.type"
        yield field_invalid(where, declared, why) if declared else field_required(where, why)
    elif not declared and not free:
        yield field_required(f"{path}.type", _TYPE_MISSING[level])
    if embedded and schema.get("additionalProperties") is not None:
        yield field_forbidden(
            f"{path}.additionalProperties", "must not be used if x-kubernetes-embedded-resource is set"
        )
    if level == "root" and declared and declared != "object":
        yield field_invalid(f"{path}.type", declared, "must be object at the root")


def _resource_fields(schema: Object, level: Level, path: str) -> Iterator[FieldError]:
    """Type and metadata of resources, at the root and embedded, are not the schema's to define."""
    properties: Object = schema.get("properties") or {}
    embedded = schema.get("x-kubernetes-embedded-resource") is True
    if level == "root" or embedded:
        for name, wanted in (("kind", "string"), ("apiVersion", "string"), ("metadata", "object")):
            declared = properties[name].get("type") or "" if name in properties else wanted
            if declared != wanted:
                yield field_invalid(f"{path}.properties[{name}].type", declared, f"must be {wanted}")
    if level == "root" and "metadata" in properties and not _restricts_names_only(properties["metadata"]):
        yield field_forbidden(
            f"{path}.properties[metadata]",
            "must not specify anything other than name and generateName, but metadata is implicitly specified",
        )
    preserve = schema.get("x-kubernetes-preserve-unknown-fields") is True
    if embedded and not preserve and not properties:
        yield field_required(
            f"{path}.properties",
            "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields",
        )


def _restricts_names_only(schema: Object) -> bool:
    return set(schema.get("properties") or ()) <= {"name", "generateName"} and not any(
        value
        for keyword, value in schema.items()
        if keyword not in {"type", "properties", "default"} and keyword not in _NOT_STRUCTURAL
    )


def _completeness(validation: Object, spine: Object | None, path: str, at: str) -> Iterator[FieldError]:
    """Every field that junctors mention must be specified outside of them, on the structural spine."""
    branches = [
        (branch, f"{at}.{junctor}[{index}]")
        for junctor in _JUNCTORS
        for index, branch in enumerate(validation.get(junctor) or ())
    ]
    if isinstance(validation.get("not"), dict):
        branches.append((validation["not"], f"{at}.not"))
    for branch, branch_at in branches:
        yield from _nested_completeness(branch, spine, path, branch_at)


def _nested_completeness(nested: Object, spine: Object | None, path: str, at: str) -> Iterator[FieldError]:
    if spine is None:
        yield field_required(path, f"because it is defined in {at}")
        return
    yield from _completeness(nested, spine, path, at)
    if isinstance(nested.get("items"), dict):
        items = spine.get("items")
        yield from _nested_completeness(
            nested["items"], items if isinstance(items, dict) else None, f"{path}.items", f"{at}.items"
        )
    specified: Object = spine.get("properties") or {}
    for name, child in (nested.get("properties") or {}).items():
        yield from _nested_completeness(
            child, specified.get(name), f"{path}.properties[{name}]", f"{at}.properties[{name}]"
        )
