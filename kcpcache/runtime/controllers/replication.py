"""Reads what replication decides on: one key per copy, told of by both sides and by the CachedResource.

``Replication`` is also where the counts of a CachedResource come from; all of them are kept up change by change.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import chain

from kcpcache.meta.names import GroupResource, GroupVersionResource
from kcpcache.meta.objects import metadata
from kcpcache.meta.selectors import LabelSelector
from kcpcache.meta.virtual_resources import CACHED_RESOURCES
from kcpcache.reconcilers import replication
from kcpcache.reconcilers.plan import NOTHING, CacheTarget, Plan, PutCopy
from kcpcache.registry.caches import CacheEvent, CopyInWriting, ResourceCache
from kcpcache.registry.catalog import StoredResource
from kcpcache.registry.entry import Entry, is_copy_of, original_revision, stored_copy_of
from kcpcache.registry.reading import Reader
from kcpcache.registry.resource import ResourceDefinition
from kcpcache.registry.settling import Token, is_shown_as_it_is
from kcpcache.runtime.controller import Controller
from kcpcache.runtime.environment import Environment, either
from kcpcache.runtime.replication_measures import Operation, Owner, ReplicationMeasures
from kcpcache.storage.keys import CACHE, cache_prefix
from kcpcache.storage.store import Revision

_prefix = lru_cache(maxsize=1024)(cache_prefix)
"""The checks of its parts cost as much as the decision that it is for."""
_MOST_OWNERS = 10_000
"""Whose copies are whose is remembered of so many places: anybody's copies may be there."""


@dataclass
class Replicated:
    """A CachedResource's originals: where they are, how many match, and which are not yet known to be in the cache."""

    source: replication.Source
    definition: ResourceDefinition | None = None
    reader: Reader | None = None
    matching: int = 0
    pending: dict[str, None] = field(default_factory=dict)


