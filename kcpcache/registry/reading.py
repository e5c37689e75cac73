"""Get, list and watch of one resource out of its watch cache, for every view that shows a cache's entries.

The rules of resourceVersion, resourceVersionMatch, limit and continue follow the table in the Kubernetes API concepts.
"""

import asyncio
import base64
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

import orjson

from kcpcache.meta.errors import BadRequestError, ExpiredError, StatusCause, TimeoutStatusError, not_found
from kcpcache.meta.names import api_version
from kcpcache.meta.objects import nested
from kcpcache.registry.caches import CacheEvent, Caches, ResourceCache, Subscription
from kcpcache.registry.entry import Entry, encode, entry_of
from kcpcache.registry.resource import ResourceDefinition, ServedVersion
from kcpcache.registry.view import WILDCARD, Bookmark, Item, Listing, ListOptions, Segment, WatchEvent
from kcpcache.storage.store import CompactedError, Event, Revision, StoredEntry

FUTURE_REVISION_SECONDS = 3.0
_PAGE = 1000
_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)

Match: TypeAlias = Callable[[Entry], bool]
Entries: TypeAlias = list[Entry]
Events: TypeAlias = list[CacheEvent]


class Reader:
    """Reads the entries of ``scope`` (a logical cluster, or ``*``) and shows them in ``seen_in`` (None: their own)."""

    def __init__(
        self,
        caches: Caches,
        cache: ResourceCache,
        definition: ResourceDefinition,
        version: ServedVersion,
        *,
        scope: str,
        seen_in: str | None = None,
    ) -> None:
        self.caches, self.cache = caches, cache
        self.definition, self.version = definition, version
        self.scope, self.seen_in = scope, seen_in
        self._api_version = api_version(definition.group, version.name)
        self._own = b'{"apiVersion":"%b",' % self._api_version.encode()

    def adapt(self, entry: Entry) -> Entry:
        """The entry in this reader's version; as it is where only a webhook could convert it."""
        if entry.prefix.startswith(self._own) or self.definition.conversion is not None:
            return entry
        if self.definition.convert is None:
            return entry.as_version(self._api_version)
        value = encode(self.definition.convert(entry.object(), self._api_version))
        at = {"cluster": entry.cluster, "namespace": entry.namespace, "name": entry.name}
        return entry_of(value, **at, revision=entry.revision)

    async def get(self, namespace: str, name: str, resource_version: str = "") -> Item:
        """The entry. Raises NotFoundError."""
        await self.wait(resource_version)
        entry = self.cache.get(self.scope, name, namespace)
        if entry is None:
            raise not_found(self.definition.group, self.definition.plural, name)
        return Item(self.adapt(entry), self.seen_in)

    async def list(self, options: ListOptions) -> Listing:
        """The entries that match, at one revision."""
        match = self.matcher(options)
        if options.continue_token:
            revision, start = decode_continue(options.continue_token)
            if revision < 0:  # the token of an expired list goes on with the newest state
                await self.caches.fresh()
                revision = self.caches.revision
        else:
            exact = options.resource_version_match == "Exact"
            await self.wait("" if exact else options.resource_version)
            revision, start = (int(options.resource_version) if exact else self.caches.revision), ""
        if self._unchanged_since(revision):
            found, remaining = self._page(self._entries(options.namespace, start), match, options.limit)
            return self._listing(found, remaining, revision, options)
        return await self._list_at(revision, start, match, options)

    def matcher(self, options: ListOptions) -> Match | None:
        """A predicate for the selectors, None where there are none. Raises BadRequestError for an unknown field."""
        labels, fields = options.label_selector, options.field_selector
        if not labels and not fields:
            return None
        known = {"metadata.name", "metadata.namespace", *self.version.selectable_fields}
        for requirement in fields.requirements:
            if requirement.path not in known:
                raise BadRequestError(
                    f'Unable to find "{self._api_version}, Resource={self.definition.plural}" that match label '
                    f'selector "", field selector "{requirement.path}={requirement.value}": field label not '
                    f"supported: {requirement.path}"
                )
        if not fields:
            return lambda entry: labels.matches(entry.labels)
        return lambda entry: labels.matches(entry.labels) and fields.matches(self._fields(entry, fields.metadata_only))

    def _fields(self, entry: Entry, metadata_only: bool) -> Mapping[str, str]:
        fields = {"metadata.name": entry.name, "metadata.namespace": entry.namespace}
        if not metadata_only:
            obj = self.adapt(entry).object()
            for label, path in self.version.selectable_fields.items():
                fields[label] = _field_text(nested(obj, *path.split(".")))
        return fields

    async def wait(self, resource_version: str) -> None:
        """Return once the caches are as new as asked for. Raises TimeoutStatusError for a revision too far ahead."""
        if resource_version == "0":
            return
        if not resource_version:
            await self.caches.fresh()
            return
        asked = int(resource_version)
        try:
            async with asyncio.timeout(FUTURE_REVISION_SECONDS):
                await self.caches.reached(asked)
        except TimeoutError:
            raise too_large(asked, self.caches.revision) from None

    def _unchanged_since(self, revision: int) -> bool:
        ring = self.cache.ring
        newest = ring[-1].revision if ring else self.cache.ring_after
        return newest <= revision <= self.caches.revision

    def _entries(self, namespace: str, start: str) -> Entries:
        if self.scope != WILDCARD:
            shelf = self.cache.shelves.get(self.scope)
            return shelf.snapshot(namespace, start) if shelf else []
        first, _, rest = start.partition("/")
        found: list[Entry] = []
        for cluster in sorted(self.cache.shelves):
            if cluster >= first:
                found += self.cache.shelves[cluster].snapshot(namespace, rest if cluster == first else "")
        return found

    @staticmethod
    def _page(entries: Sequence[Entry], match: Match | None, limit: int) -> tuple[Entries, Entries]:
        """What matches, ``limit`` at the most, and what was not looked at."""
        if match is None:
            return (list(entries[:limit]), list(entries[limit:])) if limit else (list(entries), [])
        found: list[Entry] = []
        for index, entry in enumerate(entries):
            if match(entry):
                if limit and len(found) == limit:
                    return found, list(entries[index:])
                found.append(entry)
        return found, []

    def _listing(self, found: Entries, rest: Entries, revision: int, options: ListOptions) -> Listing:
        selected = bool(options.label_selector or options.field_selector)
        token = encode_continue(revision, self._position(rest[0])) if rest else ""
        remaining = len(rest) if rest and not selected else None
        return Listing([Segment([self.adapt(e) for e in found], self.seen_in)], revision, token, remaining)

    def _position(self, entry: Entry) -> str:
        key = f"{entry.namespace}/{entry.name}" if entry.namespace else entry.name
        return f"{entry.cluster}/{key}" if self.scope == WILDCARD else key

    async def _list_at(self, revision: int, start: str, match: Match | None, options: ListOptions) -> Listing:
        """A page of the past, read from the store."""
        base = self.cache.prefix if self.scope == WILDCARD else f"{self.cache.prefix}{self.scope}/"
        prefix = f"{base}{options.namespace}/" if options.namespace and self.scope != WILDCARD else base
        following: str | None = f"{base}{start}" if start else None
        found: list[Entry] = []
        while True:
            try:
                page = await self.caches.store.list(
                    prefix, revision=Revision(revision), limit=options.limit or _PAGE, start=following
                )
            except CompactedError:
                raise self._expired(revision, start, options) from None
            entries = [self._decode(stored) for stored in page.entries]
            if self.scope == WILDCARD and options.namespace:
                entries = [entry for entry in entries if entry.namespace == options.namespace]
            more, rest = self._page(entries, match, options.limit - len(found) if options.limit else 0)
            found += more
            if rest:
                return self._listing(found, rest, revision, options)
            if page.next_start is None:
                return self._listing(found, [], revision, options)
            following = page.next_start
            if options.limit and len(found) == options.limit:
                listing = self._listing(found, [], revision, options)
                token = encode_continue(revision, following.removeprefix(base))
                remaining = None if match else page.remaining
                return Listing(listing.segments, revision, token, remaining)

    def _expired(self, revision: int, start: str, options: ListOptions) -> ExpiredError:
        if options.continue_token:
            return ExpiredError(_TOO_OLD, continue_token=encode_continue(-1, start))
        return ExpiredError(f"The resourceVersion for the provided list is too old: {revision}")

    def _decode(self, stored: StoredEntry) -> Entry:
        return _entry_below(self.cache.prefix, stored)

    async def watch(self, options: ListOptions) -> "CacheWatch":
        """Changes from ``options.resource_version`` on. Raises ExpiredError, BadRequestError."""
        match = self.matcher(options)
        resource_version = options.resource_version
        initial = options.send_initial_events
        if initial is None:
            initial = resource_version in {"", "0"}
        if initial or resource_version in {"", "0"}:
            await self.wait(resource_version)
            watch = CacheWatch(self, match, options.namespace)
            if initial:
                entries, _ = self._page(self._entries(options.namespace, ""), match, 0)
                watch.begin_with(entries, bookmark=options.send_initial_events is True)
            return watch
        return await self._resume(int(resource_version), match, options.namespace)

    async def _resume(self, after: int, match: Match | None, namespace: str) -> "CacheWatch":
        await self.wait(str(after))
        watch = CacheWatch(self, match, namespace)
        try:
            watch.replay(await self.history(after, self.caches.revision))
        except ExpiredError:
            watch.close()
            raise
        return watch

    async def history(self, after: int, until: int) -> Events:
        """The scope's events above ``after``, up to ``until``: the newest revision the caches show at the call.

        Raises ExpiredError.
        """
        recent = self.cache.recent(after)
        if recent is not None:
            return [event for event in recent if self.scope in {WILDCARD, event.cluster}]
        prefix = self.cache.prefix if self.scope == WILDCARD else f"{self.cache.prefix}{self.scope}/"
        found: Events = []
        events = self.caches.store.watch(prefix, after=Revision(after))
        try:
            async with contextlib.aclosing(events):  # type: ignore[type-var]
                async for event in events:
                    if isinstance(event, Event) and event.revision <= until:
                        found.append(self._cache_event(event))
                    elif event.revision >= until:
                        return found
        except CompactedError:
            raise ExpiredError(f"too old resource version: {after}") from None
        return found

    def _cache_event(self, event: Event) -> CacheEvent:
        previous = None if event.previous is None else self._decode(event.previous)
        entry = None
        if event.value is not None:
            entry = self._decode(StoredEntry(event.key, event.value, event.revision))
        one = entry or previous
        return CacheEvent(event.revision, one.cluster if one else "", entry, previous)


