"""Defaulting, and what becomes of nulls, with closures compiled once per schema.

Follows the Kubernetes documentation, "Defaulting" and "Defaulting and Nullable": a null where the schema is not
nullable gives way to the default, and goes away where there is none.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import orjson

from kcpcache.meta.objects import Object

Defaulter: TypeAlias = Callable[[Any], None]

_ABSENT: Any = object()


def compile_null_dropper(schema: Object) -> Callable[[Object], None]:
    """A function that drops, in place, the nulls that ``compile_defaulter``'s drops, and fills in nothing."""
    return _compile(schema, fill=False) or _nothing


def compile_defaulter(schema: Object) -> Callable[[Object], None]:
    """A function that applies the schema's defaults to an object in place, nested ones too.

    Nulls for fields that are not nullable are replaced by the default, or dropped (``status: null``). The schema has
    passed ``check_structural``; the object may be any JSON. Applying it twice is applying it once.
    """
    return _compile(schema) or _nothing


def compile_filler(schema: Object) -> Callable[[Object], None]:
    """A function that applies defaults as ``compile_defaulter``'s does, and leaves nulls that no default replaces."""
    return _compile(schema, drop=False) or _nothing


def _nothing(_value: Any) -> None:
    return None


def _maker(schema: Object) -> Callable[[], Any] | None:
    """Makes fresh copies of the default; None where there is none (``default: null`` is none)."""
    default = schema.get("default")
    if default is None:
        return None
    if not isinstance(default, dict | list):
        return lambda: default
    encoded = orjson.dumps(default)
    return lambda: orjson.loads(encoded)


def _compile(schema: Object, *, fill: bool = True, drop: bool = True) -> Defaulter | None:
    properties: Object = schema.get("properties") or {}
    additional = schema.get("additionalProperties")
    items = schema.get("items")
    default_object = (
        _object_defaulter(properties, additional if isinstance(additional, dict) else None, fill=fill, drop=drop)
        if properties or isinstance(additional, dict)
        else None
    )
    default_list = _list_defaulter(items, fill=fill, drop=drop) if isinstance(items, dict) else None
    if default_object is None and default_list is None:
        return None

    def default(value: Any) -> None:
        if type(value) is dict:
            if default_object is not None:
                default_object(value)
        elif default_list is not None and type(value) is list:
            default_list(value)

    return default


def _object_defaulter(properties: Object, additional: Object | None, *, fill: bool, drop: bool) -> Defaulter:
    defaults = {name: make for name, child in properties.items() if (make := _maker(child)) is not None}
    makers = list(defaults.items()) if fill else []
    children = {name: _compile(child, fill=fill, drop=drop) for name, child in properties.items()}
    nullable = {name for name, child in properties.items() if child.get("nullable") is True}
    others = _compile(additional, fill=fill, drop=drop) if additional else None
    others_default = _maker(additional) if additional else None
    nulls_go = additional is not None and additional.get("nullable") is not True

    def default(obj: Object) -> None:
        for name, make in makers:
            value = obj.get(name, _ABSENT)
            if value is _ABSENT or (value is None and name not in nullable):
                obj[name] = make()
        nulls: list[str] = []
        for name, value in obj.items():
            if value is None:
                if (name not in nullable) if name in children else nulls_go:
                    nulls.append(name)
            elif type(value) is dict or type(value) is list:
                child = children.get(name, others)
                if child is not None:
                    child(value)
        for name in nulls:
            if (name not in defaults) if name in children else others_default is None:
                if drop:
                    del obj[name]
            elif fill and others_default is not None:
                obj[name] = others_default()
                if others is not None:
                    others(obj[name])

    return default


def _list_defaulter(items: Object, *, fill: bool, drop: bool) -> Defaulter:
    child = _compile(items, fill=fill, drop=drop)
    make = _maker(items) if fill and items.get("nullable") is not True else None

    def default(values: list[Any]) -> None:
        for index, value in enumerate(values):
            if value is None and make is not None:
                values[index] = make()
            if child is not None:
                child(values[index])

    return default
