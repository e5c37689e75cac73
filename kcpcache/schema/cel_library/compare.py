"""Equality and order of CEL values that arrive in Python, and their way back."""

from datetime import datetime, timedelta
from typing import Any

from kcpcache.schema.cel_library.messages import type_name


def same(left: Any, right: Any) -> bool:
    """CEL's ``==``: numbers compare across types, a boolean is no number."""
    if isinstance(left, bool) is not isinstance(right, bool):
        return False
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(value, right[key]) for key, value in left.items())
    if type(left) in _KINDS:  # nearly always, and the rest costs several times as much
        return bool(left == right)
    if type_name(left):
        return type_name(left) == type_name(right) and bool(left.text == right.text)
    return bool(left == right)


_KINDS: dict[type, str] = {
    bool: "bool",
    int: "int",
    float: "double",
    str: "string",
    bytes: "bytes",
    bytearray: "bytes",
    timedelta: "duration",
    datetime: "timestamp",
    list: "list",
    dict: "map",
    type(None): "null_type",
}


def kind(value: Any) -> str:
    """The name of a value's type, where unsigned numbers are whole ones; "" for messages and types."""
    return _KINDS.get(type(value), "")


def only_kind(items: list[Any]) -> str:
    """The name of the type that all of the items have; "" if there is no such type."""
    types = set(map(type, items))
    return _KINDS.get(types.pop(), "") if len(types) == 1 else ""


def order(left: Any, right: Any) -> int | None:
    """-1, 0 or 1: how two scalars compare; None for those that have no order."""
    ours, theirs = kind(left), kind(right)
    if ours != theirs and not {ours, theirs} <= {"int", "double"}:
        return None
    return -1 if left < right else 1 if left > right else 0 if left == right else None


def returned(value: Any) -> Any:
    """A value as functions must return it: times go out as messages, though they come in as Python's own."""
    if isinstance(value, list):
        return [returned(item) for item in value]
    if isinstance(value, dict):
        return {key: returned(item) for key, item in value.items()}
    if isinstance(value, timedelta):
        from google.protobuf.duration_pb2 import Duration

        duration = Duration()
        duration.FromTimedelta(value)
        return duration
    if isinstance(value, datetime):
        from google.protobuf.timestamp_pb2 import Timestamp

        moment = Timestamp()
        moment.FromDatetime(value)
        return moment
    return value
