r"""JSONPath as printer columns and scale subresources use it, compiled to a function.

The dialect of ``k8s.io/client-go/util/jsonpath`` without braces: ``.a.b``, ``['a.b']``, ``.a\.b``, ``[0]``, ``[-1]``,
``[1:3]``, ``[*]``, ``.*``, ``..a``, ``[?(@.type=="Ready")].status``.
"""

import operator
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, Final, TypeAlias

Find: TypeAlias = Callable[[Any], list[Any]]
_Step: TypeAlias = Callable[[list[Any]], list[Any]]

_LONGEST: Final = 2048
_MOST_FOUND: Final = 1000
_MOST_VISITED: Final = 100_000
"""Bounds of one step: ``..a..a..a`` on ``{"a":{"a":…}}`` finds combinatorially many."""
_FIELD: Final = re.compile(r"(?:[^.\[\]\\'\"\s()*@]|\\.)+")
_QUOTED: Final = re.compile(r"\[\s*(?:'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\")\s*\]")
_INDEX: Final = re.compile(r"\[\s*(-?\d{1,9})\s*\]")
_SLICE: Final = re.compile(r"\[\s*(-?\d{0,9})\s*:\s*(-?\d{0,9})\s*\]")
_FILTER: Final = re.compile(
    r"\[\?\(\s*@((?:[^=!<>\s\"'\[\]]|\[[^\]]*\])*)\s*"
    r"(?:(==|!=|>=|<=|>|<)\s*('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[-\w.]+)\s*)?\)\]"
)
_OPERATORS: Final = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}
_CONSTANTS: Final = {"true": True, "false": False, "null": None, "nil": None}


@lru_cache(maxsize=4096)
def compile_jsonpath(path: str) -> Find:
    """A function from a JSON value to all that ``path`` finds in it, in order; it raises nothing.

    Raises ValueError that says at which character the path cannot be understood.
    """
    if len(path) > _LONGEST:
        raise ValueError(f"a JSONPath may not be longer than {_LONGEST} characters")
    text = path.strip()
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1].strip()
    text = text.removeprefix("$")
    plain = re.fullmatch(r"(?:\.[A-Za-z_][-\w]*)+", text)
    if plain:
        return _fields(text[1:].split("."))
    steps = tuple(_steps(text, path))

    def find(value: Any) -> list[Any]:
        found = [value]
        for step in steps:
            found = step(found)[:_MOST_FOUND]
            if not found:
                break
        return found

    return find


def _fields(names: list[str]) -> Find:
    """The common case, ``.spec.replicas``, without lists in between."""

    def find(value: Any) -> list[Any]:
        for name in names:
            if not isinstance(value, dict) or name not in value:
                return []
            value = value[name]
        return [value]

    return find


def _steps(text: str, path: str) -> Iterator[_Step]:
    at = 0
    while at < len(text):
        step, at = _step(text, at, path)
        yield step


def _step(text: str, at: int, path: str) -> tuple[_Step, int]:
    if text.startswith("..", at):
        match = _FIELD.match(text, at + 2)
        if match:
            return _recursive(_unescaped(match[0])), match.end()
    elif text.startswith(".*", at):
        return _wildcard, at + 2
    elif text[at] == "." or at == 0:
        start = at + (text[at] == ".")
        match = _FIELD.match(text, start)
        if match:
            return _field(_unescaped(match[0])), match.end()
        if text.startswith("[", start):
            return _bracket(text, start, path)
        if text == ".":
            return list, 1
    elif text[at] == "[":
        return _bracket(text, at, path)
    raise ValueError(f"invalid JSONPath {path!r}: cannot be understood at character {at}")


def _bracket(text: str, at: int, path: str) -> tuple[_Step, int]:
    if text.startswith("[*]", at):
        return _wildcard, at + 3
    if match := _QUOTED.match(text, at):
        return _field(_unescaped(match[1] if match[1] is not None else match[2])), match.end()
    if match := _INDEX.match(text, at):
        return _slice(int(match[1]), None, single=True), match.end()
    if match := _SLICE.match(text, at):
        return _slice(int(match[1] or 0), int(match[2]) if match[2] else None, single=False), match.end()
    if match := _FILTER.match(text, at):
        return _filter(match[1], match[2], match[3]), match.end()
    raise ValueError(f"invalid JSONPath {path!r}: cannot be understood at character {at}")


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _field(name: str) -> _Step:
    def step(values: list[Any]) -> list[Any]:
        return [value[name] for value in values if isinstance(value, dict) and name in value]

    return step


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _wildcard(values: list[Any]) -> list[Any]:
    return [child for value in values for child in _children(value)]


def _recursive(name: str) -> _Step:
    def step(values: list[Any]) -> list[Any]:
        found: list[Any] = []
        waiting = list(reversed(values))
        visited = 0
        while waiting and visited < _MOST_VISITED and len(found) < _MOST_FOUND:
            visited += 1
            value = waiting.pop()
            if isinstance(value, dict) and name in value:
                found.append(value[name])
            waiting.extend(reversed(list(_children(value))))
        return found

    return step


def _slice(start: int, stop: int | None, *, single: bool) -> _Step:
    def step(values: list[Any]) -> list[Any]:
        found: list[Any] = []
        for value in values:
            if not isinstance(value, list):
                continue
            if not single:
                found += value[start:stop]
            elif -len(value) <= start < len(value):
                found.append(value[start])
        return found

    return step


def _filter(path: str, sign: str | None, literal: str | None) -> _Step:
    find = compile_jsonpath(path or ".")
    if sign is None or literal is None:
        return lambda values: [child for value in values for child in _children(value) if find(child)]
    compare, wanted = _OPERATORS[sign], _literal(literal)

    def matches(child: Any) -> bool:
        found = find(child)
        if not found or _kind(found[0]) is not _kind(wanted):
            return False
        try:
            return bool(compare(found[0], wanted))
        except TypeError:
            return False

    return lambda values: [child for value in values for child in _children(value) if matches(child)]


def _kind(value: Any) -> type:
    """Numbers compare with numbers, and nothing else with anything of another type (``True == 1`` in Python)."""
    return float if isinstance(value, int | float) and not isinstance(value, bool) else type(value)


def _literal(text: str) -> Any:
    if text[0] in "'\"":
        return _unescaped(text[1:-1])
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    try:
        return float(text)
    except ValueError:
        return text
