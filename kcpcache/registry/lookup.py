"""Reads of system objects by everything that decides: admission, authorization, virtual views, controllers.

Straight from the caches, without waiting; the objects are decoded once per change and shared: never change them.
"""

from kcpcache.meta.names import GroupResource, GroupVersionResource
from kcpcache.meta.objects import Object
from kcpcache.registry.caches import CacheEvent, Caches, ResourceCache
from kcpcache.registry.entry import Entry
from kcpcache.registry.logical_clusters import LogicalClusters
from kcpcache.registry.reading import Reader
from kcpcache.registry.system import SystemTypes

_DECODED = 50_000
_AS_STORED = ""


class Lookup:
    """Finds objects of built-in and kcp types. Use it on the event loop only."""

    def __init__(self, caches: Caches, clusters: LogicalClusters, system: SystemTypes) -> None:
        self.caches, self.clusters, self.system = caches, clusters, system
        self._caches: dict[GroupResource, ResourceCache] = {}
        self._caches_by_version: dict[GroupVersionResource, ResourceCache] = {}
        self._readers: dict[GroupVersionResource, Reader] = {}
        self._decoded: dict[Entry, dict[str, Object]] = {}  # by the version that it is shown in

    def cache(self, resource: GroupResource) -> ResourceCache:
        """All objects of a system type. Raises KeyError where it is none (or its identity is not known yet)."""
        found = self._caches.get(resource)
        if found is None:
            definition = self.system.definition(resource)
            if definition is None:
                raise KeyError(resource)
            found = self._caches[resource] = self.caches.of(definition.storage_prefix)
            found.listeners.append(self._forget)
        return found

    def _cache(self, resource: GroupVersionResource) -> ResourceCache:
        found = self._caches_by_version.get(resource)
        if found is None:
            found = self._caches_by_version[resource] = self.cache(resource.group_resource)
        return found

    def entry(self, resource: GroupVersionResource, cluster: str, name: str, namespace: str = "") -> Entry | None:
        """The entry in that version, or None."""
        found = self.cache(resource.group_resource).get(cluster, name, namespace)
        return None if found is None else self._reader(resource).adapt(found)

    def get(self, resource: GroupVersionResource, cluster: str, name: str, namespace: str = "") -> Object | None:
        """The object, as a client of its workspace sees it, or None."""
        found = self._cache(resource).get(cluster, name, namespace)
        if found is None:
            return None
        known = self._decoded.get(found)
        shown = None if known is None else known.get(resource.version)
        return self._object(resource, found) if shown is None else shown

    def list(self, resource: GroupVersionResource, cluster: str, namespace: str = "") -> tuple[Object, ...]:
        """All objects of one logical cluster."""
        entries = self._cache(resource).entries(cluster, namespace)
        return tuple(self._object(resource, entry) for entry in entries)

    def decode(self, entry: Entry) -> Object:
        """The shared decoded object of a live entry; of one that was replaced it would be kept for nobody."""
        return self._shared(entry, _AS_STORED, entry)

    def _object(self, resource: GroupVersionResource, entry: Entry) -> Object:
        known = self._decoded.get(entry)
        if known is not None and resource.version in known:
            return known[resource.version]
        shown = self._reader(resource).adapt(entry)
        if shown is not entry:
            return self._shared(entry, resource.version, shown)
        found = self._shared(entry, _AS_STORED, entry)
        self._decoded[entry][resource.version] = found
        return found

    def _shared(self, entry: Entry, version: str, shown: Entry) -> Object:
        versions = self._decoded.get(entry)
        if versions is None:
            if len(self._decoded) >= _DECODED:
                del self._decoded[next(iter(self._decoded))]
            versions = self._decoded[entry] = {}
        found = versions.get(version)
        if found is None:
            found = versions[version] = shown.object()
        return found

    def _forget(self, event: CacheEvent) -> None:
        if event.previous is not None:
            self._decoded.pop(event.previous, None)

    def cluster_at(self, path: str, *, beside: str) -> str | None:
        """The logical cluster that a reference's ``path`` means to an object in ``beside``; "" is its own."""
        return self.clusters.resolve(path) if path else beside

    def reader(self, resource: GroupVersionResource, cluster: str) -> Reader:
        """Reads one logical cluster's objects, also of the past. Raises KeyError as ``cache`` does."""
        definition = self.system.definition(resource.group_resource)
        version = definition.version(resource.version) if definition else None
        if definition is None or version is None:
            raise KeyError(resource)
        return Reader(self.caches, self.cache(resource.group_resource), definition, version, scope=cluster)

    def _reader(self, resource: GroupVersionResource) -> Reader:
        found = self._readers.get(resource)
        if found is None:
            found = self._readers[resource] = self.reader(resource, "*")
        return found
