"""The Replication virtual workspace over ``*``: one copy of each object per bound consumer (behaviour §5).

A consumer that comes or goes changes the view without changing an object. It is therefore a record in the cache store,
and so has a revision there: its batch of events ends with a bookmark at that revision.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from kcpcache.meta.errors import ExpiredError, MethodNotAllowedError
from kcpcache.registry.caches import CacheEvent, Caches
from kcpcache.registry.continue_tokens import decode_continue, encode_continue
from kcpcache.registry.entry import Entry
from kcpcache.registry.field_match import Match
from kcpcache.registry.read_only import ReadOnlyView
from kcpcache.registry.reading import Reader
from kcpcache.registry.resource import ResourceDefinition, ServedVersion
from kcpcache.registry.stored_view import Guard
from kcpcache.registry.subscription import Subscription
from kcpcache.registry.view import WILDCARD, Bookmark, Item, Listing, ListOptions, Segment
from kcpcache.registry.virtual_sources import Source
from kcpcache.registry.watch_events import Change, selected
from kcpcache.virtual.api_export_consumers import either
from kcpcache.virtual.consumers import Consumer, consumer_of, consumer_reader
from kcpcache.virtual.stepwise_watch import Seen, StepwiseWatch

_TOKENS = "consumers"
"""What continue tokens of this view are for: no other list takes them."""
Wanted = Callable[[Consumer], bool]


class ReplicationView(ReadOnlyView):
    """All consumers of one CachedResource at once. ``wanted`` says which consumers the caller may see."""

    cluster = WILDCARD

    def __init__(
        self,
        caches: Caches,
        definition: ResourceDefinition,
        version: ServedVersion,
        source: Source,
        *,
        shard: str,
        wanted: Wanted,
        guard: Guard | None = None,
    ) -> None:
        self.definition, self.version = definition, version
        self.origin = f"CachedResource {source.cached_resource} of logical cluster {source.provider}"
        cache = caches.of(source.prefix(shard))
        self.copies = Reader(caches, cache, definition, version, scope=source.provider)
        self._records = consumer_reader(caches, shard, source)
        self.caches, self._source, self._wanted_by_caller = caches, source, wanted
        self._guard = guard

    async def get(self, namespace: str, name: str, *, resource_version: str = "") -> Item:
        """Raises MethodNotAllowedError: one object is seen by many consumers."""
        raise MethodNotAllowedError("get needs a workspace: over all of them there is only list and watch")

    async def list(self, options: ListOptions) -> Listing:
        """See ``view.View``. In order of the consumers, and for each in order of the names."""
        revision, start = await self._snapshot(options)
        at = str(revision)
        copies = await self.copies.list(
            ListOptions(
                label_selector=options.label_selector,
                field_selector=options.field_selector,
                resource_version=at,
                resource_version_match="Exact",
            )
        )
        records = await self._records.list(ListOptions(resource_version=at, resource_version_match="Exact"))
        consumers = sorted({c.cluster for c in self._consumers(item.entry for item in records.items())})
        entries = [item.entry for item in copies.items()]
        return _page(consumers, entries, start, revision, options)

    async def watch(self, options: ListOptions) -> "ReplicationWatch":
        """See ``view.View``."""
        watch = await self._watch(options)
        if self._guard is not None:
            self._guard(watch)
        return watch

    async def _watch(self, options: ListOptions) -> "ReplicationWatch":
        match = self.copies.matcher(options)
        initial = options.send_initial_events
        fresh = options.resource_version in {"", "0"}
        await self.copies.wait(options.resource_version)
        if initial or fresh:
            watch = ReplicationWatch(self, match)
            if initial or (initial is None and fresh):
                watch.begin(bookmark=initial is True)
            return watch
        return await self._resume(int(options.resource_version), match)

    async def _resume(self, after: int, match: Match | None) -> "ReplicationWatch":
        """Replay what happened above ``after``, on the state as it was then.

        A change of an object is one event for each consumer, all at its revision: who was cut off between two of them
        says that he has seen that revision. Therefore the change at ``after`` itself is told again.
        """
        watch = ReplicationWatch(self, match, replaying=True)
        until = self.caches.revision
        try:
            copies = await self._changes(after, until)
            records = await self._records.history(after, until)
        except BaseException:
            watch.close()
            raise
        watch.replay(sorted([*copies, *records], key=lambda event: event.revision), told=after)
        return watch

    async def _changes(self, after: int, until: int) -> Sequence[CacheEvent]:
        """The copies' events from ``after`` on; above it where the one at it is forgotten. Raises ExpiredError."""
        try:
            return await self.copies.history(max(after - 1, 0), until)
        except ExpiredError:
            return await self.copies.history(after, until)

    async def _snapshot(self, options: ListOptions) -> tuple[int, str]:
        """The revision to list at, and where to go on."""
        if options.continue_token:
            revision, start = decode_continue(options.continue_token, _TOKENS)
            if revision < 0:
                await self.caches.fresh()
                revision = self.caches.revision
            return revision, start
        await self.copies.wait(options.resource_version)
        if options.resource_version_match == "Exact":
            return int(options.resource_version), ""
        return self.caches.revision, ""

    def _consumers(self, entries: Iterable[Entry]) -> Iterator[Consumer]:
        for entry in entries:
            found = consumer_of(entry)
            if self.shows(found):
                yield found

    def shows(self, consumer: Consumer) -> bool:
        """Whether the record is of this CachedResource, and of a consumer that the caller may see."""
        return (
            consumer.cached_resource == self._source.cached_resource
            and consumer.resource == self._source.resource.group_resource
            and self._wanted_by_caller(consumer)
        )

    def attach(self, subscription: Subscription) -> None:
        """Have both the copies' and the records' events pushed, in the order of their revisions."""
        subscription.attach(self.copies.cache, self._source.provider)
        subscription.attach(self._records.cache, self._source.provider)

    def present(self) -> tuple[dict[str, Entry], dict[str, Consumer]]:
        """Copies by name and consumers by record, as the caches have them now."""
        copies = {entry.name: entry for entry in self.copies.cache.entries(self._source.provider)}
        records = self._records.cache.entries(self._source.provider)
        return copies, {entry.name: found for entry in records if self.shows(found := consumer_of(entry))}


