"""What is wrong with a text that is no address or network, in the words of Go's ``net/netip``."""

import re
from typing import NamedTuple

from kcpcache.meta.go_values import go_quoted

_HEX = re.compile(r"[0-9A-Fa-f]*", re.ASCII)
_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_MAX_OCTET, _OCTETS, _FIELDS, _FIELD_DIGITS = 255, 4, 8, 4


class _Wrong(NamedTuple):
    """What is wrong, and from where on; "" if it is no place."""

    why: str
    at: str = ""


def address_error(text: str) -> str:
    """Of a text that is no address."""
    first = next((character for character in text if character in ".:%"), "")
    if first == ".":
        wrong = _ipv4(text)
    elif first == ":":
        wrong = _ipv6(text)
    else:
        wrong = _Wrong("missing IPv6 address" if first else "unable to parse IP")
    at = f" (at {go_quoted(wrong.at)})" if wrong.at else ""
    return f"ParseAddr({go_quoted(text)}): {wrong.why}{at}"


def network_error(text: str) -> str:
    """Of a text that is no network."""
    address, slash, bits = text.rpartition("/")
    if not slash:
        why = "no '/'"
    elif "%" in address:
        why = "IPv6 zones cannot be present in a prefix"
    elif _DIGITS.fullmatch(bits) is None or (len(bits) > 1 and bits.startswith("0")):
        why = f"bad bits after slash: {go_quoted(bits)}"
    else:
        why = "prefix length out of range"
    return f"netip.ParsePrefix({go_quoted(text)}): {why}"


def _ipv4(text: str) -> _Wrong:
    octets = text.split(".")
    at = 0
    for place, octet in enumerate(octets):
        digits = _DIGITS.match(octet)
        if not octet:
            return _Wrong(
                "IPv4 field must have at least one digit", text[max(at - 1, 0) if place == len(octets) - 1 else at :]
            )
        read = digits[0] if digits else ""
        if len(read) > 1 and read.startswith("0"):
            return _Wrong("IPv4 field has octet with leading zero")
        if read and int(read) > _MAX_OCTET:
            return _Wrong("IPv4 field has value >255")
        if read != octet:
            return _Wrong("unexpected character", text[at + len(read) :])
        if place == _OCTETS:
            return _Wrong("IPv4 address too long")
        at += len(octet) + 1
    return _Wrong("IPv4 address too short")


def _ipv6(text: str) -> _Wrong:
    rest, percent, zone = text.partition("%")
    if percent and not zone:
        return _Wrong("zone must be a non-empty string")
    shortened = rest.startswith("::")
    rest = rest[2:] if shortened else rest
    fields = 0
    while fields < _FIELDS and rest:
        digits = (_HEX.match(rest) or [""])[0]
        if len(digits) > _FIELD_DIGITS:
            return _Wrong("each group must have 4 or less digits", rest)
        if not digits:
            return _Wrong("each colon-separated field must have at least one digit", rest)
        if rest[len(digits) :].startswith("."):
            return _embedded(rest, fields, shortened=shortened)
        fields, rest = fields + 1, rest[len(digits) :]
        if not rest:
            break
        if not rest.startswith(":"):
            return _Wrong("unexpected character, want colon", rest)
        if rest == ":":
            return _Wrong("colon must be followed by more characters", rest)
        rest = rest[1:]
        if rest.startswith(":"):
            if shortened:
                return _Wrong("multiple :: in address", rest)
            shortened, rest = True, rest[1:]
    if rest:
        return _Wrong("trailing garbage after address", rest)
    if fields < _FIELDS:
        return _Wrong("address string too short")
    return _Wrong("the :: must expand to at least one field of zeros")


def _embedded(rest: str, fields: int, *, shortened: bool) -> _Wrong:
    """Of an IPv4 address behind so many fields."""
    if not shortened and fields != _FIELDS - 2:
        return _Wrong("embedded IPv4 address must replace the final 2 fields of the address", rest)
    if fields > _FIELDS - 2:
        return _Wrong("too many hex fields to fit an embedded IPv4 at the end of the address", rest)
    return _ipv4(rest)
