"""What a write changed: the fields that it set, and those that it removed."""

from typing import Any

import orjson

from kcpcache.meta.managed_fields.fields_v1 import FieldsError, FieldSet, key_element, value_element
from kcpcache.meta.managed_fields.nodes import Node
from kcpcache.meta.objects import CLUSTER_ANNOTATION, Object

UNTRACKED_METADATA = frozenset(
    {
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "managedFields",
        "selfLink",
    }
)
"""Fields of ``metadata`` that nobody owns: they name the object, or are the server's own."""

Changes = tuple[FieldSet, FieldSet]
"""Fields that were added or got another value, and fields that are gone (with all below them)."""


class ItemsError(ValueError):
    """Items of a list cannot be told apart by its keys; ``index`` is the first such."""

    def __init__(self, index: int, message: str) -> None:
        super().__init__(message)
        self.index = index


def item_element(item: Any, index: int, node: Node) -> str:
    """The path element of an item of a keyed list. Raises ItemsError; texts of structured-merge-diff."""
    if not node.keys:
        if item is None:
            raise ItemsError(index, "associative list without keys has an element that's an explicit null")
        if isinstance(item, dict):
            raise ItemsError(index, "associative list without keys has an element that's a map type")
        if isinstance(item, list):
            raise ItemsError(index, "not supported: associative list with lists as elements")
        return value_element(item)
    if item is None:
        raise ItemsError(index, "associative list with keys may not have a null element")
    if not isinstance(item, dict):
        raise ItemsError(index, "associative list with keys may not have non-map elements")
    keys = {}
    for name, default in node.keys:
        value = item.get(name, default)
        if value is not None:
            keys[name] = value
    if not keys:
        names = " ".join(orjson.dumps(name).decode() for name, _ in node.keys)
        raise ItemsError(
            index,
            f"associative list with keys has an element that omits all key fields [{names}] "
            "(and doesn't have default values for any key fields)",
        )
    try:
        return key_element(keys)
    except FieldsError as error:
        raise ItemsError(index, str(error)) from error


def items_by_element(items: list[Any], node: Node) -> dict[str, list[Any]]:
    """Items under their path elements, in order; more than one under an element are duplicates.

    Raises ItemsError.
    """
    found: dict[str, list[Any]] = {}
    for index, item in enumerate(items):
        found.setdefault(item_element(item, index, node), []).append(item)
    return found


def object_changes(old: Object, new: Object, node: Node) -> Changes:
    """What the step from ``old`` to ``new`` changed, without the fields that nobody owns. ``old`` may be ``{}``.

    Two empty sets for equal objects.
    """
    changed: FieldSet = {}
    removed: FieldSet = {}
    before, after = _tracked_metadata(old), _tracked_metadata(new)
    if before != after:
        set_fields, lost_fields = _map_changes(before, after, node.fields["metadata"][1])
        if set_fields:
            changed["f:metadata"] = set_fields
        if lost_fields:
            removed["f:metadata"] = lost_fields
    set_fields, lost_fields = _map_changes(_tracked(old), _tracked(new), node)
    changed.update(set_fields)
    removed.update(lost_fields)
    return changed, removed


def _tracked(obj: Object) -> Object:
    tracked = dict(obj)
    tracked.pop("metadata", None)
    tracked.pop("apiVersion", None)
    tracked.pop("kind", None)
    return tracked


def _tracked_metadata(obj: Object) -> Object:
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict):
        return {}
    tracked = {name: value for name, value in metadata.items() if name not in UNTRACKED_METADATA}
    annotations = tracked.get("annotations")
    if isinstance(annotations, dict) and CLUSTER_ANNOTATION in annotations:
        stored = {name: value for name, value in annotations.items() if name != CLUSTER_ANNOTATION}
        if stored:
            tracked["annotations"] = stored
        else:
            del tracked["annotations"]
    return tracked


def same(old: Any, new: Any, node: Node) -> bool:
    """JSON equality: unlike Python's, true is not 1."""
    if old != new:
        return False
    if not node.untyped or type(new) is str:
        return True
    if isinstance(new, dict | list):
        try:
            option = orjson.OPT_SORT_KEYS
            return orjson.dumps(old, option=option) == orjson.dumps(new, option=option)
        except orjson.JSONEncodeError:
            return True
    return isinstance(old, bool) == isinstance(new, bool)


