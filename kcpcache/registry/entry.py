"""One object as bytes: encoded once per change, sent as it is ever after.

Stored form: ``{"apiVersion":…,"kind":…,"metadata":{"resourceVersion":"","annotations":{"kcp.io/cluster":""}}}``.
The two empty strings are holes: the revision is known only after the write, the logical cluster only to whoever
looks. An ``Entry`` keeps what is before and after the cluster's hole, so that a projection into another workspace
costs one concatenation. The annotations that only cached copies carry come right after the cluster's: a projection
leaves them out as cheaply.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from kcpcache.meta.objects import CLUSTER_ANNOTATION, Object
from kcpcache.meta.virtual_resources import (
    ORIGINAL_RESOURCE_VERSION_ANNOTATION,
    ORIGINAL_UID_ANNOTATION,
    SHARD_ANNOTATION,
)

_REVISION_KEY = b'"resourceVersion":"'
_REVISION_HOLE = b',"metadata":{' + _REVISION_KEY
_BETWEEN = b'","annotations":{"' + CLUSTER_ANNOTATION.encode() + b'":"'
_HOLES = _REVISION_HOLE + _BETWEEN
_COPY_ANNOTATIONS = (SHARD_ANNOTATION, ORIGINAL_RESOURCE_VERSION_ANNOTATION, ORIGINAL_UID_ANNOTATION)
_VALUE = rb'[^"\\]*(?:\\.[^"\\]*)*'
_COPY_PART = re.compile(b"".join(b'(?:","%b":"%b)?' % (re.escape(k.encode()), _VALUE) for k in _COPY_ANNOTATIONS))
"""The annotations that only copies carry, each with its value up to the quote that ends it: none, some or all."""
_ORIGINAL_REVISION = re.compile(
    rb'"%b":"([0-9]{1,18})(?:"|$)' % re.escape(ORIGINAL_RESOURCE_VERSION_ANNOTATION.encode())
)
_OF_COPY = b'","%b":"%%b","%b":"%%d","%b":"%%b' % tuple(key.encode() for key in _COPY_ANNOTATIONS)
_MAX_LABEL_SETS = 65_536


class OwnerReference(msgspec.Struct, rename="camel", frozen=True):
    """What garbage collection needs of an ``ownerReferences`` item."""

    uid: str
    api_version: str = ""
    kind: str = ""
    name: str = ""
    block_owner_deletion: bool | None = None


class _Metadata(msgspec.Struct, rename="camel"):
    uid: str = ""
    labels: dict[str, str] | None = None
    owner_references: list[OwnerReference] | None = None
    deletion_timestamp: str | None = None


class _MetadataOnly(msgspec.Struct):
    metadata: _Metadata


_metadata_decoder = msgspec.json.Decoder(_MetadataOnly)
_label_sets: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
_prefixes: dict[bytes, bytes] = {}
_NO_LABELS: dict[str, str] = {}
_NO_OWNERS: tuple[OwnerReference, ...] = ()


def _interned_labels(labels: dict[str, str] | None) -> dict[str, str]:
    if not labels:
        return _NO_LABELS
    if len(_label_sets) >= _MAX_LABEL_SETS:
        _label_sets.clear()
    return _label_sets.setdefault(tuple(labels.items()), labels)


class Entry(msgspec.Struct, gc=False, frozen=True, eq=False):
    """An object at one revision, in encoded form. Immutable, shared by every reader.

    ``labels`` is shared between entries: never change it. ``prefix`` ends where the resourceVersion begins, ``head``
    where the logical cluster's name does; then come ``internal`` (a copy's own annotations, else empty) and ``tail``.
    Revision 0 is an object that was not stored (a dry run): it has no resourceVersion. ``memo`` is for
    ``registry/settling.py`` alone: how the entry is shown, as far as that has been found out. It changes.
    """

    cluster: str
    namespace: str
    name: str
    revision: int
    uid: str
    labels: dict[str, str]
    owners: tuple[OwnerReference, ...]
    deleting: bool
    prefix: bytes
    head: bytes
    internal: bytes
    tail: bytes
    memo: Any = None

    def wire(self, cluster: str | None = None) -> bytes:
        """The JSON that a client gets: the object itself (None), or its projection into ``cluster``."""
        if cluster is None:
            return b"".join((self.head, self.cluster.encode(), self.internal, self.tail))
        return b"".join((self.head, cluster.encode(), self.tail))

    def object(self, cluster: str | None = None) -> Object:
        """A fresh decoded object, as ``wire`` says."""
        return orjson.loads(self.wire(cluster))  # type: ignore[no-any-return]

    def stored(self) -> bytes:
        """The stored form, with both holes empty."""
        return b"".join((self.prefix, _BETWEEN, self.internal, self.tail))

    @property
    def api_version(self) -> str:
        """``apiVersion`` of the encoded form."""
        return self.prefix[len(b'{"apiVersion":"') : self.prefix.index(b'",')].decode()

    def at(self, revision: int) -> "Entry":
        """The same object at another revision (a DELETED event carries the tombstone's)."""
        memo = self.memo
        if type(memo) is tuple:  # tokens, and entries that are shown
            memo = tuple(each.at(revision) if type(each) is Entry else each for each in memo)
        return msgspec.structs.replace(self, revision=revision, head=_head(self.prefix, revision), memo=memo)

    def as_version(self, api_version: str) -> "Entry":
        """The same object with another ``apiVersion`` and nothing else changed (conversion strategy None)."""
        start = self.prefix.index(b'"kind":')
        prefix = _interned_prefix(b'{"apiVersion":' + orjson.dumps(api_version) + b"," + self.prefix[start:])
        if prefix == self.prefix:
            return self
        return msgspec.structs.replace(self, prefix=prefix, head=_head(prefix, self.revision), memo=None)


def _head(prefix: bytes, revision: int) -> bytes:
    # A dry run's object has no revision, and must say none: what comes back as "0" could not be created.
    if not revision:
        return prefix.removesuffix(_REVISION_KEY) + _BETWEEN.removeprefix(b'",')
    return b"%b%d%b" % (prefix, revision, _BETWEEN)


def _interned_prefix(prefix: bytes) -> bytes:
    if len(_prefixes) >= _MAX_LABEL_SETS:
        _prefixes.clear()
    return _prefixes.setdefault(prefix, prefix)


def encode(obj: Mapping[str, Any]) -> bytes:
    """The stored form of an object; its resourceVersion and its ``kcp.io/cluster`` annotation are left out."""
    metadata = obj["metadata"]
    given = metadata.get("annotations") or {}
    first = [key for key in _COPY_ANNOTATIONS if key in given]
    annotations = {CLUSTER_ANNOTATION: "", **{key: given[key] for key in first}, **given}
    annotations[CLUSTER_ANNOTATION] = ""
    start = {"resourceVersion": "", "annotations": annotations}
    rest = {key: value for key, value in metadata.items() if key not in {"resourceVersion", "annotations", "selfLink"}}
    body = {key: value for key, value in obj.items() if key not in {"apiVersion", "kind", "metadata"}}
    return orjson.dumps({"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": {**start, **rest}, **body})


def entry_of(value: bytes, *, cluster: str, namespace: str, name: str, revision: int, memo: Any = None) -> Entry:
    """The entry of a stored form. Raises ValueError (or RecursionError) where ``value`` is not one."""
    hole = value.index(_HOLES)
    prefix = _interned_prefix(value[: hole + len(_REVISION_HOLE)])
    internal, tail = _split_internal(value[hole + len(_HOLES) :])
    metadata = _metadata_decoder.decode(value).metadata
    return Entry(
        cluster=cluster,
        namespace=namespace,
        name=name,
        revision=revision,
        uid=metadata.uid,
        labels=_interned_labels(metadata.labels),
        owners=tuple(metadata.owner_references) if metadata.owner_references else _NO_OWNERS,
        deleting=metadata.deletion_timestamp is not None,
        prefix=prefix,
        head=_head(prefix, revision),
        internal=internal,
        tail=tail,
        memo=memo,
    )


def original_revision(copy: Entry) -> int:
    """The resourceVersion of the original that a cached copy shows; 0 where it says none. Decodes nothing."""
    found = _ORIGINAL_REVISION.search(copy.internal)
    return int(found[1]) if found else 0


def is_copy_of(copy: Entry, original: Entry, shard: str) -> bool:
    """Whether it is, byte for byte, the original with the annotations of its copy on ``shard``. Decodes nothing.

    Where it is not, the two may still mean the same.
    """
    internal = _internal_of_copy(original, shard)
    return copy.internal == internal and copy.tail == original.tail and copy.prefix == original.prefix


def copy_entry(original: Entry, value: bytes, *, name: str, revision: int, memo: Any = None) -> Entry:
    """The entry that ``entry_of`` makes of ``value``, the original's copy in the same logical cluster. Decodes nothing.

    It shares with the original what both have in common, so that a copy takes a fraction of its original's memory.
    """
    prefix = original.prefix
    return Entry(
        cluster=original.cluster,
        namespace="",
        name=name,
        revision=revision,
        uid=original.uid,
        labels=original.labels,
        owners=original.owners,
        deleting=original.deleting,
        prefix=prefix,
        head=_head(prefix, revision),
        internal=value[len(prefix) + len(_BETWEEN) : len(value) - len(original.tail)],
        tail=original.tail,
        memo=memo,
    )


def stored_copy_of(original: Entry, shard: str) -> bytes:
    """The stored form of the original's copy on ``shard``. Decodes nothing.

    The UID must be one that the server gave, and the shard's name one of the API's: both stand in JSON as they are.
    """
    return b"".join((original.prefix, _BETWEEN, _internal_of_copy(original, shard), original.tail))


def _internal_of_copy(original: Entry, shard: str) -> bytes:
    return _OF_COPY % (shard.encode(), original.revision, original.uid.encode())


def _split_internal(rest: bytes) -> tuple[bytes, bytes]:
    """What follows the cluster's name, split after the annotations that only copies carry."""
    end = _COPY_PART.match(rest).end()  # type: ignore[union-attr]  # it matches nothing, too
    return (rest[:end], rest[end:]) if end else (b"", rest)
