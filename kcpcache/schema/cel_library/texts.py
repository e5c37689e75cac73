"""``format`` of strings, ``string`` and ``getMilliseconds``, where cel-cpp's own answer otherwise than cel-go's.

``replace`` answers alike, but refuses to make texts that are too long.

cel-cpp's cannot be replaced under their names: ``cel_rewrite`` gives them others before a rule is compiled to run.
"""

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from kcpcache.meta.go_values import go_quoted
from kcpcache.schema.cel_calls import called_by_cel
from kcpcache.schema.cel_library.compare import kind
from kcpcache.schema.cel_library.messages import cel_name, cel_type
from kcpcache.schema.cel_rewrite import OWN

_CLAUSE = re.compile(r"%(?:(?P<percent>%)|(?:\.(?P<precision>[0-9]+))?(?P<clause>[sdfebxXo]))")
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_SPECIAL = frozenset({"NaN", "Infinity", "-Infinity"})
_LEAST, _MOST = -4, 6
"""Powers of ten from and below which numbers are shown without an exponent."""
_KINDS = {"duration": "google.protobuf.Duration", "timestamp": "google.protobuf.Timestamp"}
_TYPES = {
    **{name.upper(): name for name in ("bool", "bytes", "double", "int", "list", "map", "string", "type", "uint")},
    **{name.upper(): shown for name, shown in _KINDS.items()},
    "NULL": "null_type",
}
"""What cel-cpp's Python interface calls types, and what CEL does."""
_MAX_PRECISION = 1_000
_MAX_INT64, _INT64_DIGITS = 2**63 - 1, 19
_MAX_REPLACED = 10_000_000
"""Characters: more than any request has, and so little that it does not matter."""


def functions(cel: Any) -> list[Any]:
    """The declarations, for ``CelExtension``."""
    types = cel.Type
    any_list = types.List(types.DYN)
    text, network = types.STRING, cel_type(cel, "Network")
    plain = (types.BOOL, types.INT, types.UINT, types.DOUBLE, text, types.TIMESTAMP, types.DURATION)
    strings = [
        *((of, shown) for of in plain),
        (types.BYTES, lambda value: bytes(value).decode()),
        (network, lambda value: value.text),
    ]
    return [
        cel.FunctionDecl(
            OWN["format"],
            [cel.Overload("kubernetes_format", text, [text, any_list], True, impl=called_by_cel(formatted))],
        ),
        cel.FunctionDecl(
            OWN["replace"],
            [
                cel.Overload("kubernetes_replace", text, [text] * 3, True, impl=called_by_cel(replaced)),
                cel.Overload(
                    "kubernetes_replace_some", text, [*[text] * 3, types.INT], True, impl=called_by_cel(replaced)
                ),
            ],
        ),
        cel.FunctionDecl(
            OWN["string"],
            [
                cel.Overload(f"kubernetes_string_{place}", text, [of], False, impl=called_by_cel(impl))
                for place, (of, impl) in enumerate(strings)
            ],
        ),
        cel.FunctionDecl(
            OWN["getMilliseconds"],
            [
                cel.Overload(
                    "kubernetes_duration_milliseconds",
                    types.INT,
                    [types.DURATION],
                    True,
                    impl=called_by_cel(_milliseconds),
                ),
                cel.Overload(
                    "kubernetes_timestamp_milliseconds",
                    types.INT,
                    [types.TIMESTAMP],
                    True,
                    impl=called_by_cel(_of_second),
                ),
                cel.Overload(
                    "kubernetes_zoned_milliseconds",
                    types.INT,
                    [types.TIMESTAMP, text],
                    True,
                    impl=called_by_cel(lambda at, _zone: _of_second(at)),
                ),
            ],
        ),
    ]


def _milliseconds(duration: timedelta) -> int:
    return int(duration / timedelta(milliseconds=1))


def _of_second(at: datetime) -> int:
    return at.microsecond // 1000


def replaced(text: str, old: str, new: str, most: int = -1) -> str:
    """The text with ``new`` for the first ``most`` of ``old``, or for all of them if that is negative.

    Raises ValueError, before anything is made, if it would be longer than 10 million characters.
    """
    times = text.count(old) if most < 0 else min(text.count(old), most)
    if len(text) + times * (len(new) - len(old)) > _MAX_REPLACED:
        raise ValueError(f"replace: the result would be longer than {_MAX_REPLACED} characters")
    return text.replace(old, new, times)


def shown(value: Any) -> str:
    """A value of a scalar type as ``string`` shows it. Raises ValueError for bytes that are no text."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case float():
            return _double(value)
        case bytes() | bytearray():
            return bytes(value).decode()
        case timedelta():
            seconds = Decimal(str(value / timedelta(seconds=1)))
            return f"{seconds.normalize():f}s"
        case datetime():
            at = value.astimezone(UTC)
            fraction = f".{at.microsecond:06}".rstrip("0").rstrip(".")
            return f"{at.year:04}-{at:%m-%dT%H:%M:%S}{fraction}Z"
    return str(value)


def _double(value: float) -> str:
    """With as few digits as tell it from others; large and small ones with an exponent of two digits or more."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    if value == 0:
        return "-0" if sign else "0"
    power = len(digits) - 1 + int(exponent)
    if _LEAST <= power < _MOST:
        return f"{Decimal(repr(value)).normalize():f}"
    mantissa = "".join(map(str, digits))
    head = f"{mantissa[0]}.{mantissa[1:]}" if len(mantissa) > 1 else mantissa
    return f"{'-' if sign else ''}{head}e{'-' if power < 0 else '+'}{abs(power):02}"


