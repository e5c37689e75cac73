"""JSON merge patch (RFC 7396)."""

from typing import Any

from kcpcache.meta.errors import BadRequestError


def apply_merge_patch(document: Any, patch: Any) -> Any:
    """``document`` with ``patch`` merged into it: null removes, objects merge, all else replaces.

    Both are parsed JSON; the document is changed in place, the answer shares parts with both. Raises
    BadRequestError where the patch is not an object, since a Kubernetes object is, or is nested too deeply.
    """
    if not isinstance(patch, dict):
        raise BadRequestError("Invalid JSON Patch")
    try:
        return _merge(document, patch)
    except RecursionError:
        raise BadRequestError("the patch is nested too deeply") from None


def _merge(document: Any, patch: dict[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = document if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            merged[name] = _merge(merged.get(name), value)
        else:
            merged[name] = _without_nulls(value)
    return merged


def _without_nulls(value: Any) -> Any:
    """A list as the patch has it, except that its objects have no null fields: kube-apiserver drops those."""
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    if isinstance(value, dict):
        return {name: _without_nulls(member) for name, member in value.items() if member is not None}
    return value
