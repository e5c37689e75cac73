"""Paths to a field within a schema: ``fieldPath`` of CEL rules, and of selectable fields.

``.spec.names['short-name']``: properties and map keys, by dot or quoted; no list items (documentation: "fieldPath").
"""

import re

from kcpcache.meta.objects import Object

_PIECE = re.compile(r"[.\[\]]|'(?:[^'\\]|\\.)*'|[^.\[\]]+", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "'": "'", "\\": "\\"}
_ENDED, _UNKNOWN = "unexpected end of JSON path", "does not refer to a valid field"


class FieldPathError(ValueError):
    """The path leads to nothing; the text is kube's."""


def field_at(path: str, schema: Object, *, quoted: bool = True) -> tuple[str, Object]:
    """The path as errors show it (``.spec.names[key]``), and the schema of what is there.

    ``quoted``: whether steps may be in brackets. Raises FieldPathError.
    """
    pieces = _PIECE.findall(path)
    shown, at = "", 0
    while at < len(pieces):
        piece, rest = pieces[at], pieces[at + 1 : at + 3]
        if piece == ".":
            if not rest:
                raise FieldPathError(_ENDED)
            name, at = rest[0], at + 2
        elif piece == "[":
            if not quoted:
                raise FieldPathError("array notation is not allowed")
            name, at = _bracketed(rest), at + 3
        else:
            raise FieldPathError(f"expected [ or . but got: {piece}")
        step, schema = _step(name, schema)
        shown += step
    return shown, schema


def valid_field_path(path: str, schema: Object) -> str | None:
    """The path as errors show it; None where it leads to nothing in the schema."""
    try:
        return field_at(path, schema)[0] or None
    except FieldPathError:
        return None


def _bracketed(rest: list[str]) -> str:
    if not rest:
        raise FieldPathError(_ENDED)
    name = rest[0]
    if len(name) < 2 or not (name.startswith("'") and name.endswith("'")):  # noqa: PLR2004 - the quotes
        raise FieldPathError(f"expected single quoted string but got {name}")
    if any(escape not in _ESCAPES for escape in _ESCAPE.findall(name[1:-1])):
        raise FieldPathError("invalid string literal: invalid escape")
    if len(rest) == 1:
        raise FieldPathError(_ENDED)
    if rest[1] != "]":
        raise FieldPathError(f"expected ] but got {rest[1]}")
    return _ESCAPE.sub(lambda match: _ESCAPES[match[1]], name[1:-1])


def _step(name: str, schema: Object) -> tuple[str, Object]:
    properties, additional = schema.get("properties"), schema.get("additionalProperties")
    if properties:
        if name not in properties:
            raise FieldPathError(_UNKNOWN)
        return f".{name}", properties[name]
    if additional is None:
        raise FieldPathError(_UNKNOWN)
    return f"[{name}]", additional if isinstance(additional, dict) else {}