class ReplicationWatch(StepwiseWatch):
    """A watch over all consumers. Its state is which copies and which consumers there are."""

    def __init__(self, view: ReplicationView, match: Match | None, *, replaying: bool = False) -> None:
        super().__init__(view.copies, match, replaying=replaying)
        self._view = view
        self._copies, self._consumers = view.present()
        view.attach(self)

    def _present(self) -> Seen:
        for cluster in sorted({consumer.cluster for consumer in self._consumers.values()}):
            yield from self._come(cluster)

    def _seen(self, event: CacheEvent) -> Seen:
        before = {consumer.cluster for consumer in self._consumers.values()}
        self._step(event, event.entry)
        if not _is_record(either(event)):
            found = selected(self._match, Change(event.entry, event.previous, event.revision))
            return [Change(now, was, at, cluster) for now, was, at, _ in found for cluster in sorted(before)]
        after = {consumer.cluster for consumer in self._consumers.values()}
        batch: list[Change | Bookmark] = []
        for cluster in sorted(after - before):
            batch += self._come(cluster)
        for cluster in sorted(before - after):
            batch += (Change(None, change.entry, change.revision, cluster) for change in self._come(cluster))
        return [*batch, Bookmark(event.revision)] if before != after else ()

    def _step(self, event: CacheEvent, now: Entry | None) -> None:
        name = either(event).name
        if not _is_record(either(event)):
            if now is None:
                self._copies.pop(name, None)
            else:
                self._copies[name] = now
        elif now is not None and self._view.shows(found := consumer_of(now)):
            self._consumers[name] = found
        else:
            self._consumers.pop(name, None)

    def _come(self, cluster: str) -> Iterator[Change]:
        """The copies, in order, as they come to a consumer's workspace."""
        for _, entry in sorted(self._copies.items()):
            yield from selected(self._match, Change(entry, None, entry.revision, cluster))


def _is_record(entry: Entry) -> bool:
    return entry.prefix.startswith(b'{"apiVersion":"cache.kcp.io/')


def _page(
    consumers: Sequence[str], entries: Sequence[Entry], start: str, revision: int, options: ListOptions
) -> Listing:
    """One page of all entries for each consumer; ``start`` is ``consumer/name``."""
    first, _, rest = start.partition("/")
    segments: list[Segment] = []
    room = options.limit or len(consumers) * len(entries)
    for index, cluster in enumerate(consumers):
        if cluster < first:
            continue
        own = [entry for entry in entries if cluster != first or entry.name >= rest]
        segments.append(Segment(own[:room], cluster))
        room -= min(room, len(own))
        if len(segments[-1].entries) < len(own) or (room == 0 and options.limit and index + 1 < len(consumers)):
            left = len(own) - len(segments[-1].entries) + (len(consumers) - index - 1) * len(entries)
            selected = bool(options.label_selector or options.field_selector)
            onward = own[len(segments[-1].entries)].name if len(segments[-1].entries) < len(own) else ""
            token = f"{cluster}/{onward}" if onward else f"{consumers[index + 1]}/"
            return Listing(segments, revision, encode_continue(revision, token, _TOKENS), None if selected else left)
    return Listing(segments, revision)
