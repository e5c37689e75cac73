"""Which workspaces are bound to which APIExport, and what each lets it see: now, and at any revision that is kept."""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from weakref import WeakValueDictionary

from kcpcache.meta.names import GroupResource
from kcpcache.registry.caches import CacheEvent
from kcpcache.registry.entry import Entry
from kcpcache.registry.lookup import Lookup
from kcpcache.registry.reading import Reader
from kcpcache.virtual.api_export_grants import Grant, Name, grant_of

API_BINDINGS = GroupResource("apis.kcp.io", "apibindings")
_DECODED = 4096
_NOBODY: Mapping[str, Mapping[str, Grant]] = {}
_NOTHING: Mapping[str, Grant] = {}
_BINDING_START, _BINDING_KIND = b'{"apiVersion":"apis.kcp.io/', b',"kind":"APIBinding",'


def is_binding(entry: Entry) -> bool:
    """Whether an entry is an APIBinding: nothing else is of that group."""
    return entry.prefix.startswith(_BINDING_START) and _BINDING_KIND in entry.prefix


def either(event: CacheEvent) -> Entry:
    """The entry of an event, or what it was before it was deleted."""
    return event.entry or event.previous  # type: ignore[return-value]  # an event has at least one of them


class Consumers:
    """APIBindings that are bound, by APIExport; kept current by the caches. Use it on the event loop only.

    ``listeners`` are called after each change with the APIExport and the consumer's logical cluster.
    """

    def __init__(self, lookup: Lookup) -> None:
        definition = lookup.system.definition(API_BINDINGS)
        assert definition is not None, "APIBindings are served everywhere"  # noqa: S101 -- tells the type checker
        self._caches, self._definition = lookup.caches, definition
        self.cache = lookup.cache(API_BINDINGS)
        self.listeners: list[Callable[[Name, str], None]] = []
        self._by_export: dict[Name, dict[str, dict[str, Grant]]] = {}
        self._interned: WeakValueDictionary[tuple[object, ...], Grant] = WeakValueDictionary()
        self.grant = lru_cache(maxsize=_DECODED)(self._grant)
        """What an APIBinding's entry grants, or None; equal grants are one object."""
        self.cache.listeners.append(self._changed)
        for entry in self.cache.all_entries():
            self._put(entry)

    def of(self, export: Name) -> Mapping[str, Mapping[str, Grant]]:
        """The grants by logical cluster and name of the APIBinding. A live view of the index: do not keep it."""
        return self._by_export.get(export, _NOBODY)

    def within(self, export: Name, cluster: str) -> Mapping[str, Grant]:
        """The same of one logical cluster."""
        return self.of(export).get(cluster, _NOTHING)

    def bound_to(self, resource: GroupResource, identity_hash: str = "") -> str | None:
        """A logical cluster that has bound the resource, of that identity or of any; None where there is none."""
        for clusters in self._by_export.values():
            for cluster, grants in clusters.items():
                for grant in grants.values():
                    if any(
                        key.resource == resource and identity_hash in {"", key.identity_hash} for key in grant.resources
                    ):
                        return cluster
        return None

    def grant_to(self, export: Name, entry: Entry | None) -> Grant | None:
        """What an APIBinding grants this very export."""
        grant = None if entry is None else self.grant(entry)
        return grant if grant is not None and grant.export == export else None

    def concerns(self, export: Name, event: CacheEvent) -> bool:
        """Whether an APIBinding's change has to do with the export."""
        return self.grant_to(export, event.entry) is not None or self.grant_to(export, event.previous) is not None

    def reader(self, scope: str) -> Reader:
        """Reads APIBindings themselves, in one logical cluster or in all."""
        return Reader(self._caches, self.cache, self._definition, self._definition.storage, scope=scope)

    async def at(self, export: Name, revision: int, scope: str) -> Mapping[str, Mapping[str, Grant]]:
        """``of`` as it was at a revision, for one logical cluster or all. Raises ExpiredError."""
        until = self._caches.revision
        clusters: Iterable[str] = self.of(export) if scope == "*" else (scope,)
        found = {cluster: dict(self.within(export, cluster)) for cluster in clusters}
        for event in reversed(await self.reader(scope).history(revision, until)):
            self.step(export, found.setdefault(event.cluster, {}), either(event).name, event.previous)
        return found

    def step(self, export: Name, grants: dict[str, Grant], name: str, entry: Entry | None) -> None:
        """Take into ``grants`` (of one logical cluster) that the APIBinding ``name`` is ``entry``."""
        grant = self.grant_to(export, entry)
        if grant is None:
            grants.pop(name, None)
        else:
            grants[name] = grant

    def _grant(self, entry: Entry) -> Grant | None:
        found = grant_of(entry.object())
        return None if found is None else self._interned.setdefault(found.content, found)

    def _changed(self, event: CacheEvent) -> None:
        before = None if event.previous is None else self.grant(event.previous)
        after = None if event.entry is None else self.grant(event.entry)
        if before is after:
            return
        if before is not None:
            self._drop(before.export, event.cluster, either(event).name)
        if event.entry is not None:
            self._put(event.entry)
        for export in {grant.export for grant in (before, after) if grant is not None}:
            for listener in self.listeners:
                listener(export, event.cluster)

    def _put(self, entry: Entry) -> None:
        grant = self.grant(entry)
        if grant is not None:
            self._by_export.setdefault(grant.export, {}).setdefault(entry.cluster, {})[entry.name] = grant

    def _drop(self, export: Name, cluster: str, name: str) -> None:
        clusters = self._by_export[export]
        del clusters[cluster][name]
        if not clusters[cluster]:
            del clusters[cluster]
        if not clusters:
            del self._by_export[export]
