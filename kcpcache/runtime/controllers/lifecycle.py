"""The controllers of lives: namespaces, and garbage collection after ownerReferences."""

from dataclasses import dataclass

import orjson

from kcpcache.meta.names import split_api_version
from kcpcache.meta.objects import metadata, nested
from kcpcache.reconcilers import garbage, namespace
from kcpcache.reconcilers.garbage import FOREGROUND, ORPHAN, Dependent, OwnerStatus
from kcpcache.reconcilers.namespace import NAMESPACES, SERVICE_ACCOUNT, SERVICE_ACCOUNTS
from kcpcache.reconcilers.plan import NOTHING, Plan
from kcpcache.registry.caches import CacheEvent, ResourceCache
from kcpcache.registry.entry import Entry, OwnerReference
from kcpcache.runtime.controller import Controller
from kcpcache.runtime.environment import Environment, either
from kcpcache.runtime.indexes import Name
from kcpcache.runtime.remnants import BATCH, batch, stored_caches, target_of
from kcpcache.storage.keys import REGISTRY

_FOREGROUND, _ORPHAN = (orjson.dumps(finalizer) for finalizer in (FOREGROUND, ORPHAN))


@dataclass(frozen=True, slots=True)
class Place:
    """One object: the cache that it is in, and its key there."""

    prefix: str
    cluster: str
    namespace: str
    name: str


class LifecycleControllers:
    """The controllers and what wakes them. ``controllers`` are run by the owner."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._namespaces: Controller[Name] = Controller("namespace", self._namespace, env.apply)
        self._garbage: Controller[Place] = Controller("garbage", self._collect, env.apply)
        self.controllers: tuple[Controller[Name] | Controller[Place], ...] = (self._namespaces, self._garbage)
        self._dependents: dict[tuple[str, str], set[Place]] = {}
        env.on_event("", "namespaces", lambda event: self._namespaces.add((event.cluster, either(event).name)))
        env.on_event("", "serviceaccounts", self._service_account_changed)
        for entry in env.cache("", "namespaces").all_entries():
            self._namespaces.add((entry.cluster, entry.name))
        env.lookup.caches.on_new_cache(self._watch)

    def _namespace(self, key: Name) -> Plan:
        obj = self._env.lookup.get(NAMESPACES, *key)
        deleting = obj is not None and bool(obj["metadata"].get("deletionTimestamp"))
        remaining = batch(stored_caches(self._env.lookup.caches), *key) if deleting else ()
        return namespace.reconcile(
            namespace.State(obj, self._env.now(), remaining, lacks_service_account=self._lacks_service_account(*key))
        )

    def _lacks_service_account(self, cluster: str, name: str) -> bool:
        workspace = self._env.lookup.clusters.get(cluster)
        found = self._env.cache("", SERVICE_ACCOUNTS.resource).get(cluster, SERVICE_ACCOUNT, name)
        return found is None and not (workspace is not None and workspace.deleting)

    def _service_account_changed(self, event: CacheEvent) -> None:
        """A deleted one comes again."""
        one = either(event)
        if event.entry is None and one.name == SERVICE_ACCOUNT:
            self._namespaces.add((event.cluster, one.namespace))

    # -- garbage

    def _watch(self, cache: ResourceCache) -> None:
        if not cache.prefix.startswith(REGISTRY):
            return

        def changed(event: CacheEvent) -> None:
            one = either(event)
            if one.owners or _propagates(one) or (event.previous is not None and event.previous.owners):
                self._index(cache, event)
            if event.entry is None or one.deleting:
                for place in self._dependents.get((event.cluster, one.uid), ()):
                    self._garbage.add(place)

        cache.listeners.append(changed)
        for entry in cache.all_entries():
            if entry.owners or _propagates(entry):
                self._index(cache, CacheEvent(entry.revision, entry.cluster, entry, None))

    def _index(self, cache: ResourceCache, event: CacheEvent) -> None:
        one = either(event)
        place = Place(cache.prefix, one.cluster, one.namespace, one.name)
        before = {owner.uid for owner in event.previous.owners} if event.previous else set()
        after = {owner.uid for owner in event.entry.owners} if event.entry else set()
        for uid in before - after:
            key = (one.cluster, uid)
            self._dependents.get(key, set()).discard(place)
            if not self._dependents.get(key):
                self._dependents.pop(key, None)
        for uid in after - before:
            self._dependents.setdefault((one.cluster, uid), set()).add(place)
        self._garbage.add(place)
        for owner in event.previous.owners if event.previous else ():
            found = self._find_owner(one, owner)
            if found is not None and found[1].deleting:
                self._garbage.add(Place(found[0].prefix, found[1].cluster, found[1].namespace, found[1].name))

    def _collect(self, place: Place) -> Plan:
        cache = self._env.lookup.caches.of(place.prefix)
        entry = cache.get(place.cluster, place.name, place.namespace)
        if entry is None or not (entry.owners or _propagates(entry)):
            return NOTHING
        obj = entry.object()
        owners = tuple(self._owner_status(entry, owner) for owner in entry.owners)
        finalizers = metadata(obj).get("finalizers") or ()
        look = "foreground" in owners or (entry.deleting and (FOREGROUND in finalizers or ORPHAN in finalizers))
        dependents = self._dependents_of(entry) if look else ()
        return garbage.reconcile(garbage.State(target_of(cache, entry), obj, owners, dependents))

    def _owner_status(self, entry: Entry, owner: OwnerReference) -> OwnerStatus:
        """Kinds that the workspace does not serve cannot be asked: they count as present, as in Kubernetes."""
        found = self._find_owner(entry, owner)
        if found is None:
            return "present" if self._cache_of(entry.cluster, owner) is None else "absent"
        waits = found[1].deleting and FOREGROUND in (nested(found[1].object(), "metadata", "finalizers") or ())
        return "foreground" if waits else "present"

    def _find_owner(self, entry: Entry, owner: OwnerReference) -> tuple[ResourceCache, Entry] | None:
        cache = self._cache_of(entry.cluster, owner)
        if cache is None:
            return None
        found = cache.get(entry.cluster, owner.name, entry.namespace) or cache.get(entry.cluster, owner.name)
        return (cache, found) if found is not None and found.uid == owner.uid else None

    def _cache_of(self, cluster: str, owner: OwnerReference) -> ResourceCache | None:
        group, _ = split_api_version(owner.api_version)
        for resource in self._env.serving.snapshot(cluster).resources.values():
            if resource.definition.group == group and resource.definition.kind == owner.kind:
                return self._env.lookup.caches.of(resource.definition.storage_prefix)
        return None

    def _dependents_of(self, entry: Entry) -> tuple[Dependent, ...]:
        found: list[tuple[bool, Dependent]] = []
        for place in self._dependents.get((entry.cluster, entry.uid), ()):
            cache = self._env.lookup.caches.of(place.prefix)
            dependent = cache.get(place.cluster, place.name, place.namespace)
            if dependent is not None:
                blocks = any(o.uid == entry.uid and o.block_owner_deletion for o in dependent.owners)
                found.append((not blocks, Dependent(target_of(cache, dependent), dependent.object())))
        found.sort(key=lambda pair: pair[0])
        return tuple(dependent for _, dependent in found[:BATCH])


def _propagates(entry: Entry) -> bool:
    """Whether it is being deleted and may wait for what is to become of its dependents; seen without decoding it."""
    return entry.deleting and (_FOREGROUND in entry.tail or _ORPHAN in entry.tail)
