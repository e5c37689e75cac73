"""Strategic merge patch: a merge patch that knows which lists merge, and by which key.

Directives: ``$patch`` (replace, delete, merge), ``$retainKeys``, ``$setElementOrder/<list>``,
``$deleteFromPrimitiveList/<list>``. Rules: Kubernetes documentation, "Update API Objects in Place Using kubectl
patch", and the design proposals "strategic-merge-patch" and "preserve-order-in-strategic-merge-patch".
"""

from typing import Any, Final

import orjson

from kcpcache.meta.errors import BadRequestError
from kcpcache.meta.managed_fields.nodes import Node, compile_schema
from kcpcache.meta.objects import Object
from kcpcache.meta.patch.json_patch import PatchRejectedError

_PATCH: Final = "$patch"
_RETAIN_KEYS: Final = "$retainKeys"
_ELEMENT_ORDER: Final = "$setElementOrder"
_DELETE_ITEMS: Final = "$deleteFromPrimitiveList"
_DIRECTIVES: Final = (_PATCH, _RETAIN_KEYS, _ELEMENT_ORDER, _DELETE_ITEMS)


def apply_strategic_merge_patch(document: Object, patch: Object, schema: Object | None) -> Object:
    """``document`` with ``patch`` merged into it as the schema's patch strategies and merge keys say.

    Both are parsed JSON and the caller's own: they are changed, and the answer shares parts with them. Without
    a strategy objects merge and lists are replaced. Raises BadRequestError for a patch in a wrong form (or for a
    type without schema), PatchRejectedError (422) for lists of lists.
    """
    if schema is None:
        raise BadRequestError("strategic merge patch format is not supported")
    if not isinstance(patch, dict):
        raise BadRequestError("invalid JSON document")
    try:
        return _merge_object(document, patch, compile_schema(schema))
    except RecursionError:
        raise BadRequestError("the patch is nested too deeply") from None


def _merge_object(original: Object, patch: Object, node: Node) -> Object:
    if _PATCH in patch:
        directive = patch[_PATCH]
        if directive == "delete":
            return {}
        if directive == "replace":
            return _plain_fields({name: value for name, value in patch.items() if name != _PATCH})
        raise _unknown_directive(directive)
    orders = _parallel_lists(patch, _ELEMENT_ORDER, "invalid patch format of setElementOrder list")
    deletions = _parallel_lists(patch, _DELETE_ITEMS, "invalid patch format of primitive list")
    fields = {name: value for name, value in patch.items() if not name.startswith(_DIRECTIVES)}
    if _RETAIN_KEYS in patch:
        _retain_keys(original, patch[_RETAIN_KEYS], fields)
    for name, value in fields.items():
        _merge_field(original, name, value, orders.pop(name, None), _field_node(node, name))
    for name, order in orders.items():  # no new items, but an order for those that are there
        items = original.get(name)
        if isinstance(items, list):
            original[name] = _arranged(items, order, items, _field_node(node, name).patch_merge_key)
    for name, items in deletions.items():
        if isinstance(items, list) and isinstance(original.get(name), list):
            gone = {_identity(item) for item in items}
            original[name] = [item for item in original[name] if _identity(item) not in gone]
    return original


def _parallel_lists(patch: Object, directive: str, complaint: str) -> dict[str, Any]:
    """The values of ``<directive>/<field>``, by field."""
    found = {}
    for name, value in patch.items():
        if name.startswith(directive):
            slash, field = name[len(directive) : len(directive) + 1], name[len(directive) + 1 :]
            if slash != "/" or (directive == _ELEMENT_ORDER and not isinstance(value, list)):
                raise BadRequestError(complaint)
            found[field] = value
    return found


def _retain_keys(original: Object, keys: Any, fields: Object) -> None:
    if not isinstance(keys, list):
        raise BadRequestError("invalid patch format of retainKeys")
    retained = {key for key in keys if isinstance(key, str)}
    if any(value is not None and name not in retained for name, value in fields.items()):
        raise BadRequestError("invalid patch format of retainKeys")
    for name in original.keys() - retained:
        del original[name]


def _field_node(node: Node, name: str) -> Node:
    declared = node.fields.get(name)
    return declared[1] if declared else node.element


def _merge_field(original: Object, name: str, value: Any, order: list[Any] | None, node: Node) -> None:
    current = original.get(name)
    if value is None:
        original.pop(name, None)
    elif isinstance(value, dict):
        if isinstance(current, dict) and "replace" not in node.patch_strategies:
            original[name] = _merge_object(current, value, node)
        elif _PATCH in value:
            original.pop(name, None)
        else:
            original[name] = _plain_fields(value)
    elif isinstance(value, list):
        original[name] = _merge_list(current if isinstance(current, list) else None, value, order, node)
    else:
        original[name] = value


