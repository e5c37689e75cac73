"""Server-side apply: merging a configuration into an object by who owns what (KEP-555)."""

import re
from typing import Any, Final

import orjson

from kcpcache.meta.errors import REDACTED, BadRequestError, ConflictError, StatusCause
from kcpcache.meta.managed_fields.compare import UNTRACKED_METADATA, object_changes
from kcpcache.meta.managed_fields.configuration import ConfigurationError, field_set, merged, pruned, reconciled
from kcpcache.meta.managed_fields.entries import Entry, Identity, arranged, entries_of, identity_of, new_entry
from kcpcache.meta.managed_fields.fields_v1 import FieldSet, contains, intersection, paths, shown, subtract, union
from kcpcache.meta.managed_fields.last_applied import client_side_fields, synchronize_last_applied
from kcpcache.meta.managed_fields.nodes import Node, compile_schema
from kcpcache.meta.managed_fields.update import TOO_DEEP, after_changes
from kcpcache.meta.objects import CLUSTER_ANNOTATION, Object, copy, metadata, name_of, namespace_of

BEFORE_FIRST_APPLY: Final = "before-first-apply"
_KUBECTL: Final = "kubectl"
_SECRET: Final = ("v1", "Secret")
_FOUND: Final = re.compile(", got .*")

_Conflict = tuple[Identity, tuple[str, ...]]
"""The manager who is in the way, and the field he owns."""


def apply(  # noqa: PLR0913 -- all but two by name, each a fact of the request
    live: Object | None,
    applied: Object,
    *,
    manager: str,
    schema: Object | None,
    api_version: str,
    force: bool,
    now: str,
    subresource: str = "",
    reset: tuple[str, ...] = (),
) -> Object:
    """The object, with its managedFields, that ``manager`` gets by applying ``applied`` to ``live`` (None: create).

    The manager owns what it applies; what it applied before and nobody owns now is removed. ``now`` (RFC 3339) is
    noted where something changed. ``reset`` are the top-level fields that this way of writing ignores: they must fit
    the schema too, but are neither merged nor owned. The answer shares nothing with the arguments. Raises
    ConflictError (one cause a field) where others own what would change, unless ``force``; BadRequestError for
    what does not fit the schema or the type, or is nested too deeply.
    """
    node = compile_schema(schema)
    identity: Identity = (manager or "unknown", "Apply", "", subresource)
    try:
        configured = _configured_fields(live, applied, node, api_version)
        configured = {element: fields for element, fields in configured.items() if element[2:] not in reset}
        applied = {name: value for name, value in applied.items() if name not in reset}
        base = live or {}
        entries = _reconciled_entries(base, node, api_version, subresource, now)
        result = _merged(base, applied, node, entries, identity, configured)
        changed, removed = object_changes(base, result, node)
        if not force:
            _check_conflicts(base, node, entries, identity, changed, api_version)
        owned = _tracked(configured)
        after = _after_apply(entries, changed, removed, identity, owned, api_version, now)
        result = copy({**result, "metadata": {**metadata(result), "managedFields": after}})
        if not after:
            del result["metadata"]["managedFields"]
        if manager == _KUBECTL:
            synchronize_last_applied(result, applied)
    except (RecursionError, orjson.JSONEncodeError):
        raise BadRequestError(TOO_DEEP) from None
    return result


def _configured_fields(live: Object | None, applied: Object, node: Node, api_version: str) -> FieldSet:
    version, kind = applied.get("apiVersion"), applied.get("kind")
    if version != api_version or (live and live.get("kind") not in (None, kind)):
        raise BadRequestError(f"invalid object type: {_type_name(version, kind)}")
    if metadata(applied).get("managedFields") is not None:
        raise BadRequestError("metadata.managedFields must be nil")
    try:
        return field_set(applied, node)
    except ConfigurationError as error:
        where = f"{namespace_of(applied)}/{name_of(applied)}; {_type_name(version, kind)}"
        why = str(error)
        if (version, kind) == _SECRET:
            why = _FOUND.sub(f", got {REDACTED}", why)
        raise BadRequestError(f"failed to create typed patch object ({where}): {why}") from None


def _type_name(version: Any, kind: Any) -> str:
    group_version = str(version or "")
    return f"{group_version if '/' in group_version else '/' + group_version}, Kind={kind or ''}"


