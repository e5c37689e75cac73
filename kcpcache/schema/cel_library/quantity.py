"""``quantity("500Mi")`` and what can be asked of it; quantities are those of resource limits.

A quantity travels as its canonical text, so that equal quantities are equal messages.
"""

import re
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

from kcpcache.schema.cel_calls import called_by_cel
from kcpcache.schema.cel_library.messages import cel_type, message

_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(|[numkMGTPE]|[KMGTPE]i|[eE][+-]?\d+)", re.ASCII)
_MAX_LENGTH = 64
_MAX_EXPONENT = 400
_DECIMAL = {"": 0, "n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_INT64 = range(-(2**63), 2**63)


def parse(text: str) -> Fraction:
    """The exact value of a quantity, rounded up to nano units as Kubernetes does. Raises ValueError."""
    found = _QUANTITY.fullmatch(text) if len(text) <= _MAX_LENGTH else None
    if found is None:
        raise ValueError(f"quantities must match the regular expression '{_FORM}'")
    suffix = found[2]
    try:
        number = Fraction(Decimal(found[1]))
    except InvalidOperation:
        raise ValueError("unable to parse quantity") from None
    if suffix in _BINARY:
        return _rounded(number * 1024 ** _BINARY[suffix])
    exponent = _DECIMAL[suffix] if suffix in _DECIMAL else int(suffix[1:])
    if abs(exponent) > _MAX_EXPONENT:
        raise ValueError("unable to parse quantity's suffix")
    return _rounded(number * Fraction(10) ** exponent)


_FORM = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"


def _rounded(number: Fraction) -> Fraction:
    nano = number * 10**9
    whole, rest = divmod(abs(nano.numerator), nano.denominator)
    nanos = whole + (1 if rest else 0)
    return Fraction(nanos if nano >= 0 else -nanos, 10**9)


def _is_quantity(text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def _quantity(number: Fraction) -> Any:
    return message("Quantity", f"{number.numerator}/{number.denominator}")


def _number(quantity: Any) -> Fraction:
    return Fraction(quantity.text or "0")


def _as_integer(quantity: Any) -> int:
    number = _number(quantity)
    if number.denominator != 1 or number.numerator not in _INT64:
        raise ValueError("cannot convert value to integer")
    return number.numerator


def _is_integer(quantity: Any) -> bool:
    number = _number(quantity)
    return number.denominator == 1 and number.numerator in _INT64


def functions(cel: Any) -> list[Any]:
    """The declarations, for ``CelExtension``."""
    kind = cel.Type
    quantity = cel_type(cel, "Quantity")

    def declare(name: str, *overloads: tuple[str, Any, list[Any], bool, Any]) -> Any:
        return cel.FunctionDecl(
            name,
            [
                cel.Overload(f"kubernetes_quantity_{suffix}", result, parameters, member, impl=called_by_cel(impl))
                for suffix, result, parameters, member, impl in overloads
            ],
        )

    return [
        declare("quantity", ("make", quantity, [kind.STRING], False, lambda text: _quantity(parse(text)))),
        declare("isQuantity", ("is", kind.BOOL, [kind.STRING], False, _is_quantity)),
        declare("isInteger", ("is_integer", kind.BOOL, [quantity], True, _is_integer)),
        declare("asInteger", ("as_integer", kind.INT, [quantity], True, _as_integer)),
        declare(
            "asApproximateFloat",
            ("as_float", kind.DOUBLE, [quantity], True, lambda value: float(_number(value))),
        ),
        declare(
            "sign",
            ("sign", kind.INT, [quantity], False, lambda value: _sign(_number(value))),
            ("sign_of", kind.INT, [quantity], True, lambda value: _sign(_number(value))),
        ),
        declare(
            "add",
            ("add", quantity, [quantity, quantity], True, lambda a, b: _quantity(_number(a) + _number(b))),
            ("add_int", quantity, [quantity, kind.INT], True, lambda a, b: _quantity(_number(a) + b)),
        ),
        declare(
            "sub",
            ("sub", quantity, [quantity, quantity], True, lambda a, b: _quantity(_number(a) - _number(b))),
            ("sub_int", quantity, [quantity, kind.INT], True, lambda a, b: _quantity(_number(a) - b)),
        ),
    ]


def _sign(number: Fraction) -> int:
    return (number > 0) - (number < 0)


def compare(left: Any, right: Any) -> int:
    """-1, 0 or 1: how two quantities compare."""
    return _sign(_number(left) - _number(right))
