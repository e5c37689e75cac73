"""Get, list and watch of what an APIExport sees of one resource: in one consumer's workspace, or in all (``*``).

A consumer that binds, unbinds, accepts a claim or takes it back changes what is seen without changing an object. Each
such change is a change of an APIBinding, which lies in the same store as the objects and so has a revision among
theirs (behaviour §5): it is a batch of ADDED and DELETED events, each with its object's own revision, that ends with a
bookmark at the APIBinding's.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from kcpcache.meta.errors import ExpiredError
from kcpcache.registry.caches import CacheEvent, Caches, ResourceCache
from kcpcache.registry.entry import Entry
from kcpcache.registry.entry_pages import Blocks
from kcpcache.registry.field_match import Match, narrowed
from kcpcache.registry.pauses import pause
from kcpcache.registry.reading import Reader
from kcpcache.registry.resource import ResourceDefinition, ServedVersion
from kcpcache.registry.shelf import key_of, loose
from kcpcache.registry.shown_entries import Entries
from kcpcache.registry.subscription import SUBSCRIPTION_EVENTS, Subscription
from kcpcache.registry.view import WILDCARD, Bookmark, Listing, ListOptions, WatchEvent
from kcpcache.registry.watch_events import Change, selected, told
from kcpcache.virtual.api_export_consumers import Consumers, either, is_binding
from kcpcache.virtual.api_export_grants import ALL, Grant, Name, Scope, Sight, admits

_READY_EVENTS = 1000
"""How many events a watch hands out at once."""


class ExportReader(Reader):
    """See ``reading.Reader``. ``scope`` is the consumer's logical cluster, or ``*`` for all of them.

    Of APIBindings, those to the export itself are always seen.
    """

    def __init__(
        self,
        caches: Caches,
        cache: ResourceCache,
        definition: ResourceDefinition,
        version: ServedVersion,
        *,
        scope: str,
        export: Name,
        sight: Sight,
        consumers: Consumers,
    ) -> None:
        super().__init__(caches, cache, definition, version, scope=scope)
        self.export, self.sight, self.consumers = export, sight, consumers
        self.of_bindings = cache is consumers.cache

    def scope_in(self, cluster: str) -> Scope:
        """What the export sees in a logical cluster now."""
        return self.sight.scope(self.consumers.within(self.export, cluster).values())

    def sees(self, entry: Entry, scope: Scope) -> bool:
        """Whether the export sees an entry, given what it sees in the entry's logical cluster."""
        if self.of_bindings and self.consumers.grant_to(self.export, entry) is not None:
            return True
        return admits(scope, entry.labels)

    async def watch(self, options: ListOptions) -> "ExportWatch":  # type: ignore[override]
        """See ``Reader.watch``; a batch is seen whole again by whoever resumes in the middle of it."""
        match, asked = self.matcher(options), options.resource_version
        initial = options.send_initial_events
        if initial is None:
            initial = asked in {"", "0"}
        await self.wait(asked)
        resume = not initial and asked not in {"", "0"}
        watch = ExportWatch(self, match, options.namespace, replaying=resume)
        if initial:
            watch.begin_with(self._entries(options.namespace, ""), bookmark=options.send_initial_events is True)
        elif resume:
            try:
                watch.replay(await self._happened(int(asked)), int(asked))
            except BaseException:
                watch.close()
                raise
        return watch

    async def _happened(self, after: int) -> list[CacheEvent]:
        """Changes of objects and APIBindings above ``after``, up to now."""
        until = self.caches.revision
        events = await self.history(after, until)
        if not self.of_bindings:
            events = [*events, *await self.consumers.reader(self.scope).history(after, until)]
        return sorted(events, key=lambda event: event.revision)

    # -- what the lists of ``Reader`` are made of

    def _unchanged_since(self, revision: int, namespace: str) -> bool:
        if not super()._unchanged_since(revision, namespace):
            return False
        since = self.consumers.cache.recent(revision)
        return since is not None and not any(self.consumers.concerns(self.export, event) for event in since)

    def _lend(self, namespace: str, start: str) -> Blocks:
        if self.scope != WILDCARD:
            return self._seen_in(self.scope, super()._lend(namespace, start))
        first, _, rest = start.partition("/")
        shelves, found = self.cache.shelves, Blocks()
        for cluster in sorted(self.consumers.of(self.export)):
            if cluster in shelves and f"{cluster}/" >= f"{first}/":
                found += self._seen_in(cluster, shelves[cluster].lend(namespace, rest if cluster == first else ""))
        return found

    def _seen_in(self, cluster: str, blocks: Blocks) -> Blocks:
        scope = self.scope_in(cluster)
        if scope == ALL:
            return blocks
        return loose([entry for block in blocks for entry in block.entries if self.sees(entry, scope)])

    async def _list_at(self, revision: int, start: str, match: Match | None, options: ListOptions) -> Listing:
        grants = await self.consumers.at(self.export, revision, self.scope)
        scopes = {cluster: self.sight.scope(found.values()) for cluster, found in grants.items()}

        def seen(entry: Entry) -> bool:
            return self.sees(entry, scopes.get(entry.cluster, ()))

        return await super()._list_at(revision, start, narrowed(match, seen), options)


