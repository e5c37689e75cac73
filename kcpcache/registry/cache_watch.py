"""Watches of what a ``Reader`` reads, filtered by selectors and namespace.

Where many of them see the same, they are given the same list of events, and what is made of it serves them all.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias
from weakref import WeakKeyDictionary

from kcpcache.meta.errors import ExpiredError
from kcpcache.registry.caches import CacheEvent, ResourceCache, Subscription
from kcpcache.registry.entry import Entry
from kcpcache.registry.field_match import FieldMatch, Match
from kcpcache.registry.pauses import pause
from kcpcache.registry.view import Bookmark, Item, WatchEvent
from kcpcache.registry.watch_events import Change, selected, told

if TYPE_CHECKING:
    from kcpcache.registry.reading import Reader

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
    """A watch of a reader's scope, filtered by selectors and namespace. One reader (see ``view.Watch``).

    Where a webhook converts to select by fields, ``next`` raises ConversionError too.
    """

    def __init__(self, reader: "Reader", match: Match | None, namespace: str) -> None:
        self._reader, self._namespace = reader, namespace
        self._by_fields = match if isinstance(match, FieldMatch) else None
        self._match = None if isinstance(match, FieldMatch) else match
        self._shares = match is None and reader.shares and type(self) is CacheWatch
        self._like = reader.scope, reader.seen_in, namespace, reader.api_version, id(reader.definition)
        self._subscription = Subscription()
        self._subscription.attach(reader.cache, reader.scope)
        self._ready: Iterator[CacheEvent | Bookmark] | None = None
        self._sent = self._ready_until = reader.caches.revision

    def begin_with(self, entries: Entries, *, bookmark: bool) -> None:
        """Deliver those of ``entries`` that match as ADDED first, then (``bookmark``) the mark that they were all."""
        last = [Bookmark(self._ready_until, initial=True)] if bookmark else []
        self._ready = chain((CacheEvent(entry.revision, entry.cluster, entry, None) for entry in entries), last)
        # Before its initial events are out a client can resume from nowhere but the beginning.
        self._sent = 0

    def replay(self, events: Events, after: int) -> None:
        """Deliver these past events, all that came after ``after``, first."""
        self._ready, self._sent = iter(events), after

    async def next(self, timeout_seconds: float | None = None) -> Sequence[WatchEvent | Bookmark]:
        """See ``view.Watch``."""
        while self._ready is not None:
            ready = list(islice(self._ready, _READY_EVENTS))
            events = [event for event in ready if isinstance(event, CacheEvent)]
            seen = await self._judged(events) if self._by_fields else [*self._all_seen(await self._settled(events))]
            seen += [event for event in ready if isinstance(event, Bookmark)]
            if len(ready) < _READY_EVENTS:
                self._ready, self._sent = None, self._ready_until
            if seen:
                return seen
            if self._ready is not None:
                await pause()
        events = await self._drained(timeout_seconds)
        if self._by_fields:
            return await self._judged(events)
        events = await self._settled(events)
        if self._shares and 0 < len(events) <= _MOST_SHARED_EVENTS:
            return self._batch(events)
        return list(self._all_seen(events))

    async def _judged(self, events: Events) -> list[WatchEvent | Bookmark]:
        """What those of the events are that are selected by fields."""
        match, seen_in = self._by_fields, self._reader.seen_in
        seen = [Change(one.entry, one.previous, one.revision, seen_in) for one in events if self._concerns(one)]
        return await told(self._reader, match, [change for one in seen for change in selected(match, one)])

    def _concerns(self, event: CacheEvent) -> bool:
        one = event.entry or event.previous
        return one is not None and (not self._namespace or one.namespace == self._namespace)

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

    async def _settled(self, events: Events) -> Events:
        """The events with those entries settled that this watch looks at; mostly they are, and known to be."""
        reader = self._reader
        if not reader.settles:
            return events
        token = reader.token
        for event in events:
            one = event.entry or event.previous
            if one is not None and one.memo is not token:
                break
        else:
            return events
        asked = {id(entry): entry for event in events for entry in self._looked_at(event)}
        shown = dict(zip(asked, await reader.settle(asked.values()), strict=True))
        return [
            CacheEvent(
                event.revision,
                event.cluster,
                shown.get(id(event.entry), event.entry),
                shown.get(id(event.previous), event.previous),
            )
            for event in events
        ]

    def _looked_at(self, event: CacheEvent) -> Iterator[Entry]:
        """What of an event must be settled for ``_seen``."""
        entry, previous, match = event.entry, event.previous, self._match
        one = entry or previous
        if one is None or (self._namespace and one.namespace != self._namespace):
            return
        if entry is not None and (match is None or match(entry)):
            yield entry
        elif previous is not None and (match is None or match(previous)):
            yield previous

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

    def _seen(self, event: CacheEvent) -> WatchEvent | None:
        """The event, settled, as this watch sees it (P7): entering the selector is ADDED, leaving it DELETED."""
        entry, previous = event.entry, event.previous
        one = entry or previous
        if one is None or (self._namespace and one.namespace != self._namespace):
            return None
        match = self._match
        now = entry is not None and (match is None or match(entry))
        before = previous is not None and (match is None or match(previous))
        if now and entry is not None:
            return WatchEvent("MODIFIED" if before else "ADDED", self._item(entry))
        if before and previous is not None:
            return WatchEvent("DELETED", self._item(previous.at(event.revision)))
        return None

    def _item(self, entry: Entry) -> Item:
        reader = self._reader
        return Item(entry if reader.settles else reader.adapt(entry), reader.seen_in)
