"""``/services/cache/shards/<shard or *>/clusters/<cluster or *>/…``: the cache store, for system:masters only.

What one finds there: copies, as ``<resource>[:<identityHash>]``, and the kcp types that other shards need, which in
the embedded case come straight from this shard's workspaces (kcp-compat, "Virtual workspaces and the cache server").
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

from kcpcache.api.paths import WILDCARD, RequestInfo
from kcpcache.api.services import Workspace
from kcpcache.auth.user import User
from kcpcache.meta.errors import forbidden
from kcpcache.meta.names import GroupResource, GroupVersionResource
from kcpcache.meta.virtual_resources import CACHED_RESOURCES, ENDPOINT_SLICES, group_version_resource_of
from kcpcache.registry.catalog import Resource, Snapshot, SnapshotPool, StoredResource
from kcpcache.registry.entry import Entry
from kcpcache.registry.lookup import Lookup
from kcpcache.registry.resource import READ_VERBS, ResourceDefinition, ServedVersion
from kcpcache.registry.serving import Serving
from kcpcache.registry.view import NO_ADMISSION, View
from kcpcache.virtual.cache_server import CacheIndex, Place, definition_of_copies
from kcpcache.virtual.cache_views import CopiesView, SharedReader, SharedView

REPLICATED_TYPES: Final = tuple(
    GroupResource(group, resource)
    for group, resources in {
        "apis.kcp.io": ("apiconversions", "apiexportendpointslices", "apiexports", "apiresourceschemas"),
        CACHED_RESOURCES.group: (ENDPOINT_SLICES.resource, CACHED_RESOURCES.resource),
        "core.kcp.io": ("logicalclusters", "shards"),
        "rbac.authorization.k8s.io": ("clusterrolebindings", "clusterroles"),
        "tenancy.kcp.io": ("workspacetypes",),
    }.items()
    for resource in resources
)
"""What other shards have to know of this one."""
_REMEMBERED: Final = 1024


class CacheServerHandler:
    """See ``services.ServiceHandler``."""

    def __init__(self, lookup: Lookup, serving: Serving, *, shard: str, clock: Callable[[], datetime]) -> None:
        self._lookup, self._serving, self._shard, self._clock = lookup, serving, shard, clock
        self._index = CacheIndex(lookup.caches)
        self._pool = SnapshotPool()
        self._definitions: dict[tuple[GroupVersionResource, str], ResourceDefinition] = {}

    async def enter(self, info: RequestInfo, user: User) -> Workspace:
        """All that the cache store holds. Raises ForbiddenError, NotFoundError."""
        if not user.is_master:
            why = f'User "{user.name}" may not use the cache server: it is for system:masters'
            raise forbidden(info.group, info.resource, info.name, why)
        shard = info.service.arguments[0] if info.service else ""
        if shard not in {WILDCARD, self._shard} and info.is_resource and info.verb not in READ_VERBS:
            why = f'this is the cache of shard "{self._shard}": what another one had here would belong to nobody'
            raise forbidden(info.group, info.resource, info.name, why)
        cluster = self._lookup.clusters.resolve(info.cluster) or info.cluster

        def find(asked: RequestInfo, _metadata_only: bool) -> tuple[Resource, ServedVersion] | None:
            return self._find(asked, shard)

        def view(resource: Resource, version: ServedVersion) -> View:
            return self._view(info, cluster, shard, resource.definition, version)

        return Workspace(
            cluster=cluster,
            user=user,
            snapshot=self._snapshot(shard, with_copies=not info.is_resource),
            find=find,
            view=view,
            admission=lambda _attributes, _options: NO_ADMISSION,
            authorize=None,
        )

    def _find(self, info: RequestInfo, shard: str) -> tuple[Resource, ServedVersion] | None:
        definition = self._shared(GroupResource(info.group, info.resource))
        if definition is not None:
            fits = shard in {WILDCARD, self._shard} and info.identity_hash in {"", definition.identity_hash}
            version = definition.version(info.version) if fits else None
            return None if version is None else (StoredResource(definition), version)
        if info.group == "kcp.io" or info.group.endswith(".kcp.io"):
            return None  # records of consumers among them: these are nobody's to read, let alone to write
        resource = GroupVersionResource(info.group, info.version, info.resource)
        place = Place(shard, resource, info.identity_hash)
        kind = self._kind(place)
        if kind is None:
            return None
        definition = self._copies(resource, kind)
        return StoredResource(definition), definition.versions[0]

    def _shared(self, key: GroupResource) -> ResourceDefinition | None:
        return self._lookup.system.definition(key) if key in REPLICATED_TYPES else None

    def _kind(self, place: Place) -> str | None:
        """Of the copies: as they say themselves, else as the CachedResource's workspace does.

        Where nobody says, "" (what is created says it) if the identity is given, otherwise None.
        """
        for cache in self._index.of(place):
            for entry in cache.all_entries():
                return _kind_of(entry)
        cached = self._lookup.cache(CACHED_RESOURCES.group_resource)
        for entry in cached.all_entries():
            if group_version_resource_of(self._lookup.decode(entry)) == place.resource:
                found = self._serving.snapshot(entry.cluster).resources.get(place.resource.group_resource)
                if found is not None:
                    return found.definition.kind
        return "" if place.identity_hash else None

    def _copies(self, resource: GroupVersionResource, kind: str) -> ResourceDefinition:
        key = (resource, kind)
        found = self._definitions.get(key)
        if found is None:
            if len(self._definitions) >= _REMEMBERED:
                self._definitions.clear()
            found = self._definitions[key] = definition_of_copies(resource, kind)
        return found

    def _snapshot(self, shard: str, *, with_copies: bool) -> Snapshot:
        resources = [*self._shared_resources(shard), *(self._copied_resources(shard) if with_copies else ())]
        return self._pool.intern(resources)

    def _shared_resources(self, shard: str) -> Iterator[Resource]:
        for key in REPLICATED_TYPES if shard in {WILDCARD, self._shard} else ():
            definition = self._shared(key)
            if definition is not None:
                yield StoredResource(definition)

    def _copied_resources(self, shard: str) -> Iterator[Resource]:
        for resource, entry in self._index.resources(shard):
            yield StoredResource(self._copies(resource, _kind_of(entry)))

    def _view(
        self, info: RequestInfo, cluster: str, shard: str, definition: ResourceDefinition, version: ServedVersion
    ) -> View:
        key = definition.group_resource
        if key in REPLICATED_TYPES:
            cache = self._lookup.cache(key)
            return SharedView(SharedReader(self._lookup, cache, definition, version, cluster, self._shard))
        place = Place(shard, definition.gvr(version.name), info.identity_hash)
        return CopiesView(self._index, place, definition, version, cluster, self._clock)


def _kind_of(entry: Entry) -> str:
    return str(entry.object()["kind"])
