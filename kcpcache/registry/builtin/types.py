"""The notation in which the built-in types are written down: one row a field, everything else follows from it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


class Scalar(StrEnum):
    """Field types that are not messages of fields, named as Kubernetes' Go types call them."""

    STRING = "string"
    BOOL = "bool"
    INT32 = "int32"
    INT64 = "int64"
    DOUBLE = "double"
    BYTES = "bytes"
    TIME = "Time"
    MICRO_TIME = "MicroTime"
    INT_OR_STRING = "IntOrString"
    QUANTITY = "Quantity"
    RAW_EXTENSION = "RawExtension"
    JSON = "JSON"
    FIELDS_V1 = "FieldsV1"
    STRING_ITEMS = "ExtraValue"
    """A list of strings in JSON, a message with ``items = 1`` in protobuf."""
    SCHEMA_OR_ARRAY = "JSONSchemaPropsOrArray"
    SCHEMA_OR_BOOL = "JSONSchemaPropsOrBool"
    SCHEMA_OR_STRINGS = "JSONSchemaPropsOrStringArray"


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list (``repeated`` in protobuf)."""

    item: "ValueType"


@dataclass(frozen=True, slots=True)
class MapOf:
    """An object with free keys (``map<string, …>`` in protobuf)."""

    value: "ValueType"


@dataclass(frozen=True, slots=True)
class Self:
    """The message in which the field stands: how a recursive type names itself."""


ValueType: TypeAlias = "Scalar | ListOf | MapOf | Self | Message"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message; made by ``row``."""

    name: str
    number: int
    type: ValueType
    description: str
    required: bool = False
    pointer: bool = False
    """The zero value means something, so it is kept when protobuf carries it; otherwise it counts as absent."""
    inline: bool = False
    """In JSON the message's fields stand among this message's own."""
    list_type: str = ""
    list_keys: tuple[str, ...] = ()
    merge_key: str | None = None
    """Strategic merge patch merges the list: by this key, or ("") as a set of scalars. None: replaces it."""
    enum: tuple[str, ...] = ()

    @property
    def keeps_zero(self) -> bool:
        """Whether a zero value that protobuf carries appears in JSON (Go: a pointer, or no ``omitempty``)."""
        return self.pointer or self.required


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """A type with fields. ``name`` is its OpenAPI name; ``kind`` and ``api_version`` are set on top-level ones.

    Compared and hashed by identity: each message exists once.
    """

    name: str
    description: str
    fields: tuple[Field, ...]
    api_version: str = ""
    kind: str = ""
    map_type: str = ""


def row(  # noqa: PLR0913 - a table row has as many columns as a field has properties
    name: str,
    number: int,
    type_: ValueType,
    description: str,
    *,
    required: bool = False,
    pointer: bool = False,
    inline: bool = False,
    list_type: str = "",
    keys: tuple[str, ...] = (),
    merge: str | None = None,
    enum: tuple[str, ...] = (),
) -> Field:
    """One field. A list is atomic unless it says otherwise, as in all built-in types; ``keys`` make it a map."""
    if isinstance(type_, ListOf) and not list_type:
        list_type = "map" if keys else "atomic"
    return Field(
        name=name,
        number=number,
        type=type_,
        description=description,
        required=required,
        pointer=pointer,
        inline=inline,
        list_type=list_type,
        list_keys=keys,
        merge_key=merge,
        enum=enum,
    )


def package(prefix: str) -> Callable[..., Message]:
    """A maker of the plain messages of one API package, for example ``io.k8s.api.core.v1``."""

    def make(name: str, description: str, *fields: Field, map_type: str = "") -> Message:
        return Message(f"{prefix}.{name}", description, fields, map_type=map_type)

    return make


def json_fields(message: Message) -> list[Field]:
    """The fields as they stand in JSON: those of inlined messages among the others."""
    found: list[Field] = []
    for field in message.fields:
        if field.inline and isinstance(field.type, Message):
            found += json_fields(field.type)
        else:
            found.append(field)
    return found


def walk(message: Message) -> Iterator[Message]:
    """The message and every message that it contains, each once, containers first."""
    seen: dict[Message, None] = {}

    def visit(found: ValueType) -> None:
        match found:
            case ListOf(item):
                visit(item)
            case MapOf(value):
                visit(value)
            case Message() if found not in seen:
                seen[found] = None
                for member in found.fields:
                    visit(member.type)

    visit(message)
    yield from seen