class CacheWatch:
    """A watch of a reader's scope, filtered by selectors and namespace. One reader (see ``view.Watch``)."""

    def __init__(self, reader: Reader, match: Match | None, namespace: str) -> None:
        self._reader, self._match, self._namespace = reader, match, namespace
        self._subscription = Subscription()
        self._subscription.attach(reader.cache, reader.scope)
        self._ready: list[WatchEvent | Bookmark] = []
        self._sent = reader.caches.revision

    def begin_with(self, entries: Sequence[Entry], *, bookmark: bool) -> None:
        """Deliver ``entries`` as ADDED first, then (``bookmark``) the mark that they were all."""
        adapt, seen_in = self._reader.adapt, self._reader.seen_in
        self._ready += [WatchEvent("ADDED", Item(adapt(entry), seen_in)) for entry in entries]
        if bookmark:
            self._ready.append(Bookmark(self._sent, initial=True))

    def replay(self, events: Iterable[CacheEvent]) -> None:
        """Deliver these past events first."""
        self._ready += [seen for event in events if (seen := self._seen(event)) is not None]

    async def next(self, timeout_seconds: float | None = None) -> Sequence[WatchEvent | Bookmark]:
        """See ``view.Watch``."""
        if self._ready:
            ready, self._ready = self._ready, []
            return ready
        events = await self._subscription.drain(timeout_seconds)
        if not events and self._subscription.closed:
            if self._subscription.overrun:
                raise ExpiredError("the watch fell behind and was ended: list and watch anew")
            raise StopAsyncIteration
        if self._subscription.idle:
            self._sent = self._reader.caches.revision
        return [seen for event in events if (seen := self._seen(event)) is not None]

    def bookmark(self) -> Bookmark:
        """See ``view.Watch``."""
        if not self._ready and self._subscription.idle:
            self._sent = self._reader.caches.revision
        return Bookmark(self._sent)

    def close(self) -> None:
        """See ``view.Watch``."""
        self._subscription.close()

    def _seen(self, event: CacheEvent) -> WatchEvent | None:
        """The event as this watch sees it (P7): entering the selector is ADDED, leaving it DELETED."""
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
        return Item(self._reader.adapt(entry), self._reader.seen_in)


