"""What the cache store holds, over shards and identities: an index of it, and readers of several of its parts.

``cache_views`` has the views that are made of this.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple
from weakref import WeakKeyDictionary

from kcpcache.meta.errors import ExpiredError, not_found
from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.virtual_resources import CONSUMERS
from kcpcache.registry.cache_watch import CacheWatch
from kcpcache.registry.caches import Caches, ResourceCache
from kcpcache.registry.entry import Entry
from kcpcache.registry.field_match import Match
from kcpcache.registry.history import Events
from kcpcache.registry.reading import Reader
from kcpcache.registry.resource import ResourceDefinition, ServedVersion
from kcpcache.registry.shown_entries import Entries
from kcpcache.registry.view import WILDCARD, Item, Listing, ListOptions
from kcpcache.schema.compiled import compile_schema
from kcpcache.storage.keys import CACHE

_OPEN = compile_schema({"type": "object", "x-kubernetes-preserve-unknown-fields": True})


class Place(NamedTuple):
    """Which copies: those of a shard, a resource and an identity. ``shard`` "*" and identity "" mean any."""

    shard: str
    resource: GroupVersionResource
    identity_hash: str

    def covers(self, other: "Place") -> bool:
        """Whether the concrete place ``other`` is meant."""
        return (
            self.resource == other.resource
            and self.shard in {WILDCARD, other.shard}
            and self.identity_hash in {"", other.identity_hash}
        )


def place_of(prefix: str) -> Place | None:
    """The place of the copies below a storage prefix; None for any other prefix, that of the consumers included."""
    if not prefix.startswith(CACHE):
        return None
    shard, group, version, resource = prefix.removeprefix(CACHE).rstrip("/").split("/")
    plural, _, identity_hash = resource.partition(":")
    found = GroupVersionResource("" if group == "core" else group, version, plural)
    return None if found == CONSUMERS else Place(shard, found, identity_hash)


def definition_of_copies(resource: GroupVersionResource, kind: str, *, singular: str = "") -> ResourceDefinition:
    """Copies are whatever their originals are: nothing is pruned, defaulted or validated but the metadata."""
    version = ServedVersion(resource.version, _OPEN)
    return ResourceDefinition(
        group=resource.group,
        plural=resource.resource,
        singular=singular or kind.lower(),
        kind=kind,
        list_kind=f"{kind}List",
        namespaced=False,
        versions=(version,),
        storage_version=resource.version,
        tracks_generation=False,
        origin="system",
    )


class CacheIndex:
    """All that the cache store holds copies of; tells open watches of resources that come later. One per process."""

    def __init__(self, caches: Caches) -> None:
        self.caches = caches
        self._caches: dict[Place, ResourceCache] = {}
        self._watches: WeakKeyDictionary[CopiesWatch, Place] = WeakKeyDictionary()
        caches.on_new_cache(self._take)

    def of(self, wanted: Place) -> list[ResourceCache]:
        """Every cache there is that ``wanted`` covers. None is made: anybody could name any number of them."""
        if wanted in self._caches:
            return [self._caches[wanted]]
        return [cache for place, cache in self._caches.items() if wanted.covers(place)]

    def resources(self, shard: str) -> Iterator[tuple[GroupVersionResource, Entry]]:
        """What there are copies of, each resource once, with one of them."""
        seen = set()
        for place, cache in self._caches.items():
            entry = next(cache.all_entries(), None) if shard in {WILDCARD, place.shard} else None
            if entry is not None and place.resource not in seen:
                seen.add(place.resource)
                yield place.resource, entry

    def follow(self, watch: "CopiesWatch", wanted: Place) -> None:
        """Attach ``watch`` to every cache that comes to be covered by ``wanted``, for as long as somebody holds it."""
        self._watches[watch] = wanted

    def _take(self, cache: ResourceCache) -> None:
        place = place_of(cache.prefix)
        if place is None:
            return
        self._caches[place] = cache
        for watch, wanted in tuple(self._watches.items()):
            if wanted.covers(place):
                watch.attach(cache)


class CopiesReader(Reader):
    """Reads the copies of a place that may be spread over several caches (shards, identities) as if it were one."""

    def __init__(
        self, index: CacheIndex, place: Place, definition: ResourceDefinition, version: ServedVersion, scope: str
    ) -> None:
        self.index, self.place, self.parts = index, place, index.of(place)
        first = self.parts[0] if self.parts else ResourceCache("", index.caches.revision)
        super().__init__(index.caches, first, definition, version, scope=scope)

    async def wait(self, resource_version: str) -> None:
        """See ``Reader.wait``. What is waited for may be the first copy of its kind, and have a cache of its own."""
        await super().wait(resource_version)
        self.parts = self.index.of(self.place)
        if self.parts:
            self.cache = self.parts[0]

    async def get(self, namespace: str, name: str, resource_version: str = "") -> Item:
        """See ``Reader.get``."""
        await self.wait(resource_version)
        for cache in self.parts:
            entry = cache.get(self.scope, name)
            if entry is not None:
                return Item(entry)
        raise not_found(self.definition.group, self.definition.plural, name)

    async def list(self, options: ListOptions) -> Listing:
        """See ``Reader.list``. Several caches are read at one revision and merged in the order of their keys."""
        await self.wait("" if options.continue_token else options.resource_version)
        if len(self.parts) == 1:
            return await super().list(options)
        match = self.matcher(options)
        start = ""
        if options.continue_token:
            revision, start = await self._continued(options.continue_token)
        elif options.resource_version_match == "Exact" or (options.limit and options.resource_version not in {"", "0"}):
            revision = int(options.resource_version)
        else:
            revision = self.caches.revision
        exact = ListOptions(resource_version=str(revision), resource_version_match="Exact")
        found: Entries = []
        try:
            for part in self._readers():
                found += [item.entry for item in (await part.list(exact)).items()]
        except ExpiredError:
            raise self._expired(revision, start, options) from None
        found.sort(key=self._position)
        entries = [entry for entry in found if self._position(entry) >= start]
        page, at = await self._page(entries, match, options.limit)
        return self._listing(page, entries, at, revision, options)

    async def watch(self, options: ListOptions) -> "CopiesWatch":
        """See ``Reader.watch``. Caches that come later, of another shard or identity, are watched too."""
        match = self.matcher(options)
        version = options.resource_version
        initial = options.send_initial_events
        if initial is None:
            initial = version in {"", "0"}
        await self.wait(version)
        watch = CopiesWatch(self, match)
        self.index.follow(watch, self.place)
        if initial:
            entries = sorted((e for part in self._readers() for e in part.present()), key=self._position)
            watch.begin_with(entries, bookmark=options.send_initial_events is True)
        elif version not in {"", "0"}:
            try:
                watch.replay(await self.history(int(version), self.caches.revision), int(version))
            except BaseException:
                watch.close()
                raise
        return watch

    async def history(self, after: int, until: int) -> Events:
        """See ``Reader.history``."""
        if not self.parts:
            return []
        found: Events = []
        for part in self._readers():
            found += await part.history(after, until)
        return sorted(found, key=lambda event: event.revision)

    def _readers(self) -> "Iterable[_OneCache]":
        return [_OneCache(self, cache) for cache in self.parts]


class _OneCache(Reader):
    """One of the caches that a ``CopiesReader`` reads."""

    def __init__(self, whole: CopiesReader, cache: ResourceCache) -> None:
        super().__init__(whole.caches, cache, whole.definition, whole.version, scope=whole.scope)

    def present(self) -> list[Entry]:
        """The entries that the cache has now."""
        return self._entries("", "")


class CopiesWatch(CacheWatch):
    """A watch of several caches. One reader (see ``view.Watch``)."""

    def __init__(self, reader: CopiesReader, match: Match | None) -> None:
        super().__init__(reader, match, "")
        self._scope = reader.scope
        for cache in reader.parts[1:]:
            self.attach(cache)

    def attach(self, cache: ResourceCache) -> None:
        """Watch this cache too, from its next event on."""
        if not self._subscription.closed:
            self._subscription.attach(cache, self._scope)
