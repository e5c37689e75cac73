"""``metadata.managedFields``: who owns which fields, by which operation, since when."""

from datetime import datetime
from typing import Any, Final

from kcpcache.meta.managed_fields.fields_v1 import FieldsError, FieldSet, parse, union
from kcpcache.meta.objects import Object

Entry = Object
"""One ``ManagedFieldsEntry`` in its wire form. Entries are values: they are replaced, never changed."""

Identity = tuple[str, str, str, str]
"""Manager, operation, apiVersion (not of an Apply: it may change versions), subresource."""

MOST_UPDATE_ENTRIES: Final = 10
ANCIENT_CHANGES: Final = "ancient-changes"

_TEXTS = ("manager", "operation", "apiVersion", "fieldsType", "subresource")
_KINDS = dict.fromkeys((*_TEXTS, "time"), str)


def new_entry(identity: Identity, api_version: str, time: str | None, fields: FieldSet) -> Entry:
    """An entry with its keys in the order in which Kubernetes writes them."""
    manager, operation, _, subresource = identity
    entry: Entry = {"manager": manager, "operation": operation, "apiVersion": api_version}
    if time:
        entry["time"] = time
    entry["fieldsType"] = "FieldsV1"
    entry["fieldsV1"] = fields
    if subresource:
        entry["subresource"] = subresource
    return entry


def identity_of(entry: Entry) -> Identity:
    """What tells an entry from the others of an object."""
    operation = entry["operation"]
    version = entry["apiVersion"] if operation == "Update" else ""
    return entry.get("manager", ""), operation, version, entry.get("subresource", "")


def entries_of(obj: Object | None) -> list[Entry]:
    """The entries of a stored object, which are known to be valid; an empty list where there are none."""
    metadata = (obj or {}).get("metadata")
    found = metadata.get("managedFields") if isinstance(metadata, dict) else None
    return found if isinstance(found, list) else []


def is_reset(sent: Any) -> bool:
    """Whether a client asks to forget all ownership: an empty list, or one entry that says nothing."""
    return isinstance(sent, list) and (not sent or (len(sent) == 1 and _says_nothing(sent[0])))


def _says_nothing(entry: Any) -> bool:
    """Whether Go reads it as the empty struct: nulls are nothing to it, nor are fields that it does not know."""
    if not isinstance(entry, dict) or entry.get("time") is not None or entry.get("fieldsV1") is not None:
        return False
    return not any(entry.get(name) for name in _TEXTS)


def parse_entries(sent: Any) -> list[Entry]:
    """The entries that a client sent, checked and spelled as this server spells them. Raises FieldsError.

    The last of several entries with one identity counts; entries that own nothing are left out.
    """
    return [entry for entry in sent_entries(sent) if entry["fieldsV1"]]


def sent_entries(sent: Any) -> list[Entry]:
    """As ``parse_entries``, with the entries that own nothing."""
    if not isinstance(sent, list):
        raise FieldsError("managedFields must be a list")
    found: dict[Identity, Entry] = {}
    for entry in sent:
        if not isinstance(entry, dict):
            raise FieldsError("an entry must be an object")
        parsed = _parse_entry(entry)
        found[identity_of(parsed)] = parsed
    return list(found.values())


def _parse_entry(entry: Object) -> Entry:
    for name, kind in _KINDS.items():
        if entry.get(name) is not None and not isinstance(entry[name], kind):
            raise FieldsError(f"{name} must be a string")
    if entry.get("operation") not in {"Apply", "Update"}:
        raise FieldsError("operation must be `Apply` or `Update`")
    if not entry.get("apiVersion"):
        raise FieldsError("apiVersion must not be empty")
    if entry.get("fieldsType") != "FieldsV1":
        raise FieldsError(f"invalid fieldsType {entry.get('fieldsType')!r}")
    time = entry.get("time")
    if time:
        try:
            datetime.fromisoformat(time)
        except ValueError as error:
            raise FieldsError("time must be RFC 3339") from error
    identity = (entry.get("manager") or "", entry["operation"], "", entry.get("subresource") or "")
    return new_entry(identity, entry["apiVersion"], time, parse(entry.get("fieldsV1")))


def arranged(entries: list[Entry]) -> list[Entry]:
    """The entries in Kubernetes' order: by operation, time, manager, version, subresource."""
    return sorted(entries, key=_order) if len(entries) > 1 else entries


def _order(entry: Entry) -> tuple[str, str, str, str, str]:
    return (
        entry["operation"],
        entry.get("time") or "",
        entry.get("manager", ""),
        entry["apiVersion"],
        entry.get("subresource", ""),
    )


def capped(entries: list[Entry]) -> list[Entry]:
    """The entries with at most ten of operation Update: the oldest become ``ancient-changes`` of their version.

    More stay where that many versions are in use.
    """
    surplus = sum(entry["operation"] == "Update" for entry in entries) - MOST_UPDATE_ENTRIES
    if surplus <= 0:
        return entries
    kept = {identity_of(entry): entry for entry in entries}
    enough = len(kept) - surplus
    oldest = sorted(
        (entry for entry in entries if entry["operation"] == "Update"),
        key=lambda entry: (entry.get("time") or "", identity_of(entry)),
    )
    first_of_version: dict[str, Identity] = {}
    for entry in oldest:
        version, identity = entry["apiVersion"], identity_of(entry)
        bucket: Identity = (ANCIENT_CHANGES, "Update", version, "")
        first = first_of_version.setdefault(version, identity)
        if first == identity:
            continue
        into = kept.pop(first) if first != bucket else kept[bucket]
        first_of_version[version] = bucket
        if bucket in kept and first != bucket:  # a bucket from before, younger than what joins it now
            into = {**into, "fieldsV1": union(into["fieldsV1"], kept[bucket]["fieldsV1"])}
        del kept[identity]
        fields = union(into["fieldsV1"], entry["fieldsV1"])
        kept[bucket] = new_entry(bucket, version, entry.get("time"), fields)
        if len(kept) <= enough:
            break
    return list(kept.values())
