"""The string formats that Kubernetes checks; all others are documentation.

The list is that of the Kubernetes documentation, "Validation" of CustomResourceDefinitions. Hyphens in a format's
name do not count: ``date-time`` is ``datetime``.
"""

import binascii
import ipaddress
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from datetime import date, datetime
from email.utils import parseaddr
from urllib.parse import urlsplit

_UUID = r"[0-9a-f]{8}-?[0-9a-f]{4}-?%s-?%s-?[0-9a-f]{12}"
_ANY, _VARIANT = "[0-9a-f]{4}", "[89ab][0-9a-f]{3}"
_DURATION = re.compile(r"[+-]?(0|((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)")
# go-openapi also reads durations with words and a space, down to weeks.
_WORDY_DURATION = re.compile(
    r"\d+\s*(ns|nano(second)?s?|us|µs|micro(second)?s?|ms|milli(second)?s?|s|sec(ond)?s?|m|min(ute)?s?"
    r"|h|hr?s?|hours?|d|days?|w|wk?s?|weeks?)"
)
_HOSTNAME_LABEL = re.compile(r"[^\W_]([^\W_]|-)*", re.UNICODE)
_CREDIT_CARD = re.compile(
    r"(4\d{12}(\d{3})?|5[1-5]\d{14}|6(011|5\d\d)\d{12}|3[47]\d{13}|3(0[0-5]|[68]\d)\d{11}|(2131|1800|35\d{3})\d{11})",
    re.ASCII,
)
_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:?\d{2})", re.ASCII)
_MAX_LABEL, _MAX_HOSTNAME = 63, 255
_OCTETS, _GROUPS = 4, 8


def _full(expression: str) -> Callable[[str], bool]:
    compiled = re.compile(expression, re.ASCII | re.IGNORECASE)
    return lambda text: compiled.fullmatch(text) is not None


def is_rfc3339(text: str) -> bool:
    """A date and time as RFC 3339 writes it, with a zone."""
    if _RFC3339.fullmatch(text) is None:
        return False
    try:
        datetime.fromisoformat(text[:19].replace("t", "T"))
    except ValueError:
        return False
    return True


def _is_date(text: str) -> bool:
    try:
        return len(text) == len("2006-01-02") and date.fromisoformat(text) is not None
    except ValueError:
        return False


def _is_duration(text: str) -> bool:
    return _DURATION.fullmatch(text) is not None or _WORDY_DURATION.fullmatch(text) is not None


def _sloppy_ipv4(text: str) -> bool:
    """Go's older parser took leading zeros."""
    octets = text.split(".")
    return len(octets) == _OCTETS and all(
        o.isascii() and o.isdigit() and len(o) <= _GROUPS and int(o) < 256  # noqa: PLR2004 - an octet
        for o in octets
    )


def _is_ipv6(text: str) -> bool:
    try:
        return ":" in text and "%" not in text and ipaddress.IPv6Address(text) is not None
    except ValueError:
        return False


def _is_cidr(text: str) -> bool:
    address, slash, bits = text.partition("/")
    if not slash or not (bits.isascii() and bits.isdigit() and len(bits) <= 3):  # noqa: PLR2004 - 128
        return False
    if _sloppy_ipv4(address):
        return int(bits) <= 32  # noqa: PLR2004 - bits of IPv4
    return _is_ipv6(address) and int(bits) <= 128  # noqa: PLR2004 - bits of IPv6


def _is_uri(text: str) -> bool:
    """As net/url.ParseRequestURI with a scheme, or an absolute path."""
    if any(c <= " " or c == "\x7f" for c in text):
        return False
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    return text.startswith("/") or bool(parts.scheme)


def _is_email(text: str) -> bool:
    _, address = parseaddr(text)
    local, at, domain = address.rpartition("@")
    return bool(at and local and domain) and "\n" not in text


def _is_hostname(text: str) -> bool:
    labels = text.split(".")
    if len(text.encode()) > _MAX_HOSTNAME or any(len(label.encode()) > _MAX_LABEL for label in labels):
        return False
    if len(labels) > 1 and not (len(labels[-1]) > 1 and labels[-1].isalpha()):
        return False
    return all(_HOSTNAME_LABEL.fullmatch(label) and not label.endswith("-") for label in labels)


def _is_base64(text: str) -> bool:
    try:
        return bool(text) and b64decode(text, validate=True) is not None
    except (binascii.Error, ValueError):
        return False


def _is_isbn10(text: str) -> bool:
    digits = text.replace("-", "").replace(" ", "")
    if re.fullmatch(r"\d{9}[\dX]", digits, re.ASCII) is None:
        return False
    return sum((i + 1) * (10 if c == "X" else int(c)) for i, c in enumerate(digits)) % 11 == 0


def _is_isbn13(text: str) -> bool:
    digits = text.replace("-", "").replace(" ", "")
    if re.fullmatch(r"\d{13}", digits, re.ASCII) is None:
        return False
    return sum(int(c) * (3 if i % 2 else 1) for i, c in enumerate(digits)) % 10 == 0


def _is_credit_card(text: str) -> bool:
    digits = re.sub(r"[^0-9]+", "", text)
    if _CREDIT_CARD.fullmatch(digits) is None:
        return False
    doubled = [int(c) * (2 if i % 2 else 1) for i, c in enumerate(reversed(digits))]
    return sum(n - 9 if n > 9 else n for n in doubled) % 10 == 0  # noqa: PLR2004 - Luhn's digits


STRING_FORMATS: Mapping[str, Callable[[str], bool]] = {
    "bsonobjectid": _full(r"[0-9a-f]{24}"),
    "uri": _is_uri,
    "email": _is_email,
    "hostname": _is_hostname,
    "ipv4": _sloppy_ipv4,
    "ipv6": _is_ipv6,
    "cidr": _is_cidr,
    "mac": _full(
        r"([0-9a-f]{2}([:-])([0-9a-f]{2}\2){4}[0-9a-f]{2}|[0-9a-f]{2}([:-])([0-9a-f]{2}\4){6}[0-9a-f]{2}"
        r"|[0-9a-f]{4}(\.[0-9a-f]{4}){2,3})"
    ),
    "uuid": _full(_UUID % (_ANY, _ANY)),
    "uuid3": _full(_UUID % ("3[0-9a-f]{3}", _ANY)),
    "uuid4": _full(_UUID % ("4[0-9a-f]{3}", _VARIANT)),
    "uuid5": _full(_UUID % ("5[0-9a-f]{3}", _VARIANT)),
    "isbn": lambda text: _is_isbn10(text) or _is_isbn13(text),
    "isbn10": _is_isbn10,
    "isbn13": _is_isbn13,
    "creditcard": _is_credit_card,
    "ssn": _full(r"\d{3}[- ]?\d{2}[- ]?\d{4}"),
    "hexcolor": _full(r"#?([0-9a-f]{3}|[0-9a-f]{6})"),
    "rgbcolor": _full(
        r"rgb\(\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*,\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*,"
        r"\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*\)"
    ),
    "byte": _is_base64,
    "password": lambda _text: True,
    "date": _is_date,
    "duration": _is_duration,
    "datetime": is_rfc3339,
}
"""Format name without hyphens → whether a string has it."""


def string_format(schema: Mapping[str, object]) -> Callable[[str], bool] | None:
    """The check that the schema's ``format`` asks for; None where it asks for none that Kubernetes knows."""
    name = schema.get("format")
    if not isinstance(name, str) or schema.get("type", "") not in {"", "string"}:
        return None
    return STRING_FORMATS.get(name.replace("-", ""))
