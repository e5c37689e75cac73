"""Functions of lists: ``isSorted``, ``sum``, ``min``, ``max``, ``indexOf``, ``lastIndexOf`` and more."""

from itertools import accumulate, pairwise
from typing import Any

from kcpcache.schema.cel_calls import called_by_cel
from kcpcache.schema.cel_library.compare import kind, only_kind, order, returned, same
from kcpcache.schema.cel_rewrite import MERGE

_NO_OVERLOAD = "no such overload"
_SUMMABLE = frozenset({"int", "double", "duration"})
_COMPARABLE = _SUMMABLE | {"bool", "bytes", "string", "timestamp"}
_LEAST_INT, _MOST_INT, _MOST_UINT = -(2**63), 2**63 - 1, 2**64 - 1


def functions(cel: Any) -> list[Any]:
    """The declarations, for ``CelExtension``."""
    types = cel.Type
    any_list = types.List(types.DYN)
    methods = (
        ("isSorted", types.BOOL, (), _is_sorted),
        ("sum", types.DYN, (), _sum),
        ("min", types.DYN, (), _min),
        ("max", types.DYN, (), _max),
        ("indexOf", types.INT, (types.DYN,), _index_of),
        ("lastIndexOf", types.INT, (types.DYN,), _last_index_of),
        ("slice", any_list, (types.INT, types.INT), _slice),
        ("distinct", any_list, (), _distinct),
        ("reverse", any_list, (), lambda items: returned(items[::-1])),
        (MERGE, types.Map(types.DYN, types.DYN), (), _merged),
        ("minPlace__", types.INT, (), lambda items: extreme(items, "min", 1)),
        ("maxPlace__", types.INT, (), lambda items: extreme(items, "max", -1)),
        ("sumUnsigned__", types.UINT, (), _sum_unsigned),
    )
    return [
        cel.FunctionDecl(
            name,
            [cel.Overload(f"kubernetes_list_{name}", result, [any_list, *parameters], True, impl=called_by_cel(impl))],
        )
        for name, result, parameters, impl in methods
    ]


def _is_sorted(items: list[Any]) -> bool:
    if only_kind(items) in _COMPARABLE:
        return not any(before > after for before, after in pairwise(items))
    _first(items, "isSorted", _COMPARABLE)
    previous = None
    for place, item in enumerate(items):
        if kind(item) not in _COMPARABLE:
            raise ValueError(_NO_OVERLOAD)
        if place and order(previous, item) == 1:
            return False
        previous = item
    return True


def _sum(items: list[Any]) -> Any:
    """Of numbers or of durations; that of nothing is a whole number, as where no type tells more."""
    first = _first(items, "sum", _SUMMABLE)
    if not items:
        return 0
    if only_kind(items) != first:
        raise ValueError(_NO_OVERLOAD)
    totals = list(accumulate(items))
    if first == "int":
        # Unsigned numbers arrive as plain ones: only what neither can hold is certain to be too much.
        if min(totals) < _LEAST_INT or max(totals) > _MOST_INT >= max(items):
            raise ValueError("integer overflow")
        if max(totals) > _MOST_UINT:
            raise ValueError("unsigned integer overflow")
    return returned(totals[-1])


def _sum_unsigned(items: list[Any]) -> int:
    if only_kind(items) != "int":
        raise ValueError(_NO_OVERLOAD)
    if sum(items) > _MOST_UINT:
        raise ValueError("unsigned integer overflow")
    return sum(items)


def _min(items: list[Any]) -> Any:
    return returned(items[extreme(items, "min", 1)])


def _max(items: list[Any]) -> Any:
    return returned(items[extreme(items, "max", -1)])


def extreme(items: list[Any], name: str, worse: int) -> int:
    """The place of the best item: of one from which no later one has the order ``worse``. Raises ValueError.

    What cannot be compared with the best so far is passed over, as in Kubernetes.
    """
    if not items:
        raise ValueError(f"{name} called on empty list")
    if only_kind(items) in _COMPARABLE:
        return items.index(min(items) if worse > 0 else max(items))
    _first(items, name, _COMPARABLE)
    best = 0
    for place, item in enumerate(items):
        if kind(item) not in _COMPARABLE:
            raise ValueError(_NO_OVERLOAD)
        if order(items[best], item) == worse:
            best = place
    return best


def _first(items: list[Any], name: str, kinds: frozenset[str]) -> str:
    """The type of the first item, which tells whether the function takes the list."""
    found = kind(items[0]) if items else ""
    if items and found not in kinds:
        raise ValueError(f"{_NO_OVERLOAD}: {name}(list)")
    return found


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
