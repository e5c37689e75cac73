"""What a schema says about its values to CEL: the fields that rules may name, and how large values can become.

Documentation: "Validation rules" and "Resource use by validation functions". Where a schema sets no bound, the bound is
what fits into the largest request, 3 MiB.
"""

from kcpcache.meta.objects import Object
from kcpcache.schema.cel_text import escape

MAX_REQUEST_BYTES = 3 * 1024 * 1024

_STRING = {"type": "string"}
_NAME = {"type": "string", "maxLength": 253}
_OBJECT_META = {"name": _NAME, "generateName": _NAME}
_UTF8_BYTES = 4
"""The most that a character takes; ``maxLength`` counts characters."""
_MIN_BYTES = {"boolean": 4, "number": 1, "integer": 1, "array": 2}
_MIN_STRING_BYTES = {"duration": 3, "date": 12, "date-time": 21}
_MAX_STRING_BYTES = {"duration": 32, "date": 12, "date-time": 32}


def is_known(schema: Object) -> bool:
    """Whether the schema says of what type its values are; of lists and maps, also those in them.

    What is not known, rules do not see.
    """
    if schema.get("x-kubernetes-int-or-string") is True:
        return True
    if schema.get("type") == "array":
        items = schema.get("items")
        return isinstance(items, dict) and is_known(items)
    return is_known(schema["additionalProperties"]) if is_map(schema) else bool(schema.get("type"))


def is_map(schema: Object) -> bool:
    """Whether the node is a map: an object of any keys, rather than of fields."""
    return schema.get("type") == "object" and schema.get("additionalProperties") not in (None, False, True)


def properties(schema: Object, *, root: bool = False) -> dict[str, Object]:
    """The object's fields by their names in JSON. Resources (``root``, or embedded) have a type and a name too."""
    declared: dict[str, Object] = schema.get("properties") or {}
    if not root and schema.get("x-kubernetes-embedded-resource") is not True:
        return declared
    metadata = (declared.get("metadata") or {}).get("properties") or {}
    return {
        **declared,
        "apiVersion": declared.get("apiVersion") or _STRING,
        "kind": declared.get("kind") or _STRING,
        "metadata": {"type": "object", "properties": {**_OBJECT_META, **metadata}},
    }


def fields(schema: Object, *, root: bool = False) -> dict[str, Object]:
    """The object's fields by the names that rules give them."""
    return {
        escaped: child
        for name, child in properties(schema, root=root).items()
        if is_known(child) and (escaped := escape(name)) is not None
    }


def min_bytes(schema: Object, *, root: bool = False) -> int:
    """The size of the smallest JSON that the schema takes; 0 where it does not say of what type."""
    if schema.get("x-kubernetes-int-or-string") is True:
        return 1
    kind = schema.get("type")
    if kind == "string":
        return _MIN_STRING_BYTES.get(schema.get("format") or "", 2)
    if kind != "object":
        return _MIN_BYTES.get(kind or "", 0)
    if is_map(schema):
        return 2
    children = properties(schema, root=root)
    return 2 + sum(
        len(name) + min_bytes(children[name]) + 4
        for name in set(schema.get("required") or ())
        if name in children and is_known(children[name]) and children[name].get("default") is None
    )


def max_size(schema: Object) -> int:
    """The most items, entries or bytes that a value can have; 0 for all that has no size."""
    if schema.get("x-kubernetes-int-or-string") is True:
        return MAX_REQUEST_BYTES - 2
    kind = schema.get("type")
    if kind == "array":
        unbounded = (MAX_REQUEST_BYTES - 2) // (min_bytes(schema.get("items") or {}) + 1)
        return _most(schema.get("maxItems"), 1, unbounded)
    if is_map(schema):
        unbounded = (MAX_REQUEST_BYTES - 2) // (min_bytes(schema["additionalProperties"]) + 6)
        return _most(schema.get("maxProperties"), 1, unbounded)
    return _max_string(schema) if kind == "string" else 0


def _max_string(schema: Object) -> int:
    text_format, enum = schema.get("format") or "", schema.get("enum")
    if text_format in _MAX_STRING_BYTES:
        return _MAX_STRING_BYTES[text_format]
    unbounded = MAX_REQUEST_BYTES - 2
    if enum:
        unbounded = max(len(value) if isinstance(value, str) else 0 for value in enum)
    return _most(schema.get("maxLength"), 1 if text_format == "byte" else _UTF8_BYTES, unbounded)


def _most(limit: float | None, each: int, unbounded: int) -> int:
    return unbounded if limit is None else max(int(limit), 0) * each