class Replication:
    """The controller of copies. ``on_counts`` is told of a CachedResource whose counts or first pass changed."""

    def __init__(self, env: Environment, on_counts: Callable[[Owner], None]) -> None:
        self._env, self._on_counts = env, on_counts
        self._replicated: dict[Owner, Replicated] = {}
        self._by_resource: dict[tuple[str, GroupResource], dict[Owner, Replicated]] = {}
        self._owners: dict[tuple[str, GroupVersionResource], tuple[Owner | None, Replicated | None]] = {}
        self._watched: set[str] = set()
        self.controller: Controller[CacheTarget] = Controller(
            "replication", self._plan, env.apply, apply_each=env.apply.apply_each
        )
        self.measures = ReplicationMeasures()
        self.all_local = self.all_copies = 0
        """Over all CachedResources: what ``local`` says of each, and the copies, whoever they belong to."""
        env.on_event(*CACHED_RESOURCES.group_resource, self._cached_resource_changed)
        env.on_event("apiextensions.k8s.io", "customresourcedefinitions", self._served_changed)
        env.on_event("apis.kcp.io", "apibindings", self._served_changed)
        for owner in self._oldest_first():
            self._follow(owner)
        env.lookup.caches.on_new_cache(self._watch_copies)

    # -- counts

    def local(self, owner: Owner) -> int:
        """How many originals match."""
        found = self._replicated.get(owner)
        return found.matching if found else 0

    def copies(self, owner: Owner) -> int:
        """How many copies there are; those of another CachedResource that has the resource are not counted."""
        found = self._replicated.get(owner)
        cache = self._copies_of(found.source) if found else None
        if found is None or cache is None or self._owner_of(owner[0], found.source.resource)[0] != owner:
            return 0
        return cache.count(owner[0])

    def full_pass_done(self, owner: Owner) -> bool:
        """Whether all originals that matched when replication (re)started are in the cache."""
        found = self._replicated.get(owner)
        return found is not None and found.reader is not None and found.source.writes and not found.pending

    # -- sources

    def _oldest_first(self) -> list[Owner]:
        found = self._env.cache(*CACHED_RESOURCES.group_resource).all_entries()
        created = {(e.cluster, e.name): str(metadata(e.object()).get("creationTimestamp") or "") for e in found}
        return sorted(created, key=lambda owner: (created[owner], owner))

    def _cached_resource_changed(self, event: CacheEvent) -> None:
        self._follow((event.cluster, either(event).name))

    def _served_changed(self, event: CacheEvent) -> None:
        for entry in self._env.cache(*CACHED_RESOURCES.group_resource).entries(event.cluster):
            self._follow((event.cluster, entry.name))

    def _follow(self, owner: Owner) -> None:
        """Take over what the CachedResource says now; where that changes anything, look at every key again."""
        obj = self._env.lookup.get(CACHED_RESOURCES, *owner)
        old = self._replicated.get(owner)
        if obj is None:
            if old is not None:
                self._forget(owner, old)
                self._leave(owner, old.source)
                self.measures.forget(owner)
            return
        source = replication.source_of(obj)
        definition = self._definition(owner[0], source.resource)
        if old is not None and old.source == source and old.definition is definition:
            return
        again = old is not None and _copies_lie_together(old.source, source)
        if old is not None:
            self._forget(owner, old)
            if not again:
                self._leave(owner, old.source)
        self.measures.follow(owner, source.resource.group_resource)
        new = Replicated(source, definition, self._reader(owner[0], source.resource, definition))
        self._replicated[owner] = new
        self._by_resource.setdefault((owner[0], source.resource.group_resource), {})[owner] = new
        self._owners.clear()
        self._start_pass(owner, new, again=again)

    def _forget(self, owner: Owner, old: Replicated) -> None:
        del self._replicated[owner]
        self._owners.clear()
        self.controller.queue.drop(owner)
        self.all_local -= old.matching
        key = (owner[0], old.source.resource.group_resource)
        remaining = self._by_resource[key]
        del remaining[owner]
        if not remaining:
            del self._by_resource[key]

    def _leave(self, owner: Owner, source: replication.Source) -> None:
        """Have copies looked at that are no longer of this CachedResource."""
        place = (owner, source.identity_hash, source.resource)
        self.controller.queue.add_all(place, self._copy_names(owner[0], source), partial(self._once_more, source))

    def _once_more(self, source: replication.Source, name: str) -> CacheTarget:
        target = self._target(source, name)
        self.measures.removing((target,))
        return target

    def _start_pass(self, owner: Owner, new: Replicated, *, again: bool) -> None:
        """Look at everything that is to be copied, and at every copy. ``again``: those were of this CachedResource."""
        entries = new.reader.cache.entries(owner[0]) if new.reader else []
        new.pending = dict.fromkeys(_selected(entries, new.source.selector))
        new.matching = len(new.pending)
        self.all_local += new.matching
        if not new.source.identity_hash or not new.source.resource.version:
            return
        # In the order of their keys: what is written side by side is stored side by side, with the least work.
        others = (name for name in self._copy_names(owner[0], new.source) if name not in new.pending)
        names = chain(new.pending, others)
        self.controller.queue.add_all(owner, names, partial(self._once_more if again else self._target, new.source))
        self._on_counts(owner)

    def _definition(self, cluster: str, resource: GroupVersionResource) -> ResourceDefinition | None:
        found = self._env.serving.snapshot(cluster).resources.get(resource.group_resource)
        if not isinstance(found, StoredResource) or found.definition.namespaced:
            return None
        return found.definition if found.definition.is_custom else None

    def _reader(
        self, cluster: str, resource: GroupVersionResource, definition: ResourceDefinition | None
    ) -> Reader | None:
        version = definition.version(resource.version) if definition else None
        if definition is None or version is None:
            return None
        cache = self._env.lookup.caches.of(definition.storage_prefix)
        if cache.prefix not in self._watched:
            self._watched.add(cache.prefix)
            cache.listeners.append(self._watch_originals(definition.group_resource))
        return Reader(self._env.lookup.caches, cache, definition, version, scope=cluster)

    # -- keys

    def _watch_originals(self, resource: GroupResource) -> Callable[[CacheEvent], None]:
        def changed(event: CacheEvent) -> None:
            for owner, found in self._by_resource.get((event.cluster, resource), {}).items():
                if found.reader is not None:
                    self._original_changed(owner, found, event)

        return changed

    def _original_changed(self, owner: Owner, found: Replicated, event: CacheEvent) -> None:
        matches = found.source.selector.matches
        now = event.entry is not None and matches(event.entry.labels)
        before = event.previous is not None and matches(event.previous.labels)
        name = either(event).name
        found.matching += now - before
        self.all_local += now - before
        if not now:
            found.pending.pop(name, None)
        if (now or before) and found.source.identity_hash:
            target = self._target(found.source, name)
            self.measures.original_changed(owner, target, event.revision, self._committed_at(event))
            self.controller.add(target)
        if now != before:
            self._on_counts(owner)

    def _watch_copies(self, cache: ResourceCache) -> None:
        target = _copies_prefix(cache.prefix)
        if target is None:
            return
        shard, resource, identity_hash = target

        def changed(event: CacheEvent) -> None:
            target = CacheTarget(shard, resource, identity_hash, event.cluster, either(event).name)
            operation: Operation = "delete" if event.entry is None else "create" if event.previous is None else "update"
            shown = original_revision(event.entry) if event.entry is not None else 0
            owner, found = self._owner_of(event.cluster, resource)
            self.measures.copy_changed(owner, target, operation, shown, self._committed_at(event), time.monotonic())
            self.all_copies += (event.entry is not None) - (event.previous is not None)
            if not self._settles(owner, found, target, event.entry):
                self.controller.add(target)
            if event.entry is None or event.previous is None:
                for owner in self._by_resource.get((event.cluster, resource.group_resource), {}):
                    self._on_counts(owner)

        cache.listeners.append(changed)
        self.all_copies += len(cache)
        for cluster in cache.clusters():
            # A first pass looks only at what lies under the name that the shard has now.
            if shard != self._env.shard.name or not self._goes_over(cluster, resource, identity_hash):
                names = (entry.name for entry in cache.entries(cluster))
                key_of = partial(CacheTarget, shard, resource, identity_hash, cluster)
                self.controller.queue.add_all((cache.prefix, cluster), names, key_of)

    def _goes_over(self, cluster: str, resource: GroupVersionResource, identity_hash: str) -> bool:
        """Whether a CachedResource's first pass looks at all copies that lie there."""
        found = self._by_resource.get((cluster, resource.group_resource), {}).values()
        return any(one.source.resource == resource and one.source.identity_hash == identity_hash for one in found)

    def _committed_at(self, event: CacheEvent) -> float:
        found = self._env.lookup.caches.store.committed_at(Revision(event.revision))
        return time.monotonic() if found is None else found

    def _target(self, source: replication.Source, name: str) -> CacheTarget:
        return CacheTarget(self._env.shard.name, source.resource, source.identity_hash, source.cluster, name)

    def _copies_of(self, source: replication.Source) -> ResourceCache | None:
        if not source.identity_hash or not source.resource.version:
            return None
        group, version, resource = source.resource
        prefix = _prefix(self._env.shard.name, group, version, resource, source.identity_hash)
        return self._env.lookup.caches.of(prefix)

    def _copy_names(self, cluster: str, source: replication.Source) -> Iterator[str]:
        cache = self._copies_of(source)
        return (entry.name for entry in (cache.entries(cluster) if cache else ()))

    # -- decisions

    def _plan(self, target: CacheTarget) -> Plan:
        owner, found = self._owner_of(target.cluster, target.resource)
        original = self._original(found, target)
        group, version, resource = target.resource
        copies = self._env.lookup.caches.of(_prefix(target.shard, group, version, resource, target.identity_hash))
        copy = copies.get(target.cluster, target.name)
        plan = self._plan_by_bytes(found, target, original, copy) if found and original else None
        if plan is None:
            state = replication.State(
                target=target,
                original=original.object() if original else None,
                copy=copy.object() if copy else None,
                source=found.source if found else None,
            )
            plan = replication.reconcile(state)
        if plan.changes:
            self.measures.planned(target, expected=found is not None and target.name in found.pending)
        else:
            self._settled(owner, found, target)
        return plan

    @staticmethod
    def _plan_by_bytes(found: Replicated, target: CacheTarget, original: Entry, copy: Entry | None) -> Plan | None:
        """The original is what the workspace shows. A copy that was made of it as it is stored stays, too.

        Else a schema that gains a default would have every copy written anew, which kcp does not do either: consumers
        see it all the same, by their own schema, and the copy gets it with the original's next write.
        """
        plan = plan_by_bytes(target, original, copy, found.source)
        if plan is NOTHING or found.reader is None or copy is None:
            return plan
        stored = found.reader.cache.get(target.cluster, target.name)
        if stored is None or stored is original:
            return plan
        as_stored = plan_by_bytes(target, stored.as_version(found.reader.api_version), copy, found.source)
        return NOTHING if as_stored is NOTHING else plan

    @staticmethod
    def _original(found: Replicated | None, target: CacheTarget) -> Entry | None:
        if found is None or found.reader is None:
            return None
        original = found.reader.cache.get(target.cluster, target.name)
        return None if original is None else found.reader.adapt(original)

    def _settles(self, owner: Owner | None, found: Replicated | None, target: CacheTarget, copy: Entry | None) -> bool:
        """Whether a copy has become as it should be: seen here, the key needs no second turn in the queue."""
        reader = found.reader if found is not None else None
        original = None if reader is None else reader.cache.get(target.cluster, target.name)
        if found is None or reader is None or original is None:
            settled = copy is None
        elif copy is None:
            settled = not replication.wanted(target, original.labels, found.source)
        else:  # how the original is shown is not found out here, where the caches wait
            known = is_shown_as_it_is(original, reader.token)
            settled = known and plan_by_bytes(target, original, copy, found.source) is NOTHING
        if settled:
            self._settled(owner, found, target)
        return settled

    def _settled(self, owner: Owner | None, found: Replicated | None, target: CacheTarget) -> None:
        self.measures.settled(target)
        if found is not None and owner is not None and target.name in found.pending:
            self._passed(owner, found, target)

    def _passed(self, owner: Owner, found: Replicated, target: CacheTarget) -> None:
        """The copy is what it should be. Copies under another identity say nothing of those of this one."""
        if target == self._target(found.source, target.name):
            del found.pending[target.name]
            if not found.pending:
                self._on_counts(owner)

    def _owner_of(self, cluster: str, resource: GroupVersionResource) -> tuple[Owner | None, Replicated | None]:
        """The CachedResource whose the copies are. Of two with one resource it is the one that is valid."""
        known = self._owners.get((cluster, resource))
        if known is None:
            if len(self._owners) >= _MOST_OWNERS:
                self._owners.clear()
            known = self._owners[cluster, resource] = self._find_owner(cluster, resource)
        return known

    def _find_owner(self, cluster: str, resource: GroupVersionResource) -> tuple[Owner | None, Replicated | None]:
        first: tuple[Owner | None, Replicated | None] = (None, None)
        for owner, found in self._by_resource.get((cluster, resource.group_resource), {}).items():
            if found.source.resource == resource:
                if found.source.keeps:
                    return owner, found
                first = (owner, found) if first[0] is None else first
        return first


