"""``fieldPath`` of CEL rules: ``.spec.names['short-name']``, properties by dot or quoted, map keys quoted."""

import re

from kcpcache.meta.objects import Object

_STEP = re.compile(r"\.([^.\[\]']+)|\['((?:[^'\\]|\\.)+)'\]")
_ESCAPE = re.compile(r"\\(.)")
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "'": "'", "\\": "\\"}


def valid_field_path(path: str, schema: Object) -> str | None:
    """The path as errors show it (``.spec.names[key]``); None where it leads to nothing in the schema.

    Only properties and map keys can be named, no list items (documentation: "fieldPath").
    """
    shown: list[str] = []
    position = 0
    here: Object = schema
    while position < len(path):
        step = _STEP.match(path, position)
        if step is None:
            return None
        name = step[1] or _unescaped(step[2])
        properties, additional = here.get("properties") or {}, here.get("additionalProperties")
        if name is None:
            return None
        if name in properties:
            here = properties[name]
            shown.append(f".{name}")
        elif step[2] and isinstance(additional, dict):
            here = additional
            shown.append(f"[{name}]")
        else:
            return None
        position = step.end()
    return "".join(shown) or None


def _unescaped(quoted: str) -> str | None:
    if any(escape not in _ESCAPES for escape in _ESCAPE.findall(quoted)):
        return None
    return _ESCAPE.sub(lambda match: _ESCAPES[match[1]], quoted)
