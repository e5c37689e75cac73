"""JSON values as Go prints them (``%#v``), which is how errors of Kubernetes show what is no plain value."""

from typing import Any

import orjson


def go_value(value: Any, *, within: bool = False) -> str:
    """``[]string{"a"}``, ``map[string]interface {}{"a":1}``; ``within`` a list of anything."""
    match value:
        case None:
            return "interface {}(nil)"
        case dict():
            entries = ", ".join(f"{go_value(key)}:{go_value(value[key], within=True)}" for key in sorted(value))
            return f"map[string]interface {{}}{{{entries}}}"
        case list():
            kind = "string" if not within and all(isinstance(item, str) for item in value) else "interface {}"
            return f"[]{kind}{{{', '.join(go_value(item, within=True) for item in value)}}}"
        case bool() | int() | float():
            return orjson.dumps(value).decode() if not isinstance(value, int) or abs(value) < 2**63 else str(value)
    return orjson.dumps(str(value).encode(errors="replace").decode()).decode()


def json_kind(value: Any) -> str:
    """What Go's decoder calls a JSON value that it cannot use, other than null."""
    return {dict: "object", list: "array", str: "string", bool: "bool"}.get(type(value), "number")


def go_plain(value: Any) -> str:
    """A JSON value in Go's plain form (``%v``): ``map[a:1]``, ``[a b]``, ``true``."""
    match value:
        case None:
            return "<nil>"
        case dict():
            return f"map[{' '.join(f'{key}:{go_plain(value[key])}' for key in sorted(value))}]"
        case list():
            return f"[{' '.join(map(go_plain, value))}]"
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}" if value.is_integer() else repr(value)
    return str(value)


_ESCAPES = {**dict(zip("\a\b\f\n\r\t\v", "abfnrtv", strict=True)), "\\": "\\", '"': '"'}


def go_quoted(text: str) -> str:
    """A text in double quotes as Go writes it (``%q``)."""
    return f'"{"".join(map(_quoted, text))}"'


def _quoted(character: str) -> str:
    if character in _ESCAPES:
        return f"\\{_ESCAPES[character]}"
    if character == " " or character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004 - forms
