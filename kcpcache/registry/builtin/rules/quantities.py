"""Quantities, after apimachinery's ``resource.Quantity``: what they amount to, and the one way to write them."""

import re
from fractions import Fraction
from math import ceil
from typing import Any, Final

SYNTAX: Final = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
_QUANTITY: Final = re.compile(
    r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?[0-9]{1,2}))?", re.ASCII
)
_LONGEST: Final = 64
_DECIMAL_SUFFIXES: Final = {-9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E"}
_BINARY_SUFFIXES: Final = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_FACTORS: Final = {
    **{suffix: Fraction(10) ** power for power, suffix in _DECIMAL_SUFFIXES.items()},
    **{suffix: Fraction(1024) ** power for power, suffix in enumerate(_BINARY_SUFFIXES)},
}
_NANOS: Final = 10**9
_KIBI: Final = 1024


def quantity(value: Any) -> Fraction | None:
    """The number that a quantity stands for, rounded up to billionths; None where ``value`` is no quantity."""
    parsed = _parse(value)
    return parsed[0] if parsed else None


def canonical(value: Any) -> str | None:
    """The canonical form: no fraction, the largest suffix that fits, the family of suffixes as given.

    ``0.5`` becomes ``500m``, ``1.5Gi`` ``1536Mi``, ``1000m`` ``1`` and ``1000`` ``1k``. None where ``value`` is no
    quantity.
    """
    parsed = _parse(value)
    if parsed is None:
        return None
    amount, suffix, has_exponent = parsed
    if suffix.endswith("i") and abs(amount) >= _KIBI:
        return _binary(amount)
    return _decimal(amount, has_exponent=has_exponent)


def canonicalize(quantities: dict[str, Any]) -> None:
    """Put quantities into their canonical form, in place, so that equal ones look equal; what is none stays."""
    for name, value in quantities.items():
        written = canonical(value)
        if written is not None:
            quantities[name] = written


def _parse(value: Any) -> tuple[Fraction, str, bool] | None:
    """Amount, suffix, and whether it was written with an exponent."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    written = str(value)
    match = _QUANTITY.fullmatch(written) if len(written) <= _LONGEST else None
    if match is None:
        return None
    number, suffix, exponent = match.groups()
    amount = Fraction(number) * _FACTORS[suffix or ""] * Fraction(10) ** int(exponent or 0)
    return _away_from_zero(amount * _NANOS) / _NANOS, suffix or "", exponent is not None


def _away_from_zero(amount: Fraction) -> Fraction:
    return Fraction(ceil(amount) if amount > 0 else -ceil(-amount))


def _binary(amount: Fraction) -> str:
    whole, power = int(_away_from_zero(amount)), 0
    while whole % _KIBI == 0 and power < len(_BINARY_SUFFIXES) - 1:
        whole, power = whole // _KIBI, power + 1
    return f"{whole}{_BINARY_SUFFIXES[power]}"


def _decimal(amount: Fraction, *, has_exponent: bool) -> str:
    whole, power = int(amount * _NANOS), -9
    while whole and whole % 1000 == 0 and (has_exponent or power + 3 in _DECIMAL_SUFFIXES):
        whole, power = whole // 1000, power + 3
    if not whole:
        return "0"
    if has_exponent:
        return f"{whole}e{power}" if power else str(whole)
    return f"{whole}{_DECIMAL_SUFFIXES[power]}"