class _Chunk(NamedTuple):
    """Changes to tell, with entries as they are stored; when they are out, everything up to ``revision`` is."""

    changes: Iterator[Change | Bookmark]
    revision: int
    weight: int


class ExportWatch(Subscription):
    """See ``view.Watch``. A watch of one workspace ends when the export loses sight of the resource there."""

    def __init__(self, reader: ExportReader, match: Match | None, namespace: str, *, replaying: bool) -> None:
        super().__init__(SUBSCRIPTION_EVENTS)
        self._reader, self._match, self._namespace = reader, match, namespace
        self._held: list[CacheEvent] | None = [] if replaying else None
        self._chunks: deque[_Chunk] = deque()
        self._queued = 0
        self._sent = reader.caches.revision
        self.attach(reader.cache, reader.scope)
        if not reader.of_bindings:
            self.attach(reader.consumers.cache, reader.scope)
        self._end_where_blind()

    def begin_with(self, entries: Entries, *, bookmark: bool) -> None:
        """Deliver those of ``entries`` that match as ADDED first, then (``bookmark``) the mark that they were all."""
        revision = self._reader.caches.revision
        self._put(self._added(entries, revision, bookmark=bookmark), revision, 0)
        # Before its initial events are out a client can resume from nowhere but the beginning.
        self._sent = 0

    def replay(self, events: Sequence[CacheEvent], after: int) -> None:
        """Deliver these past events, all that came after ``after``, first; then what has come meanwhile."""
        held, self._held = self._held or [], None
        past = _Past(self._reader, [*events, *held])
        self._put(past.seen(self._seen), self._reader.caches.revision, 0)
        self._sent = after
        self._end_where_blind()

    def push(self, event: CacheEvent) -> None:
        """Called by the caches; what comes before the past has been replayed is held back."""
        if self._held is not None:
            self._held.append(event)
            self._bound(len(self._held))
            return
        reader, cluster, one = self._reader, event.cluster, either(event)
        after = before = reader.scope_in(cluster)
        others: Sequence[Entry] = ()
        if is_binding(one):
            then = dict(reader.consumers.within(reader.export, cluster))
            reader.consumers.step(reader.export, then, one.name, event.previous)
            before = reader.sight.scope(then.values())
            if before != after:
                others = reader.cache.entries(cluster)
        events = self._seen(event, before, after, others)
        if others:
            self._put(events, event.revision, len(others))
        elif found := tuple(events):  # most changes are nothing to this watch, and wake nobody
            self._put(iter(found), event.revision, len(found))
        self._end_where_blind()

    async def next(self, timeout_seconds: float | None = None) -> Sequence[WatchEvent | Bookmark]:
        """See ``view.Watch``."""
        while True:
            if not self._chunks:
                await self.drain(timeout_seconds)
            if self.overrun:
                raise ExpiredError("the watch fell behind and was ended: list and watch anew")
            if not self._chunks and self.closed:
                raise StopAsyncIteration
            found = await told(self._reader, self._match, self._ready())
            if found or not self._chunks:
                return found
            await pause()

    def _ready(self) -> list[Change | Bookmark]:
        """The next of what has come."""
        found: list[Change | Bookmark] = []
        while self._chunks and len(found) < _READY_EVENTS:
            chunk = self._chunks[0]
            found += islice(chunk.changes, _READY_EVENTS - len(found))
            if len(found) < _READY_EVENTS:
                self._chunks.popleft()
                self._queued -= chunk.weight
                self._sent = chunk.revision
        return found

    def bookmark(self) -> Bookmark:
        """See ``view.Watch``."""
        if not self._chunks and not self.closed:
            self._sent = self._reader.caches.revision
        return Bookmark(self._sent)

    def _put(self, changes: Iterator[Change | Bookmark], revision: int, weight: int) -> None:
        self._bound(self._queued)  # one batch may be larger than the bound; another one on top of it may not
        self._chunks.append(_Chunk(changes, revision, weight))
        self._queued += weight
        self._wake()

    def _bound(self, queued: int) -> None:
        if queued > SUBSCRIPTION_EVENTS:
            self.overrun = True
            self.close()

    def _end_where_blind(self) -> None:
        reader = self._reader
        if reader.scope == WILDCARD or reader.scope_in(reader.scope):
            return
        if not (reader.of_bindings and reader.consumers.within(reader.export, reader.scope)):
            self.close()

    # -- from changes to events

    def _added(self, entries: Entries, revision: int, *, bookmark: bool) -> Iterator[Change | Bookmark]:
        for entry in entries:
            yield from self._selected(entry, None, entry.revision)
        if bookmark:
            yield Bookmark(revision, initial=True)

    def _seen(
        self, event: CacheEvent, before: Scope, after: Scope, others: Iterable[Entry]
    ) -> Iterator[Change | Bookmark]:
        """What a change means to this watch. ``before`` and ``after`` differ where it is one of an APIBinding.

        ``others`` are then all entries in its logical cluster. What has a revision of its own comes before the
        APIBinding itself: whoever has seen that one's revision has the batch.
        """
        reader, one = self._reader, either(event)
        for entry in others:
            if reader.of_bindings and entry.name == one.name:
                continue
            was, now = reader.sees(entry, before), reader.sees(entry, after)
            if was is not now:
                yield from self._selected(entry if now else None, entry if was else None, entry.revision)
        if reader.of_bindings or not is_binding(one):
            yield from self._changed(event, before, after)
        if before != after:
            yield Bookmark(event.revision)

    def _changed(self, event: CacheEvent, before: Scope, after: Scope) -> Iterator[Change]:
        sees, entry, previous = self._reader.sees, event.entry, event.previous
        now = entry if entry is not None and sees(entry, after) else None
        was = previous if previous is not None and sees(previous, before) else None
        yield from self._selected(now, was, event.revision)

    def _selected(self, now: Entry | None, was: Entry | None, revision: int) -> Iterable[Change]:
        one = now or was
        if one is None or (self._namespace and one.namespace != self._namespace):
            return ()
        return selected(self._match, Change(now, was, revision))


