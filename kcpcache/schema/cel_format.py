"""Whether the arguments of ``'…'.format([…])``, both written out, are what the text asks for."""

import re
from collections.abc import Iterator

from kcpcache.schema.cel_tree import Call, Collection, Literal, Node

_CLAUSE = re.compile(r"%(?:%|(?P<precision>\.[0-9]*)?(?P<clause>.?))", re.DOTALL)
_ANY = frozenset({"bool", "bytes", "double", "duration", "int", "list", "map", "null", "string", "timestamp", "uint"})
_WHOLE = frozenset({"int", "uint"})
_CLAUSES = {
    "s": (
        _ANY,
        (
            "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, "
            "and timestamps, was given"
        ),
    ),
    "d": (_WHOLE, "decimal clause can only be used on integers, was given"),
    "f": (frozenset({"double", "string"}), "fixed-point clause can only be used on doubles, was given"),
    "e": (frozenset({"double", "string"}), "scientific clause can only be used on doubles, was given"),
    "b": (_WHOLE | {"bool"}, "only integers and bools can be formatted as binary, was given"),
    "x": (
        _WHOLE | {"bytes", "string"},
        "only integers, byte buffers, and strings can be formatted as hex, was given",
    ),
    "o": (_WHOLE, "octal clause can only be used on integers, was given"),
}
"""The types that a clause takes, and what is said of others."""
_NAMES = {
    "duration": "google.protobuf.Duration",
    "optional": "optional_type",
    "timestamp": "google.protobuf.Timestamp",
}
_PARSING = "could not parse formatting clause: "


def format_error(node: Call) -> tuple[int, str] | None:
    """The first error, with the character that it is about."""
    text = node.target
    if not isinstance(text, Literal) or not isinstance(text.value, str) or len(node.arguments) != 1:
        return None
    (given,) = node.arguments
    if not isinstance(given, Collection) or given.kind.name != "list":
        return None
    used = 0
    for found in _CLAUSE.finditer(text.value):
        if found[0] == "%%":
            continue
        if why := _malformed(text.value, found):
            return node.at, why
        if used >= len(given.parts):
            return node.at, f"index {used} out of range"
        for part in _unfit(found["clause"], given.parts[used]):
            name = _NAMES.get(part.kind.name, part.kind.name)
            shown = "object" if name.startswith("schema.") else name
            return part.at, f"error during formatting: {_CLAUSES[found['clause'].lower()][1]} {shown}"
        used += 1
    if used < len(given.parts):
        return node.at, f"too many arguments supplied to string.format (expected {used}, got {len(given.parts)})"
    return None


def _malformed(text: str, found: re.Match[str]) -> str:
    precision, clause = found["precision"], found["clause"]
    if found.end() == len(text) and not clause:
        return (
            f"{_PARSING}error while parsing precision: could not find end of precision specifier"
            if precision
            else "unexpected end of string"
        )
    if precision == ".":
        why = 'error while converting precision to integer: strconv.Atoi: parsing "": invalid syntax'
        return f"{_PARSING}error while parsing precision: {why}"
    known = clause in _CLAUSES or clause == "X"
    return "" if known else f'{_PARSING}unrecognized formatting clause "{clause}"'


def _unfit(clause: str, value: Node) -> Iterator[Node]:
    kinds = _CLAUSES[clause.lower()][0]
    if value.kind.name and value.kind.name not in kinds:
        yield value
    elif clause == "s" and isinstance(value, Collection):
        for part in value.parts:
            yield from _unfit(clause, part)
