"""Reads of system objects by everything that decides: admission, authorization, virtual views, controllers.

Straight from the caches, without waiting; the objects are decoded once per change and shared: never change them.
"""

from functools import lru_cache

from kcpcache.meta.names import GroupResource, GroupVersionResource
from kcpcache.meta.objects import Object
from kcpcache.registry.caches import Caches, ResourceCache
from kcpcache.registry.entry import Entry
from kcpcache.registry.logical_clusters import LogicalClusters
from kcpcache.registry.reading import Reader
from kcpcache.registry.stored_view import storage_prefix
from kcpcache.registry.system import SystemTypes

_DECODED = 50_000


class Lookup:
    """Finds objects of built-in and kcp types. Use it on the event loop only."""

    def __init__(self, caches: Caches, clusters: LogicalClusters, system: SystemTypes) -> None:
        self.caches, self.clusters, self.system = caches, clusters, system
        self._caches: dict[GroupResource, ResourceCache] = {}
        self._readers: dict[GroupVersionResource, Reader] = {}
        self._decode = lru_cache(maxsize=_DECODED)(Entry.object)

    def cache(self, resource: GroupResource) -> ResourceCache:
        """All objects of a system type. Raises KeyError where it is none (or its identity is not known yet)."""
        found = self._caches.get(resource)
        if found is None:
            definition = self.system.definition(resource)
            if definition is None:
                raise KeyError(resource)
            found = self._caches[resource] = self.caches.of(storage_prefix(definition))
        return found

    def entry(self, resource: GroupVersionResource, cluster: str, name: str, namespace: str = "") -> Entry | None:
        """The entry in that version, or None."""
        found = self.cache(resource.group_resource).get(cluster, name, namespace)
        return None if found is None else self._reader(resource).adapt(found)

    def get(self, resource: GroupVersionResource, cluster: str, name: str, namespace: str = "") -> Object | None:
        """The object, as a client of its workspace sees it, or None."""
        found = self.entry(resource, cluster, name, namespace)
        return None if found is None else self._decode(found)

    def list(self, resource: GroupVersionResource, cluster: str, namespace: str = "") -> tuple[Object, ...]:
        """All objects of one logical cluster."""
        reader = self._reader(resource)
        entries = self.cache(resource.group_resource).entries(cluster, namespace)
        return tuple(self._decode(reader.adapt(entry)) for entry in entries)

    def decode(self, entry: Entry) -> Object:
        """The shared decoded object of an entry."""
        return self._decode(entry)

    def cluster_at(self, path: str, *, beside: str) -> str | None:
        """The logical cluster that a reference's ``path`` means to an object in ``beside``; "" is its own."""
        return self.clusters.resolve(path) if path else beside

    def _reader(self, resource: GroupVersionResource) -> Reader:
        found = self._readers.get(resource)
        if found is None:
            definition = self.system.definition(resource.group_resource)
            version = definition.version(resource.version) if definition else None
            if definition is None or version is None:
                raise KeyError(resource)
            cache = self.cache(resource.group_resource)
            found = self._readers[resource] = Reader(self.caches, cache, definition, version, scope="*")
        return found
