"""Watches of what a ``Reader`` reads, filtered by selectors and namespace.

Where many of them see the same, they are given the same list of events, and what is made of it serves them all.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias
from weakref import WeakKeyDictionary

from kcpcache.meta.errors import ExpiredError
from kcpcache.registry.caches import CacheEvent, ResourceCache, Subscription
from kcpcache.registry.entry import Entry
from kcpcache.registry.view import Bookmark, Item, WatchEvent

if TYPE_CHECKING:
    from kcpcache.registry.reading import Reader

Match: TypeAlias = Callable[[Entry], bool]
Entries: TypeAlias = list[Entry]
Events: TypeAlias = list[CacheEvent]

_READY_EVENTS = 1000
"""How many initial or replayed events a watch hands out at once."""
FEWEST_ALIKE: Final = 8
"""Where fewer watch, they do not share."""
_MOST_BATCHES = 16
_MOST_SHARED_EVENTS = 256


class Frames(NamedTuple):
    """What a batch is on its way to clients: pieces to write, the objects in them and their size."""

    pieces: tuple[bytes, ...]
    events: int
    bytes: int


class Batch(list[WatchEvent]):
    """Events that several watches are given: nobody changes it. ``frames`` is kept by whoever has made them."""

    __slots__ = ("definition", "frames")

    def __init__(self, events: Iterator[WatchEvent], definition: Any) -> None:
        super().__init__(events)
        self.definition = definition  # alive, so that nothing else has its id
        self.frames: Frames | None = None


class _Batches:
    """The last batches of one cache. Event loop only."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: OrderedDict[Any, Batch] = OrderedDict()

    def of(self, key: Any, events: Iterator[WatchEvent], definition: Any) -> Batch:
        """The batch of that key, made of ``events`` if there is none yet."""
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = Batch(events, definition)
            if len(self._known) > _MOST_BATCHES:
                self._known.popitem(last=False)
        return found


_shared: "WeakKeyDictionary[ResourceCache, _Batches]" = WeakKeyDictionary()


class CacheWatch:
    """A watch of a reader's scope, filtered by selectors and namespace. One reader (see ``view.Watch``)."""

    def __init__(self, reader: "Reader", match: Match | None, namespace: str) -> None:
        self._reader, self._match, self._namespace = reader, match, namespace
        self._shares = match is None and reader.shares and type(self) is CacheWatch
        self._like = reader.scope, reader.seen_in, namespace, reader.api_version, id(reader.definition)
        self._subscription = Subscription()
        self._subscription.attach(reader.cache, reader.scope)
        self._ready: Iterator[WatchEvent | Bookmark] | None = None
        self._sent = self._ready_until = reader.caches.revision

    def begin_with(self, entries: Entries, *, bookmark: bool) -> None:
        """Deliver those of ``entries`` that match as ADDED first, then (``bookmark``) the mark that they were all."""
        match = self._match
        last = [Bookmark(self._ready_until, initial=True)] if bookmark else []
        added = (WatchEvent("ADDED", Item(entry)) for entry in entries if match is None or match(entry))
        self._ready = chain(added, last)
        # Before its initial events are out a client can resume from nowhere but the beginning.
        self._sent = 0

    def replay(self, events: Events, after: int) -> None:
        """Deliver these past events, all that came after ``after``, first."""
        self._ready = (seen for event in events if (seen := self._seen(event, Item)) is not None)
        self._sent = after

    async def next(self, timeout_seconds: float | None = None) -> Sequence[WatchEvent | Bookmark]:
        """See ``view.Watch``."""
        if self._ready is not None:
            ready = list(islice(self._ready, _READY_EVENTS))
            if ready:
                ready = await self._shown(ready)
            if len(ready) < _READY_EVENTS:
                self._ready, self._sent = None, self._ready_until
            if ready:
                return ready
        events = await self._drained(timeout_seconds)
        if self._reader.settles:
            await self._settle(events)
        if self._shares and 0 < len(events) <= _MOST_SHARED_EVENTS:
            return self._batch(events)
        return list(self._all_seen(events))

    async def _drained(self, timeout_seconds: float | None) -> Events:
        """What has come; raises what ``next`` raises once nothing comes any more."""
        events = await self._subscription.drain(timeout_seconds)
        if not self._subscription.closed:
            self._sent = self._reader.caches.revision
        elif events:
            self._sent = events[-1].revision
        elif self._subscription.overrun:
            raise ExpiredError("the watch fell behind and was ended: list and watch anew")
        else:
            raise StopAsyncIteration
        return events

    async def _shown(self, ready: list[WatchEvent | Bookmark]) -> list[WatchEvent | Bookmark]:
        """Events with entries as they are in the cache, as this watch sees them."""
        if self._reader.settles:
            await self._reader.settle(event.item.entry for event in ready if isinstance(event, WatchEvent))
        return [
            WatchEvent(event.type, self._item(event.item.entry)) if isinstance(event, WatchEvent) else event
            for event in ready
        ]

    async def _settle(self, events: Events) -> None:
        """What has just been written is mostly settled, and known to be."""
        for event in events:
            entry = event.entry or event.previous
            if entry is not None and entry.memo is None:
                await self._reader.settle([one for event in events if (one := event.entry or event.previous)])
                return

    def _batch(self, events: Events) -> Sequence[WatchEvent]:
        """Revisions name events: between the same two of them in the same scope there are the same."""
        reader = self._reader
        cache = reader.cache
        if len(cache.subscriptions.get(reader.scope, ())) < FEWEST_ALIKE:
            _shared.pop(cache, None)
            return list(self._all_seen(events))
        batches = _shared.get(cache)
        if batches is None:
            batches = _shared[cache] = _Batches()
        key = events[0].revision, events[-1].revision, self._like
        return batches.of(key, self._all_seen(events), reader.definition)

    def _all_seen(self, events: Events) -> Iterator[WatchEvent]:
        return (seen for event in events if (seen := self._seen(event)) is not None)

    def bookmark(self) -> Bookmark:
        """See ``view.Watch``."""
        if self._ready is None and self._subscription.idle and not self._subscription.closed:
            self._sent = self._reader.caches.revision
        return Bookmark(self._sent)

    def close(self) -> None:
        """See ``view.Watch``. What has come before is still handed out: a DELETED must not be lost."""
        self._subscription.close()
        if not self._reader.cache.subscriptions.get(self._reader.scope):
            _shared.pop(self._reader.cache, None)

    def _seen(self, event: CacheEvent, item: Callable[[Entry], Item] | None = None) -> WatchEvent | None:
        """The event as this watch sees it (P7): entering the selector is ADDED, leaving it DELETED."""
        item = item or self._item
        entry, previous = event.entry, event.previous
        one = entry or previous
        if one is None or (self._namespace and one.namespace != self._namespace):
            return None
        match = self._match
        now = entry is not None and (match is None or match(entry))
        before = previous is not None and (match is None or match(previous))
        if now and entry is not None:
            return WatchEvent("MODIFIED" if before else "ADDED", item(entry))
        if before and previous is not None:
            return WatchEvent("DELETED", item(previous.at(event.revision)))
        return None

    def _item(self, entry: Entry) -> Item:
        return Item(self._reader.adapt(entry), self._reader.seen_in)
