"""All objects of a group-resource over all workspaces, whatever identity they have: their metadata is all that fits.

Objects of CRDs and of each APIExport's resources lie in caches of their own; together they are one list and one watch.
"""

from collections.abc import Iterator
from typing import NoReturn
from weakref import WeakKeyDictionary

from kcpcache.meta.errors import MethodNotAllowedError
from kcpcache.meta.names import GroupResource
from kcpcache.registry.cache_watch import CacheWatch
from kcpcache.registry.caches import Caches, ResourceCache
from kcpcache.registry.catalog import StoredResource
from kcpcache.registry.entry import Entry
from kcpcache.registry.field_match import Match
from kcpcache.registry.history import Events
from kcpcache.registry.read_only import ReadOnlyView
from kcpcache.registry.reading import Reader
from kcpcache.registry.resource import ResourceDefinition, ServedVersion
from kcpcache.registry.shelf import Block
from kcpcache.registry.shown_entries import Entries
from kcpcache.registry.view import WILDCARD, Item, Listing, ListOptions, Watch
from kcpcache.storage.keys import REGISTRY


class AnyIdentity(StoredResource):
    """A resource of which the objects of all identities are meant; ``definition`` is that of one of them."""


class ResourceCaches:
    """The caches of workspaces' objects by group and resource; tells open watches of those that come later."""

    def __init__(self, caches: Caches) -> None:
        self.caches = caches
        self._caches: dict[GroupResource, list[ResourceCache]] = {}
        self._watches: WeakKeyDictionary[AnyIdentityWatch, GroupResource] = WeakKeyDictionary()
        caches.on_new_cache(self._take)

    def of(self, resource: GroupResource) -> list[ResourceCache]:
        """Those there are, in the order of their prefixes."""
        return sorted(self._caches.get(resource, ()), key=lambda cache: cache.prefix)

    def follow(self, watch: "AnyIdentityWatch", resource: GroupResource) -> None:
        """Attach ``watch`` to every cache of the resource that comes, for as long as somebody holds it."""
        self._watches[watch] = resource

    def _take(self, cache: ResourceCache) -> None:
        if not cache.prefix.startswith(REGISTRY):
            return
        group, _, resource = cache.prefix.removeprefix(REGISTRY).rstrip("/").partition("/")
        key = GroupResource("" if group == "core" else group, resource.partition(":")[0])
        self._caches.setdefault(key, []).append(cache)
        for watch, wanted in tuple(self._watches.items()):
            if wanted == key:
                watch.attach(cache)


class AnyIdentityReader(Reader):
    """See ``reading.Reader``; entries are shown as they are stored, in whatever version that is."""

    def __init__(self, index: ResourceCaches, definition: ResourceDefinition, version: ServedVersion) -> None:
        self.parts = index.of(definition.group_resource)
        first = self.parts[0] if self.parts else ResourceCache("", index.caches.revision)
        super().__init__(index.caches, first, definition, version, scope=WILDCARD)
        self.show_as_stored()
        self._index = index

    def adapt(self, entry: Entry) -> Entry:
        """See ``Reader.adapt``: neither a version nor a schema can be chosen for objects of unlike types."""
        return entry

    async def list(self, options: ListOptions) -> Listing:
        """See ``Reader.list``. In the order of the keys; objects of the same key come on one page."""
        match = self.matcher(options)
        revision, start = await self._start(options)
        exact = ListOptions(namespace=options.namespace, resource_version=str(revision), resource_version_match="Exact")
        found: Entries = []
        for part in self._readers():
            found += [item.entry for item in (await part.list(exact)).items()]
        found.sort(key=self._position)
        entries, _ = await self._page([entry for entry in found if self._position(entry) >= start], match, limit=0)
        at = options.limit or len(entries)
        while 0 < at < len(entries) and self._position(entries[at]) == self._position(entries[at - 1]):
            at += 1
        return self._listing(entries[:at], entries, at, revision, options)

    async def _start(self, options: ListOptions) -> tuple[int, str]:
        """At which revision to read, and from which key on."""
        if options.continue_token:
            return await self._continued(options.continue_token)
        await self.wait(options.resource_version)
        exact = options.resource_version_match == "Exact"
        exact |= (
            bool(options.limit) and options.resource_version not in {"", "0"} and not options.resource_version_match
        )
        return (int(options.resource_version) if exact else self.caches.revision), ""

    async def watch(self, options: ListOptions) -> "AnyIdentityWatch":
        """See ``Reader.watch``. Identities that come later are watched too."""
        match, asked = self.matcher(options), options.resource_version
        initial = options.send_initial_events
        if initial is None:
            initial = asked in {"", "0"}
        await self.wait(asked)
        watch = AnyIdentityWatch(self, match, options.namespace)
        self._index.follow(watch, self.definition.group_resource)
        if initial:
            present = [entry for part in self._readers() for entry in part.present(options.namespace)]
            present.sort(key=self._position)
            watch.begin_with(present, bookmark=options.send_initial_events is True)
        elif asked not in {"", "0"}:
            try:
                watch.replay(await self.history(int(asked), self.caches.revision), int(asked))
            except BaseException:
                watch.close()
                raise
        return watch

    async def history(self, after: int, until: int) -> Events:
        """See ``Reader.history``."""
        found: Events = []
        for part in self._readers():
            found += await part.history(after, until)
        return sorted(found, key=lambda event: event.revision)

    def _readers(self) -> "Iterator[_Part]":
        return (_Part(self, cache) for cache in self.parts)


class _Part(Reader):
    """One of the caches that are read together."""

    def __init__(self, whole: AnyIdentityReader, cache: ResourceCache) -> None:
        super().__init__(whole.caches, cache, whole.definition, whole.version, scope=WILDCARD)
        self.show_as_stored()

    def adapt(self, entry: Entry) -> Entry:
        """As it is stored."""
        return entry

    def _as_they_are(self, block: Block) -> bool:
        return True

    def present(self, namespace: str) -> Entries:
        """The entries that the cache has now."""
        return self._entries(namespace, "")


class AnyIdentityWatch(CacheWatch):
    """A watch of several caches. One reader (see ``view.Watch``)."""

    def __init__(self, reader: AnyIdentityReader, match: Match | None, namespace: str) -> None:
        super().__init__(reader, match, namespace)
        for cache in reader.parts[1:]:
            self.attach(cache)

    def attach(self, cache: ResourceCache) -> None:
        """Watch this cache too, from its next event on."""
        self._subscription.attach(cache, WILDCARD)


class AnyIdentityView(ReadOnlyView):
    """See ``view.View``. There is only list and watch."""

    cluster = WILDCARD

    def __init__(self, index: ResourceCaches, definition: ResourceDefinition, version: ServedVersion) -> None:
        self.definition, self.version = definition, version
        self._reader = AnyIdentityReader(index, definition, version)

    async def get(self, namespace: str, name: str, *, resource_version: str = "") -> Item:
        """Raises MethodNotAllowedError."""
        self._refuse("get")

    async def list(self, options: ListOptions) -> Listing:
        """See ``view.View``."""
        return await self._reader.list(options)

    async def watch(self, options: ListOptions) -> Watch:
        """See ``view.View``."""
        return await self._reader.watch(options)

    def _refuse(self, verb: str) -> NoReturn:
        raise MethodNotAllowedError(f"{verb} needs a workspace: over all of them there is only list and watch")
