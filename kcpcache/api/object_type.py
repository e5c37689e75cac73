"""Whether the body of a write is of the type that the URL takes; built-in types need not be named in it."""

import contextlib
import json
import re
from typing import Final

from kcpcache.meta.errors import BadRequestError
from kcpcache.meta.objects import Object
from kcpcache.registry.resource import ResourceDefinition, ServedVersion

_MAX_SHOWN, _MAX_SHOWN_SHORTLY = 1024, 30
_MISTYPED: Final = re.compile(rb""""(?:apiVersion|kind)"\s*:\s*[^"\sn]""")
"""Somewhere in a body, which almost none has."""


def check_type(obj: Object, body: bytes, definition: ResourceDefinition, version: ServedVersion) -> None:
    """Raise BadRequestError, in kube's words, where a custom object does not say of which type it is.

    Another kind of the right version is the validation's to refuse.
    """
    group = definition.group
    wanted = f"{group}/{version.name}" if group else version.name
    given, kind = obj.get("apiVersion"), obj.get("kind")
    refused = f"the object provided is unrecognized (must be of type {definition.kind}): "
    named = [("apiVersion", given), ("kind", kind)]
    if _MISTYPED.search(body):
        named = _all_named(body) or named
    for name, value in named:
        if value is not None and not isinstance(value, str):
            shown = _json_type(value)
            raise BadRequestError(
                f"{refused}couldn't get version/kind; json parse error: json: cannot unmarshal {shown} "
                f"into Go struct field .{name} of type string ({_shortly(body)})"
            )
    if not kind:
        text = body[:_MAX_SHOWN].decode(errors="replace")
        raise BadRequestError(f"{refused}Object 'Kind' is missing in '{text}' ({_shortly(body)})")
    if isinstance(given, str) and given.count("/") > 1:
        raise BadRequestError(f"{refused}unexpected GroupVersion string: {given} ({_shortly(body)})")
    if (given or "") != wanted:
        raise BadRequestError(
            f"the API version in the data ({given or ''}) does not match the expected API version ({wanted})"
        )


def _all_named(body: bytes) -> list[tuple[str, object]]:
    """The type's names in the order of the text, also those that others follow: Go's decoder looks at each."""
    with contextlib.suppress(ValueError, RecursionError):  # it is YAML
        found = json.loads(body, object_pairs_hook=_Pairs)
        return [(name, value) for name, value in found if name in {"apiVersion", "kind"}]
    return []


class _Pairs(list[tuple[str, object]]):
    """An object's members as they stand in the text."""


def _json_type(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    return "object" if isinstance(value, dict | _Pairs) else "array"


def _shortly(body: bytes) -> str:
    """The beginning of the body, which Kubernetes shows as hexadecimal digits unless it is an object in JSON."""
    if not body.lstrip().startswith(b"{"):
        return body[:_MAX_SHOWN_SHORTLY].hex()
    text = body[:_MAX_SHOWN_SHORTLY].decode(errors="replace")
    return f"{text} ..." if len(body) > _MAX_SHOWN_SHORTLY else text
