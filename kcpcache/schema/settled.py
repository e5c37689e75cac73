"""Whether pruning and defaulting would change an object at all, with closures compiled once per schema.

Nearly every object that is read has been written under the schema that it is read by. To find that out this way takes
a few operations on sets for each object within it, and copies nothing.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from kcpcache.meta.object_meta import is_sound
from kcpcache.meta.objects import Object
from kcpcache.schema.prune import META_FIELDS

Check: TypeAlias = Callable[[Any], bool]
"""Whether a dict or list stays as it is."""


def compile_settled(schema: Object) -> Callable[[Object], bool]:
    """A function that says whether an object of this schema stays as it is when it is pruned and defaulted.

    The types and metadata of embedded resources are looked at too, the object's own are not. False may be said of an
    object that stays as it is all the same, where to tell would take as long as to try. The schema has passed
    ``check_structural``; the object may be any JSON.
    """
    return _compile(schema, root=True) or _anything


def _anything(_value: Any) -> bool:
    return True


def _empty(value: Any) -> bool:
    return not value


def _without_containers(values: list[Any]) -> bool:
    return not any(type(value) is dict or type(value) is list for value in values)


def _compile(schema: Object | None, *, root: bool = False) -> Check | None:
    """None where everything stays as it is."""
    if not schema:
        return _empty  # what has no schema has no known fields
    preserve = schema.get("x-kubernetes-preserve-unknown-fields") is True
    check_object = _object_check(schema, preserve=preserve, root=root)
    check_list = _list_check(schema.get("items"), preserve=preserve)
    if check_object is None and check_list is None:
        return None

    def check(value: Any) -> bool:
        if type(value) is dict:
            return check_object is None or check_object(value)
        return check_list is None or check_list(value)

    return check


def _object_check(schema: Object, *, preserve: bool, root: bool) -> Check | None:
    properties: Object = schema.get("properties") or {}
    additional: Any = schema.get("additionalProperties")
    embedded = schema.get("x-kubernetes-embedded-resource") is True and not root
    typed = isinstance(additional, dict)
    children = {name: _compile(child) for name, child in properties.items()}
    if root or embedded:  # these are kept whatever they are, but defaults may be given for what is in them
        kept = {"x-kubernetes-preserve-unknown-fields": True}
        children |= {name: _compile({**properties.get(name, {}), **kept}) for name in META_FIELDS}
    others = None if additional is None else _compile(additional if typed else None)
    closed = not preserve and additional is None
    known = frozenset(children)
    needed = frozenset(name for name, child in properties.items() if child.get("default") is not None)
    nullable = {name for name, child in properties.items() if child.get("nullable") is True}
    nulls_matter = bool(properties) or typed
    nulls_go = typed and additional.get("nullable") is not True
    if not closed and not nulls_matter and not embedded and others is None and not any(children.values()):
        return None

    def check(obj: Object) -> bool:
        if closed and not obj.keys() <= known:
            return False
        if needed and not needed <= obj.keys():
            return False
        for name, value in obj.items():
            if type(value) is dict or type(value) is list:
                below = children.get(name, others)
                if below is not None and not below(value):
                    return False
            elif value is None and nulls_matter and ((name not in nullable) if name in properties else nulls_go):
                return False
        return not embedded or _is_sound_embedded(obj)

    return check


def _is_sound_embedded(obj: Object) -> bool:
    meta = obj.get("metadata", {})
    if type(obj.get("apiVersion", "")) is not str or type(obj.get("kind", "")) is not str:
        return False
    return type(meta) is dict and is_sound(meta)


def _list_check(items: Any, *, preserve: bool) -> Check | None:
    if not items:
        return None if preserve else _without_containers
    below = _compile({**items, "x-kubernetes-preserve-unknown-fields": True} if preserve else items)
    filled = items.get("default") is not None and items.get("nullable") is not True
    if below is None and not filled:
        return None

    def check(values: list[Any]) -> bool:
        for value in values:
            if type(value) is dict or type(value) is list:
                if below is not None and not below(value):
                    return False
            elif filled and value is None:
                return False
        return True

    return check
