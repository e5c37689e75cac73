"""Small steps of a write that need to know of nothing but the objects."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson

from kcpcache.meta import managed_fields, object_meta
from kcpcache.meta.errors import BadRequestError, FieldError, conflict
from kcpcache.meta.large_json import DECODERS, LARGE_BYTES
from kcpcache.meta.names import GroupResource, path_segment_errors
from kcpcache.meta.objects import Object, copy, nested, random_suffix, timestamp
from kcpcache.registry.beside import keep
from kcpcache.registry.entry import Entry, encode
from kcpcache.registry.resource import ResourceDefinition, ServedVersion
from kcpcache.registry.view import DeleteOptions, WriteOptions


class UndecodableError(BadRequestError):
    """An object whose JSON does not fit its type; ``why`` is the decoder's text. Of a patch it makes a 422."""

    def __init__(self, kind: str, version: str, why: str) -> None:
        super().__init__(f'{kind} in version "{version}" cannot be handled as a {kind}: {why}')
        self.why = why


_NAMESPACES = GroupResource("", "namespaces")
ATTEMPTS = 100
"""Of a write that names no resourceVersion: each lost one means that another writer won."""
WRITTEN_BY = {"status": ("status",), "finalize": ("spec", "finalizers"), "approval": ("status", "conditions")}
"""The only part that a subresource writes; ``finalize`` writes the metadata too, ``status`` that of some types."""
SERVER_FIELDS = (
    "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink",
)  # fmt: skip
"""Of the metadata: what only the server writes."""
_DIGITS = [digit.encode() for digit in "0123456789"]
_BARE_FINALIZERS_ALLOWED = ("apiextensions.k8s.io", "admissionregistration.k8s.io")
"""Built-in groups whose finalizers need no domain."""
_INVALID_OWNERS = (
    ".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated mutating "
    "admission controller; please fix your requests: "
)
_timestamp = lru_cache(maxsize=16)(timestamp)


def timestamp_of(moment: datetime) -> str:
    """``metav1.Time``; formatted once a second, not once a write."""
    return _timestamp(moment.replace(microsecond=0))


def warn(options: WriteOptions, texts: Iterable[str]) -> None:
    """Warn once, however many attempts a write takes."""
    options.warnings += [text for text in texts if text not in options.warnings]


def drop_unknown(definition: ResourceDefinition, version: ServedVersion, obj: Object) -> list[str]:
    """Put the type's short forms in full, and remove what it does not have, in place; what strict decoding says of it.

    ``metadata`` has passed ``object_meta.type_errors``.
    """
    if definition.normalize is not None:
        definition.normalize(obj)
    unknown = [*object_meta.drop_unknown(obj["metadata"]), *version.schema.prune(obj)]
    if definition.drop_nested is not None:
        unknown += definition.drop_nested(obj)
    return [f'unknown field "{path}"' for path in unknown]


def strict_decoding_error(definition: ResourceDefinition, version: ServedVersion, errors: list[str]) -> BadRequestError:
    """What a strict write of an object with such fields is answered."""
    kind = definition.kind
    return BadRequestError(
        f'{kind} in version "{version.name}" cannot be handled as a {kind}: strict decoding error: {", ".join(errors)}'
    )


def encoded(obj: Object) -> bytes:
    """The stored form. Raises BadRequestError where there is none."""
    try:
        return encode(obj)
    except TypeError as error:  # deeper nested than any body may be, by patches on patches; an integer too large
        raise BadRequestError(f"the object cannot be stored: {error}") from None


def same_object(value: bytes, stored: bytes) -> bool:
    """Whether two stored forms are of the same object: the order of keys means nothing."""
    if value == stored or len(value) != len(stored):
        return value == stored
    if len(value) <= LARGE_BYTES:
        one, other = orjson.loads(value), orjson.loads(stored)
    elif any(value.count(digit) != stored.count(digit) for digit in _DIGITS):  # in other words: no order of keys
        return False
    else:
        decode = DECODERS[True]
        one, other = decode(value), decode(stored)
        keep(one)
        keep(other)
    if one != other:  # most are; what is equal may still be 1 and true
        return False
    return orjson.dumps(one, option=orjson.OPT_SORT_KEYS) == orjson.dumps(other, option=orjson.OPT_SORT_KEYS)


def without_status(obj: Object) -> Object:
    """The object but for its status; it shares the rest with it."""
    return {key: value for key, value in obj.items() if key != "status"}


def put_nested(obj: Object, path: tuple[str, ...], value: Any) -> None:
    """Set the value at ``path``; None removes it. Of what is above only ``obj`` itself is changed in place."""
    *above, last = path
    for step in above:
        obj[step] = obj = {**(obj.get(step) or {})}
    if value is None:
        obj.pop(last, None)
    else:
        obj[last] = value


def with_part_of(definition: ResourceDefinition, new: Object, old: Object, subresource: str, *, labels: bool) -> Object:
    """``old`` with the part of ``new`` that a subresource writes; shares with both all but its metadata's top."""
    path = WRITTEN_BY[subresource]
    kept = {**old, "metadata": {**old["metadata"]}}
    put_nested(kept, path, nested(new, *path))
    if subresource == "finalize" or (definition.status_writes_metadata and path[0] == "status"):
        kept["metadata"] = {**new["metadata"]}
        return kept
    taken = ("managedFields", "labels") if labels else ("managedFields",)
    kept["metadata"] |= {key: new["metadata"][key] for key in taken if key in new["metadata"]}
    return kept