def _merge_list(current: list[Any] | None, patch: list[Any], order: list[Any] | None, node: Node) -> list[Any]:
    key = node.patch_merge_key
    if order:
        _check_order(patch, order, key)
    if current is None or "merge" not in node.patch_strategies:
        return _arranged(_plain_items(patch), order, current or [], key) if order else _plain_items(patch)
    if not _all_objects(current, patch):
        unique: dict[str | bytes, Any] = {}
        for item in [*current, *patch]:
            unique.setdefault(_identity(item), item)
        return _arranged(list(unique.values()), order or patch, current, "")
    if not key:
        raise BadRequestError("cannot merge lists without merge key")
    items = []
    replace = False
    server = current
    for item in patch:
        if _PATCH not in item:
            items.append(item)
        elif item[_PATCH] == "delete":
            gone = _identity(_key_of(item, key))
            server = [each for each in server if key not in each or _identity(each[key]) != gone]
        elif item[_PATCH] == "replace":
            replace = True
        else:
            raise _unknown_directive(item[_PATCH])
    for item in items:
        _key_of(item, key)
    if replace:
        return _arranged(_plain_items(items), order, items, key) if order else _plain_items(items)
    return _arranged(_merge_items(server, items, key, node.item), order or items, current, key)


def _merge_items(server: list[Any], items: list[Any], key: str, node: Node) -> list[Any]:
    merged = list(server)
    places: dict[Any, int] = {}
    for index, item in enumerate(server):
        if key in item:
            places.setdefault(_identity(item[key]), index)
    for item in items:
        identity = _identity(item[key])
        place = places.get(identity)
        if place is None:
            places[identity] = len(merged)
            merged.append(_plain_fields(item))
        else:
            merged[place] = _merge_object(merged[place], item, node)
    return merged


def _all_objects(current: list[Any], patch: list[Any]) -> bool:
    """Whether the items are objects, rather than scalars; they must be of one kind."""
    kinds = {type(item) for item in current} | {type(item) for item in patch}
    if list in kinds:
        raise PatchRejectedError("lists of lists are not supported")
    if dict in kinds and len(kinds) > 1:
        raise BadRequestError("list element types are not identical")
    return dict in kinds


def _check_order(patch: list[Any], order: list[Any], key: str) -> None:
    """The patch's items must stand in the order list, in the same order."""
    positions = iter([_identity(_key_of(item, key) if key else item) for item in order])
    for item in patch:
        if isinstance(item, dict) and _PATCH in item:
            continue
        identity = _identity(_key_of(item, key) if key else item)
        if identity not in positions:  # advances to the item, past those that are only in the order
            raise BadRequestError(
                f"The order in patch list:\n{_shown(patch)}\n doesn't match $setElementOrder list:\n{_shown(order)}\n"
            )


def _arranged(items: list[Any], order: list[Any], server: list[Any], key: str) -> list[Any]:
    """The items with those of ``order`` in its order, and the others where the server has them.

    An item of the server goes before one of the order only where it was before it on the server.
    """

    def identity(item: Any) -> str | bytes:
        return _identity(item.get(key) if key and isinstance(item, dict) else item)

    ordered: dict[str | bytes, int] = {}
    for index, item in enumerate(order):
        ordered.setdefault(identity(item), index)
    served: dict[str | bytes, int] = {}
    for index, item in enumerate(server):
        served.setdefault(identity(item), index)
    theirs = sorted((item for item in items if identity(item) in ordered), key=lambda item: ordered[identity(item)])
    ours = [item for item in items if identity(item) not in ordered]
    result = []
    position = 0
    for item in theirs:
        place = served.get(identity(item), -1)
        while position < len(ours) and served.get(identity(ours[position]), place) < place:
            result.append(ours[position])
            position += 1
        result.append(item)
    return result + ours[position:]


def _plain_items(items: list[Any]) -> list[Any]:
    return [_plain(item) for item in items if not (isinstance(item, dict) and _PATCH in item)]


def _plain_fields(value: Object) -> Object:
    return {
        name: _plain(member)
        for name, member in value.items()
        if member is not None
        and not name.startswith(_DIRECTIVES)
        and not (isinstance(member, dict) and _PATCH in member)
    }


def _plain(value: Any) -> Any:
    """What a patch puts where nothing was: without directives and nulls."""
    if isinstance(value, dict):
        return _plain_fields(value)
    return _plain_items(value) if isinstance(value, list) else value


def _key_of(item: Any, key: str) -> Any:
    if not isinstance(item, dict):
        raise BadRequestError(f"expected an object with the merge key {key}, got {_shown(item)}")
    if key not in item:
        raise BadRequestError(f"map: {_shown(item)} does not contain declared merge key: {key}")
    return item[key]


def _identity(value: Any) -> str | bytes:
    """Something hashable that is equal for equal JSON values only: true is not 1."""
    return value if type(value) is str else _encoded(value)


def _encoded(value: Any) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        raise BadRequestError("the patch is nested too deeply") from None


def _shown(value: Any) -> str:
    return _encoded(value).decode()


def _unknown_directive(directive: Any) -> BadRequestError:
    return BadRequestError(f"unknown patch type: {_shown(directive)}")
