"""The names of ``cache.kcp.io``, and the one rule by which an APIExport exports a CachedResource (behaviour §4).

Every place that asks "whose objects are these?" (views, admission, reconcilers) asks ``exported_cached_resource``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

from kcpcache.meta.names import GroupResource, GroupVersionResource
from kcpcache.meta.objects import Object, cluster_of, name_of, nested

GROUP: Final = "cache.kcp.io"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

CACHED_RESOURCE: Final = "CachedResource"
CACHED_RESOURCES: Final = GroupVersionResource(GROUP, VERSION, "cachedresources")
ENDPOINT_SLICE: Final = "CachedResourceEndpointSlice"
ENDPOINT_SLICES: Final = GroupVersionResource(GROUP, VERSION, "cachedresourceendpointslices")
CONSUMER: Final = "Consumer"
CONSUMERS: Final = GroupVersionResource(GROUP, VERSION, "consumers")
"""Records in the cache store of who sees a CachedResource's objects; served to nobody."""

FINALIZER: Final = "cache.kcp.io/cachedresource"
SKIP_ENDPOINT_SLICE_ANNOTATION: Final = "cachedresources.cache.kcp.io/skip-endpointslice"
"""On a CachedResource, with any value: no endpoint slice is created for it."""

SHARD_ANNOTATION: Final = "kcp.io/shard"
ORIGINAL_RESOURCE_VERSION_ANNOTATION: Final = "cache.kcp.io/original-resource-version"
ORIGINAL_UID_ANNOTATION: Final = "cache.kcp.io/original-resource-UID"
COPY_ANNOTATIONS: Final = frozenset({SHARD_ANNOTATION, ORIGINAL_RESOURCE_VERSION_ANNOTATION, ORIGINAL_UID_ANNOTATION})
"""On every cached copy; a projection removes them."""

IDENTITY_VALID: Final = "IdentityValid"
RESOURCE_VALID: Final = "ResourceValid"
"""Also the type of an endpoint slice's condition about its CachedResource."""
REPLICATION_STARTED: Final = "ReplicationStarted"


class VirtualReference(NamedTuple):
    """``storage.virtual`` of one entry of an APIExport's ``spec.resources``."""

    group: str
    kind: str
    name: str
    identity_hash: str


class CachedResourceReference(NamedTuple):
    """``spec.cachedResource`` of an endpoint slice; an empty ``path`` means the slice's own workspace."""

    path: str
    name: str


class Refusal(StrEnum):
    """Why an entry of an APIExport exports no CachedResource."""

    NOT_VIRTUAL = "NotVirtual"
    OTHER_KIND = "OtherKind"
    UNKNOWN_ENDPOINT_SLICE = "UnknownEndpointSlice"
    UNKNOWN_CACHED_RESOURCE = "UnknownCachedResource"
    GROUP_RESOURCE_MISMATCH = "GroupResourceMismatch"
    IDENTITY_MISMATCH = "IdentityMismatch"


@dataclass(frozen=True, slots=True)
class Exported:
    """The entry exports exactly this CachedResource."""

    cached_resource: Object


@dataclass(frozen=True, slots=True)
class NotExported:
    """The entry exports no CachedResource. ``message`` may be shown to whoever can read the APIExport."""

    reason: Refusal
    message: str


def virtual_reference(entry: Mapping[str, Any]) -> VirtualReference | None:
    """What an entry of ``spec.resources`` refers to, of whatever kind; None where its storage is ``crd``."""
    virtual = nested(entry, "storage", "virtual")
    if not isinstance(virtual, dict):
        return None
    group, kind, name = (str(nested(virtual, "reference", key) or "") for key in ("apiGroup", "kind", "name"))
    return VirtualReference(group, kind, name, str(virtual.get("identityHash") or ""))


