"""Equality and order of CEL values that arrive in Python, and their way back."""

from datetime import datetime, timedelta
from typing import Any


def same(left: Any, right: Any) -> bool:
    """CEL's ``==``: numbers compare across types, a boolean is no number."""
    if isinstance(left, bool) is not isinstance(right, bool):
        return False
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(value, right[key]) for key, value in left.items())
    return bool(left == right)


def ordered(left: Any, right: Any) -> bool:
    """CEL's ``<``. Raises ValueError for what has no order."""
    try:
        return bool(left < right)
    except TypeError:
        raise ValueError("no such overload") from None


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
