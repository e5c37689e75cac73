"""``isGreaterThan``, ``isLessThan`` and ``compareTo``, which quantities and versions have in common.

cel-cpp tells no two message types apart when it calls a function, so one function serves both.
"""

from collections.abc import Callable
from typing import Any

from kcpcache.schema.cel_calls import called_by_cel
from kcpcache.schema.cel_library import quantity, semver
from kcpcache.schema.cel_library.messages import type_name

_COMPARISONS: dict[str, Callable[[Any, Any], int]] = {
    "Quantity": quantity.compare,
    "Semver": semver.compare,
}


def functions(cel: Any) -> list[Any]:
    """The declarations, for ``CelExtension``."""
    kind = cel.Type
    results: tuple[tuple[str, Any, Callable[[Any, Any], Any]], ...] = (
        ("isGreaterThan", kind.BOOL, lambda left, right: _compare(left, right) > 0),
        ("isLessThan", kind.BOOL, lambda left, right: _compare(left, right) < 0),
        ("compareTo", kind.INT, _compare),
    )
    return [
        cel.FunctionDecl(
            name,
            [cel.Overload(f"kubernetes_{name}", result, [kind.DYN, kind.DYN], True, impl=called_by_cel(answer))],
        )
        for name, result, answer in results
    ]


def _compare(left: Any, right: Any) -> int:
    compare = _COMPARISONS.get(type_name(left))
    if compare is None or type_name(right) != type_name(left):
        raise ValueError("no such overload")
    return compare(left, right)
