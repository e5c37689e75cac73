"""What is wrong with an expression that has been checked, and is seen before it runs.

Constants that cannot be what they are used as, lists and maps of several types, texts that do not fit what is to be
formatted: Kubernetes refuses such rules when a CRD is created, since 1.29.
"""

import re
from collections.abc import Callable, Iterator
from datetime import datetime

from kcpcache.schema.cel_constants import converted
from kcpcache.schema.cel_environment import CompileError, InstantiationError
from kcpcache.schema.cel_format import format_error
from kcpcache.schema.cel_report import report
from kcpcache.schema.cel_tree import DYNAMIC, Call, Collection, Kind, Literal, Node, every, parts
from kcpcache.schema.patterns import PatternError, compile_pattern

_DYN = Kind("dyn")
"""Of what is dynamic in Kubernetes too."""
_SHOWN = {"optional": "optional_type"}
_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_PART = re.compile(rf"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)({'|'.join(_UNITS)})")
_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:[.,]\d+)?(?:Z|[+-](\d\d):(\d\d))", re.ASCII)
_MAX_NANOSECONDS = 2**63
_FIRST_SECOND, _LAST_SECOND = -62135596800, 253402300799
_MAX_OFFSET = (24, 59)


def check_literals(tree: Node, expression: str, dynamic: Callable[[Node], bool] = lambda _: False) -> None:
    """Raise CompileError, with a report in the words of cel-go, for an expression with such constants.

    ``dynamic`` says of a node whether it is certain that only its value tells its type.
    """
    if errors := list(_errors(tree, dynamic)):
        raise CompileError(report(expression, errors))
    for node in every(tree):
        converted(node)
        if isinstance(node, Call) and (pattern := _searched(node)) is not None:
            try:
                compile_pattern(pattern)
            except PatternError as error:
                raise InstantiationError(str(error)) from None


def _errors(node: Node, dynamic: Callable[[Node], bool], *, formatted: bool = False) -> Iterator[tuple[int, str]]:
    """``formatted``: within the arguments of ``format``, which are of several types."""
    if isinstance(node, Call):
        yield from _call(node)
        formatted = formatted or node.function == "format"
    elif isinstance(node, Collection) and not formatted:
        yield from _mixed(node, dynamic)
    for part in parts(node):
        yield from _errors(part, dynamic, formatted=formatted)


def _call(node: Call) -> Iterator[tuple[int, str]]:
    if node.function == "format" and (error := format_error(node)) is not None:
        yield error
    check = {"duration": _is_duration, "matches": _is_pattern, "timestamp": _is_timestamp}.get(node.function)
    first = node.arguments[0] if node.arguments else None
    if not isinstance(first, Literal) or not isinstance(first.value, str | int):
        return
    if check is not None and not check(first.value):
        yield first.at, f"invalid {node.function} argument"


def _searched(node: Call) -> str | None:
    """The expression that ``find`` and ``findAll`` are to look for, if it is written out."""
    if node.function == "matches" and node.target is None:
        pattern = node.arguments[-1]
    elif node.function in {"find", "findAll"} and node.arguments:
        pattern = node.arguments[0]
    else:
        return None
    return pattern.value if isinstance(pattern, Literal) and isinstance(pattern.value, str) else None


def _is_pattern(text: str | int) -> bool:
    try:
        compile_pattern(str(text))
    except PatternError:
        return False
    return True


def _is_duration(text: str | int) -> bool:
    if isinstance(text, int):
        return True
    digits = text[1:] if text[:1] in {"+", "-"} else text
    if digits == "0":
        return True
    total, at = 0.0, 0
    while (found := _PART.match(digits, at)) is not None:
        total, at = total + float(found[1]) * _UNITS[found[2]], found.end()
    return 0 < at == len(digits) and total < _MAX_NANOSECONDS


def _is_timestamp(text: str | int) -> bool:
    if isinstance(text, int):
        return _FIRST_SECOND <= text <= _LAST_SECOND
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        return False
    try:
        datetime.fromisoformat(found[1])
    except ValueError:
        return False
    hours, minutes = int(found[2] or 0), int(found[3] or 0)
    return hours <= _MAX_OFFSET[0] and minutes <= _MAX_OFFSET[1]


def _mixed(node: Collection, dynamic: Callable[[Node], bool]) -> Iterator[tuple[int, str]]:
    """What stands beside the first of another type; what the checker does not know is let through."""
    kinds = [_given(part, dynamic, optional=place in node.optional) for place, part in enumerate(node.parts)]
    if node.kind.name == "list":
        yield from list(_unlike(node.parts, kinds))[:1]
    elif node.kind.name == "map":
        yield from _unlike(node.parts[::2], kinds[::2])
        yield from _unlike(node.parts[1::2], kinds[1::2])


def _unlike(values: tuple[Node, ...], kinds: list[Kind]) -> Iterator[tuple[int, str]]:
    for value, kind in zip(values[1:], kinds[1:], strict=True):
        if not _alike(kinds[0], kind):
            yield value.at, f"expected type '{_shown(kinds[0])}' but found '{_shown(kind)}'"


def _given(value: Node, dynamic: Callable[[Node], bool], *, optional: bool) -> Kind:
    """What ``[?x]`` adds is what is in the optional value."""
    if dynamic(value):
        return _DYN
    if isinstance(value, Collection) and value.kind.name == "list" and value.parts:
        return Kind("list", (_given(value.parts[0], dynamic, optional=0 in value.optional),))
    return value.kind.parameters[0] if optional and value.kind.parameters else value.kind


def _alike(one: Kind, other: Kind) -> bool:
    if DYNAMIC in {one, other}:
        return True
    return one.name == other.name and all(map(_alike, one.parameters, other.parameters))


def _shown(kind: Kind) -> str:
    if kind == DYNAMIC:
        return "dyn"
    name = "object" if kind.name.startswith("schema.") else _SHOWN.get(kind.name, kind.name)
    return f"{name}({', '.join(map(_shown, kind.parameters))})" if kind.parameters else name
