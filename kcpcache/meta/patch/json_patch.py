"""JSON Patch (RFC 6902), within limits, and as freely read as in Kubernetes (gopkg.in/evanphx/json-patch.v4 v4.12).

There a member that an object does not have is null to whoever reads it: ``copy`` makes a null of it, ``test`` finds it
equal to null, ``replace`` sets it; only ``remove`` and ``move`` ask for more. A value that is not given is null. A
negative index counts from a list's end.
"""

import re
from typing import Any, Final

import orjson

from kcpcache.meta.errors import BadRequestError, InvalidError, RequestEntityTooLargeError, StatusError
from kcpcache.meta.go_values import json_kind

MOST_OPERATIONS: Final = 10_000
MOST_COPIED_BYTES: Final = 3 * 1024 * 1024
"""How much ``copy`` operations may add in all: as much as a request body may have."""

_AS_AN_INTEGER: Final = 1e21
"""Below this Go writes whole numbers without an exponent."""
_INDEX: Final = re.compile(r"[+-]?[0-9]{1,10}", re.ASCII)
_ESCAPED: Final = re.compile("~[01]")
_UNESCAPED: Final = {"~0": "~", "~1": "/"}


class PatchRejectedError(InvalidError):
    """A patch that is well-formed but cannot be applied to this object; 422, the text is kube-apiserver's.

    Like kube-apiserver it keeps ``why``, what stood in the way, from the client.
    """

    def __init__(self, why: str) -> None:
        StatusError.__init__(self, "the server rejected our request due to an error in our request")
        self.errors, self.why = (), why

    def status(self) -> dict[str, Any]:
        """The Status, with details that say nothing."""
        return {**super().status(), "details": {}}


def apply_json_patch(document: Any, operations: bytes | list[Any]) -> Any:
    """``document`` after the operations, in order; it is changed in place and must be the caller's own.

    After an error the document is in an undefined state. Raises BadRequestError for what is no JSON Patch,
    RequestEntityTooLargeError for more than 10,000 operations, PatchRejectedError (422) for an operation that
    fails, a ``test`` among them, for copies of more than 3 MiB in all and for nesting that cannot be encoded.
    """
    patch = _parse(operations) if isinstance(operations, bytes) else operations
    if patch is None:
        patch = []  # to Go null is no list, and that an empty one
    if not isinstance(patch, list):
        raise undecodable(patch, "[]handlers.jsonPatchOp")
    if strange := [operation for operation in patch if not isinstance(operation, dict | None)]:
        raise undecodable(strange[0], "handlers.jsonPatchOp")
    patch = [operation or {} for operation in patch]
    for operation in patch:
        _check_members(operation)
    if len(patch) > MOST_OPERATIONS:
        raise RequestEntityTooLargeError(
            f"The allowed maximum operations in a JSON patch is {MOST_OPERATIONS}, got {len(patch)}"
        )
    copied = 0
    for index, operation in enumerate(patch):
        try:
            document, size = _apply(document, operation, MOST_COPIED_BYTES - copied)
        except _UnusableError as error:
            raise PatchRejectedError(f"operation {index}: {error}") from None
        except (RecursionError, orjson.JSONEncodeError):
            raise PatchRejectedError(f"operation {index}: the value is nested too deeply") from None
        copied += size
    try:
        orjson.dumps(document)  # many small moves can nest deeper than any encoder follows
    except (RecursionError, orjson.JSONEncodeError):
        raise PatchRejectedError("the patched object is nested too deeply") from None
    return document


class _UnusableError(ValueError):
    """An operation that cannot be carried out. Its text quotes the operation, never what the object holds."""


def _check_members(operation: dict[str, Any]) -> None:
    """That op, path and from are strings, or null. Raises BadRequestError."""
    for name in ("op", "path", "from"):
        if not isinstance(operation.get(name), str | None):
            kind = json_kind(operation[name])
            why = f"json: cannot unmarshal {kind} into Go struct field jsonPatchOp.{name} of type string"
            raise BadRequestError(f"error decoding patch: {why}")


def undecodable(value: Any, wanted: str) -> BadRequestError:
    """That a patch is not of the Go type ``wanted``, in kube-apiserver's words, which are those of Go's decoder."""
    why = f"json: cannot unmarshal {json_kind(value)} into Go value of type {wanted}"
    return BadRequestError(f"error decoding patch: {why}")


def _parse(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"error decoding patch: {error}") from error


