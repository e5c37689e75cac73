"""Views whose objects come from elsewhere one day: what was shown before is then not gone on with (behaviour §5).

An APIExport can be pointed at another CachedResource, and a workspace can bind another APIExport, without any object
being changed: no event would tell a client that what it holds is gone. Its watch ends, and it has to list anew.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol
from weakref import WeakKeyDictionary

from kcpcache.meta.errors import ExpiredError, ServiceUnavailableError
from kcpcache.meta.names import GroupResource, GroupVersionResource
from kcpcache.meta.objects import Object
from kcpcache.meta.virtual_resources import (
    CACHED_RESOURCE,
    CACHED_RESOURCES,
    ENDPOINT_SLICES,
    Exported,
    cached_resource_reference,
    exported_cached_resource,
    virtual_reference,
)
from kcpcache.registry.caches import CacheEvent
from kcpcache.registry.catalog import ExportReference
from kcpcache.registry.lookup import Lookup
from kcpcache.registry.read_only import ReadOnlyView
from kcpcache.registry.serving import bound_resources
from kcpcache.registry.stored_view import Guard
from kcpcache.registry.view import Item, Listing, ListOptions, View, Watch
from kcpcache.registry.virtual_sources import (
    API_EXPORTS,
    Source,
    entry_of_export,
    reference_allowed,
    resolve,
    source_of,
)

API_BINDINGS = GroupVersionResource("apis.kcp.io", "v1alpha2", "apibindings")

Followed = tuple[str, str, GroupResource | None]
"""An APIExport and its resource, or (None) a CachedResource: whatever a source is found through."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What a view shows depends on ``now()``; ``then(revision)`` is what it was. ``guard`` is told of watches."""

    now: Callable[[], object]
    then: Callable[[int], Awaitable[object]]
    guard: Guard


class Described(View, Protocol):
    """A read-only view; ``origin`` says for people where its objects come from."""

    origin: str


class ContinuousView(ReadOnlyView):
    """Another read-only view, of which nobody goes on with what he was shown before its origin became another one."""

    def __init__(self, inner: Described, origin: Origin) -> None:
        self.definition, self.version, self.cluster = inner.definition, inner.version, inner.cluster
        self.origin = inner.origin
        self._inner, self._origin = inner, origin

    async def get(self, namespace: str, name: str, *, resource_version: str = "") -> Item:
        """See ``view.View``."""
        return await self._inner.get(namespace, name, resource_version=resource_version)

    async def list(self, options: ListOptions) -> Listing:
        """See ``view.View``. What is left of a list has to come from where its beginning came from."""
        found = await self._inner.list(options)
        if options.continue_token or options.resource_version_match == "Exact":
            await self._require_same(found.revision)
        return found

    async def watch(self, options: ListOptions) -> Watch:
        """See ``view.View``."""
        before = self._origin.now()
        if not options.send_initial_events and options.resource_version not in {"", "0"}:
            revision = int(options.resource_version)
            if not await self._is_version_of_an_object(revision):
                await self._require_same(revision)
        watch = await self._inner.watch(options)
        if not self._is_still(before):
            watch.close()
        self._origin.guard(watch)
        return watch

    def _is_still(self, before: object) -> bool:
        try:
            return self._origin.now() == before
        except ServiceUnavailableError:
            return False

    async def _is_version_of_an_object(self, revision: int) -> bool:
        """Whether it is an object's own, from before anything led to it here: nobody was shown other objects then."""
        if await self._origin.then(revision) is not None:
            return False
        found = await self._inner.list(ListOptions(resource_version=str(revision), resource_version_match="Exact"))
        return any(item.entry.revision == revision for item in found.items())

    async def _require_same(self, revision: int) -> None:
        """Raises ExpiredError."""
        if await self._origin.then(revision) != self._origin.now():
            raise ExpiredError(f"too old resource version: {revision} (the objects have come from elsewhere since)")


