"""``quantity("500Mi")`` and what can be asked of it; quantities are those of resource limits.

A quantity travels as its value in canonical text, so that equal quantities are equal messages, with marks for how
Kubernetes holds it: as a whole number of 64 bits and a power of ten, or as a decimal. ``1.0`` and ``1Ei`` equal whole
numbers, but are not held as such, and so are no integers.
"""

import math
import re
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from kcpcache.schema.cel_calls import called_by_cel
from kcpcache.schema.cel_library.messages import cel_type, marks, message

_FORM = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
_QUANTITY = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*[+-]?[0-9]*)", re.ASCII)
_EXPONENT = re.compile(r"[eE]([+-]?[0-9]{1,19})", re.ASCII)
_MAX_DIGITS = 400
"""Of a quantity as it is written or held, so that computing with it takes microseconds."""
_MOST_POWER = 1_000_000
"""Of ten: kube-apiserver is lost in computing with much larger ones."""
_DECIMAL = {"": 0, "n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_INT64 = range(-(2**63), 2**63)
_MOST_BINARY = 2**63 - 1
_NANO = -9
"""The least power of ten."""
_DIGITS, _BINARY_DIGITS = 18, 15
"""How many digits are held as a whole number, without and with a power of two."""
_MARKS = 10
_MOST_SHIFT = 2 ** (_MARKS - 1) - 1


class Quantity(NamedTuple):
    """``digits * 10**power``, where ``digits`` ends in no 0.

    Kubernetes holds it as a number of ``shift`` more digits, which are zeros: a decimal, or a whole one of 64 bits.
    """

    digits: int
    power: int
    shift: int
    decimal: bool

    @property
    def held(self) -> tuple[int, int]:
        """The number and the power of ten that Kubernetes holds."""
        return self.digits * 10**self.shift, self.power - self.shift


def _quantity(number: int, scale: int, *, decimal: bool) -> Quantity:
    """``number * 10**scale``."""
    if number == 0:
        return Quantity(0, 0, max(0, -scale), decimal)
    digits = str(number).rstrip("0")
    power = scale + len(str(number)) - len(digits)
    return Quantity(int(digits), power, power - scale, decimal)


@lru_cache(maxsize=256)
def parse(text: str) -> Quantity:
    """The exact value of a quantity; decimals are rounded up to nano units, as Kubernetes does. Raises ValueError."""
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"quantities must not be longer than {_MAX_DIGITS} characters")
    found = _QUANTITY.fullmatch(text) if text else None
    if found is None:
        raise ValueError(f"quantities must match the regular expression '{_FORM}'")
    sign, whole, fraction, suffix = found[1], found[2].lstrip("0") or "0", found[3] or "", found[4]
    exponent, bits = _suffix(suffix)
    number = int(whole + fraction)
    if suffix in _BINARY:
        fits = not fraction and len(whole) + int(bits * 0.3) < _BINARY_DIGITS
        fits = fits and number << bits in _INT64
        number <<= bits
    else:
        fits = len(whole) + len(fraction) <= _DIGITS
    scale = exponent - len(fraction)
    negative = -1 if sign == "-" else 1
    if text == "0" or (fits and scale >= _NANO):
        return _quantity(negative * number, scale, decimal=False)
    if suffix in _BINARY and Decimal(number).scaleb(scale) > _MOST_BINARY:
        return _quantity(negative * _MOST_BINARY, 0, decimal=True)
    return _rounded(negative * number, scale)


def _suffix(suffix: str) -> tuple[int, int]:
    """The powers of ten and of two that a suffix stands for."""
    if suffix in _DECIMAL:
        return _DECIMAL[suffix], 0
    if suffix in _BINARY:
        return 0, _BINARY[suffix]
    found = _EXPONENT.fullmatch(suffix)
    if found is None or int(found[1]) not in _INT64:
        raise ValueError("unable to parse quantity's suffix")
    return (int(found[1]) + 2**31) % 2**32 - 2**31, 0  # Kubernetes keeps 32 bits of it


def _rounded(number: int, scale: int) -> Quantity:
    """A decimal of nano units, or of none if it is 0."""
    if number and scale < _NANO:
        away = min(_NANO - scale, len(str(number)) + 1)
        whole, rest = divmod(abs(number), 10**away)
        number = (whole + (rest > 0)) * (1 if number > 0 else -1)
    made = _quantity(number, max(scale, _NANO) if number else scale, decimal=True)
    return made._replace(shift=min(made.power - _NANO, _MOST_SHIFT)) if number else made


