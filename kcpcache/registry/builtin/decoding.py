"""What Kubernetes says of JSON that does not fit a built-in type: Go's decoder stops at the first value that does not.

Only asked where something is known to be wrong. Texts follow sigs.k8s.io/json, which names the struct that holds the
field, the field's whole path without indexes and keys, and the Go type that was expected.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from kcpcache.meta.objects import Object
from kcpcache.registry.builtin.meta import OBJECT_META
from kcpcache.registry.builtin.rules.quantities import SYNTAX, quantity
from kcpcache.registry.builtin.types import ListOf, MapOf, Message, Scalar, Self, ValueType, json_fields

_STRINGS: Final = frozenset({Scalar.STRING, Scalar.TIME, Scalar.MICRO_TIME})
_INTEGERS: Final = MappingProxyType({Scalar.INT32: 2**31, Scalar.INT64: 2**63})
_GO_TYPES: Final = MappingProxyType(
    {
        Scalar.STRING: "string",
        Scalar.TIME: "string",
        Scalar.MICRO_TIME: "string",
        Scalar.BOOL: "bool",
        Scalar.INT32: "int32",
        Scalar.INT64: "int64",
        Scalar.DOUBLE: "float64",
        Scalar.BYTES: "[]uint8",
    }
)
"""Other scalars decode themselves, and are the rules' to judge."""
_NAMED_TYPES: Final = MappingProxyType(
    {
        "ObjectMeta.uid": "types.UID",
        "ObjectMeta.metadata.uid": "types.UID",
        "CustomResourceDefinitionSpec.spec.scope": "v1.ResourceScope",
    }
)
"""Strings that have a type of their own there."""
_RFC3339: Final = "2006-01-02T15:04:05Z07:00"
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.IGNORECASE)
_FIELD: Final = re.compile(r"Go struct field (\w+)\.\S+ of type")
_NOT_BASE64: Final = re.compile(r"[^A-Za-z0-9+/=\r\n]")


def decoding_error(message: Message, obj: Object) -> str:
    """The decoder's complaint about an object of this type; "" where it has none. The object stays as it is."""
    return _object_error(obj, message, "")


def metadata_error(metadata: Object) -> str:
    """The same of the metadata of a custom object, the only part of it that is decoded into a Go type."""
    return _object_error(metadata, OBJECT_META, "")


def fill_in_nulls(message: Message, obj: Object) -> None:
    """Make empty strings, as the decoder does, of the nulls in the type's own maps of strings, in place."""
    for name in _maps_of_strings(message):
        values = obj.get(name)
        if isinstance(values, dict) and None in values.values():
            obj[name] = {key: "" if value is None else value for key, value in values.items()}


@cache
def _maps_of_strings(message: Message) -> tuple[str, ...]:
    strings = (MapOf(Scalar.STRING), MapOf(Scalar.BYTES))
    return tuple(field.name for field in json_fields(message) if field.type in strings)


@cache
def _fields(message: Message) -> Mapping[str, ValueType]:
    return {field.name: field.type for field in json_fields(message)}


def _object_error(obj: Object, message: Message, path: str) -> str:
    fields, struct = _fields(message), message.name.rpartition(".")[2]
    for name, value in obj.items():
        if name in fields and (error := _error(value, fields[name], message, f"{struct}.", _join(path, name))):
            return error
    return ""


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _error(value: Any, type_: ValueType, within: Message, struct: str, path: str) -> str:
    if value is None:
        return ""
    match type_:
        case Message() | Self():
            message = within if isinstance(type_, Self) else type_
            return (
                _object_error(value, message, path)
                if isinstance(value, dict)
                else _mismatch(value, message, struct, path)
            )
        case ListOf(item):
            if not isinstance(value, list):
                return _mismatch(value, type_, struct, path)
            return next((error for one in value if (error := _error(one, item, within, struct, path))), "")
        case MapOf(item):
            if not isinstance(value, dict):
                return _mismatch(value, type_, struct, path)
            return next((error for one in value.values() if (error := _error(one, item, within, struct, path))), "")
        case Scalar.QUANTITY:
            return "" if quantity(value) is not None else SYNTAX
        case Scalar.SCHEMA_OR_ARRAY | Scalar.SCHEMA_OR_BOOL:
            return _schema_error(value, type_, within, struct, path)
        case Scalar() if type_ in _GO_TYPES:
            return _scalar_error(value, type_) or ("" if _fits(value, type_) else _mismatch(value, type_, struct, path))
    return ""


def _schema_error(value: Any, type_: Scalar, within: Message, struct: str, path: str) -> str:
    """Of a schema that could be something else too: what is wrong in it, the decoder says of its place."""
    if type_ is Scalar.SCHEMA_OR_BOOL and not isinstance(value, bool | dict):
        return "boolean or JSON schema expected"
    for schema in value if isinstance(value, list) else (value,):
        if isinstance(schema, dict) and (error := _object_error(schema, within, "")):
            return _FIELD.sub(lambda found: f"Go struct field {found[1]}.{path} of type", error)
    return ""


def _fits(value: Any, scalar: Scalar) -> bool:
    if scalar in _INTEGERS:
        limit = _INTEGERS[scalar]
        return isinstance(value, int) and not isinstance(value, bool) and -limit <= value < limit
    if scalar is Scalar.DOUBLE:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, bool if scalar is Scalar.BOOL else str)


def _scalar_error(value: Any, scalar: Scalar) -> str:
    """Of a string whose text is the matter."""
    if not isinstance(value, str):
        return ""
    if scalar in {Scalar.TIME, Scalar.MICRO_TIME} and not _TIME.fullmatch(value):
        return f'parsing time "{value}" as "{_RFC3339}": cannot parse "{value}" as "2006"'
    if scalar is Scalar.BYTES:
        try:
            base64.b64decode(value.replace("\n", "").replace("\r", ""), validate=True)
        except (binascii.Error, ValueError):
            found = _NOT_BASE64.search(value)
            return f"illegal base64 data at input byte {found.start() if found else len(value) // 4 * 4}"
    return ""


def _mismatch(value: Any, type_: ValueType, struct: str, path: str) -> str:
    named = _NAMED_TYPES.get(f"{struct}{path}") or _go_type(type_)
    return f"json: cannot unmarshal {_shown(value, type_)} into Go struct field {struct}{path} of type {named}"


def _shown(value: Any, type_: ValueType) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return f"number {value}" if type_ in _INTEGERS else "number"
    if isinstance(value, str):
        return "string"
    return "object" if isinstance(value, dict) else "array"


def _go_type(type_: ValueType) -> str:
    match type_:
        case ListOf(item):
            return f"[]{_go_type(item)}"
        case MapOf(item):
            return f"map[string]{_go_type(item)}"
        case Message():
            return ".".join(type_.name.split(".")[-2:])
        case Scalar() if type_ in _GO_TYPES:
            return _GO_TYPES[type_]
        case Scalar.JSON:
            return "v1.JSON"
        case Self():
            return "v1.JSONSchemaProps"
    return "interface {}"
