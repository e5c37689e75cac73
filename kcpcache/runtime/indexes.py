"""Who is bound to which APIExport, and which consumer records there are: kept up change by change."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.objects import Object, metadata, nested
from kcpcache.meta.virtual_resources import CONSUMERS, ENDPOINT_SLICES, cached_resource_reference
from kcpcache.registry.caches import CacheEvent, ResourceCache
from kcpcache.registry.entry import Entry
from kcpcache.registry.logical_clusters import LogicalClusters
from kcpcache.runtime.environment import Environment, either
from kcpcache.storage.keys import CACHE

API_BINDINGS = GroupVersionResource("apis.kcp.io", "v1alpha2", "apibindings")

Name = tuple[str, str]
"""Logical cluster and name of an object."""


class BindingIndex:
    """APIBindings by the APIExport that they refer to.

    ``on_change`` is told of an export that got its first bound binding, or lost its last: on each of those in between,
    which may be thousands, nothing depends.
    """

    def __init__(self, env: Environment, on_change: Callable[[Name], None]) -> None:
        self._env, self._on_change = env, on_change
        self._by_reference: dict[tuple[str, str], set[Name]] = {}
        self._references: dict[Name, tuple[str, str]] = {}
        self._bound: dict[Name, set[Name]] = {}
        self._bound_to: dict[Name, Name] = {}
        env.on_event("apis.kcp.io", "apibindings", self._changed)
        for entry in env.cache("apis.kcp.io", "apibindings").all_entries():
            self._put(entry)

    def of_export(self, cluster: str, name: str) -> set[Name]:
        """The APIBindings that refer to the export, bound or not."""
        found = set(self._bound.get((cluster, name), ()))
        for spelled in spellings(self._env.lookup.clusters, cluster):
            found |= self._by_reference.get((spelled, name), set())
        return found

    def bound_count(self, cluster: str, name: str) -> int:
        """How many APIBindings are bound to the export: O(1)."""
        return len(self._bound.get((cluster, name), ()))

    def _changed(self, event: CacheEvent) -> None:
        key = (event.cluster, either(event).name)
        before = self._bound_to.get(key)
        others = self._others(before, key)
        self._drop(key)
        if event.entry is not None:
            self._put(event.entry)
        after = self._bound_to.get(key)
        if before == after:
            return
        if before is not None and not others:
            self._on_change(before)
        if after is not None and not self._others(after, key):
            self._on_change(after)

    def _others(self, export: Name | None, binding: Name) -> bool:
        """Whether more than this binding is bound to the export."""
        found = self._bound.get(export, ()) if export is not None else ()
        return len(found) > (binding in found)

    def _put(self, entry: Entry) -> None:
        key = (entry.cluster, entry.name)
        binding = self._env.lookup.get(API_BINDINGS, *key)
        if binding is None:
            return
        reference = nested(binding, "spec", "reference", "export", default={})
        name = str(reference.get("name") or "")
        spelled = (str(reference.get("path") or "") or entry.cluster, name)
        self._by_reference.setdefault(spelled, set()).add(key)
        self._references[key] = spelled
        cluster = nested(binding, "status", "apiExportClusterName")
        if cluster and is_bound(binding):
            self._bound.setdefault((cluster, name), set()).add(key)
            self._bound_to[key] = (cluster, name)

    def _drop(self, key: Name) -> None:
        _remove(self._by_reference, self._references.pop(key, None), key)
        _remove(self._bound, self._bound_to.pop(key, None), key)


def is_bound(binding: Object) -> bool:
    """Whether what it binds is to be seen: phase Bound, and not being deleted."""
    return nested(binding, "status", "phase") == "Bound" and "deletionTimestamp" not in metadata(binding)


class SliceIndex:
    """CachedResourceEndpointSlices by the CachedResource that they refer to."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._by_reference: dict[tuple[str, str], set[Name]] = {}
        self._references: dict[Name, tuple[str, str]] = {}
        env.on_event(ENDPOINT_SLICES.group, ENDPOINT_SLICES.resource, self._changed)
        for entry in env.cache(ENDPOINT_SLICES.group, ENDPOINT_SLICES.resource).all_entries():
            self._put(entry)

    def of_cached_resource(self, cluster: str, name: str) -> set[Name]:
        """The slices that refer to the CachedResource, from whatever workspace."""
        found: set[Name] = set()
        for spelled in spellings(self._env.lookup.clusters, cluster):
            found |= self._by_reference.get((spelled, name), set())
        return found

    def _changed(self, event: CacheEvent) -> None:
        key = (event.cluster, either(event).name)
        _remove(self._by_reference, self._references.pop(key, None), key)
        if event.entry is not None:
            self._put(event.entry)

    def _put(self, entry: Entry) -> None:
        path, name = cached_resource_reference(self._env.lookup.decode(entry))
        key, spelled = (entry.cluster, entry.name), (path or entry.cluster, name)
        self._by_reference.setdefault(spelled, set()).add(key)
        self._references[key] = spelled