def _apply(document: Any, operation: dict[str, Any], most_copied: int) -> tuple[Any, int]:
    """The document after one operation, and how many bytes that copied."""
    name, path = operation.get("op"), operation.get("path")
    if not isinstance(path, str):
        raise _UnusableError("path must be a string")
    source = operation.get("from")
    if name in {"copy", "move"} and not isinstance(source, str):
        raise _UnusableError("from must be a string")
    size = 0
    match name:
        case "add":
            _Place(document, path, name).add(operation.get("value"))
        case "replace" if not path:
            if "value" not in operation:
                raise _UnusableError("replace operation has no value")
            value = operation["value"]
            return (value if isinstance(value, dict | list) else document), 0  # a scalar changes nothing there
        case "replace":
            _Place(document, path, name).replace(operation.get("value"))
        case "remove":
            _Place(document, path, name).remove()
        case "move":
            place = _Place(document, str(source), name)
            moved = place.get()
            place.remove()
            _Place(document, path, name).add(moved)
        case "copy":
            # Measured before it is made: each copy may double what the next one copies.
            encoded = orjson.dumps(_Place(document, str(source), name).get())
            size = len(encoded)
            place = _Place(document, path, name)
            if size > most_copied:
                raise _UnusableError(f"copies may add no more than {MOST_COPIED_BYTES} bytes")
            place.add(orjson.loads(encoded))
        case "test":
            found = _Place(document, path, name).get() if path else document
            if not _equal(found, operation.get("value")):
                raise _UnusableError(f"testing value {path} failed: test failed")
        case _:
            raise _UnusableError(f"unknown operation {orjson.dumps(name).decode()}")
    return document, size


class _Place:
    """A member of an object or an item of a list that is there; raises _UnusableError where neither is."""

    def __init__(self, document: Any, pointer: str, operation: str) -> None:
        self._pointer, self._operation = pointer, operation
        parts = [_ESCAPED.sub(lambda found: _UNESCAPED[found[0]], part) for part in pointer.split("/")[1:]]
        if not parts:
            raise self._missing()
        self._within = document
        for part in parts[:-1]:
            self._key = part
            self._within = self.get()
        if not isinstance(self._within, dict | list):
            raise self._missing()
        self._key = parts[-1]

    def _missing(self) -> _UnusableError:
        return _UnusableError(
            f"{self._operation} operation does not apply: doc is missing path: {self._pointer}: missing value"
        )

    def _index(self, size: int) -> int:
        """Where in a list of that many places; Go's spelling of integers."""
        index = int(self._key) if _INDEX.fullmatch(self._key) else size
        if not -size <= index < size:
            why = f"{self._pointer}: invalid index referenced"
            raise _UnusableError(f"{self._operation} operation does not apply: {why}")
        return index if index >= 0 else index + size

    def get(self) -> Any:
        """The value; None also for a member that is not there."""
        if isinstance(self._within, dict):
            return self._within.get(self._key)
        if isinstance(self._within, list):
            return self._within[self._index(len(self._within))]
        raise self._missing()

    def add(self, value: Any) -> None:
        """Set a member, or put an item in front of the one that is there; ``-`` is behind the last."""
        if isinstance(self._within, dict):
            self._within[self._key] = value
        elif self._key == "-":
            self._within.append(value)
        else:
            self._within.insert(self._index(len(self._within) + 1), value)

    def replace(self, value: Any) -> None:
        """Set a member, there or not, or an item that is there."""
        if isinstance(self._within, dict):
            self._within[self._key] = value
        else:
            self._within[self._index(len(self._within))] = value

    def remove(self) -> None:
        """Remove what must be there."""
        if isinstance(self._within, list):
            del self._within[self._index(len(self._within))]
        elif self._key in self._within:
            del self._within[self._key]
        else:
            raise self._missing()


def _equal(found: Any, value: Any) -> bool:
    """Equality of JSON as it is written: true is not 1, and ``1.0`` is not the 1 that a whole number is stored as."""
    if isinstance(found, dict) and isinstance(value, dict):
        return found.keys() == value.keys() and all(_equal(item, value[name]) for name, item in found.items())
    if isinstance(found, list) and isinstance(value, list):
        return len(found) == len(value) and all(map(_equal, found, value))
    if isinstance(found, bool) or isinstance(value, bool):
        return found is value
    if isinstance(value, float) and value.is_integer() and isinstance(found, int | float):
        return abs(found) >= _AS_AN_INTEGER and found == value
    return bool(found == value)
