"""``find`` and ``findAll`` of strings."""

from typing import Any

from kcpcache.schema.cel_calls import called_by_cel
from kcpcache.schema.regex_search import find_all


def functions(cel: Any) -> list[Any]:
    """The declarations, for ``CelExtension``."""
    kind = cel.Type
    text, texts = kind.STRING, kind.List(kind.STRING)
    return [
        cel.FunctionDecl(
            "find", [cel.Overload("kubernetes_find", text, [text, text], True, impl=called_by_cel(_find))]
        ),
        cel.FunctionDecl(
            "findAll",
            [
                cel.Overload("kubernetes_find_all", texts, [text, text], True, impl=called_by_cel(_find_all)),
                cel.Overload(
                    "kubernetes_find_some", texts, [text, text, kind.INT], True, impl=called_by_cel(_find_all)
                ),
            ],
        ),
    ]


def _find(text: str, pattern: str) -> str:
    return next(iter(find_all(pattern, text, 1)), "")


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    return find_all(pattern, text, limit)
