"""``sets.contains``, ``sets.equivalent`` and ``sets.intersects``."""

from typing import Any

from kcpcache.schema.cel_calls import called_by_cel
from kcpcache.schema.cel_library.compare import same


def functions(cel: Any) -> list[Any]:
    """The declarations, for ``CelExtension``."""
    kind = cel.Type
    any_list = kind.List(kind.DYN)
    return [
        cel.FunctionDecl(
            f"sets.{name}",
            [cel.Overload(f"kubernetes_sets_{name}", kind.BOOL, [any_list, any_list], False, impl=called_by_cel(impl))],
        )
        for name, impl in (
            ("contains", _contains),
            ("equivalent", lambda left, right: _contains(left, right) and _contains(right, left)),
            ("intersects", lambda left, right: any(_has(right, item) for item in left)),
        )
    ]


def _has(items: list[Any], wanted: Any) -> bool:
    return any(same(item, wanted) for item in items)


def _contains(items: list[Any], wanted: list[Any]) -> bool:
    return all(_has(items, item) for item in wanted)
