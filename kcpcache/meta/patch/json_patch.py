"""JSON Patch (RFC 6902), within limits, and as freely read as in Kubernetes.

There ``replace`` sets a member that is not there yet, and a negative index counts from a list's end.
"""

import re
from typing import Any, Final

import jsonpatch
import orjson

from kcpcache.meta.errors import BadRequestError, InvalidError, RequestEntityTooLargeError, StatusError

MOST_OPERATIONS: Final = 10_000
MOST_COPIED_BYTES: Final = 3 * 1024 * 1024
"""How much ``copy`` operations may add in all: as much as a request body may have."""

_OPERATIONS: Final = {
    "add": jsonpatch.AddOperation,
    "remove": jsonpatch.RemoveOperation,
    "replace": jsonpatch.ReplaceOperation,
    "move": jsonpatch.MoveOperation,
    "test": jsonpatch.TestOperation,
}


_NEGATIVE: Final = re.compile(r"/-[1-9]")


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
    if not isinstance(patch, list):
        raise _undecodable(patch, "[]handlers.jsonPatchOp")
    if strange := [operation for operation in patch if not isinstance(operation, dict)]:
        raise _undecodable(strange[0], "handlers.jsonPatchOp")
    if len(patch) > MOST_OPERATIONS:
        raise RequestEntityTooLargeError(
            f"The allowed maximum operations in a JSON patch is {MOST_OPERATIONS}, got {len(patch)}"
        )
    copied = 0
    for index, operation in enumerate(patch):
        try:
            document, size = _apply(document, operation, MOST_COPIED_BYTES - copied)
        except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, _UnusableError) as error:
            raise PatchRejectedError(f"operation {index}: {_reason(operation, error)}") from None
        except (RecursionError, orjson.JSONEncodeError):
            raise PatchRejectedError(f"operation {index}: the value is nested too deeply") from None
        copied += size
    try:
        orjson.dumps(document)  # many small moves can nest deeper than any encoder follows
    except (RecursionError, orjson.JSONEncodeError):
        raise PatchRejectedError("the patched object is nested too deeply") from None
    return document


class _UnusableError(ValueError):
    """An operation that cannot be carried out."""


def _undecodable(value: Any, wanted: str) -> BadRequestError:
    """In kube-apiserver's words, which are those of Go's decoder."""
    kinds = {dict: "object", list: "array", str: "string", bool: "bool"}
    kind = kinds.get(type(value), "number")
    return BadRequestError(f"error decoding patch: json: cannot unmarshal {kind} into Go value of type {wanted}")


def _parse(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"error decoding patch: {error}") from error


def _reason(operation: dict[str, Any], error: Exception) -> str:
    """Why an operation failed. The libraries quote what the object holds, which the client may not read."""
    if isinstance(error, jsonpatch.JsonPatchTestFailed):
        return f"testing value {operation['path']} failed: test failed"
    if isinstance(error, jsonpatch.JsonPointerException):
        return (
            f"{operation.get('op')} operation does not apply: doc is missing path: {operation['path']}: missing value"
        )
    return str(error)


def _apply(document: Any, operation: dict[str, Any], most_copied: int) -> tuple[Any, int]:
    """The document after one operation, and how many bytes that copied."""
    name, path = operation.get("op"), operation.get("path")
    if not isinstance(path, str):
        raise _UnusableError("path must be a string")
    if name in {"copy", "move"} and not isinstance(operation.get("from"), str):
        raise _UnusableError("from must be a string")
    operation = _strict(document, operation)
    name, path = operation.get("op"), operation["path"]
    if name == "copy":
        # Measured before it is made: each copy may double what the next one copies.
        source = jsonpatch.JsonPointer(operation["from"]).resolve(document)
        encoded = orjson.dumps(source)
        if len(encoded) > most_copied:
            raise _UnusableError(f"copies may add no more than {MOST_COPIED_BYTES} bytes")
        addition = {"op": "add", "path": path, "value": orjson.loads(encoded)}
        return jsonpatch.AddOperation(addition).apply(document), len(encoded)
    kind = _OPERATIONS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise _UnusableError(f"unknown operation {orjson.dumps(name).decode()}")
    return kind(operation).apply(document), 0


def _strict(document: Any, operation: dict[str, Any]) -> dict[str, Any]:
    """The operation in the words of the RFC."""
    name = operation.get("op")
    for key in ("path", "from"):
        pointer = operation.get(key)
        if isinstance(pointer, str) and _NEGATIVE.search(pointer):
            grows = key == "path" and name in {"add", "copy", "move"}
            operation = {**operation, key: _from_the_front(document, pointer, grows=grows)}
    if name == "replace" and operation["path"]:
        parent, last = jsonpatch.JsonPointer(operation["path"]).to_last(document)
        if isinstance(parent, dict) and last not in parent:
            return {**operation, "op": "add"}
    return operation


def _from_the_front(document: Any, pointer: str, *, grows: bool) -> str:
    """The pointer with indexes counted from the front. ``grows``: its last place is one that will be inserted."""
    parts, place = pointer.split("/"), document
    for at, part in enumerate(parts[1:], 1):
        if isinstance(place, list):
            if re.fullmatch("-[1-9][0-9]{0,9}", part):
                index = int(part) + len(place) + (grows and at == len(parts) - 1)
                parts[at] = str(index) if index >= 0 else part
            found = parts[at]
            place = place[int(found)] if found.isdecimal() and int(found) < len(place) else None
        elif isinstance(place, dict):
            place = place.get(part.replace("~1", "/").replace("~0", "~"))
    return "/".join(parts)