def is_endpoint_slice(reference: VirtualReference) -> bool:
    """Whether the reference is to a CachedResourceEndpointSlice, which this server resolves by itself."""
    return (reference.group, reference.kind) == (GROUP, ENDPOINT_SLICE)


def cached_resource_reference(endpoint_slice: Mapping[str, Any]) -> CachedResourceReference:
    """What the endpoint slice refers to; both parts may be "" in a broken object."""
    path, name = (str(nested(endpoint_slice, "spec", "cachedResource", key) or "") for key in ("path", "name"))
    return CachedResourceReference(path, name)


def group_resource_of(cached_resource: Mapping[str, Any]) -> GroupResource:
    """``spec.group`` and ``spec.resource`` of a CachedResource."""
    group, resource = (str(nested(cached_resource, "spec", key) or "") for key in ("group", "resource"))
    return GroupResource(group, resource)


def group_version_resource_of(cached_resource: Mapping[str, Any]) -> GroupVersionResource:
    """What a CachedResource replicates; the version is "" until it was chosen."""
    group, resource = group_resource_of(cached_resource)
    return GroupVersionResource(group, str(nested(cached_resource, "spec", "version") or ""), resource)


def exported_cached_resource(
    export: Object,
    entry: Object,
    endpoint_slice: Object | None,
    cached_resource: Object | None,
    *,
    reference_allowed: bool = False,
) -> Exported | NotExported:
    """The CachedResource that ``entry`` of ``export.spec.resources`` exports, or why there is none (behaviour §4).

    ``endpoint_slice`` is the object under the referenced name in the export's own workspace, ``cached_resource`` what
    its path and name resolve to; None for what does not exist. ``reference_allowed`` says that the slice's creator
    could read the CachedResource; it matters only where that one is in another workspace. All objects are as read,
    with annotation ``kcp.io/cluster``. A CachedResource that is being deleted still counts as exported.
    """
    reference = virtual_reference(entry)
    if reference is None:
        return NotExported(Refusal.NOT_VIRTUAL, f"{_entry_name(entry)} has no virtual storage")
    if not is_endpoint_slice(reference):
        kind = f"{reference.kind}.{reference.group}" if reference.group else reference.kind
        return NotExported(Refusal.OTHER_KIND, f"reference is to a {kind}, not to a {ENDPOINT_SLICE}.{GROUP}")
    cluster = cluster_of(export)
    if endpoint_slice is None or name_of(endpoint_slice) != reference.name or cluster_of(endpoint_slice) != cluster:
        message = f"reference is to an unknown endpoint slice {ENDPOINT_SLICE}.{GROUP} {reference.name!r}"
        return NotExported(Refusal.UNKNOWN_ENDPOINT_SLICE, message)
    path, name = cached_resource_reference(endpoint_slice)
    what = f"{CACHED_RESOURCE} {f'{path}:{name}' if path else name!r}"
    foreign = cached_resource is not None and cluster_of(cached_resource) != cluster
    hidden = foreign and not (path and reference_allowed)
    if cached_resource is None or name_of(cached_resource) != name or hidden:
        # What is not for the slice's creator is not there: nobody learns what there is in other workspaces.
        message = f"endpoint slice {reference.name!r} refers to an unknown {what}"
        return NotExported(Refusal.UNKNOWN_CACHED_RESOURCE, message)
    if _entry_name(entry) != group_resource_of(cached_resource):
        message = f"{what} replicates {group_resource_of(cached_resource)}, not {_entry_name(entry)}"
        return NotExported(Refusal.GROUP_RESOURCE_MISMATCH, message)
    if not reference.identity_hash or nested(cached_resource, "status", "identityHash") != reference.identity_hash:
        message = f"identity hash {reference.identity_hash!r} is not that of {what}"
        return NotExported(Refusal.IDENTITY_MISMATCH, message)
    return Exported(cached_resource)


def _entry_name(entry: Object) -> GroupResource:
    return GroupResource(str(entry.get("group") or ""), str(entry.get("name") or ""))
