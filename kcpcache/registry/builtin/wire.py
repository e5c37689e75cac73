"""The built-in types as the table that protobuf bodies are read by."""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

from kcpcache.meta.protobuf import Shape, WireField, WireMessage, WireType
from kcpcache.registry.builtin.core import SCALE
from kcpcache.registry.builtin.meta import (
    CREATE_OPTIONS,
    DELETE_OPTIONS,
    LIST_OPTIONS,
    PATCH_OPTIONS,
    STATUS,
    UPDATE_OPTIONS,
)
from kcpcache.registry.builtin.resources import BUILTIN_RESOURCES
from kcpcache.registry.builtin.types import Field, ListOf, MapOf, Message, Scalar, Self, ValueType

_OPTIONS: Final = (CREATE_OPTIONS, DELETE_OPTIONS, LIST_OPTIONS, PATCH_OPTIONS, UPDATE_OPTIONS)
_RAW_JSON: Final = (Scalar.RAW_EXTENSION, Scalar.JSON, Scalar.FIELDS_V1)


@cache
def protobuf_types() -> Mapping[tuple[str, str], WireMessage]:
    """What ``meta.protobuf.decode_body`` takes: every built-in kind, and the requests' options.

    The options are known in every built-in group's version, as client-go encodes them in the group of the
    object that they are about. Built on first use.
    """
    compiled: dict[Message, WireMessage] = {}
    kinds = [resource.schema for resource in BUILTIN_RESOURCES]
    kinds += [message for resource in BUILTIN_RESOURCES for message in resource.subresource_types]
    kinds += [STATUS, SCALE]
    table = {(message.api_version, message.kind): _wire(message, compiled) for message in kinds}
    for resource in BUILTIN_RESOURCES:
        for older in resource.older_versions:
            table[f"{resource.group}/{older}", resource.kind] = _wire(resource.schema, compiled)
    for api_version in {"v1", "meta.k8s.io/v1", *(message.api_version for message in kinds)}:
        for options in _OPTIONS:
            table[api_version, options.kind] = _wire(options, compiled)
    return MappingProxyType(table)


def _wire(message: Message, compiled: dict[Message, WireMessage]) -> WireMessage:
    if message not in compiled:
        wire = compiled[message] = WireMessage(message.name)
        wire.fields.update({field.number: _wire_field(field, message, compiled) for field in message.fields})
    return compiled[message]


def _wire_field(field: Field, parent: Message, compiled: dict[Message, WireMessage]) -> WireField:
    shape, value = Shape.INLINE if field.inline else Shape.ONE, field.type
    match value:
        case ListOf(item):
            shape, value = Shape.LIST, item
        case MapOf(item):
            shape, value = Shape.MAP, item
    return WireField(field.name, _wire_type(value, parent, compiled), shape, field.keeps_zero)


def _wire_type(value: ValueType, parent: Message, compiled: dict[Message, WireMessage]) -> WireType | WireMessage:
    match value:
        case Message():
            return _wire(value, compiled)
        case Self():
            return _wire(parent, compiled)
        case Scalar() if value in _RAW_JSON:
            return WireType.RAW_JSON
        case Scalar():
            return WireType(value.value)
    raise TypeError(f"{parent.name}: {value} cannot be a single value")
