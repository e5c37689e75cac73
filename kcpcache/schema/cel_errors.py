"""What cel-cpp says when an expression fails, in the words of cel-go."""

import re

_BEGINNINGS = (
    ("NOT_FOUND: Key not found in map : ", "no such key: "),
    ("INVALID_ARGUMENT: divide by zero", "division by zero"),
    ("UNKNOWN: No matching overloads found", "no such overload"),
    ("UNKNOWN: Index error: ", "index out of bounds: "),
    ("OUT_OF_RANGE: ", ""),
    ("FAILED_PRECONDITION: ", ""),
    ("INVALID_ARGUMENT: ", ""),
    ("UNKNOWN: ", ""),
    ("INTERNAL: Iteration budget exceeded", "operation cancelled: actual cost limit exceeded"),
)
_OWN_NAME = re.compile(r"__(?=\(|\)\.)")
_INDEX = re.compile(r"^index out of bounds: index=(-?\d+) size=\d+")
_CONVERSION = re.compile(r"^cannot convert (string|bytes|bool|int|uint|double) to (\w+)$")
_UNPARSED = re.compile(r"^Type (conversion error from '\w+' to '\w+')$")
_OVERFLOW = re.compile(r"^(?:int64|uint64|double) out of (u?)int64 range$")
_CALL = re.compile(r"^no such overload : (?:\((?P<target>[^()]*)\)\.)?(?P<name>[^()]+?)(?:\((?P<types>.*)\))?$")
_TYPES = {
    "*opaque*": "optional_type",
    "int64": "int",
    "uint64": "uint",
    "duration": "google.protobuf.Duration",
    "timestamp": "google.protobuf.Timestamp",
}
_NUMBERS = frozenset({"int64", "uint64", "double"})
_COMPARED = _NUMBERS | {"bool", "string", "bytes", "duration", "timestamp"}
_OPERANDS = {
    "_+_": _COMPARED - {"bool"} | {"list"},
    "_-_": _NUMBERS | {"duration", "timestamp"},
    "_*_": _NUMBERS,
    "_/_": _NUMBERS,
    "_%_": _NUMBERS - {"double"},
    "-_": _NUMBERS - {"uint64"},
    **dict.fromkeys(("_<_", "_<=_", "_>_", "_>=_"), _COMPARED),
}
"""The types of first operands that judge the others by themselves, and then say no more."""
_UNPLACED = "<string>."
_SILENT = frozenset({"_&&_", "_||_", "!_", "_?_:_", "@not_strictly_false"})


def plain(text: str) -> str:
    """The error as users see it."""
    for theirs, ours in _BEGINNINGS:
        if text.startswith(theirs):
            rest = text.removeprefix(theirs)
            text = ours + (rest.strip('"') if ours == "no such key: " else rest)
            break
    text = _OWN_NAME.sub("", text)
    if (found := _CALL.match(text)) is not None:
        return _call(found)
    text = _CONVERSION.sub(r"type conversion error from '\1' to '\2'", text)
    text = _OVERFLOW.sub(lambda found: f"{'unsigned ' if found[1] else ''}integer overflow", text)
    return _INDEX.sub(r"index out of bounds: \1", _UNPARSED.sub(r"type \1", text))


def is_vague(text: str) -> bool:
    """Whether Kubernetes tells more: of places in a string that there are not."""
    return text.startswith(_UNPLACED)


def _call(found: re.Match[str]) -> str:
    """A call that no overload fits."""
    name, target = found["name"], found["target"]
    types = [kind for kind in (found["types"] or "").split(", ") if kind]
    if name in _SILENT:
        return "no such overload"
    if name in _OPERANDS:
        return "no such overload" if types and types[0] in _OPERANDS[name] else f"no such overload: {name}"
    given = ([target] if target else []) + types
    return f"no such overload: {name}({', '.join(_TYPES.get(kind, kind) for kind in given)})"