def _is_quantity(text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def _made(text: str) -> Any:
    quantity = parse(text)
    if abs(quantity.power) > _MOST_POWER:
        raise ValueError("unable to parse quantity's suffix")
    return _sent(quantity)


def _sent(quantity: Quantity) -> Any:
    mark = quantity.decimal + 2 * min(quantity.shift, _MOST_SHIFT)
    return message("Quantity", f"{quantity.digits} {quantity.power}", mark, _MARKS)


def _received(value: Any) -> Quantity:
    digits, _, power = value.text.partition(" ")
    mark = marks(value)
    return Quantity(int(digits or "0"), int(power or "0"), mark >> 1, bool(mark & 1))


def _integer(quantity: Quantity) -> int | None:
    """The whole number that the quantity is held as, with a power of ten that is none or makes it one of 64 bits."""
    number, scale = quantity.held
    if quantity.decimal or scale < 0 or (number and scale > _DIGITS + 1):
        return None
    number *= 10**scale if number else 1
    return number if number in _INT64 else None


def _as_integer(value: Any) -> int:
    number = _integer(_received(value))
    if number is None:
        raise ValueError("cannot convert value to integer")
    return number


def _as_float(value: Any) -> float:
    number, scale = _received(value).held
    try:
        base = float(number)
    except OverflowError:
        base = math.inf if number > 0 else -math.inf
    return base * float(f"1e{scale}") if scale else base


def _sum(left: Quantity, right: Quantity) -> Quantity:
    if not left.decimal and not right.decimal:
        if left.digits == 0 or right.digits == 0:
            return right if left.digits == 0 and right.digits else left
        (one, high), (other, low) = sorted((left.held, right.held), key=lambda held: -held[1])
        number = one * 10 ** min(high - low, _DIGITS + 2) + other
        if one * 10 ** min(high - low, _DIGITS + 2) in _INT64 and number in _INT64:
            return _quantity(number, low, decimal=False)
    scale = min(left.held[1], right.held[1])
    if max(len(str(abs(quantity.digits))) + quantity.power - scale for quantity in (left, right)) > _MAX_DIGITS:
        raise ValueError(f"quantities must not have more than {_MAX_DIGITS} digits")
    number = sum(quantity.digits * 10 ** (quantity.power - scale) for quantity in (left, right))
    return _quantity(number, scale, decimal=True)


def _negated(quantity: Quantity) -> Quantity:
    return quantity._replace(digits=-quantity.digits)


def _add(left: Any, right: Any) -> Any:
    return _sent(_sum(_received(left), _received(right)))


def _add_integer(left: Any, right: int) -> Any:
    return _sent(_sum(_received(left), _quantity(right, 0, decimal=False)))


def _sub(left: Any, right: Any) -> Any:
    return _sent(_sum(_received(left), _negated(_received(right))))


def _sub_integer(left: Any, right: int) -> Any:
    # Kubernetes negates in 64 bits.
    return _sent(_sum(_received(left), _quantity(-right if -right in _INT64 else right, 0, decimal=False)))


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
        declare("quantity", ("make", quantity, [kind.STRING], False, _made)),
        declare("isQuantity", ("is", kind.BOOL, [kind.STRING], False, _is_quantity)),
        declare(
            "isInteger",
            ("is_integer", kind.BOOL, [quantity], True, lambda value: _integer(_received(value)) is not None),
        ),
        declare("asInteger", ("as_integer", kind.INT, [quantity], True, _as_integer)),
        declare(
            "asApproximateFloat",
            ("as_float", kind.DOUBLE, [quantity], True, _as_float),
        ),
        declare(
            "sign",
            ("sign", kind.INT, [quantity], False, lambda value: _sign(_received(value).digits)),
            ("sign_of", kind.INT, [quantity], True, lambda value: _sign(_received(value).digits)),
        ),
        declare(
            "add",
            ("add", quantity, [quantity, quantity], True, _add),
            ("add_int", quantity, [quantity, kind.INT], True, _add_integer),
        ),
        declare(
            "sub",
            ("sub", quantity, [quantity, quantity], True, _sub),
            ("sub_int", quantity, [quantity, kind.INT], True, _sub_integer),
        ),
    ]


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)


def compare(left: Any, right: Any) -> int:
    """-1, 0 or 1: how two quantities compare."""
    ours, theirs = _value(_received(left)), _value(_received(right))
    return (ours > theirs) - (ours < theirs)


def _value(quantity: Quantity) -> Decimal:
    """To be compared, which needs no precision, whatever the power."""
    return Decimal(f"{quantity.digits}E{quantity.power}")
