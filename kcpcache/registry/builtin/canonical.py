"""An object of a built-in type as Kubernetes writes it, whatever spelling it came in.

There an object is decoded into structs and encoded from them: what is empty is left out, but for pointers, and fields
that are always written stand there with their zero value.
"""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from kcpcache.meta.objects import Object
from kcpcache.registry.builtin.types import Field, ListOf, MapOf, Message, Scalar, Self, ValueType, json_fields

_ZEROS: Final = MappingProxyType({Scalar.STRING: "", Scalar.BOOL: False})
"""Zero values that are written where the field is not left out."""
_SCHEMAS: Final = frozenset({Scalar.SCHEMA_OR_ARRAY, Scalar.SCHEMA_OR_BOOL, Scalar.SCHEMA_OR_STRINGS})


def as_written(message: Message, obj: Object) -> None:
    """Leave out and fill in, in place, what Go's encoder does; at any depth. Values of other JSON types stay."""
    waiting = [(message, obj)]
    while waiting:
        kind, values = waiting.pop()
        for name, field in _fields(kind).items():
            value = values.get(name)
            if _is_left_out(field, value):
                values.pop(name, None)
            if field.required and name not in values:
                if isinstance(field.type, Message):
                    values[name] = {}
                elif field.type in _ZEROS:
                    values[name] = _ZEROS[field.type]  # type: ignore[index]
            if name in values:
                waiting += _within(field.type, kind, values[name])


@cache
def _fields(message: Message) -> Mapping[str, Field]:
    return {field.name: field for field in json_fields(message)}


def _is_left_out(field: Field, value: Any) -> bool:
    """Only an empty value of the field's own type is: what is of another type is the decoder's to refuse."""
    if value is None:
        return True
    if field.keeps_zero:
        return False
    match field.type:
        case ListOf():
            return value == []  # type: ignore[no-any-return]
        case MapOf(item):
            return value == {} and item is not Scalar.SCHEMA_OR_STRINGS  # it may not be given at all
        case Scalar.BOOL:
            return value is False
        case Scalar.INT32 | Scalar.INT64:
            return value == 0 and not isinstance(value, bool)
        case Scalar():
            return value == ""  # type: ignore[no-any-return]
    return False


def _within(type_: ValueType, kind: Message, value: Any) -> list[tuple[Message, Object]]:
    """The objects with fields in a value; nulls among them become empty ones, in place."""
    match type_:
        case Message() | Self():
            message = kind if isinstance(type_, Self) else type_
            return [(message, value)] if isinstance(value, dict) else []
        case ListOf(item) if isinstance(item, Message | Self) and isinstance(value, list):
            value[:] = [{} if one is None else one for one in value]
            return [found for one in value for found in _within(item, kind, one)]
        case MapOf(item) if isinstance(value, dict):
            if isinstance(item, Message | Self):
                value.update({key: {} for key, one in value.items() if one is None})
            return [found for one in value.values() for found in _within(item, kind, one)]
        case Scalar() if type_ in _SCHEMAS:
            schemas = value if isinstance(value, list) else [value]
            return [(kind, one) for one in schemas if isinstance(one, dict)]
    return []