def kept_by_server(
    definition: ResourceDefinition,
    version: ServedVersion,
    new: Object,
    old: Object,
    subresource: str,
    options: WriteOptions,
) -> Object:
    """``new`` with what this way of writing may not change put back from ``old``, with which it shares nothing."""
    if subresource in WRITTEN_BY:
        new = with_part_of(definition, new, copy(old), subresource, labels=options.trusted)
    elif version.has_status and not options.whole:
        put_nested(new, ("status",), copy(old.get("status")))
    meta = new["metadata"]
    for key in ("name", "namespace", *SERVER_FIELDS):
        if key == "uid" and meta.get(key):
            continue  # another one is refused with the other errors
        if key in old["metadata"]:
            meta[key] = old["metadata"][key]
        elif key != "deletionTimestamp":  # one that a client makes up is refused with the other errors
            meta.pop(key, None)
    meta["resourceVersion"] = old["metadata"]["resourceVersion"]
    return new


def within_status(error: FieldError) -> FieldError:
    """An error of a write of the status, whose texts name fields as the status' schema does, without it."""
    if not error.path.startswith("status"):
        return error
    within = error.path.removeprefix("status").removeprefix(".")
    return replace(error, body=error.body.replace(f": {error.path} in body", f": {within} in body"))


def only_choices(errors: list[FieldError]) -> bool:
    """Whether all that is wrong so far, if anything, are values that are none of those allowed: rules can bear that."""
    return not errors or all(error.reason == "FieldValueNotSupported" for error in errors)


def without_keys(errors: list[FieldError]) -> list[FieldError]:
    """Without what is wrong with the keys of lists."""
    return [error for error in errors if error.reason not in {"FieldValueRequired", "FieldValueDuplicate"}]


def generated_name(meta: Object) -> str:
    """A name that begins with ``generateName``."""
    return str(meta["generateName"])[: object_meta.GENERATE_NAME_PREFIX_BYTES] + random_suffix()


def warn_of_finalizers(definition: ResourceDefinition, meta: Object, old: Object, options: WriteOptions) -> None:
    """Warn of finalizers of a custom object that are new, and have no domain."""
    if not meta.get("finalizers") or definition.origin == "builtin":
        return
    known = old.get("finalizers") or ()
    bare = {name for name in meta["finalizers"] if name not in known and object_meta.is_bare_finalizer(name)}
    why = "to avoid accidental conflicts with other finalizer writers"
    for name in sorted(bare):
        wanted = "name including a path (/)" if "." in name else "name"
        warn(options, [f'metadata.finalizers: "{name}": prefer a domain-qualified finalizer {wanted} {why}'])


def count_generation(definition: ResourceDefinition, version: ServedVersion, new: Object, old: Object) -> None:
    """Give ``new`` the next generation where more than its metadata and status is another."""
    if not definition.tracks_generation:
        return
    ignored = {"metadata", "status"} if version.has_status else {"metadata"}
    wanted = {key: value for key, value in new.items() if key not in ignored}
    if wanted != {key: value for key, value in old.items() if key not in ignored}:
        new["metadata"]["generation"] = int(old["metadata"].get("generation") or 0) + 1


def check_owned(meta: Object, owned: list[Object], options: WriteOptions) -> None:
    """Put the managed fields back that admission has made invalid, with a warning."""
    found = meta.get("managedFields")
    if not found or found == owned:
        return
    try:
        meta["managedFields"] = managed_fields.parse_entries(found)
    except managed_fields.FieldsError as error:
        meta["managedFields"] = owned
        warn(options, [f"{_INVALID_OWNERS}{error}"])


def forget_owners(meta: Object, options: WriteOptions) -> None:
    """Take off what an attempt to write noted, for the next one; what was noted before admission stays."""
    if options.owned is None:
        meta.pop("managedFields", None)


def check_preconditions(definition: ResourceDefinition, entry: Entry, options: DeleteOptions) -> None:
    """Raises ConflictError where a deletion means another object or version: of the kind (``rest.BeforeDelete``)."""
    group, kind = definition.group, definition.kind
    asked, version = options.resource_version, str(entry.revision)
    if definition.group_resource == _NAMESPACES:  # which have a storage, and words, of their own
        for name, given, found in (("UID", options.uid, entry.uid), ("ResourceVersion", asked, version)):
            if given and given != found:
                why = f"Precondition failed: {name} in precondition: {given}, {name} in object meta: {found}"
                raise conflict(group, definition.plural, entry.name, why)
    if options.uid and options.uid != entry.uid:
        why = (
            f"the UID in the precondition ({options.uid}) does not match the UID in record ({entry.uid}). "
            "The object might have been deleted and then recreated"
        )
        raise conflict(group, kind, entry.name, why)
    if asked and asked != version:
        why = (
            f"the ResourceVersion in the precondition ({asked}) does not match the ResourceVersion in record "
            f"({version}). The object might have been modified"
        )
        raise conflict(group, kind, entry.name, why)


def metadata_errors(definition: ResourceDefinition, meta: Object, *, stored: bool = False) -> list[FieldError]:
    """What is wrong with an object's metadata by itself; once it is ``stored``, its name may be any that it has."""
    return object_meta.errors(
        meta,
        namespaced=definition.namespaced,
        check_name=path_segment_errors if stored else definition.name_errors,
        qualified_finalizers=definition.origin == "builtin" and definition.group not in _BARE_FINALIZERS_ALLOWED,
    )
