"""Functions that only fail, for what ``cel_native`` cannot give to any other."""

from typing import Any

from kcpcache.schema.cel_calls import called_by_cel
from kcpcache.schema.cel_library.texts import type_text


def functions(cel: Any) -> list[Any]:
    """The declarations, for ``CelExtension``."""
    types = cel.Type
    refusals = (
        ("unfit__", [types.STRING, types.List(types.TYPE)], _unfit),
        ("tooMany__", [types.INT], _too_many),
    )
    return [
        cel.FunctionDecl(
            name, [cel.Overload(f"kubernetes_{name}", types.DYN, parameters, False, impl=called_by_cel(impl))]
        )
        for name, parameters, impl in refusals
    ]


def _unfit(name: str, types: list[Any]) -> None:
    raise ValueError(f"no such overload: {name}({', '.join(map(type_text, types))})")


def _too_many(most: int) -> None:
    raise ValueError(f"a map of optional values cannot be made of more than {most} entries")