_See = Callable[[CacheEvent, Scope, Scope, Iterable[Entry]], Iterator[Change | Bookmark]]


class _Past:
    """Past changes, to be seen again: goes back to the state before them, and then forth, change by change.

    Only where an APIBinding to the export changed is there a state to keep; elsewhere the scope is what it is now.
    """

    def __init__(self, reader: ExportReader, events: Sequence[CacheEvent]) -> None:
        self._reader, self._events = reader, events
        consumers, export = reader.consumers, reader.export
        moved = {e.cluster for e in events if is_binding(either(e)) and consumers.concerns(export, e)}
        self._grants: Mapping[str, dict[str, Grant]] = {c: dict(consumers.within(export, c)) for c in moved}
        self._entries = {c: {key_of(entry): entry for entry in reader.cache.entries(c)} for c in moved}
        self._settled = {e.cluster: reader.scope_in(e.cluster) for e in events if e.cluster not in moved}
        for event in reversed(events):
            self._step(event, event.previous)

    def seen(self, see: _See) -> Iterator[Change | Bookmark]:
        """What ``see`` makes of each change."""
        for event in self._events:
            cluster = event.cluster
            settled = self._settled.get(cluster)
            if settled is not None:
                yield from see(event, settled, settled, ())
                continue
            before = self._scope(cluster)
            self._step(event, event.entry)
            after = self._scope(cluster)
            others = [self._entries[cluster][key] for key in sorted(self._entries[cluster])] if before != after else []
            yield from see(event, before, after, others)

    def _scope(self, cluster: str) -> Scope:
        return self._reader.sight.scope(self._grants[cluster].values())

    def _step(self, event: CacheEvent, now: Entry | None) -> None:
        cluster, one, reader = event.cluster, either(event), self._reader
        if cluster not in self._grants:
            return
        if is_binding(one):
            reader.consumers.step(reader.export, self._grants[cluster], one.name, now)
        if reader.of_bindings or not is_binding(one):
            if now is None:
                self._entries[cluster].pop(key_of(one), None)
            else:
                self._entries[cluster][key_of(one)] = now
