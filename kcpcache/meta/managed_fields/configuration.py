"""An applied configuration: checked against the schema, as a field set, merged into an object, pruned from it."""

from typing import Any

import orjson

from kcpcache.meta.managed_fields.compare import ItemsError, item_element, items_by_element
from kcpcache.meta.managed_fields.fields_v1 import FieldSet, is_member, shown
from kcpcache.meta.managed_fields.nodes import Node
from kcpcache.meta.objects import Object


class ConfigurationError(ValueError):
    """The configuration does not fit the schema; the text is structured-merge-diff's."""


def field_set(configuration: Object, node: Node) -> FieldSet:
    """Every field that the configuration says something about; nothing is left out, not even ``kind``.

    Raises ConfigurationError with all that is wrong: types, undeclared fields, duplicate and keyless items.
    """
    errors: list[str] = []
    found = _walk(configuration, node, "", errors)
    if errors:
        raise ConfigurationError(
            errors[0] if len(errors) == 1 else "errors:\n" + "\n".join(f"  {error}" for error in errors)
        )
    return found or {}


def _walk(value: Any, node: Node, path: str, errors: list[str]) -> FieldSet | None:
    """The set at and below one place: ``{}`` for a leaf, None where nothing is owned (a keyed list without items)."""
    if value is None:
        return {}
    if isinstance(value, dict):
        if not node.accepts_map:
            errors.append(_unexpected(value, node, path))
            return {}
        owned = _walk_fields(value, node, path, errors)
        return (owned or None) if value and node.granular else {}
    if isinstance(value, list):
        if not node.accepts_list:
            errors.append(_unexpected(value, node, path))
            return {}
        items = _walk_items(value, node, path, errors)
        return items if node.keyed else {}
    if not _fits(value, node.scalar):
        errors.append(_unexpected(value, node, path))
    return {}


def _walk_fields(value: Object, node: Node, path: str, errors: list[str]) -> FieldSet:
    owned: FieldSet = {}
    for name, member in value.items():
        declared = node.fields.get(name)
        if declared is None and node.closed:
            errors.append(f"{path}.{name}: field not declared in schema")
            continue
        element, child = declared or (f"f:{name}", node.element)
        below = _walk(member, child, f"{path}.{name}", errors)
        if declared is None:
            owned[element] = {".": {}, **below} if below else {}
        elif below is not None:
            owned[element] = below
    return owned


def _walk_items(value: list[Any], node: Node, path: str, errors: list[str]) -> FieldSet | None:
    if not node.keyed:
        if not node.item.deduced:
            for index, item in enumerate(value):
                _walk(item, node.item, f"{path}[{index}]", errors)
        return {}
    owned: FieldSet = {}
    for index, item in enumerate(value):
        try:
            element = item_element(item, index, node)
        except ItemsError as error:
            errors.append(f"{path}: element {error.index}: {error}")
            break
        if element in owned:
            errors.append(f"{path}: duplicate entries for key {shown((element,))}")
        below = _walk(item, node.item, path + shown((element,)), errors)
        owned[element] = {".": {}, **below} if below else {}
    return owned or None


def _fits(value: Any, scalar: str | None) -> bool:
    if scalar == "string":
        return isinstance(value, str)
    if scalar == "numeric":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if scalar == "boolean":
        return isinstance(value, bool)
    return scalar is not None


def _unexpected(value: Any, node: Node, path: str) -> str:
    if node.accepts_map:
        expected = "map"
    elif node.accepts_list:
        expected = "list"
    else:
        names = {"numeric": "numeric (int or float)", "any": "any scalar"}
        expected = names.get(node.scalar or "", node.scalar or "")
    try:
        found = orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        found = "something else"
    return f"{path}: expected {expected}, got {found}"


