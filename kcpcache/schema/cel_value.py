"""JSON as CEL rules see it: escaped property names, timestamps, durations, bytes, doubles.

Documentation: "Validation rules", the table of OpenAPI types and CEL types. For most schemas nothing needs
converting, and then there is no converter at all.
"""

import binascii
import math
import re
from base64 import b64decode
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeAlias

from kcpcache.meta.objects import Object
from kcpcache.schema.cel_text import escape
from kcpcache.schema.values import canonical, map_key, same

Converter: TypeAlias = Callable[[Any], Any]

_NANOSECONDS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9}
_UNITS = _NANOSECONDS | {"h": 3600 * 10**9}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_FRACTION = re.compile(r"\.(\d{1,9})")


def compile_converter(schema: Object) -> Converter | None:
    """A function that gives a value the form that rules on this schema expect; None where JSON has it already."""
    match (schema.get("type"), str(schema.get("format") or "").replace("-", "")):
        case ("string", "datetime" | "date"):
            return _timestamp
        case ("string", "duration"):
            return _duration
        case ("string", "byte"):
            return _bytes
        case ("number", _):
            return _double
        case ("integer", _):
            return _integer
        case _:
            return _container(schema)


def _container(schema: Object) -> Converter | None:
    properties: Object = schema.get("properties") or {}
    renamed = {name: escaped for name in properties if (escaped := escape(name)) is not None and escaped != name}
    children = {
        name: converter for name, child in properties.items() if (converter := compile_converter(child)) is not None
    }
    additional, items = schema.get("additionalProperties"), schema.get("items")
    others = compile_converter(additional) if isinstance(additional, dict) else None
    item = compile_converter(items) if isinstance(items, dict) else None
    if not renamed and not children and others is None and item is None:
        return None

    def convert_field(name: str, value: Any) -> Any:
        field = children.get(name) if name in properties else others
        return field(value) if field is not None else value

    def convert(value: Any) -> Any:
        if isinstance(value, dict):
            return {renamed.get(name, name): convert_field(name, below) for name, below in value.items()}
        if isinstance(value, list) and item is not None:
            return [item(below) for below in value]
        return value

    return convert


def _timestamp(value: Any) -> Any:
    from google.protobuf.timestamp_pb2 import Timestamp

    if not isinstance(value, str):
        return value
    fraction = _FRACTION.search(value)
    try:
        moment = datetime.fromisoformat(_FRACTION.sub("", value).upper())
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        nanoseconds = int(fraction[1].ljust(9, "0")) if fraction else 0
        return Timestamp(seconds=math.floor(moment.timestamp()), nanos=nanoseconds)
    except (ValueError, OverflowError):
        return value


def _duration(value: Any) -> Any:
    from google.protobuf.duration_pb2 import Duration

    if not isinstance(value, str):
        return value
    body = value.lstrip("+-")
    parts = _PART.findall(body)
    if body != "0" and "".join(number + unit for number, unit in parts) != body:
        return value
    nanoseconds = sum(int(float(number) * _UNITS[unit]) for number, unit in parts)
    sign = -1 if value.startswith("-") else 1
    seconds, nanos = divmod(nanoseconds, 10**9)
    try:
        return Duration(seconds=sign * seconds, nanos=sign * nanos)
    except ValueError:
        return value


def _bytes(value: Any) -> Any:
    try:
        return b64decode(value, validate=True) if isinstance(value, str) else value
    except (binascii.Error, ValueError):
        return value


def _double(value: Any) -> Any:
    return float(value) if type(value) is int else value


def _integer(value: Any) -> Any:
    return int(value) if type(value) is float and value.is_integer() else value


def align(schema: Object, value: Any, old: Any) -> Any:
    """``old`` with its sets and maps in the order of ``value``'s, since their order means nothing to ``==``."""
    if isinstance(value, dict) and isinstance(old, dict):
        properties: Object = schema.get("properties") or {}
        additional = schema.get("additionalProperties")
        return {
            name: align(child, value[name], below)
            if name in value and isinstance(child := properties.get(name, additional), dict)
            else below
            for name, below in old.items()
        }
    items, list_type = schema.get("items"), schema.get("x-kubernetes-list-type")
    if not (isinstance(value, list) and isinstance(old, list) and isinstance(items, dict)):
        return old
    if list_type not in {"set", "map"} or same(value, old):
        return old
    keys = schema.get("x-kubernetes-list-map-keys") or ()
    identify: Callable[[Any], bytes] = partial(map_key, keys=keys) if list_type == "map" else canonical
    places = {identify(item): (place, item) for place, item in enumerate(value)}
    ranked = [(places.get(identify(item), (len(value), None)), item) for item in old]
    ranked.sort(key=lambda entry: entry[0][0])
    return [align(items, twin, item) if twin is not None else item for (_, twin), item in ranked]
