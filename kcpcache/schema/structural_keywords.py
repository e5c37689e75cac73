"""What each node of a CustomResourceDefinition's schema may say, besides being structural.

Rules and texts are those of apiextensions-apiserver's validation of ``JSONSchemaProps`` (v1).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from kcpcache.meta.errors import (
    FieldError,
    field_forbidden,
    field_invalid,
    field_not_supported,
    field_required,
)
from kcpcache.meta.go_values import go_value
from kcpcache.meta.objects import Object
from kcpcache.schema.field_path import valid_field_path

_META_FIELDS = frozenset({"apiVersion", "kind", "metadata"})
_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
_UNSUPPORTED = ("id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref")
_FORBIDDEN_EMPTY = ("additionalItems", "dependencies", "$ref")
"""Those that say something even if they are false or empty."""
_TWICE = "must not contain duplicate entries"
_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_JUNCTORS = ("allOf", "anyOf", "oneOf")


@dataclass(frozen=True, slots=True)
class _Context:
    """What the place of a node forbids."""

    default_forbidden: str = ""
    inside_metadata: bool = False
    root: bool = False


def check_keywords(schema: Object, path: str) -> list[FieldError]:
    """Errors of all nodes in the order of the schema. The schema has passed ``check_shape``."""
    return list(_node(schema, path, _Context(root=True)))


def unsupported_keyword(schema: Object) -> str:
    """A keyword somewhere in the schema that keeps it from being looked at as a structural one; "" if there is none."""
    for keyword, name in (
        ("id", "id"),
        ("$schema", "schema"),
        ("$ref", "$ref"),
        ("additionalItems", "additionalItems"),
    ):
        if schema.get(keyword) or (keyword == "additionalItems" and schema.get(keyword) is not None):
            return name
    for keyword in ("patternProperties", "dependencies", "definitions"):
        if schema.get(keyword):
            return keyword
    if isinstance(schema.get("items"), list) and schema["items"]:
        return "items"
    if schema.get(_PRESERVE) is False:
        return _PRESERVE
    children = [*(schema.get("properties") or {}).values(), schema.get("items"), schema.get("additionalProperties")]
    children += [schema.get("not"), *(branch for junctor in _JUNCTORS for branch in schema.get(junctor) or ())]
    return next((name for child in children if isinstance(child, dict) and (name := unsupported_keyword(child))), "")


def _node(schema: Object, path: str, context: _Context) -> Iterator[FieldError]:
    yield from _standard(schema, path, context)
    additional = schema.get("additionalProperties")
    below = replace(context, root=False)
    if additional is not None and schema.get("properties") and additional is not True:
        yield field_forbidden(
            f"{path}.additionalProperties", "additionalProperties and properties are mutual exclusive"
        )
    if isinstance(additional, dict):
        inside = (
            replace(below, default_forbidden="inside additionalProperties applying to object metadata")
            if context.inside_metadata
            else below
        )
        yield from _node(additional, f"{path}.additionalProperties", inside)
    yield from _properties(schema, path, context)
    if isinstance(schema.get("not"), dict):
        yield from _node(schema["not"], f"{path}.not", below)
    for junctor in _JUNCTORS:
        for index, branch in enumerate(schema.get(junctor) or ()):
            yield from _node(branch, f"{path}.{junctor}[{index}]", below)
    if isinstance(schema.get("items"), dict):
        yield from _node(schema["items"], f"{path}.items", below)
    yield from _map_type(schema, path)
    yield from _list_type(schema, path)
    yield from _list_map_keys(schema, path)
    for index, rule in enumerate(schema.get("x-kubernetes-validations") or ()):
        yield from _rule(schema, rule, f"{path}.x-kubernetes-validations[{index}]")


def _properties(schema: Object, path: str, context: _Context) -> Iterator[FieldError]:
    resource = context.root or schema.get("x-kubernetes-embedded-resource") is True
    for name, child in (schema.get("properties") or {}).items():
        inside = replace(context, root=False)
        if resource and name in _META_FIELDS:
            inside = replace(inside, inside_metadata=True)
            if context.root:
                inside = replace(inside, default_forbidden=f"in top-level {name}")
        yield from _node(child, f"{path}.properties[{name}]", inside)


def _standard(schema: Object, path: str, context: _Context) -> Iterator[FieldError]:
    declared = schema.get("type")
    if declared and declared not in _TYPES:
        yield field_not_supported(f"{path}.type", declared, _TYPES)
    if schema.get("default") is not None and context.default_forbidden:
        yield field_forbidden(f"{path}.default", f"must not be set {context.default_forbidden}")
    for keyword in _UNSUPPORTED:
        value = schema.get(keyword)
        if value or (value is not None and keyword in _FORBIDDEN_EMPTY):
            yield field_forbidden(f"{path}.{keyword}", f"{keyword} is not supported")
    if declared == "null":
        yield field_forbidden(f"{path}.type", "type cannot be set to null, use nullable as an alternative")
    if isinstance(schema.get("items"), list):
        yield field_forbidden(f"{path}.items", "items must be a schema object and not an array")
    if context.inside_metadata and schema.get("x-kubernetes-embedded-resource") is True:
        yield field_forbidden(f"{path}.x-kubernetes-embedded-resource", "must not be used inside of resource meta")
    if schema.get("uniqueItems") is True:
        yield field_forbidden(
            f"{path}.uniqueItems",
            "uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        )
    if schema.get("x-kubernetes-preserve-unknown-fields") is False:
        yield field_invalid(f"{path}.x-kubernetes-preserve-unknown-fields", False, "must be true or undefined")


def _needs_type(schema: Object, path: str, keyword: str, wanted: str) -> Iterator[FieldError]:
    declared = schema.get("type") or ""
    if declared != wanted:
        why = f"must be {wanted} if {keyword} is specified"
        where = f"{path}.type"
        yield field_invalid(where, declared, why) if declared else field_required(where, why)


def _map_type(schema: Object, path: str) -> Iterator[FieldError]:
    keyword = "x-kubernetes-map-type"
    map_type = schema.get(keyword)
    if map_type is None:
        return
    yield from _needs_type(schema, path, keyword, "object")
    if map_type not in {"atomic", "granular"}:
        yield field_not_supported(f"{path}.{keyword}", map_type, ("atomic", "granular"))


def _list_type(schema: Object, path: str) -> Iterator[FieldError]:
    keyword = "x-kubernetes-list-type"
    list_type = schema.get(keyword)
    if list_type is None:
        return
    yield from _needs_type(schema, path, keyword, "array")
    items = schema.get("items")
    if list_type not in {"atomic", "set", "map"}:
        yield field_not_supported(f"{path}.{keyword}", list_type, ("atomic", "set", "map"))
    if list_type in {"set", "map"} and isinstance(items, dict) and items.get("nullable") is True:
        yield field_forbidden(
            f"{path}.items.nullable", f"cannot be nullable when x-kubernetes-list-type is {list_type}"
        )
    if list_type != "set" or not isinstance(items, dict):
        return
    why = "must be atomic as item of a list with x-kubernetes-list-type=set"
    below = items.get(keyword)
    if items.get("type") == "array" and below not in {None, "atomic"}:
        yield field_invalid(f"{path}.items.{keyword}", below, why)
    map_type = items.get("x-kubernetes-map-type")
    if items.get("type") == "object" and map_type != "atomic":
        # Kubernetes shows the list's type here, and of nothing the word.
        yield field_invalid(f"{path}.items.x-kubernetes-map-type", below or "null", why)


def _list_map_keys(schema: Object, path: str) -> Iterator[FieldError]:
    list_type = schema.get("x-kubernetes-list-type")
    keys: list[str] = schema.get("x-kubernetes-list-map-keys") or []
    where = f"{path}.x-kubernetes-list-map-keys"
    if keys and list_type != "map":
        why = "must be map if x-kubernetes-list-map-keys is non-empty"
        at = f"{path}.x-kubernetes-list-type"
        yield field_required(at, why) if list_type is None else field_invalid(at, list_type, why)
    if list_type != "map":
        return
    if not keys:
        yield field_required(where, "must not be empty if x-kubernetes-list-type is map")
    items = schema.get("items")
    if items is None:
        yield field_required(f"{path}.items", "must have a schema if x-kubernetes-list-type is map")
    if not isinstance(items, dict):
        return
    if items.get("type") != "object":
        yield field_invalid(
            f"{path}.items.type",
            items.get("type") or "",
            "must be object if parent array's x-kubernetes-list-type is map",
        )
        return
    for position, key in enumerate(keys):
        if key in keys[:position]:
            yield FieldError("FieldValueInvalid", where, f"Invalid value: {go_value(keys)}: {_TWICE}")
        yield from _map_key(items, key, path, where, keys)


def _map_key(items: Object, key: str, path: str, where: str, keys: list[str]) -> Iterator[FieldError]:
    child = (items.get("properties") or {}).get(key)
    if child is None:
        why = "entries must all be names of item properties"
        yield FieldError("FieldValueInvalid", where, f"Invalid value: {go_value(keys)}: {why}")
        return
    at = f"{path}.items.properties[{key}]"
    if child.get("type") in {"array", "object"}:
        yield field_invalid(
            f"{at}.type", child["type"], "must be a scalar type if parent array's x-kubernetes-list-type is map"
        )
    this = "this property is in x-kubernetes-list-map-keys, so it"
    if key not in (items.get("required") or ()) and child.get("default") is None:
        yield field_required(f"{at}.default", f"{this} must have a default or be a required property")
    if child.get("nullable") is True:
        yield field_forbidden(f"{at}.nullable", f"{this} cannot be nullable")


def _rule(schema: Object, rule: Object, path: str) -> Iterator[FieldError]:
    """One entry of ``x-kubernetes-validations``, before it is compiled."""
    text, message = (rule.get("rule") or "").strip(), rule.get("message") or ""
    if not text:
        yield field_required(f"{path}.rule", "rule is not specified")
    elif message and not message.strip():
        yield field_invalid(f"{path}.message", message, "message must be non-empty if specified")
    elif _breaks(message.strip()):
        yield field_invalid(f"{path}.message", message, "message must not contain line breaks")
    elif _breaks(text) and not message.strip():
        yield field_required(f"{path}.message", "message must be specified if rule contains line breaks")
    expression = rule.get("messageExpression") or ""
    if expression and not expression.strip():
        yield field_required(f"{path}.messageExpression", "messageExpression must be non-empty if specified")
    reason = rule.get("reason")
    if reason is not None and reason not in _REASONS:
        yield field_not_supported(f"{path}.reason", reason, _REASONS)
    field_path = rule.get("fieldPath") or ""
    where = f"{path}.fieldPath"
    if field_path and not field_path.strip():
        yield field_invalid(where, field_path, "fieldPath must be non-empty if specified")
    if _breaks(field_path):
        yield field_invalid(where, field_path, "fieldPath must not contain line breaks")
    if field_path and valid_field_path(field_path, schema) is None:
        yield field_invalid(where, field_path, "fieldPath must be a valid path")


def _breaks(text: str) -> bool:
    return "\n" in text or "\r" in text