def merged(live: Any, applied: Any, node: Node) -> Any:
    """``live`` with ``applied`` merged into it; shares parts with both.

    Atomic values and scalars are the applied ones. Items of keyed lists keep the applied order among
    themselves, those that are only in ``live`` stay before the item that followed them.
    """
    if (
        isinstance(live, dict)
        and (applied is None or isinstance(applied, dict))
        and node.granular
        and (live or applied)
    ):
        result = dict(live)
        for name, value in (applied or {}).items():
            if name in live:
                declared = node.fields.get(name)
                result[name] = merged(live[name], value, declared[1] if declared else node.element)
            else:
                result[name] = value
        return result
    if isinstance(live, list) and (applied is None or isinstance(applied, list)) and node.keyed and (live or applied):
        return _merged_items(live, applied or [], node)
    return applied


def _merged_items(live: list[Any], applied: list[Any], node: Node) -> list[Any]:
    try:
        ours = [item_element(item, index, node) for index, item in enumerate(live)]
    except ItemsError:
        return applied  # nothing to merge with: such a list counts as one value
    theirs = {item_element(item, index, node): item for index, item in enumerate(applied)}
    groups = items_by_element(live, node)
    result: list[Any] = []
    waiting: list[Any] = []  # applied items that are new, in front of the next one that is not
    position = 0
    for element, item in theirs.items():
        if element not in groups:
            waiting.append(item)
            continue
        while position < len(ours) and ours[position] != element:
            if ours[position] not in theirs:
                result.append(live[position])
            position += 1
        position += 1
        result += waiting
        waiting = []
        twins = groups[element]
        result.append(merged(twins[0], item, node.item) if len(twins) == 1 else item)
    result += [live[at] for at in range(position, len(ours)) if ours[at] not in theirs]
    return result + waiting


def pruned(value: Any, node: Node, last: FieldSet, owned: FieldSet) -> Any:
    """``value`` without what is in ``last``, the set of an earlier configuration, and in nobody's set now.

    ``owned`` is the union of all sets, the new configuration's among them. A declared field counts as owned as
    long as somebody owns something below it; an item or a free key only where somebody owns it itself. What loses
    all that was in it and stays is None then, as in structured-merge-diff: whether that may be is the schema's to say.
    """
    if isinstance(value, dict) and node.granular:
        result = {}
        for name, member in value.items():
            declared = node.fields.get(name)
            element, child = declared or (f"f:{name}", node.element)
            before, now = last.get(element), owned.get(element)
            if before is None:
                result[name] = member
            elif now is None or (declared is None and is_member(before) and not is_member(now)):
                if declared is not None or is_member(before):
                    continue
                result[name] = pruned(member, child, before, {})
            else:
                result[name] = pruned(member, child, before, now)
        return None if value and not result else result
    if isinstance(value, list) and node.keyed:
        return _pruned_items(value, node, last, owned)
    return value


def _pruned_items(value: list[Any], node: Node, last: FieldSet, owned: FieldSet) -> list[Any] | None:
    result = []
    for index, item in enumerate(value):
        try:
            element = item_element(item, index, node)
        except ItemsError:
            return value
        before, now = last.get(element), owned.get(element)
        if before is None:
            result.append(item)
        elif is_member(before) and (now is None or not is_member(now)):
            continue
        else:
            kept = pruned(item, node.item, before, now or {})
            if isinstance(item, dict):
                # An item that stays keeps its keys, whoever owned them.
                kept = (kept or {}) | {name: item[name] for name, _ in node.keys if name in item}
            result.append(kept)
    return result or None if value else result


def reconciled(fields: FieldSet, node: Node) -> FieldSet:
    """The set as it reads under today's schema: what has become atomic is owned as a whole."""
    result = None
    for element, below in fields.items():
        if not below:
            continue
        if element.startswith("f:"):
            declared = node.fields.get(element[2:])
            child = declared[1] if declared else node.element
        else:
            child = node.item
        if child.deduced:
            continue
        atomic = (child.accepts_map and not child.granular) or (
            child.accepts_list and not child.keyed and not child.accepts_map
        )
        new: FieldSet = {} if atomic else reconciled(below, child)
        if new is not below:
            if result is None:
                result = dict(fields)
            result[element] = new
    return fields if result is None else result
