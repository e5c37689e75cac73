"""Structural schemas compiled to a small tree that merging, comparing and patching walk."""

import threading
from typing import Any

from kcpcache.meta.managed_fields.object_meta import OBJECT_META_SCHEMA
from kcpcache.meta.objects import Object

_MOST_COMPILED = 4096
_SCALARS = {"integer": "numeric", "number": "numeric", "boolean": "boolean", "string": "string"}
_TYPE_META: Object = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": OBJECT_META_SCHEMA}


class Node:
    """What a schema says about one place of an object: of which types it may be, and how it merges.

    Built by ``compile_schema`` and never changed afterwards. Rules: KEP-555 and the OpenAPI extensions
    ``x-kubernetes-list-type``, ``-list-map-keys``, ``-map-type``, ``-patch-strategy``, ``-patch-merge-key``.
    A fresh Node takes anything: objects are granular, lists atomic.

    * ``scalar``: ``string``, ``numeric``, ``boolean``, ``any``; None where no scalar may stand
    * ``accepts_map``, ``accepts_list``: whether an object or a list may stand here
    * ``fields``: declared fields, name to (path element, node); ``element`` is the node of all others
    * ``closed``: fields that are not declared are errors in an applied configuration
    * ``granular``: an object's fields are owned one by one; otherwise the object is one value
    * ``item``: the node of a list's items; ``keyed``: a list's items are owned one by one
    * ``keys``: the keys of a list of type map, sorted, with their defaults (None: no default)
    * ``untyped``: here or below a value of any type may stand
    """

    __slots__ = (
        "accepts_list",
        "accepts_map",
        "closed",
        "deduced",
        "element",
        "fields",
        "granular",
        "item",
        "keyed",
        "keys",
        "patch_merge_key",
        "patch_strategies",
        "scalar",
        "untyped",
    )

    def __init__(self, element: "Node | None" = None) -> None:
        self.scalar: str | None = "any"
        self.accepts_map = self.accepts_list = True
        self.fields: dict[str, tuple[str, Node]] = {}
        self.element = element or self
        self.item = element or self
        self.closed = self.keyed = False
        self.granular = self.untyped = self.deduced = True
        self.keys: tuple[tuple[str, Any], ...] = ()
        self.patch_strategies: frozenset[str] = frozenset()
        self.patch_merge_key = ""


DEDUCED = Node()
"""The node of what no schema describes."""

_compiled: dict[int, tuple[Object, Node]] = {}
_lock = threading.Lock()


def compile_schema(schema: Object | None) -> Node:
    """The root node of a type with this structural schema (no ``$ref``); None describes nothing but metadata.

    The answer is remembered for as long as the same dict is asked for, so a schema must not be changed after
    its first use. ``apiVersion``, ``kind`` and ``metadata`` are those of every object, whatever the schema says.
    """
    if schema is None:
        return _UNTYPED_OBJECT
    known = _compiled.get(id(schema))
    if known is not None:
        return known[1]
    node = _compile({**schema, "x-kubernetes-embedded-resource": True}, preserve=False)
    with _lock:
        if len(_compiled) >= _MOST_COMPILED:
            _compiled.pop(next(iter(_compiled)))
        _compiled[id(schema)] = (schema, node)  # the reference keeps the id from being used again
    return node


def _compile(schema: Object, *, preserve: bool) -> Node:
    node = Node(DEDUCED)
    node.deduced = node.untyped = False
    preserve = preserve or schema.get("x-kubernetes-preserve-unknown-fields") is True
    type_name = schema.get("type") or ""
    any_type = not type_name and not schema.get("x-kubernetes-int-or-string")
    node.accepts_map = any_type or type_name == "object"
    node.accepts_list = any_type or type_name == "array"
    node.scalar = None if node.accepts_map or node.accepts_list else _SCALARS.get(type_name, "any")
    if any_type:
        node.scalar, node.untyped = "any", True
    if node.accepts_map:
        _compile_object(node, schema, preserve=preserve)
    if node.accepts_list:
        _compile_list(node, schema, preserve=preserve)
    node.patch_strategies = frozenset(str(schema.get("x-kubernetes-patch-strategy") or "").split(",")) - {""}
    node.patch_merge_key = str(schema.get("x-kubernetes-patch-merge-key") or "")
    return node


def _compile_object(node: Node, schema: Object, *, preserve: bool) -> None:
    properties = dict(schema.get("properties") or {})
    if schema.get("x-kubernetes-embedded-resource") is True:
        properties |= _TYPE_META
    for name, member in properties.items():
        child = _compile(member, preserve=preserve)
        node.fields[name] = (f"f:{name}", child)
        node.untyped = node.untyped or child.untyped
    additional = schema.get("additionalProperties")
    if isinstance(additional, dict):
        node.element = _compile(additional, preserve=preserve)
    elif additional is False:
        node.closed = True
    elif additional is None:
        node.closed = bool(schema.get("properties")) and not preserve
    node.untyped = node.untyped or node.element.untyped
    node.granular = schema.get("x-kubernetes-map-type") != "atomic"


def _compile_list(node: Node, schema: Object, *, preserve: bool) -> None:
    items = schema.get("items")
    node.item = _compile(items, preserve=preserve) if isinstance(items, dict) else DEDUCED
    node.untyped = node.untyped or node.item.untyped
    list_type = schema.get("x-kubernetes-list-type")
    names = schema.get("x-kubernetes-list-map-keys") or []
    if list_type is None and "merge" in str(schema.get("x-kubernetes-patch-strategy") or "").split(","):
        # Types older than list types say the same in the terms of strategic merge patch.
        merge_key = schema.get("x-kubernetes-patch-merge-key")
        list_type, names = ("map", [merge_key]) if merge_key else ("set", [])
    node.keyed = list_type in {"set", "map"}
    if list_type == "map":
        properties = (items.get("properties") or {}) if isinstance(items, dict) else {}
        node.keys = tuple((name, (properties.get(name) or {}).get("default")) for name in sorted(names))


_UNTYPED_OBJECT = _compile({"x-kubernetes-embedded-resource": True, "type": "object"}, preserve=True)
