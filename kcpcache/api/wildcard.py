"""What a URL means where workspaces are many or identities are given: ``/clusters/*/…``, ``<resource>:<identityHash>``.

Over all workspaces, what is built in is one resource. Anything else is as many as there are APIExports and CRDs of that
name, so that the identity must say which, unless metadata is all that is asked for (behaviour §2).
"""

from functools import partial
from typing import Final
from weakref import WeakKeyDictionary

from kcpcache.api.paths import WILDCARD, RequestInfo
from kcpcache.api.services import find_in
from kcpcache.meta.names import GroupResource
from kcpcache.registry.caches import CacheEvent
from kcpcache.registry.catalog import ProjectedResource, Resource, StoredResource
from kcpcache.registry.lookup import Lookup
from kcpcache.registry.resource import ServedVersion
from kcpcache.registry.serving import CRDS, Serving
from kcpcache.registry.view import View, Watch
from kcpcache.registry.virtual_sources import API_EXPORTS, resolve
from kcpcache.registry.wildcard import AnyIdentity, AnyIdentityView, ResourceCaches
from kcpcache.virtual.api_export_consumers import Consumers
from kcpcache.virtual.api_export_resources import ExportsByIdentity, exported_entries, is_virtual, key_of_entry
from kcpcache.virtual.continuity import ContinuousView
from kcpcache.virtual.converted import converted
from kcpcache.virtual.replication import ReplicationView
from kcpcache.virtual.views import Views

_SCHEMAS: Final = GroupResource("apis.kcp.io", "apiresourceschemas")


class Wildcard:
    """``find`` and ``view`` of ``services.Services``."""

    def __init__(
        self,
        lookup: Lookup,
        serving: Serving,
        views: Views,
        consumers: Consumers,
        identities: ExportsByIdentity,
        *,
        shard: str,
    ) -> None:
        self._lookup, self._serving, self._views, self._shard = lookup, serving, views, shard
        self._consumers, self._identities = consumers, identities
        self._crds = lookup.caches.of(CRDS)
        self._caches = ResourceCaches(lookup.caches)
        self._watches: dict[tuple[str, GroupResource], WeakKeyDictionary[Watch, Resource]] = {}
        for key in (API_EXPORTS.group_resource, _SCHEMAS):
            lookup.cache(key).listeners.append(self._end_watches)

    def find(self, cluster: str, info: RequestInfo, metadata_only: bool) -> tuple[Resource, ServedVersion] | None:
        """The resource that a request means, in its version; None where there is none."""
        found = find_in(self._serving.snapshot(cluster), info)
        if cluster != WILDCARD or found is not None:
            return found
        key = GroupResource(info.group, info.resource)
        resource: Resource | None
        if info.identity_hash:
            resource = self._identified(key, info.identity_hash)
        elif metadata_only:
            resource = self._any(key, info.version)
        else:
            resource = None
        served = resource.definition.version(info.version) if resource else None
        return None if resource is None or served is None else (resource, served)

    def view(self, cluster: str, resource: Resource, version: ServedVersion) -> View:
        """The view of what ``find`` has found."""
        if isinstance(resource, AnyIdentity):
            return AnyIdentityView(self._caches, resource.definition, version)
        if cluster != WILDCARD:
            return self._views.view(cluster, resource, version)
        if not isinstance(resource, ProjectedResource):
            return self._views.view(cluster, resource, version, guard=partial(self._guard, resource))
        definition = resource.definition
        everywhere = ReplicationView(
            self._lookup.caches,
            definition,
            version,
            resolve(self._lookup, resource.bound, definition.group_resource),
            shard=self._shard,
            wanted=lambda consumer: consumer.export_identity_hash == definition.identity_hash,
            guard=partial(self._guard, resource),
        )
        origin = self._views.sources.of_export(resource.bound, definition.group_resource)
        return converted(ContinuousView(everywhere, origin))

    def _guard(self, resource: Resource, watch: Watch) -> None:
        """Have the watch end when the APIExport moves on to a schema by which objects are shown in another way."""
        definition = resource.definition
        identity_hash, key = definition.identity_hash, definition.group_resource
        if not identity_hash:
            return
        if _moved_on(self._identities.resource(self._serving, identity_hash, key), resource):
            watch.close()  # while the watch was being opened
            return
        self._watches.setdefault((identity_hash, key), WeakKeyDictionary())[watch] = resource

    def _end_watches(self, _event: CacheEvent) -> None:
        for (identity_hash, key), watches in tuple(self._watches.items()):
            if not watches:
                del self._watches[identity_hash, key]
                continue
            now = self._identities.resource(self._serving, identity_hash, key)
            for watch, resource in tuple(watches.items()):
                if _moved_on(now, resource):
                    watch.close()
                    watches.pop(watch, None)

    def _identified(self, key: GroupResource, identity_hash: str) -> Resource | None:
        """By the APIExport with that identity; where it is gone, by any workspace that is still bound."""
        if self._identities.of(identity_hash, key) is not None:
            return self._identities.resource(self._serving, identity_hash, key)
        cluster = self._consumers.bound_to(key, identity_hash)
        found = self._serving.snapshot(cluster).resources.get(key) if cluster else None
        return found if found is not None and found.definition.identity_hash == identity_hash else None

    def _any(self, key: GroupResource, version: str) -> AnyIdentity | None:
        """By any CRD or APIExport that has the version; only for system:masters, so a search may take its time."""
        crd = f"{key.resource}.{key.group}"
        for cluster in self._crds.clusters():
            if self._crds.get(cluster, crd) is not None:
                found = self._serving.snapshot(cluster).resources.get(key)
                if isinstance(found, StoredResource) and found.definition.version(version):
                    return AnyIdentity(found.definition)
        for name in sorted((e.cluster, e.name) for e in self._lookup.cache(API_EXPORTS.group_resource).all_entries()):
            export = self._lookup.get(API_EXPORTS, *name)
            if any(key_of_entry(entry) == key and not is_virtual(entry) for entry in exported_entries(export)):
                identity_hash = str((export or {}).get("status", {}).get("identityHash") or "")
                found = self._identified(key, identity_hash)
                if isinstance(found, StoredResource) and found.definition.version(version):
                    return AnyIdentity(found.definition)
        cluster_bound = self._consumers.bound_to(key)
        found = self._serving.snapshot(cluster_bound).resources.get(key) if cluster_bound else None
        return AnyIdentity(found.definition) if isinstance(found, StoredResource) else None


def _moved_on(now: Resource | None, then: Resource) -> bool:
    """Whether objects are shown in another way than they were; not where it cannot be told any more."""
    return now is not None and not now.definition.shows_like(then.definition)