def _selected(entries: list[Entry], selector: LabelSelector) -> list[str]:
    """The names of the entries with labels that match. Equal sets of labels are one object, and asked for once."""
    if not selector:
        return [entry.name for entry in entries]
    known: dict[int, bool] = {}
    found = []
    for entry in entries:
        labels = entry.labels
        matches = known.get(id(labels))
        if matches is None:
            matches = known[id(labels)] = selector.matches(labels)
        if matches:
            found.append(entry.name)
    return found


def _copies_lie_together(one: replication.Source, other: replication.Source) -> bool:
    """Whether the copies of both have the same keys."""
    return (one.cluster, one.resource, one.identity_hash) == (other.cluster, other.resource, other.identity_hash)


def plan_by_bytes(target: CacheTarget, original: Entry, copy: Entry | None, source: replication.Source) -> Plan | None:
    """What ``replication.reconcile`` would plan, seen from the bytes, as almost always; None where it has to be asked.

    Nothing is decoded or encoded: that was a third of what a copy cost.
    """
    if not source.writes or not replication.wanted(target, original.labels, source):
        return None
    if copy is None:
        revision = 0
    elif copy.uid != original.uid:
        return None
    elif is_copy_of(copy, original, target.shard):
        return NOTHING
    elif original_revision(copy) == original.revision:
        return None  # somebody else has written it: the two may mean the same
    else:
        revision = copy.revision
    token = original.memo if type(original.memo) is Token else None
    value = stored_copy_of(original, target.shard)
    return Plan((PutCopy(target, value, revision, CopyInWriting(original, token)),))


def _copies_prefix(prefix: str) -> tuple[str, GroupVersionResource, str] | None:
    """Shard, resource and identity of a cache prefix of copies; None for any other prefix."""
    if not prefix.startswith(CACHE):
        return None
    shard, group, version, resource = prefix.removeprefix(CACHE).rstrip("/").split("/")
    plural, _, identity_hash = resource.partition(":")
    if group == "cache.kcp.io":
        return None
    return shard, GroupVersionResource("" if group == "core" else group, version, plural), identity_hash
