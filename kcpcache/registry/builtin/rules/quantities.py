"""Quantities as far as the rules compare them: ``100m``, ``1.5Gi``, ``2e3``."""

import re
from decimal import Decimal, InvalidOperation
from typing import Any, Final

SYNTAX: Final = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
_QUANTITY: Final = re.compile(
    r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?[0-9]{1,3}))?"
)
_FACTORS: Final = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal("1e3"),
    "M": Decimal("1e6"),
    "G": Decimal("1e9"),
    "T": Decimal("1e12"),
    "P": Decimal("1e15"),
    "E": Decimal("1e18"),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}
_LONGEST: Final = 64


def quantity(value: Any) -> Decimal | None:
    """The number that a quantity stands for; None where ``value`` is no quantity."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    written = str(value)
    match = _QUANTITY.fullmatch(written) if len(written) <= _LONGEST else None
    if match is None:
        return None
    number, suffix, exponent = match.groups()
    try:
        found = Decimal(number) * _FACTORS.get(suffix or "", Decimal(1))
        return found.scaleb(int(exponent)) if exponent else found
    except InvalidOperation:
        return None
