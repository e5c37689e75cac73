"""Conversions of constants, such as ``int('a')``, which Kubernetes computes when a CRD is created.

Those that fail make the rule one that cannot be run. The texts are cel-go's.
"""

import math
import re
from collections.abc import Callable
from typing import TypeAlias

from kcpcache.schema.cel_environment import InstantiationError
from kcpcache.schema.cel_tree import Call, Literal, Node

_Constant: TypeAlias = bool | int | float | str | bytes
_Known: TypeAlias = tuple[str, _Constant]
"""The name of a constant's type, and its value."""

_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_FLOAT = re.compile(
    r"[+-]?(?:inf|infinity|nan|(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:e[+-]?[0-9]+)?"
    r"|0x[0-9a-f_]*\.?[0-9a-f_]*p[+-]?[0-9]+)",
    re.ASCII | re.IGNORECASE,
)
_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}
_INT, _UINT = range(-(2**63), 2**63), range(2**64)
_MAX_DIGITS = len(str(_UINT[-1]))
_OVERFLOW = {"int": "integer overflow", "uint": "unsigned integer overflow"}


def converted(node: Node) -> _Known | None:
    """What a constant, or a conversion of one, is; None where that is not known. Raises InstantiationError."""
    if isinstance(node, Literal):
        return (node.kind.name, node.value) if node.value is not None else None
    if not isinstance(node, Call) or node.target is not None or len(node.arguments) != 1:
        return None
    convert = _CONVERSIONS.get(node.function)
    given = converted(node.arguments[0]) if convert is not None else None
    return convert(*given) if convert is not None and given is not None else None


def _unfit(kind: str, wanted: str) -> InstantiationError:
    return InstantiationError(f"type conversion error from '{kind}' to '{wanted}'")


def _number(digits: str) -> int | None:
    """None for more digits than a number of 64 bits has: Python refuses to read some thousands."""
    significant = digits.lstrip("+-").lstrip("0")
    if len(significant) > _MAX_DIGITS:
        return None
    return int(significant or "0") * (-1 if digits.startswith("-") else 1)


def _whole(wanted: str) -> Callable[[str, _Constant], _Known | None]:
    """``int`` and ``uint``; cel-go takes no double at the lower edge."""
    fitting, pattern = (_INT, _INTEGER) if wanted == "int" else (_UINT, _DIGITS)

    def convert(kind: str, value: _Constant) -> _Known | None:
        if isinstance(value, str):
            number = _number(value) if pattern.fullmatch(value) is not None else None
            if number is None or number not in fitting:
                raise _unfit(kind, wanted)
            return wanted, number
        if isinstance(value, bool | bytes):
            return None
        edge = isinstance(value, float) and (not math.isfinite(value) or (wanted == "int" and value == _INT.start))
        if edge or int(value) not in fitting:
            raise InstantiationError(_OVERFLOW[wanted])
        return wanted, int(value)

    return convert


def _double(kind: str, value: _Constant) -> _Known | None:
    if isinstance(value, bool | bytes):
        return None
    if not isinstance(value, str):
        return "double", float(value)
    if _FLOAT.fullmatch(value) is None:
        raise _unfit(kind, "double")
    if "x" in value.lower() or "_" in value:
        return None
    number = float(value)
    if math.isinf(number) and "inf" not in value.lower():
        raise _unfit(kind, "double")
    return "double", number


def _bool(kind: str, value: _Constant) -> _Known | None:
    if isinstance(value, bool):
        return "bool", value
    if not isinstance(value, str):
        return None
    if value not in _BOOLEANS:
        raise _unfit(kind, "bool")
    return "bool", _BOOLEANS[value]


def _string(_kind: str, value: _Constant) -> _Known | None:
    if isinstance(value, bytes):
        try:
            return "string", value.decode()
        except UnicodeDecodeError:
            raise InstantiationError("invalid UTF-8 in bytes, cannot convert to string") from None
    if isinstance(value, bool):
        return "string", str(value).lower()
    return None if isinstance(value, float) else ("string", str(value))


def _bytes(_kind: str, value: _Constant) -> _Known | None:
    return ("bytes", value.encode() if isinstance(value, str) else value) if isinstance(value, str | bytes) else None


_CONVERSIONS: dict[str, Callable[[str, _Constant], _Known | None]] = {
    "bool": _bool,
    "bytes": _bytes,
    "double": _double,
    "dyn": lambda kind, value: (kind, value),
    "int": _whole("int"),
    "string": _string,
    "uint": _whole("uint"),
}