def _literal(value: Any) -> str:
    """Within lists and maps: as CEL would write it."""
    match value:
        case str():
            return go_quoted(value)
        case bytes() | bytearray():
            return f"b{go_quoted(shown(value))}"
        case float():
            return f"{value:f}" if math.isfinite(value) else go_quoted(shown(value))
        case timedelta():
            return f'duration("{shown(value)}")'
        case datetime():
            return f'timestamp("{shown(value)}")'
    if name := cel_name(value):
        raise ValueError(f"no formatting function for {name}")
    return _any(value)


def _any(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, dict):
        pairs = sorted((_literal(key), _literal(item)) for key, item in value.items())
        return f"{{{', '.join(f'{key}:{item}' for key, item in pairs)}}}"
    return type_text(value) if hasattr(value, "is_assignable_from") else shown(value)


def type_text(value: Any) -> str:
    """The name that CEL has for a type, which is a value too."""
    name = str(value.name()).partition("<")[0]
    return _TYPES.get(name, name)


def _name(value: Any) -> str:
    if hasattr(value, "is_assignable_from"):
        return "type"
    return _KINDS.get(kind(value)) or kind(value) or cel_name(value)


def _number(value: Any, why: str) -> float:
    if isinstance(value, float):
        return value
    if isinstance(value, str) and value in _SPECIAL:
        return float(value)
    raise ValueError(f"{why} clause can only be used on doubles, was given {_name(value)}")


def _infinite(value: float) -> str:
    return "NaN" if math.isnan(value) else "∞" if value > 0 else "-∞"


def _fixed(value: Any, precision: int) -> str:
    number = _number(value, "fixed-point")
    return f"{number:,.{precision}f}" if math.isfinite(number) else _infinite(number)


def _scientific(value: Any, precision: int) -> str:
    """Always with six digits, as Kubernetes' version of cel-go does it; the infinite is as wide as the precision."""
    number = _number(value, "scientific")
    if not math.isfinite(number):
        return _infinite(number).rjust(0 if math.isnan(number) else precision)
    mantissa, _, exponent = f"{number:.6e}".partition("e")
    return f"{mantissa}\u00d710{exponent.lstrip('+').translate(_SUPERSCRIPTS)}"


def _whole(why: str, form: str) -> Callable[[Any, int], str]:
    def clause(value: Any, _precision: int) -> str:
        if isinstance(value, bool) and form == "b":
            return str(int(value))
        if isinstance(value, int) and not isinstance(value, bool):
            return format(value, form)
        raise ValueError(f"{why}, was given {_name(value)}")

    return clause


def _hexadecimal(form: str) -> Callable[[Any, int], str]:
    number = _whole("only integers, byte buffers, and strings can be formatted as hex", form)

    def clause(value: Any, precision: int) -> str:
        if isinstance(value, str | bytes | bytearray):
            digits = (value.encode() if isinstance(value, str) else bytes(value)).hex()
            return digits.upper() if form == "X" else digits
        return number(value, precision)

    return clause


def _text(value: Any, _precision: int) -> str:
    if name := cel_name(value):
        kinds = "strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps"
        raise ValueError(f"string clause can only be used on {kinds}, was given {name}")
    return _any(value)


_CLAUSES: dict[str, Callable[[Any, int], str]] = {
    "s": _text,
    "d": _whole("decimal clause can only be used on integers", "d"),
    "f": _fixed,
    "e": _scientific,
    "b": _whole("only integers and bools can be formatted as binary", "b"),
    "o": _whole("octal clause can only be used on integers", "o"),
    "x": _hexadecimal("x"),
    "X": _hexadecimal("X"),
}


def _precision(digits: str) -> int:
    significant = digits.lstrip("0") or "0"  # Python converts no text of more than 4,300 digits
    if len(significant) > _INT64_DIGITS or int(significant) > _MAX_INT64:
        why = f'error while converting precision to integer: strconv.Atoi: parsing "{digits}": value out of range'
        raise ValueError(f"could not parse formatting clause: error while parsing precision: {why}")
    return min(int(significant), _MAX_PRECISION)


def formatted(text: str, values: list[Any]) -> str:
    """The text with its clauses filled in. Raises ValueError for clauses and values that do not fit."""
    pieces: list[str] = []
    at, used = 0, 0
    while (place := text.find("%", at)) >= 0:
        pieces.append(text[at:place])
        found = _CLAUSE.match(text, place)
        if found is None:
            raise ValueError(f"could not parse formatting clause: unrecognized formatting clause {text[place:][:8]!r}")
        at = found.end()
        if found["percent"]:
            pieces.append("%")
            continue
        if used >= len(values):
            raise ValueError(f"index {used} out of range")
        precision = _precision(found["precision"] or "6")
        try:
            pieces.append(_CLAUSES[found["clause"]](values[used], precision))
        except ValueError as error:
            raise ValueError(f"error during formatting: {error}") from None
        used += 1
    return "".join([*pieces, text[at:]])