def too_large(asked: int, current: int) -> TimeoutStatusError:
    """What kube-apiserver says of a resourceVersion that it has not reached."""
    cause = StatusCause("ResourceVersionTooLarge", "Too large resource version")
    text = f"Timeout: Too large resource version: {asked}, current: {current}"
    return TimeoutStatusError(text, causes=[cause], retry_after_seconds=1)


def _entry_below(prefix: str, stored: StoredEntry) -> Entry:
    cluster, _, rest = stored.key.removeprefix(prefix).partition("/")
    namespace, _, name = rest.rpartition("/")
    return entry_of(stored.value, cluster=cluster, namespace=namespace, name=name, revision=stored.revision)


def _field_text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def encode_continue(revision: int, start: str) -> str:
    """A token for the page that begins at key ``start`` of the snapshot at ``revision`` (negative: of the newest)."""
    token = orjson.dumps({"v": "meta.k8s.io/v1", "rv": revision, "start": start})
    return base64.urlsafe_b64encode(token).decode().rstrip("=")


def decode_continue(token: str) -> tuple[int, str]:
    """The inverse of ``encode_continue``. Raises BadRequestError."""
    try:
        found = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        revision, start = found["rv"], found["start"]
    except (ValueError, TypeError, KeyError):
        raise BadRequestError("continue key is not valid: it is not a token of this server") from None
    if (
        not isinstance(revision, int)
        or not isinstance(start, str)
        or revision == 0
        or found.get("v") != "meta.k8s.io/v1"
    ):
        raise BadRequestError("continue key is not valid: it is not a token of this server")
    return revision, start
