"""Who owns what after a create, an update or a patch."""

from collections.abc import Callable
from typing import Any, Final

from kcpcache.meta.errors import BadRequestError
from kcpcache.meta.managed_fields.compare import object_changes
from kcpcache.meta.managed_fields.entries import (
    Entry,
    Identity,
    arranged,
    capped,
    entries_of,
    identity_of,
    is_reset,
    new_entry,
    sent_entries,
)
from kcpcache.meta.managed_fields.fields_v1 import FieldsError, FieldSet, subtract, take
from kcpcache.meta.managed_fields.nodes import compile_schema
from kcpcache.meta.objects import Object

TOO_DEEP: Final = "the object is nested too deeply"


def update(  # noqa: PLR0913 -- all but two by name, each a fact of the write or of the resource
    old: Object | None,
    new: Object,
    *,
    manager: str,
    schema: Object | None,
    api_version: str,
    now: str,
    subresource: str = "",
    always: Object | None = None,
    has_version: Callable[[str], bool] | None = None,
    typed: bool = False,
) -> None:
    """Set ``new``'s managedFields in place, for a write by ``manager`` (not an apply) that made it from ``old``.

    The manager owns what it changed, others lose that and what is gone; ``now`` (RFC 3339) is noted where
    something changed. Entries that the client sent count if they are valid, also where they own nothing, else those of
    ``old``; an empty list forgets all ownership, and then nothing is tracked until an apply. ``old`` is None for a
    create; it is not changed, but ``new`` shares its entries. Sent entries of versions that the resource does not
    have (``has_version``) are left out of a ``typed`` (built-in) resource; of others Kubernetes, which can make no such
    object to compare with, forgets all ownership, and so does this. Raises BadRequestError for nesting that cannot be
    followed.
    Rules: Kubernetes documentation, "Server-Side Apply"; ``managedfields/internal/fieldmanager.go``.
    """
    metadata = new.get("metadata")
    if not isinstance(metadata, dict):
        return
    sent = metadata.pop("managedFields", None)
    known = entries_of(old)
    replaced = False
    try:
        if subresource or (not sent and sent != []) or sent == known:
            entries = known
        else:
            found, replaced = _sent(sent, known, has_version, typed=typed)
            if found is None:
                return
            entries = found
        if entries or old is None or replaced:
            changed, removed = object_changes(_filled(old or {}, always), _filled(new, always), compile_schema(schema))
            identity: Identity = (manager or "unknown", "Update", api_version, subresource)
            entries = after_changes(entries, changed, removed, identity, now)
    except RecursionError:
        raise BadRequestError(TOO_DEEP) from None
    if entries:
        metadata["managedFields"] = entries


def _filled(obj: Object, always: Object | None) -> Object:
    if not always:
        return obj
    parts = {name: _filled(obj.get(name) or {}, below) for name, below in always.items() if _may_hold(obj.get(name))}
    return {**obj, **parts}


def _may_hold(value: Any) -> bool:
    return value is None or isinstance(value, dict)


def _sent(
    sent: Any, known: list[Entry], has_version: Callable[[str], bool] | None, *, typed: bool
) -> tuple[list[Entry] | None, bool]:
    """The entries to go on with, None where there are to be none; and whether they are the client's."""
    if is_reset(sent):
        return [], False
    try:
        found = sent_entries(sent)
    except FieldsError:
        # Kubernetes, too, falls back on what it has: a client's clumsiness must not cost others their fields.
        return known, False
    foreign = [entry for entry in found if has_version is not None and not has_version(entry["apiVersion"])]
    if foreign and not typed:
        return None, True
    return [entry for entry in found if entry["fieldsV1"] and entry not in foreign], True


def after_changes(
    entries: list[Entry], changed: FieldSet, removed: FieldSet, identity: Identity, now: str
) -> list[Entry]:
    """The entries after a write by ``identity``; the very list given where nothing changed."""
    if not changed and not removed:
        return entries
    if not entries:
        return [new_entry(identity, identity[2], now, changed)] if changed else entries
    result: list[Entry] = []
    own: FieldSet = {}
    for entry in entries:
        fields: FieldSet = entry["fieldsV1"]
        left = subtract(fields, removed) if removed else fields
        if changed and identity_of(entry) == identity:
            own = left
            continue
        if changed:
            left = subtract(left, changed)
        if left is fields:
            result.append(entry)
        elif left:
            result.append({**entry, "fieldsV1": left})
    if changed:
        result.append(new_entry(identity, identity[2], now, take(own, changed) if own else changed))
    return capped(arranged(result))
