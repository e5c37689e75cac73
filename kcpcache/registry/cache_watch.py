"""Watches of what a ``Reader`` reads, filtered by selectors and namespace.

Where many of them see the same, they are given the same list of events, and what is made of it serves them all.
"""

from collections.abc import Hashable, Iterator, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Final, Protocol
from weakref import WeakKeyDictionary

from kcpcache.meta.errors import ExpiredError
from kcpcache.registry.batches import Batch, Batches
from kcpcache.registry.caches import CacheEvent, ResourceCache
from kcpcache.registry.entry import Entry
from kcpcache.registry.field_match import FieldMatch, Match
from kcpcache.registry.history import Events
from kcpcache.registry.pauses import pause
from kcpcache.registry.shown_entries import Entries
from kcpcache.registry.subscription import Subscription
from kcpcache.registry.view import Bookmark, Item, WatchEvent
from kcpcache.registry.watch_events import Change, selected, told

if TYPE_CHECKING:
    from kcpcache.registry.reading import Reader

_READY_EVENTS = 1000
"""How many initial or replayed events a watch hands out at once."""
FEWEST_ALIKE: Final = 8
"""Where fewer watch, they do not share."""
_MOST_BATCHES = 16
MOST_SHARED_EVENTS: Final = 256

_shared: "WeakKeyDictionary[ResourceCache, Batches]" = WeakKeyDictionary()


class Leaving(Protocol):
    """A watch's place among others, which somebody else reads for."""

    def leave(self) -> None:
        """Give it up: the watch goes on by itself, with what it has not been told yet."""
        ...


class CacheWatch:
    """A watch of a reader's scope, filtered by selectors and namespace. One reader (see ``view.Watch``).

    Where a webhook converts to select by fields, ``next`` raises ConversionError too. Those that share ``like`` and are
    ``up_to_date`` can be read together (``registry/feed.py``).
    """

    def __init__(self, reader: "Reader", match: Match | None, namespace: str) -> None:
        self._reader, self._namespace = reader, namespace
        self._by_fields = match if isinstance(match, FieldMatch) else None
        self._match = None if isinstance(match, FieldMatch) else match
        self._shares = match is None and reader.shares and type(self) is CacheWatch
        self._like = reader.scope, reader.seen_in, namespace, reader.api_version, id(reader.definition)
        self._following: Leaving | None = None
        self._all_known = True
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
        if self._shares and 0 < len(events) <= MOST_SHARED_EVENTS:
            cache = self._reader.cache
            if len(cache.subscriptions.get(self._reader.scope, ())) >= FEWEST_ALIKE:
                return self.batch(events)
            _shared.pop(cache, None)
        return list(self._all_seen(events))

    async def _judged(self, events: Events) -> list[WatchEvent | Bookmark]:
        """What those of the events are that are selected by fields."""
        match, seen_in = self._by_fields, self._reader.seen_in
        seen = [Change(one.entry, one.previous, one.revision, seen_in) for one in events if self.concerns(one)]
        return await told(self._reader, match, [change for one in seen for change in selected(match, one)])

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

    # -- read together with others

    @property
    def like(self) -> Hashable:
        """Equal for watches that see the same; None where it sees what no other does."""
        reader = self._reader
        return (reader.cache, reader.token, self._like) if self._shares else None

    @property
    def up_to_date(self) -> bool:
        """Whether all that has come was handed out, none of which had to be settled first."""
        subscription = self._subscription
        return self._ready is None and self._all_known and subscription.idle and not subscription.closed

    def concerns(self, event: CacheEvent) -> bool:
        """Whether the event is in its namespace."""
        one = event.entry or event.previous
        return one is not None and (not self._namespace or one.namespace == self._namespace)

    def knows(self, event: CacheEvent) -> bool:
        """Whether the event can be shown without settling anything."""
        reader, one = self._reader, event.entry or event.previous
        return not reader.settles or one is None or one.memo is reader.token

    @property
    def source(self) -> tuple[ResourceCache, str]:
        """Whose events it sees: of a cache, and in which logical cluster (``*``: in all)."""
        return self._reader.cache, self._reader.scope

    def follow(self, place: Leaving) -> None:
        """Let somebody else note what comes from now on, until ``resume``; ``up_to_date`` holds."""
        self._following = place
        self._subscription.suspend()

    def resume(self, missed: Events, feed: Subscription) -> None:
        """Go on alone. Ends as the feed has ended, if it has."""
        self._following = None
        self._sent = missed[0].revision - 1 if missed else self._reader.caches.revision
        self._subscription.resume(missed)
        if feed.closed:
            self._subscription.overrun = feed.overrun
            self._subscription.close()

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
            self._all_known = True
            return events
        self._all_known = False
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
        if not self.concerns(event):
            return
        entry, previous, match = event.entry, event.previous, self._match
        if entry is not None and (match is None or match(entry)):
            yield entry
        elif previous is not None and (match is None or match(previous)):
            yield previous

    def batch(self, events: Events) -> Batch:
        """Settled events, as all see them that are like this one; the same list for the same events.

        Revisions name events: between the same two of them in the same scope there are the same.
        """
        reader = self._reader
        batches = _shared.get(reader.cache)
        if batches is None:
            batches = _shared[reader.cache] = Batches(_MOST_BATCHES)
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
        if self._following is not None:
            self._following.leave()
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
