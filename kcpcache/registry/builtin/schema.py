"""The built-in types as schemas: structural ones without references, and OpenAPI components with them."""

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

from kcpcache.meta.objects import Object
from kcpcache.registry.builtin.core import SCALE
from kcpcache.registry.builtin.meta import DELETE_OPTIONS, LIST_META, STATUS
from kcpcache.registry.builtin.resources import BUILTIN_RESOURCES
from kcpcache.registry.builtin.types import Field, ListOf, MapOf, Message, Scalar, Self, ValueType, json_fields, walk

_PRESERVE: Final = "x-kubernetes-preserve-unknown-fields"
_GVK: Final = "x-kubernetes-group-version-kind"
_STRING_LIST: Final = {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "atomic"}
_SCALARS: Final[Mapping[Scalar, Object]] = {
    Scalar.STRING: {"type": "string"},
    Scalar.BOOL: {"type": "boolean"},
    Scalar.INT32: {"type": "integer", "format": "int32"},
    Scalar.INT64: {"type": "integer", "format": "int64"},
    Scalar.DOUBLE: {"type": "number", "format": "double"},
    Scalar.BYTES: {"type": "string", "format": "byte"},
    Scalar.TIME: {"type": "string", "format": "date-time"},
    Scalar.MICRO_TIME: {"type": "string", "format": "date-time"},
    Scalar.INT_OR_STRING: {"x-kubernetes-int-or-string": True},
    Scalar.QUANTITY: {_PRESERVE: True},
    Scalar.RAW_EXTENSION: {"type": "object", _PRESERVE: True},
    Scalar.JSON: {_PRESERVE: True},
    Scalar.FIELDS_V1: {"type": "object", _PRESERVE: True},
    Scalar.STRING_ITEMS: _STRING_LIST,
    Scalar.SCHEMA_OR_ARRAY: {_PRESERVE: True},
    Scalar.SCHEMA_OR_BOOL: {_PRESERVE: True},
    Scalar.SCHEMA_OR_STRINGS: {_PRESERVE: True},
}
"""A quantity may be any JSON number or string; the rules of the types that have one check it."""

_TYPE_META: Final = {
    "apiVersion": "Version of the API that the object is written in.",
    "kind": "Kind of the object.",
}


@cache
def structural_schema(message: Message) -> Object:
    """The schema of a built-in type, without ``$ref``; shared: callers must not change it.

    ``required`` are only the keys of list maps: as in Go, any other missing field is the zero value, and the
    type's rules say what must be there. Within a recursive type (JSON schemas) the inner level only keeps
    unknown fields.
    """
    return _structural(message, message.description)


def _structural(message: Message, description: str) -> Object:
    def value_schema(type_: ValueType) -> Object:
        match type_:
            case Message():
                return _structural(type_, type_.description)
            case Self():
                return {"type": "object", _PRESERVE: True}
            case Scalar.FIELDS_V1:
                return {_PRESERVE: True}  # a set of fields that is none is passed over, not refused
            case Scalar.QUANTITY:
                return {_PRESERVE: True, "default": "0"}  # what null decodes to
        return _SCALARS[type_]  # type: ignore[index]  # lists and maps never get here

    schema = _object_schema(message, description, value_schema)
    for field in json_fields(message):
        if field.list_keys:
            schema["properties"][field.name]["items"]["required"] = list(field.list_keys)
        if field.type == MapOf(Scalar.BYTES):
            # The types' rules check that it is base64: they do not quote what is not, and it may be a secret.
            schema["properties"][field.name]["additionalProperties"] = {"type": "string"}
    return schema


def _object_schema(message: Message, description: str, value: Callable[[ValueType], Object]) -> Object:
    properties = {field.name: _property(field, value) for field in json_fields(message)}
    schema: Object = {"type": "object", "description": description}
    if message.kind:
        types = {name: {"type": "string", "description": text} for name, text in _TYPE_META.items()}
        properties = types | properties
    if properties:
        schema["properties"] = properties
    if message.map_type:
        schema["x-kubernetes-map-type"] = message.map_type
    return schema


def _property(field: Field, value: Callable[[ValueType], Object]) -> Object:
    schema: Object
    match field.type:
        case ListOf(item):
            schema = {"type": "array", "items": value(item), "x-kubernetes-list-type": field.list_type}
        case MapOf(item):
            schema = {"type": "object", "additionalProperties": value(item)}
        case other:
            schema = dict(value(other))
    schema["description"] = field.description
    if field.list_keys:
        schema["x-kubernetes-list-map-keys"] = list(field.list_keys)
    if field.merge_key is not None:
        schema["x-kubernetes-patch-strategy"] = "merge"
    if field.merge_key:
        schema["x-kubernetes-patch-merge-key"] = field.merge_key
    if field.enum:
        schema["enum"] = list(field.enum)
    return schema


def embedded_structs(message: Message) -> Object:
    """The fields that Go holds as structs, not as pointers, each with those in it; ``metadata`` is not among them."""
    return {
        field.name: embedded_structs(field.type)
        for field in json_fields(message)
        if isinstance(field.type, Message) and not field.pointer and field.name != "metadata"
    }


@cache
def openapi_components() -> Mapping[str, Object]:
    """``components.schemas`` of all built-in types, by their OpenAPI names, with ``$ref`` between them.

    Each kind comes with its list. Built on first use and shared: callers must not change it.
    """
    components: dict[str, Object] = {}
    roots = [resource.schema for resource in BUILTIN_RESOURCES]
    roots += [message for resource in BUILTIN_RESOURCES for message in resource.subresource_types]
    for root in (*roots, SCALE, STATUS, DELETE_OPTIONS, LIST_META):
        for message in walk(root):
            if message.name not in components:
                components[message.name] = _component(message)
    for resource in BUILTIN_RESOURCES:
        if resource.list_kind:
            components[f"{resource.schema.name}List"] = _list_component(resource.schema, resource.list_kind)
    return MappingProxyType(components)


def _component(message: Message) -> Object:
    def value_schema(type_: ValueType) -> Object:
        match type_:
            case Message():
                return _reference(type_)
            case Self():
                return _reference(message)
        return _SCALARS[type_]  # type: ignore[index]  # lists and maps never get here

    schema = _object_schema(message, message.description, value_schema)
    if required := [field.name for field in json_fields(message) if field.required]:
        schema["required"] = required
    if message.kind:
        schema[_GVK] = [_gvk(message.api_version, message.kind)]
    return schema


def _reference(message: Message) -> Object:
    """``allOf``, because beside a bare ``$ref`` OpenAPI 3.0 ignores everything, descriptions too."""
    return {"allOf": [{"$ref": f"#/components/schemas/{message.name}"}]}


def _list_component(message: Message, list_kind: str) -> Object:
    types = {name: {"type": "string", "description": text} for name, text in _TYPE_META.items()}
    return {
        "type": "object",
        "description": f"A list of {message.kind} objects.",
        "properties": {
            **types,
            "metadata": {**_reference(LIST_META), "description": "Standard list metadata."},
            "items": {"type": "array", "items": _reference(message), "description": "The objects."},
        },
        "required": ["items"],
        _GVK: [_gvk(message.api_version, list_kind)],
    }


def _gvk(api_version: str, kind: str) -> Object:
    group, _, version = api_version.rpartition("/")
    return {"group": group, "version": version, "kind": kind}
