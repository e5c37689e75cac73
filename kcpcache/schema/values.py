"""Equality and correlation of JSON values, as ratcheting and transition rules need them."""

from collections.abc import Sequence
from typing import Any

import orjson

from kcpcache.meta.objects import Object

ABSENT: Any = object()
"""Stands for a value that is not there, where None is JSON's null."""

INT64 = range(-(2**63), 2**63)
"""Kubernetes' integers; larger ones are read as floating point."""

_CANONICAL = orjson.OPT_SORT_KEYS


def canonical(value: Any) -> bytes:
    """One encoding per JSON value, whatever the order of its keys. Integers over 64 bits count as text."""
    try:
        return orjson.dumps(value, option=_CANONICAL)
    except TypeError:  # integers over 64 bits, or deeper than orjson goes
        return repr(value).encode(errors="replace")


def as_go_reads(value: Any) -> Any:
    """The value that messages show: integers over 64 bits are floating point, or text beyond that."""
    if not isinstance(value, int) or value in INT64:
        return value
    try:
        return float(value)
    except OverflowError:
        return str(value)


def shown(value: Any) -> str:
    """A JSON value as messages show it."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return str(value)


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal; unlike ``==`` it tells ``true`` from ``1``."""
    if left is right:
        return True
    try:
        return bool(left == right) and canonical(left) == canonical(right)
    except RecursionError:
        return False


def map_key(item: Any, keys: Sequence[str]) -> bytes:
    """What identifies an item of a list with ``x-kubernetes-list-type: map``; absent keys count as absent."""
    if not isinstance(item, dict):
        return canonical(item)
    return canonical([item.get(key) for key in keys]) + canonical([key in item for key in keys])


def correlate(schema: Object, old: Any) -> dict[bytes, Any] | None:
    """The old items of a list by their map key (the first wins); None where items cannot be correlated."""
    if schema.get("x-kubernetes-list-type") != "map" or not isinstance(old, list):
        return None
    keys = schema.get("x-kubernetes-list-map-keys") or ()
    items: dict[bytes, Any] = {}
    for item in old:
        if isinstance(item, dict):
            items.setdefault(map_key(item, keys), item)
    return items
