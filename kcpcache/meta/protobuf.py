"""Kubernetes' protobuf bodies as JSON-style objects: four bytes of magic, then a ``runtime.Unknown`` around the object.

The reader follows a table of the caller's (``WireMessage``), field by field, in one pass: Go's types need
their own JSON forms anyway (times, quantities, base64), so that generated classes would only add a second
pass over everything. Only the subset of the wire format that Kubernetes' ``generated.proto`` files use is
understood: varints, fixed-size and length-delimited fields, no groups; unknown fields are skipped.
"""

import base64
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Final

import orjson

from kcpcache.meta.errors import BadRequestError
from kcpcache.meta.objects import Object

MEDIA_TYPE: Final = "application/vnd.kubernetes.protobuf"
MAGIC: Final = b"k8s\x00"
MAX_DEPTH: Final = 64
"""Messages within messages. kubectl's deepest body, a CRD, stays below 30."""
MAX_FIELDS: Final = 100_000
"""Fields of one body: two bytes can make a whole object, and reading must not hold up the event loop."""

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_FIRST, _SECOND, _THIRD = 1, 2, 3  # field numbers of the small messages that are read by hand
_CONTINUED: Final = 0x80
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NANOS_PER_SECOND: Final = 1_000_000_000
_VARINT_BITS: Final = 64
_LARGEST_WHOLE: Final = 1e15
_DOUBLE: Final = struct.Struct("<d")
_ABSENT: Final = object()


class WireType(Enum):
    """How a value looks in protobuf, and which JSON value it becomes."""

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
    RAW_JSON = "JSON"
    """A message whose field 1 holds JSON text: RawExtension, JSON, FieldsV1."""
    STRING_ITEMS = "ExtraValue"
    """A message whose field 1 is a repeated string; a plain list in JSON."""
    SCHEMA_OR_ARRAY = "JSONSchemaPropsOrArray"
    SCHEMA_OR_BOOL = "JSONSchemaPropsOrBool"
    SCHEMA_OR_STRINGS = "JSONSchemaPropsOrStringArray"


class Shape(Enum):
    """How often a field may occur, and where its value goes."""

    ONE = "one"
    LIST = "list"
    MAP = "map"
    INLINE = "inline"
    """A message whose JSON fields stand among those of the message around it."""


@dataclass(frozen=True, slots=True)
class WireField:
    """One field: its JSON name, and how its value is read.

    ``keeps_zero`` tells a Go pointer (or no ``omitempty``) from a field whose zero value counts as absent.
    """

    name: str
    type: "WireType | WireMessage"
    shape: Shape = Shape.ONE
    keeps_zero: bool = False


@dataclass(slots=True, eq=False)
class WireMessage:
    """The fields of a message by number. Filled after construction, so that a message can contain itself.

    The three ``SCHEMA_OR_…`` types stand for schemas of the message in which they are fields.
    """

    name: str
    fields: dict[int, WireField] = field(default_factory=dict)


def decode_body(data: bytes, types: Mapping[tuple[str, str], WireMessage]) -> Object:
    """The object of a request body; ``types`` maps (apiVersion, kind) to the message it is.

    Raises BadRequestError for everything that is not such a body, and nothing else. Times become RFC 3339,
    bytes base64, 64-bit numbers ints; zero values that Go's ``omitempty`` drops are left out.
    """
    if not data.startswith(MAGIC):
        raise BadRequestError("the body is not Kubernetes protobuf: it does not start with k8s\\0")
    reader = _Reader(data)
    try:
        api_version, kind, start, end = reader.envelope()
        found = types.get((api_version, kind))
        if found is None:
            raise BadRequestError(f'no kind "{kind}" is registered for version "{api_version}" in protobuf')
        return {"apiVersion": api_version, "kind": kind, **reader.message(found, start, end, MAX_DEPTH)}
    except _MalformedError as error:
        raise BadRequestError(f"the protobuf body is malformed: {error}") from None


class _MalformedError(Exception):
    """The bytes break the wire format or a bound; the text says how."""


