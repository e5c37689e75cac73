"""Functions of places in strings, and ``split``, where cel-cpp's own answer otherwise than cel-go's.

``split`` and the search from a place on differ at their edges, ``charAt`` and ``substring`` in what they say of places
that there are not. ``cel_rewrite`` gives those calls that can tell the difference the names of these.
"""

from collections.abc import Callable
from typing import Any

from kcpcache.schema.cel_calls import called_by_cel
from kcpcache.schema.cel_rewrite import OWN


def functions(cel: Any) -> list[Any]:
    """The declarations, for ``CelExtension``."""
    kind = cel.Type
    text, number, texts = kind.STRING, kind.INT, kind.List(kind.STRING)
    overloads: tuple[tuple[str, Any, list[Any], Callable[..., Any]], ...] = (
        ("charAt", text, [text, number], _character),
        ("indexOf", number, [text, text, number], _index_of),
        ("lastIndexOf", number, [text, text, number], _last_index_of),
        ("split", texts, [text, text], _split),
        ("split", texts, [text, text, number], _split),
        ("substring", text, [text, number], _substring),
        ("substring", text, [text, number, number], _substring),
    )
    names: dict[str, list[Any]] = {}
    for place, (name, result, parameters, impl) in enumerate(overloads):
        label = f"kubernetes_text_{place}"
        names.setdefault(OWN[name], []).append(cel.Overload(label, result, parameters, True, impl=called_by_cel(impl)))
    return [cel.FunctionDecl(name, found) for name, found in names.items()]


def _character(text: str, place: int) -> str:
    """Behind the last one it is none."""
    return text[_within(text, place) :][:1]


def _substring(text: str, start: int, end: int | None = None) -> str:
    if end is None:
        return text[_within(text, start) :]
    if start > end:
        raise ValueError(f"invalid substring range. start: {start}, end: {end}")
    return text[_within(text, start) : _within(text, end)]


def _within(text: str, place: int) -> int:
    if not 0 <= place <= len(text):
        raise ValueError(f"index out of range: {place}")
    return place


def _index_of(text: str, wanted: str, start: int) -> int:
    if not wanted:
        return start
    if start < 0:
        raise ValueError(f"index out of range: {start}")
    return text.find(wanted, start)


def _last_index_of(text: str, wanted: str, start: int) -> int:
    if not wanted:
        return start
    if start < 0:
        raise ValueError(f"index out of range: {start}")
    return text.rfind(wanted, 0, start + len(wanted)) if start < len(text) else -1


def _split(text: str, separator: str, most: int = -1) -> list[str]:
    """An empty separator is between all characters, and nowhere in a text without any."""
    if most == 0 or (not text and not separator):
        return []
    if separator:
        return text.split(separator, most - 1 if most > 0 else -1)
    if 0 < most < len(text):
        return [*text[: most - 1], text[most - 1 :]]
    return list(text)
