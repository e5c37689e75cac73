"""From a bound virtual resource to the CachedResource behind it: export, entry, endpoint slice, CachedResource.

Resolved from the objects themselves, never from published endpoint URLs (behaviour §6).
"""

from dataclasses import dataclass

from kcpcache.meta.errors import ServiceUnavailableError
from kcpcache.meta.names import GroupResource, GroupVersionResource
from kcpcache.meta.objects import Object, annotations_of, name_of, nested
from kcpcache.meta.virtual_resources import (
    CACHED_RESOURCES,
    ENDPOINT_SLICES,
    Exported,
    NotExported,
    VirtualReference,
    cached_resource_reference,
    exported_cached_resource,
    group_version_resource_of,
    is_endpoint_slice,
    virtual_reference,
)
from kcpcache.registry.caches import CacheEvent, ResourceCache
from kcpcache.registry.catalog import ExportReference
from kcpcache.registry.lookup import Lookup
from kcpcache.storage.keys import cache_prefix

API_EXPORTS = GroupVersionResource("apis.kcp.io", "v1alpha2", "apiexports")
_RESOLVED_BY = frozenset({"apis.kcp.io", "cache.kcp.io", "core.kcp.io", "tenancy.kcp.io"})
"""Groups with the objects on the way from an export to its copies, and with those that say where a path leads."""
_MOST_RESOLVED = 4096
REFERENCE_ALLOWED_ANNOTATION = "internal.cache.kcp.io/reference-allowed"
"""On an endpoint slice, set at admission only: ``<logical cluster>/<name>`` of the foreign CachedResource its
creator could read."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the copies behind a virtual resource lie."""

    provider: str
    resource: GroupVersionResource
    identity_hash: str
    cached_resource: str

    def prefix(self, shard: str) -> str:
        """The storage prefix of the copies, over all providers with this identity."""
        group, version, resource = self.resource
        return cache_prefix(shard, group, version, resource, self.identity_hash)


def endpoint_slice_of(lookup: Lookup, export: Object, cluster: str, entry: Object) -> Object | None:
    """The CachedResourceEndpointSlice that an export's entry names, in the export's workspace."""
    reference = virtual_reference(entry)
    if reference is None or not is_endpoint_slice(reference):
        return None
    return lookup.get(ENDPOINT_SLICES, cluster, reference.name)


def cached_resource_of(lookup: Lookup, endpoint_slice: Object, cluster: str) -> tuple[str, Object | None]:
    """What a slice in ``cluster`` resolves to: the logical cluster ("" for none) and the CachedResource."""
    path, name = cached_resource_reference(endpoint_slice)
    found = lookup.cluster_at(path, beside=cluster)
    return (found, lookup.get(CACHED_RESOURCES, found, name)) if found else ("", None)


def reference_allowed(endpoint_slice: Object, cluster: str, name: str) -> bool:
    """Whether admission saw that the slice's creator could read that CachedResource."""
    return annotations_of(endpoint_slice).get(REFERENCE_ALLOWED_ANNOTATION) == f"{cluster}/{name}"


def entry_of_export(export: Object, resource: GroupResource) -> Object | None:
    """The entry of ``spec.resources`` for a group-resource."""
    for entry in nested(export, "spec", "resources", default=[]):
        if (entry.get("group") or "", entry.get("name")) == resource:
            return entry  # type: ignore[no-any-return]
    return None


def exported(lookup: Lookup, export: Object, cluster: str, entry: Object) -> Exported | NotExported:
    """Apply the rule of behaviour §4 to one entry of an export in ``cluster``."""
    endpoint_slice = endpoint_slice_of(lookup, export, cluster, entry)
    provider, found = ("", None) if endpoint_slice is None else cached_resource_of(lookup, endpoint_slice, cluster)
    allowed = endpoint_slice is not None and found is not None
    allowed = allowed and reference_allowed(endpoint_slice or {}, provider, name_of(found or {}))
    return exported_cached_resource(export, entry, endpoint_slice, found, reference_allowed=allowed)


def other_reference(lookup: Lookup, bound: ExportReference, resource: GroupResource) -> VirtualReference | None:
    """What a bound virtual resource refers to where that is of another kind; None for this server's own slices."""
    export = lookup.get(API_EXPORTS, bound.cluster, bound.export)
    entry = entry_of_export(export, resource) if export else None
    reference = virtual_reference(entry) if entry else None
    return None if reference is None or is_endpoint_slice(reference) else reference


def resolve(lookup: Lookup, bound: ExportReference, resource: GroupResource) -> Source:
    """The source of a bound virtual resource. Raises ServiceUnavailableError that names the APIExport to contact."""
    export = lookup.get(API_EXPORTS, bound.cluster, bound.export)
    entry = entry_of_export(export, resource) if export else None
    if export is None or entry is None:
        raise broken(lookup, bound, resource, "it no longer exports this resource" if export else "it does not exist")
    answer = exported(lookup, export, bound.cluster, entry)
    if isinstance(answer, NotExported):
        raise broken(lookup, bound, resource, answer.message)
    return source_of(answer.cached_resource)


class Resolved:
    """``resolve``, remembered for as long as nothing changes that it depends on, anywhere. Event loop only."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._known: dict[tuple[ExportReference, GroupResource], Source] = {}
        lookup.caches.on_new_cache(self._follow)

    def _follow(self, cache: ResourceCache) -> None:
        _, top, group, *_ = cache.prefix.split("/")
        if top == "registry" and group in _RESOLVED_BY:
            cache.listeners.append(self._forget)

    def _forget(self, _event: CacheEvent) -> None:
        self._known.clear()

    def __call__(self, bound: ExportReference, resource: GroupResource) -> Source:
        """The source. Raises ServiceUnavailableError, which is not remembered."""
        found = self._known.get((bound, resource))
        if found is None:
            found = resolve(self._lookup, bound, resource)
            if len(self._known) >= _MOST_RESOLVED:
                self._known.clear()
            self._known[bound, resource] = found
        return found


def source_of(cached_resource: Object) -> Source:
    """Where the copies of a CachedResource lie."""
    return Source(
        annotations_of(cached_resource).get("kcp.io/cluster", ""),
        group_version_resource_of(cached_resource),
        nested(cached_resource, "status", "identityHash", default=""),
        name_of(cached_resource),
    )


def broken(lookup: Lookup, bound: ExportReference, resource: GroupResource, why: str) -> ServiceUnavailableError:
    """What a request for a bound virtual resource is answered with where its reference leads nowhere."""
    where = f"{lookup.clusters.path(bound.cluster)}:{bound.export}"
    return ServiceUnavailableError(
        f"{resource} cannot be served now: the reference of APIExport {where} is broken ({why}); "
        "please contact the owner of that APIExport"
    )