def spellings(clusters: LogicalClusters, cluster: str) -> Iterator[str]:
    """What a reference's path may say that means the logical cluster: its name, its path, ``<ancestor's name>:…``."""
    yield cluster
    path = clusters.path(cluster)
    if path != cluster:
        yield path
    at = path.find(":")
    while at >= 0:
        ancestor = clusters.resolve(path[:at])
        if ancestor is not None and ancestor != path[:at]:
            yield f"{ancestor}{path[at:]}"
        at = path.find(":", at + 1)


class ConsumerIndex:
    """Consumer records by APIBinding and by CachedResource. ``on_change`` is told of a CachedResource and a binding."""

    def __init__(self, env: Environment, on_change: Callable[[Name, Name], None]) -> None:
        self._on_change = on_change
        self._by_binding: dict[Name, dict[str, tuple[ResourceCache, Entry]]] = {}
        self._by_cached_resource: dict[Name, set[str]] = {}
        self.total = 0
        """How many consumers all CachedResources have together."""
        env.lookup.caches.on_new_cache(self._watch)

    def of_binding(self, cluster: str, name: str) -> Iterable[tuple[ResourceCache, Entry]]:
        """The records of one APIBinding, each with the cache that it is in."""
        return tuple(self._by_binding.get((cluster, name), {}).values())

    def count(self, cluster: str, name: str) -> int:
        """How many consumers a CachedResource has: O(1)."""
        return len(self._by_cached_resource.get((cluster, name), ()))

    def _watch(self, cache: ResourceCache) -> None:
        if not is_consumer_prefix(cache.prefix):
            return

        def changed(event: CacheEvent) -> None:
            self._take(cache, event.entry, either(event))

        cache.listeners.append(changed)
        for entry in cache.all_entries():
            self._take(cache, entry, entry)

    def _take(self, cache: ResourceCache, entry: Entry | None, one: Entry) -> None:
        parts = one.name.split("_", 2)
        if len(parts) != len(("consumer", "binding", "cached resource")):
            return  # no record of ours
        consumer, binding, cached_resource = parts
        provider, bound = (one.cluster, cached_resource), (consumer, binding)
        place = f"{cache.prefix}{one.cluster}/{one.name}"
        self.total += (entry is not None) - (place in self._by_cached_resource.get(provider, ()))
        if entry is not None:
            self._by_binding.setdefault(bound, {})[place] = (cache, entry)
            self._by_cached_resource.setdefault(provider, set()).add(place)
        else:
            records = self._by_binding.get(bound, {})
            records.pop(place, None)
            if not records:
                self._by_binding.pop(bound, None)
            _remove(self._by_cached_resource, provider, place)
        self._on_change(provider, bound)


def is_consumer_prefix(prefix: str) -> bool:
    """Whether a storage prefix holds consumer records."""
    group, version, resource = CONSUMERS
    return prefix.startswith(CACHE) and f"/{group}/{version}/{resource}:" in prefix


_K = TypeVar("_K")
_V = TypeVar("_V")


def _remove(index: dict[_K, set[_V]], key: _K | None, value: _V) -> None:
    if key is None:
        return
    found = index.get(key)
    if found is not None:
        found.discard(value)
        if not found:
            del index[key]