class _Reader:
    """Reads one body. A value is given by its wire type and two numbers.

    Length-delimited and fixed-size values: offsets of their start and end; varints: the number, and 0.
    """

    __slots__ = ("budget", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.budget = MAX_FIELDS

    def envelope(self) -> tuple[str, str, int, int]:
        """``runtime.Unknown``: apiVersion, kind, and where the object's own message starts and ends."""
        identity = {1: "", 2: ""}
        start = end = len(self.data)
        for number, wire, value, stop in self.fields(len(MAGIC), len(self.data)):
            if number == _FIRST:
                for part, part_wire, part_start, part_end in self.fields(*_span(wire, value, stop)):
                    if part in identity:
                        identity[part] = self.text(part_wire, part_start, part_end)
            elif number == _SECOND:
                start, end = _span(wire, value, stop)
            elif number == _THIRD and self.text(wire, value, stop):
                raise _MalformedError("contentEncoding is not supported")
        return identity[1], identity[2], start, end

    def message(self, message: WireMessage, start: int, end: int, depth: int) -> Object:
        """The JSON object that stands between two offsets."""
        if not depth:
            raise _MalformedError("messages are nested too deeply")
        found: Object = {}
        for number, wire, value, stop in self.fields(start, end):
            known = message.fields.get(number)
            if known is None:
                continue
            if known.shape is Shape.MAP:
                key, item = self.entry(known, message, *_span(wire, value, stop), depth)
                found.setdefault(known.name, {})[key] = item
                continue
            item = self.value(known.type, message, wire, value, stop, depth)
            if known.shape is Shape.LIST:
                found.setdefault(known.name, []).append(None if item is _ABSENT else item)
            elif known.shape is Shape.INLINE:
                found.update(item)
            elif item is not _ABSENT and (item or known.keeps_zero):
                found[known.name] = item
        return found

    def entry(self, known: WireField, message: WireMessage, start: int, end: int, depth: int) -> tuple[str, Any]:
        """One entry of a map: key in field 1, value in field 2; what is missing is the type's zero value."""
        key = ""
        item: Any = _ABSENT
        for number, wire, value, stop in self.fields(start, end):
            if number == _FIRST:
                key = self.text(wire, value, stop)
            elif number == _SECOND:
                item = self.value(known.type, message, wire, value, stop, depth)
        if item is _ABSENT:
            item = self.value(known.type, message, _LENGTH, end, end, depth)
        return key, None if item is _ABSENT else item

    def value(  # noqa: PLR0911 - one flat table of types
        self,
        type_: WireType | WireMessage,
        parent: WireMessage,
        wire: int,
        value: int,
        stop: int,
        depth: int,
    ) -> Any:
        """The JSON value of one field, or ``_ABSENT`` for a zero time and the like."""
        if isinstance(type_, WireMessage):
            return self.message(type_, *_span(wire, value, stop), depth - 1)
        match type_:
            case WireType.STRING:
                return self.text(wire, value, stop)
            case WireType.BYTES:
                start, end = _span(wire, value, stop)
                return base64.b64encode(self.data[start:end]).decode()
            case WireType.BOOL:
                return _number(wire, value) != 0
            case WireType.INT32:
                return _signed(_number(wire, value), 32)
            case WireType.INT64:
                return _signed(_number(wire, value), 64)
            case WireType.DOUBLE:
                return self.double(wire, value)
            case WireType.TIME | WireType.MICRO_TIME:
                return self.time(type_, *_span(wire, value, stop))
            case WireType.QUANTITY:
                return self.quantity(*_span(wire, value, stop))
            case WireType.INT_OR_STRING:
                return self.int_or_string(*_span(wire, value, stop))
            case WireType.RAW_JSON:
                return self.raw_json(*_span(wire, value, stop))
            case WireType.STRING_ITEMS:
                return [
                    self.text(*item) for number, *item in self.fields(*_span(wire, value, stop)) if number == _FIRST
                ]
            case _:
                return self.schema_or(type_, parent, *_span(wire, value, stop), depth)

    def fields(self, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        """Field number, wire type and value of every field between two offsets."""
        data, at = self.data, start
        while at < end:
            self.budget -= 1
            if not self.budget:
                raise _MalformedError(f"more than {MAX_FIELDS} fields")
            tag = data[at]
            at += 1
            if tag >= _CONTINUED:
                tag, at = self.varint(at - 1, end)
            number, wire = tag >> 3, tag & 7
            if not number:
                raise _MalformedError("field number 0")
            if wire == _LENGTH:
                size, at = self.varint(at, end)
                value, stop = at, at + size
                at = stop
            elif wire == _VARINT:
                value, at = self.varint(at, end)
                stop = 0
            elif wire in (_FIXED64, _FIXED32):
                value, stop = at, at + (8 if wire == _FIXED64 else 4)
                at = stop
            else:
                raise _MalformedError(f"wire type {wire}")
            if at > end:
                raise _MalformedError("it ends within a field")
            yield number, wire, value, stop

    def varint(self, at: int, end: int) -> tuple[int, int]:
        """The unsigned 64-bit number at an offset, and the offset after it."""
        found = shift = 0
        while at < end and shift < _VARINT_BITS:
            byte = self.data[at]
            at += 1
            found |= (byte & 0x7F) << shift
            if byte < _CONTINUED:
                return found & 0xFFFF_FFFF_FFFF_FFFF, at
            shift += 7
        raise _MalformedError("a number does not end")

    def text(self, wire: int, value: int, stop: int) -> str:
        """A string."""
        start, end = _span(wire, value, stop)
        try:
            return self.data[start:end].decode()
        except UnicodeDecodeError:
            raise _MalformedError("a string is not UTF-8") from None

    def double(self, wire: int, at: int) -> float | int:
        """A double as Go writes it in JSON: whole numbers without a fraction."""
        if wire != _FIXED64:
            raise _MalformedError("a double has another wire type")
        found = float(_DOUBLE.unpack_from(self.data, at)[0])
        if not -float("inf") < found < float("inf"):
            raise _MalformedError("a double is not a finite number")
        return int(found) if found.is_integer() and abs(found) < _LARGEST_WHOLE else found

    def time(self, type_: WireType, start: int, end: int) -> Any:
        """``Time`` and ``MicroTime``: seconds = 1, nanos = 2; all zero is Go's zero time, which is absent."""
        parts = {1: 0, 2: 0}
        for number, wire, value, _ in self.fields(start, end):
            if number in parts:
                parts[number] = _signed(_number(wire, value), 64)
        if not parts[1] and not parts[2]:
            return _ABSENT
        if not 0 <= parts[2] < _NANOS_PER_SECOND:
            raise _MalformedError("a time has more than a second of nanoseconds")
        try:
            moment = _EPOCH + timedelta(seconds=parts[1], microseconds=parts[2] // 1000)
        except OverflowError:
            raise _MalformedError("a time is outside the years 1 to 9999") from None
        precision = "seconds" if type_ is WireType.TIME else "microseconds"
        return moment.replace(tzinfo=None).isoformat(timespec=precision) + "Z"

    def quantity(self, start: int, end: int) -> str:
        """``Quantity``: its text in field 1."""
        found = ""
        for number, wire, value, stop in self.fields(start, end):
            if number == _FIRST:
                found = self.text(wire, value, stop)
        return found or "0"

    def int_or_string(self, start: int, end: int) -> int | str:
        """``IntOrString``: type = 1 (0 a number, 1 a string), intVal = 2, strVal = 3."""
        kind = number_value = 0
        text_value = ""
        for number, wire, value, stop in self.fields(start, end):
            match number:
                case 1:
                    kind = _number(wire, value)
                case 2:
                    number_value = _signed(_number(wire, value), 32)
                case 3:
                    text_value = self.text(wire, value, stop)
        return text_value if kind else number_value

    def raw_json(self, start: int, end: int) -> Any:
        """JSON text in field 1; absent where it is empty."""
        text = b""
        for number, wire, value, stop in self.fields(start, end):
            if number == _FIRST:
                text = self.data[slice(*_span(wire, value, stop))]
        if not text:
            return _ABSENT
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            raise _MalformedError("an embedded value is not JSON") from None

    def schema_or(self, type_: WireType, schema: WireMessage, start: int, end: int, depth: int) -> Any:
        """The unions of a JSON schema with something else; the fields' numbers differ between them."""
        schema_number = 2 if type_ is WireType.SCHEMA_OR_BOOL else 1
        other: list[Any] = []
        found: Any = _ABSENT
        allows = False
        for number, wire, value, stop in self.fields(start, end):
            if number == schema_number:
                found = self.message(schema, *_span(wire, value, stop), depth - 1)
            elif number == _FIRST:
                allows = _number(wire, value) != 0
            elif number == _SECOND and type_ is WireType.SCHEMA_OR_STRINGS:
                other.append(self.text(wire, value, stop))
            elif number == _SECOND:
                other.append(self.message(schema, *_span(wire, value, stop), depth - 1))
        if type_ is WireType.SCHEMA_OR_BOOL:
            return allows if found is _ABSENT else found
        return other or found


def _span(wire: int, start: int, end: int) -> tuple[int, int]:
    if wire != _LENGTH:
        raise _MalformedError("a field has another wire type")
    return start, end


def _number(wire: int, value: int) -> int:
    if wire != _VARINT:
        raise _MalformedError("a field has another wire type")
    return value


def _signed(value: int, bits: int) -> int:
    """Two's complement of the lowest ``bits``, which is what Go's conversion to int32 keeps."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value