def _map_changes(old: Object, new: Object, node: Node) -> Changes:
    changed: FieldSet = {}
    removed: FieldSet = {}
    fields, element_node, untyped = node.fields, node.element, node.untyped
    kept = 0
    for name, value in new.items():
        declared = fields.get(name)
        if name not in old:
            element, child = declared or (f"f:{name}", element_node)
            changed[element] = added(value, child) if type(value) in _CONTAINERS else {}
            continue
        kept += 1
        before = old[name]
        if not untyped:
            if before == value:
                continue
            element, child = declared or (f"f:{name}", element_node)
        else:
            element, child = declared or (f"f:{name}", element_node)
            if same(before, value, child):
                continue
        set_fields, lost_fields = _changes(before, value, child)
        if set_fields is not None:
            changed[element] = set_fields
        if lost_fields is not None:
            removed[element] = lost_fields
    if kept != len(old):
        for name in old:
            if name not in new:
                declared = fields.get(name)
                removed[declared[0] if declared else f"f:{name}"] = {}
    return changed, removed


_CONTAINERS = frozenset({dict, list})


def _changes(old: Any, new: Any, node: Node) -> tuple[FieldSet | None, FieldSet | None]:
    """What changed at one place whose values are not the same; a set is None where the place has no part in it."""
    # An explicit null stands for an empty object or list, whichever the other side is.
    if node.granular and (isinstance(old, dict) or isinstance(new, dict)):
        if old is None or new is None:
            old, new = old or {}, new or {}
        if isinstance(old, dict) and isinstance(new, dict) and (old or new):
            changed, removed = _map_changes(old, new, node)
            return changed or None, removed or None
    elif node.keyed and (isinstance(old, list) or isinstance(new, list)):
        if old is None or new is None:
            old, new = old or [], new or []
        if isinstance(old, list) and isinstance(new, list) and (old or new):
            try:
                changed, removed = _list_changes(old, new, node)
            except ItemsError:
                return {}, None
            return changed or None, removed or None
    # Another kind of value: the new one is owned whole, what was owned below the old one is gone.
    owned = added(new, node) if isinstance(new, dict | list) else {}
    return owned, {} if owned else None


def _list_changes(old: list[Any], new: list[Any], node: Node) -> Changes:
    changed: FieldSet = {}
    removed: FieldSet = {}
    before, after = items_by_element(old, node), items_by_element(new, node)
    item_node = node.item
    for element, items in after.items():
        earlier = before.get(element)
        if earlier is None:
            changed[element] = added(items[0], item_node) if len(items) == 1 else {}
        elif len(items) == 1 == len(earlier):
            if not same(earlier[0], items[0], item_node):
                set_fields, lost_fields = _changes(earlier[0], items[0], item_node)
                if set_fields is not None:
                    changed[element] = set_fields
                if lost_fields is not None:
                    removed[element] = lost_fields
        elif earlier != items:
            changed[element] = {}  # duplicates are owned as one
    for element in before:
        if element not in after:
            removed[element] = {}
    return changed, removed


def added(value: Any, node: Node) -> FieldSet:
    """What one owns who puts ``value`` where nothing was: every place, down to what is atomic."""
    if not value:
        return {}
    if type(value) is dict:
        if not node.granular:
            return {}
        fields, element_node = node.fields, node.element
        owned: FieldSet = {".": {}}
        for name, member in value.items():
            declared = fields.get(name)
            if declared is None:
                owned[f"f:{name}"] = added(member, element_node) if type(member) in _CONTAINERS else {}
            else:
                owned[declared[0]] = added(member, declared[1]) if type(member) in _CONTAINERS else {}
        return owned
    if not node.keyed or type(value) is not list:
        return {}
    try:
        groups = items_by_element(value, node)
    except ItemsError:
        return {}
    owned = {".": {}}
    for element, items in groups.items():
        owned[element] = added(items[0], node.item) if len(items) == 1 else {}
    return owned
