"""Functions of lists: ``isSorted``, ``sum``, ``min``, ``max``, ``indexOf``, ``lastIndexOf`` and more."""

from itertools import pairwise
from typing import Any

from kcpcache.schema.cel_calls import called_by_cel
from kcpcache.schema.cel_library.compare import ordered, returned, same
from kcpcache.schema.cel_rewrite import MERGE

_LEAST_INT, _MOST_INT, _MOST_UINT = -(2**63), 2**63 - 1, 2**64 - 1


def functions(cel: Any) -> list[Any]:
    """The declarations, for ``CelExtension``."""
    kind = cel.Type
    any_list = kind.List(kind.DYN)
    methods = (
        ("isSorted", kind.BOOL, (), _is_sorted),
        ("sum", kind.DYN, (), _sum),
        ("min", kind.DYN, (), _min),
        ("max", kind.DYN, (), _max),
        ("indexOf", kind.INT, (kind.DYN,), _index_of),
        ("lastIndexOf", kind.INT, (kind.DYN,), _last_index_of),
        ("slice", any_list, (kind.INT, kind.INT), _slice),
        ("distinct", any_list, (), _distinct),
        ("reverse", any_list, (), lambda items: returned(items[::-1])),
        (MERGE, kind.Map(kind.DYN, kind.DYN), (), _merged),
    )
    return [
        cel.FunctionDecl(
            name,
            [cel.Overload(f"kubernetes_list_{name}", result, [any_list, *parameters], True, impl=called_by_cel(impl))],
        )
        for name, result, parameters, impl in methods
    ]


def _is_sorted(items: list[Any]) -> bool:
    return all(not ordered(after, before) for before, after in pairwise(items))


def _sum(items: list[Any]) -> Any:
    if any(isinstance(item, bool | str) for item in items):
        raise ValueError("no such overload: sum")
    total = sum(items[1:], items[0]) if items else 0
    # Unsigned numbers arrive as plain ones: only what neither can hold is certain to be too much.
    if isinstance(total, int) and not _LEAST_INT <= total <= _MOST_UINT:
        raise ValueError("integer overflow" if total < 0 else "unsigned integer overflow")
    if isinstance(total, int) and total > _MOST_INT >= max(items):
        raise ValueError("integer overflow")
    return returned(total)


def _min(items: list[Any]) -> Any:
    return _extreme(items, "min", ordered)


def _max(items: list[Any]) -> Any:
    return _extreme(items, "max", lambda item, best: ordered(best, item))


def _extreme(items: list[Any], name: str, better: Any) -> Any:
    if not items:
        raise ValueError(f"{name} called on empty list")
    best = items[0]
    for item in items[1:]:
        best = item if better(item, best) else best
    return returned(best)


def _index_of(items: list[Any], wanted: Any) -> int:
    return next((index for index, item in enumerate(items) if same(item, wanted)), -1)


def _last_index_of(items: list[Any], wanted: Any) -> int:
    return next((index for index in range(len(items) - 1, -1, -1) if same(items[index], wanted)), -1)


def _slice(items: list[Any], start: int, end: int) -> Any:
    if not 0 <= start <= end <= len(items):
        raise ValueError(f"cannot slice({start}, {end}), list is length {len(items)}")
    return returned(items[start:end])


def _distinct(items: list[Any]) -> Any:
    kept: list[Any] = []
    for item in items:
        if not any(same(item, other) for other in kept):
            kept.append(item)
    return returned(kept)


def _merged(maps: list[dict[Any, Any]]) -> Any:
    found: dict[Any, Any] = {}
    for entries in maps:
        for key, value in entries.items():
            if key in found:
                shown = str(key).lower() if isinstance(key, bool) else key
                raise ValueError(f"insert failed: key {shown} already exists")
            found[key] = value
    return returned(found)