class Sources:
    """Where virtual resources come from: now, in the past, and whose watches end when that changes."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._past = PastSources(lookup)
        self._watches: dict[str, dict[Followed, WeakKeyDictionary[Watch, object]]] = {}
        for resource in (API_EXPORTS, ENDPOINT_SLICES, CACHED_RESOURCES):
            lookup.cache(resource.group_resource).listeners.append(self._changed)

    def in_workspace(self, cluster: str, bound: ExportReference, resource: GroupResource) -> Origin:
        """Of a resource that the workspace has bound. ``now`` raises ServiceUnavailableError."""
        return self._origin(
            (bound.cluster, bound.export, resource), partial(self._past.of_workspace, cluster, resource)
        )

    def of_export(self, bound: ExportReference, resource: GroupResource) -> Origin:
        """Of a resource that the APIExport exports. ``now`` raises ServiceUnavailableError."""
        followed = (bound.cluster, bound.export, resource)
        return self._origin(followed, partial(self._past.of_export, *followed))

    def of_cached_resource(self, cluster: str, name: str) -> Origin:
        """Of a CachedResource itself; None while there is none of that name."""
        return self._origin((cluster, name, None), partial(self._past.of_cached_resource, cluster, name))

    def _origin(self, followed: Followed, then: Callable[[int], Awaitable[object]]) -> Origin:
        return Origin(partial(self._now, followed), then, partial(self._attach, followed))

    def _now(self, followed: Followed) -> Source | None:
        cluster, name, resource = followed
        if resource is not None:
            return resolve(self._lookup, ExportReference(cluster, name), resource)
        found = self._lookup.get(CACHED_RESOURCES, cluster, name)
        return source_of(found) if found else None

    def _found(self, followed: Followed) -> Source | None:
        try:
            return self._now(followed)
        except ServiceUnavailableError:
            return None

    def _attach(self, followed: Followed, watch: Watch) -> None:
        source = self._found(followed)
        if source is None:  # it has vanished while the watch was being opened
            watch.close()
            return
        for cluster in {followed[0], source.provider}:
            self._watches.setdefault(cluster, {}).setdefault(followed, WeakKeyDictionary())[watch] = source

    def _changed(self, event: CacheEvent) -> None:
        groups = self._watches.get(event.cluster)
        if not groups or not self._matters(event):
            return
        for followed, watches in tuple(groups.items()):
            now = self._found(followed)
            for watch, source in tuple(watches.items()):
                if source != now:
                    watch.close()
                    del watches[watch]
            if not watches:
                del groups[followed]

    def _matters(self, event: CacheEvent) -> bool:
        """Of a CachedResource, most changes are of its counts."""
        if event.entry is None or event.previous is None:
            return True
        before, after = event.previous.object(), self._lookup.decode(event.entry)
        return after.get("kind") != CACHED_RESOURCE or source_of(before) != source_of(after)


class PastSources:
    """Where virtual resources came from at a revision. All raise ExpiredError where that is forgotten."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    async def of_workspace(self, cluster: str, resource: GroupResource, revision: int) -> Source | None:
        """Of what the workspace had bound; None where it was not bound, or led nowhere."""
        for item in await self._objects(API_BINDINGS, cluster, revision):
            for bound in bound_resources(item.object()):
                if (bound.group, bound.resource) == resource and bound.virtual:
                    return await self.of_export(bound.source.cluster, bound.source.export, resource, revision)
        return None

    async def of_export(self, cluster: str, name: str, resource: GroupResource, revision: int) -> Source | None:
        """Of what the APIExport exported."""
        export = await self._object(API_EXPORTS, cluster, name, revision)
        entry = entry_of_export(export, resource) if export else None
        reference = virtual_reference(entry) if entry else None
        if export is None or entry is None or reference is None:
            return None
        endpoint_slice = await self._object(ENDPOINT_SLICES, cluster, reference.name, revision)
        path, of = cached_resource_reference(endpoint_slice or {})
        provider = self._lookup.cluster_at(path, beside=cluster) or ""
        found = await self._object(CACHED_RESOURCES, provider, of, revision)
        allowed = endpoint_slice is not None and reference_allowed(endpoint_slice, provider, of)
        answer = exported_cached_resource(export, entry, endpoint_slice, found, reference_allowed=allowed)
        return source_of(answer.cached_resource) if isinstance(answer, Exported) else None

    async def of_cached_resource(self, cluster: str, name: str, revision: int) -> Source | None:
        """Of the CachedResource that had the name."""
        found = await self._object(CACHED_RESOURCES, cluster, name, revision)
        return source_of(found) if found else None

    async def _object(self, resource: GroupVersionResource, cluster: str, name: str, revision: int) -> Object | None:
        found = await self._objects(resource, cluster, revision)
        return next((item.object() for item in found if item.entry.name == name), None)

    async def _objects(self, resource: GroupVersionResource, cluster: str, revision: int) -> list[Item]:
        if not cluster:
            return []
        at = ListOptions(resource_version=str(revision), resource_version_match="Exact")
        return list((await self._lookup.reader(resource, cluster).list(at)).items())