def _reconciled_entries(live: Object, node: Node, api_version: str, subresource: str, now: str) -> list[Entry]:
    entries = entries_of(live)
    if not entries and live:
        # What nobody was seen to set must not be taken without a conflict either.
        identity: Identity = (BEFORE_FIRST_APPLY, "Update", api_version, subresource)
        changed, removed = object_changes({}, live, node)
        return after_changes([], changed, removed, identity, now)
    result = []
    for entry in entries:
        fields = reconciled(entry["fieldsV1"], node)
        result.append(entry if fields is entry["fieldsV1"] else {**entry, "fieldsV1": fields})
    return result


def _merged(
    live: Object, applied: Object, node: Node, entries: list[Entry], identity: Identity, configured: FieldSet
) -> Object:
    result: Object = merged(live, applied, node)
    last: FieldSet = {}
    # The object's name is always configured, so its metadata stays.
    owned: FieldSet = union(configured, {"f:metadata": {"f:name": {}}})
    for entry in entries:
        if identity_of(entry) == identity:
            last = entry["fieldsV1"]
        else:
            owned = union(owned, entry["fieldsV1"])
    if last:
        result = pruned(result, node, last, owned)
        # In the metadata a null is nothing: labels that are all gone are none.
        result["metadata"] = {name: value for name, value in metadata(result).items() if value is not None}
    return result


def _tracked(configured: FieldSet) -> FieldSet:
    """The configuration's fields without those that nobody owns."""
    tracked = {element: below for element, below in configured.items() if element not in {"f:apiVersion", "f:kind"}}
    below = {
        element: fields
        for element, fields in (tracked.pop("f:metadata", None) or {}).items()
        if element[2:] not in UNTRACKED_METADATA
    }
    annotations = dict(below.get("f:annotations") or {})
    if annotations.pop(f"f:{CLUSTER_ANNOTATION}", None) is not None:
        if annotations:
            below["f:annotations"] = annotations
        else:
            del below["f:annotations"]
    return {"f:metadata": below, **tracked} if below else tracked


def _check_conflicts(
    live: Object, node: Node, entries: list[Entry], identity: Identity, changed: FieldSet, api_version: str
) -> None:
    conflicts: list[_Conflict] = []
    for entry in entries:
        other = identity_of(entry)
        if other != identity:
            conflicts += [(other, path) for path in paths(intersection(entry["fieldsV1"], changed))]
    if conflicts and identity[0] == _KUBECTL:
        allowed = client_side_fields(live, node, api_version)
        conflicts = [conflict for conflict in conflicts if not contains(allowed, conflict[1])]
    if not conflicts:
        return
    conflicts.sort()
    raise ConflictError(
        _message(conflicts),
        causes=[
            StatusCause("FieldManagerConflict", f"conflict with {_shown_manager(other)}", shown(path))
            for other, path in conflicts
        ],
    )


def _message(conflicts: list[_Conflict]) -> str:
    if len(conflicts) == 1:
        other, path = conflicts[0]
        return f"Apply failed with 1 conflict: conflict with {_shown_manager(other)}: {shown(path)}"
    lines: list[str] = []
    for at, (other, path) in enumerate(conflicts):
        if at == 0 or conflicts[at - 1][0] != other:
            lines.append(f"conflicts with {_shown_manager(other)}:")
        lines.append(f"- {shown(path)}")
    return f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(lines)


def _shown_manager(identity: Identity) -> str:
    manager, operation, api_version, subresource = identity
    text = orjson.dumps(manager).decode()
    if subresource:
        text += f" with subresource {orjson.dumps(subresource).decode()}"
    return f"{text} using {api_version}" if operation == "Update" else text


def _after_apply(
    entries: list[Entry],
    changed: FieldSet,
    removed: FieldSet,
    identity: Identity,
    owned: FieldSet,
    api_version: str,
    now: str,
) -> list[Entry]:
    result: list[Entry] = []
    before: str | None = None
    for entry in entries:
        if identity_of(entry) == identity:
            before = entry.get("time")
            continue
        fields: FieldSet = entry["fieldsV1"]
        left = subtract(subtract(fields, removed), changed)
        if left is fields:
            result.append(entry)
        elif left:
            result.append({**entry, "fieldsV1": left})
    if owned:
        result.append(new_entry(identity, api_version, now if changed or removed else before, owned))
    return arranged(result)
