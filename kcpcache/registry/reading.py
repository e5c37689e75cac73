"""Get, list and watch of one resource out of its watch cache, for every view that shows a cache's entries.

The rules of resourceVersion, resourceVersionMatch, limit and continue follow the table in the Kubernetes API concepts.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TypeAlias

from kcpcache.meta.errors import (
    BadRequestError,
    ExpiredError,
    InternalError,
    ServiceUnavailableError,
    StatusCause,
    StatusError,
    TimeoutStatusError,
    not_found,
    qualified_resource,
)
from kcpcache.meta.names import api_version
from kcpcache.registry.beside import LIGHT_BYTES, computed
from kcpcache.registry.cache_watch import CacheWatch, Entries, Events
from kcpcache.registry.caches import SUBSCRIPTION_EVENTS, CacheEvent, Caches, ResourceCache
from kcpcache.registry.continue_tokens import FOREIGN_KEY, decode_continue, encode_continue
from kcpcache.registry.converted_match import ConvertedMatch
from kcpcache.registry.entry import Entry, encode, entry_of
from kcpcache.registry.field_match import FieldMatch, Match, metadata_fields
from kcpcache.registry.pauses import Slices
from kcpcache.registry.resource import ResourceDefinition, ServedVersion
from kcpcache.registry.settling import UNSETTLED
from kcpcache.registry.shelf import Block, key_of, loose
from kcpcache.registry.view import WILDCARD, Item, Listing, ListOptions, Segment
from kcpcache.storage.store import CompactedError, Event, Revision, StoredEntry, StoreError

FUTURE_REVISION_SECONDS = 3.0
_PAGE = 1000
_PAUSE_EVERY = 16
_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


@lru_cache(maxsize=4096)
def _opening(version: str) -> bytes:
    """How the stored form of an object in that ``apiVersion`` begins."""
    return b'{"apiVersion":"%b",' % version.encode()


Blocks: TypeAlias = list[Block]
Segments: TypeAlias = list[Segment]


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
        self.api_version = api_version(definition.group, version.name)
        self._own = _opening(self.api_version)
        self._showing = definition.showing(version)
        self.token = UNSETTLED if self._showing is None else self._showing.token
        """That of entries that are shown as they are; no entry's where nothing is settled."""
        self.settles = self._showing is not None
        self.asks = definition.conversion is not None
        """Whether objects are converted before they are selected by fields, since a webhook converts them."""
        self.shares = type(self) is Reader
        """Whether another reader of the same scope and definition, in the same version and cluster, shows the same."""

    def show_as_stored(self) -> None:
        """Settle and convert nothing, whatever the definition says: for readers that adapt in a way of their own."""
        self._showing, self.token, self.settles, self.asks = None, UNSETTLED, False, False

    def adapt(self, entry: Entry) -> Entry:
        """The entry in this reader's version, settled; in its own version where only a webhook could convert it.

        What is not known is found out at once, however large it is. Where it has been waited, others may have looked
        since, and what ``settle`` gave is to be used instead.
        """
        if entry.memo is self.token:
            return entry
        if self._showing is not None:
            return self._showing.shown(entry)
        if entry.prefix.startswith(self._own) or self.definition.conversion is not None:
            return entry
        if self.definition.convert is None:
            return entry.as_version(self.api_version)
        value = encode(self.definition.convert(entry.object(), self.api_version))
        at = {"cluster": entry.cluster, "namespace": entry.namespace, "name": entry.name}
        return entry_of(value, **at, revision=entry.revision)

    async def settle(self, entries: Iterable[Entry], slices: Slices | None = None) -> Entries:
        """What ``adapt`` makes of the entries; found out where it is not known, as after a start or a change.

        Others are served in between, and large objects are looked at beside the event loop.
        """
        showing, token = self._showing, self.token
        slices = slices or Slices()
        found: Entries = []
        for index, entry in enumerate(entries, 1):
            looked_at = False
            if entry.memo is token:
                found.append(entry)
            elif showing is None:
                found.append(self.adapt(entry))
            else:
                settling = showing.of(entry)
                shown = settling.known(entry)
                looked_at = shown is None
                if shown is None:
                    weight = settling.weight(entry)
                    light = weight <= LIGHT_BYTES
                    shown = settling.shown(entry) if light else await computed(weight, settling.shown, entry)
                found.append(shown)
            if (looked_at or not index % _PAUSE_EVERY) and slices.over:
                await slices.pause()
        return found

    def at_once(self, namespace: str, name: str) -> Item | None:
        """What ``get`` would say, where the entry is there. Not to wait is right: no write is answered unseen."""
        entry = self.cache.get(self.scope, name, namespace)
        if entry is None:
            return None
        showing = self._showing
        if showing is not None and entry.memo is not self.token:
            settling = showing.of(entry)
            if settling.weight(entry) > LIGHT_BYTES and settling.known(entry) is None:
                return None
        return Item(self.adapt(entry), self.seen_in)

    async def get(self, namespace: str, name: str, resource_version: str = "") -> Item:
        """The entry. Raises NotFoundError, InternalError."""
        await self.wait(resource_version)
        entry = self.cache.get(self.scope, name, namespace)
        if entry is None:
            raise self.missing(namespace, name)
        if self.settles and entry.memo is not self.token:
            (entry,) = await self.settle((entry,))
            return Item(entry, self.seen_in)
        return Item(self.adapt(entry), self.seen_in)

    def missing(self, namespace: str, name: str) -> StatusError:
        """Why there is no entry: there is none, or what is stored cannot be read (damaged, or not to be decrypted)."""
        group, plural = self.definition.group, self.definition.plural
        if self.cache.is_unreadable(self.scope, name, namespace):
            where = qualified_resource(group, plural)
            return InternalError(
                f'{where} "{name}" cannot be read: its stored value is damaged, or not to be decrypted'
            )
        return not_found(group, plural, name)

    async def list(self, options: ListOptions) -> Listing:
        """The entries that match, at one revision. Raises ExpiredError, BadRequestError, TimeoutStatusError."""
        match = self.matcher(options)
        if options.continue_token:
            revision, start = await self._continued(options.continue_token)
        else:
            await self.wait(options.resource_version)
            revision, start = (int(options.resource_version) if _exact(options) else self.caches.revision), ""
        if self._unchanged_since(revision, options.namespace):
            blocks = self._lend(options.namespace, start)
            if match is None:
                return await self._whole(blocks, revision, options)
            entries = [entry for block in blocks for entry in block.entries]
            found, at = await self._page(entries, match, options.limit)
            return self._listing(found, entries, at, revision, options)
        return await self._list_at(revision, start, match, options)

    async def _continued(self, token: str) -> tuple[int, str]:
        """Where a continue token goes on: the revision and the first key."""
        revision, start = decode_continue(token, str(self.definition.group_resource))
        await self.caches.fresh()
        if revision > self.caches.revision:
            raise BadRequestError(FOREIGN_KEY)
        # The token of an expired list goes on with the newest state.
        return (self.caches.revision if revision < 0 else revision), start

    def matcher(self, options: ListOptions) -> Match | None:
        """A predicate for the selectors, None where there are none. Raises BadRequestError for an unknown field."""
        labels, fields = options.label_selector, options.field_selector
        if not labels and not fields:
            return None
        known = {"metadata.name", "metadata.namespace", *self._selectable()}
        for requirement in fields.requirements:
            if requirement.path not in known:
                raise self._unknown_field(requirement.path)
        if not fields:
            return lambda entry: labels.matches(entry.labels)
        if fields.metadata_only:
            return lambda entry: labels.matches(entry.labels) and fields.matches(metadata_fields(entry))
        return (ConvertedMatch if self.asks else FieldMatch)(self, labels, fields)

    def _selectable(self) -> Mapping[str, str]:
        return self.version.selectable_fields if self.asks else self.definition.selectable_in(self.version)

    def _unknown_field(self, path: str) -> BadRequestError:
        """In kube's two ways: of types that have fields of their own to select by (or could have), and of others."""
        if self.definition.origin != "builtin" or self.version.selectable_fields:
            return BadRequestError(f"field label not supported: {path}")
        return BadRequestError(f'"{path}" is not a known field selector: only "metadata.name", "metadata.namespace"')

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

    def _unchanged_since(self, revision: int, namespace: str) -> bool:
        """Whether the cache shows what a list of ``namespace`` at ``revision`` would."""
        since = self.cache.recent(revision) if revision <= self.caches.revision else None
        return since is not None and not any(self._concerns(event, namespace) for event in since)

    def _concerns(self, event: CacheEvent, namespace: str) -> bool:
        one = event.entry or event.previous
        return self.scope in {WILDCARD, event.cluster} and (not namespace or one is None or one.namespace == namespace)

    def _entries(self, namespace: str, start: str) -> Entries:
        return [entry for block in self._lend(namespace, start) for entry in block.entries]

    def _lend(self, namespace: str, start: str) -> Blocks:
        """What the cache has of the scope, in order, as it is now."""
        if self.scope != WILDCARD:
            shelf = self.cache.shelves.get(self.scope)
            return shelf.lend(namespace, start) if shelf else []
        first, _, rest = start.partition("/")
        found: Blocks = []
        for cluster in self.cache.clusters():
            if f"{cluster}/" >= f"{first}/":
                found += self.cache.shelves[cluster].lend(namespace, rest if cluster == first else "")
        return found

    async def _page(self, entries: Entries, match: Match | None, limit: int) -> tuple[Entries, int]:
        """What matches, settled, ``limit`` at the most; and the index of the first entry that was not looked at."""
        if isinstance(match, FieldMatch):
            return await match.page(entries, limit)
        if match is None:
            at = limit if 0 < limit < len(entries) else len(entries)
            return await self.settle(entries[:at]), at
        found: list[Entry] = []
        slices = Slices()
        at = len(entries)
        for first in range(0, len(entries), _PAUSE_EVERY):
            if slices.over:
                await slices.pause()
            few = enumerate(entries[first : first + _PAUSE_EVERY], first)
            matching = [(index, entry) for index, entry in few if match(entry)]
            room = limit - len(found) if limit else len(matching)
            found += [entry for _, entry in matching[:room]]
            if len(matching) > room:
                at = matching[room][0]
                break
        return await self.settle(found, slices), at

    def _listing(self, found: Entries, entries: Entries, at: int, revision: int, options: ListOptions) -> Listing:
        """``found``, settled, as a listing, which goes on with ``entries`` from index ``at``."""
        token, remaining = "", None
        if at < len(entries):
            token = self._token(revision, self._position(entries[at]))
            if not options.label_selector and not options.field_selector:
                remaining = len(entries) - at
        unreadable = self.cache.count_unreadable(self.scope, options.namespace)
        return Listing((Segment(found, self.seen_in),), revision, token, remaining, unreadable)

    async def _whole(self, blocks: Blocks, revision: int, options: ListOptions) -> Listing:
        """A page of everything in ``blocks``."""
        page, following = _first(blocks, options.limit) if options.limit else (blocks, None)
        token, remaining = "", None
        if following is not None:
            token = self._token(revision, self._position(following))
            remaining = sum(len(block.entries) for block in blocks) - options.limit
        unreadable = self.cache.count_unreadable(self.scope, options.namespace)
        return Listing(await self._shown(page), revision, token, remaining, unreadable)

    async def _shown(self, blocks: Blocks) -> Sequence[Segment]:
        segments: Segments = []
        others: Entries = []
        slices = Slices()
        for block in blocks:
            if slices.over:
                await slices.pause()
            as_they_are = self._as_they_are(block)
            shown = block.entries
            if not as_they_are:
                shown = await self.settle(block.entries, slices)
                as_they_are = self._showing is not None and self._as_they_are(block)
            if not as_they_are and self.definition.conversion is not None:
                others += shown  # the fewer calls to the webhook, the better
                continue
            if others:
                segments.append(Segment(others, self.seen_in))
                others = []
            segments.append(Segment(shown, self.seen_in, block if as_they_are else None))
        return [*segments, Segment(others, self.seen_in)] if others else segments

    def _as_they_are(self, block: Block) -> bool:
        """Whether ``adapt`` would change nothing, and nothing after it."""
        return block.all_begin_with(self._own) if self._showing is None else block.all_settled(self.token)

    def _position(self, entry: Entry) -> str:
        return f"{entry.cluster}/{key_of(entry)}" if self.scope == WILDCARD else key_of(entry)

    def _token(self, revision: int, start: str) -> str:
        return encode_continue(revision, start, str(self.definition.group_resource))

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
            except StoreError as error:
                raise ServiceUnavailableError(f"the store cannot be read: {error}") from None
            entries = self._decode_all(page.entries)
            filtered = self.scope == WILDCARD and bool(options.namespace)
            if filtered:
                entries = [entry for entry in entries if entry.namespace == options.namespace]
            more, at = await self._page(entries, match, options.limit - len(found) if options.limit else 0)
            found += more
            following = page.next_start
            if at < len(entries):
                following = base + self._position(entries[at])
            elif following is not None and (not options.limit or len(found) < options.limit):
                continue
            token = self._token(revision, following.removeprefix(base)) if following else ""
            remaining = page.remaining if following and not filtered and match is None else None
            return Listing((Segment(found, self.seen_in),), revision, token, remaining)

    def _expired(self, revision: int, start: str, options: ListOptions) -> ExpiredError:
        if options.continue_token:
            return ExpiredError(_TOO_OLD, continue_token=self._token(-1, start))
        return ExpiredError(f"The resourceVersion for the provided list is too old: {revision}")

    def _decode_all(self, found: Iterable[StoredEntry]) -> Entries:
        """The entries that can be read: as when the caches load them, one that is damaged does not hide the others."""
        entries = []
        for stored in found:
            with contextlib.suppress(ValueError, RecursionError):
                entries.append(self._decode(stored))
        return entries

    def _decode(self, stored: StoredEntry) -> Entry:
        """The entry of a stored value: the one in the cache, of which more is known, if it is still the newest."""
        cluster, _, rest = stored.key.removeprefix(self.cache.prefix).partition("/")
        namespace, _, name = rest.rpartition("/")
        live = self.cache.get(cluster, name, namespace)
        if live is not None and live.revision == stored.revision:
            return live
        return entry_of(stored.value, cluster=cluster, namespace=namespace, name=name, revision=stored.revision)

    async def watch(self, options: ListOptions) -> "CacheWatch":
        """Changes from ``options.resource_version`` on. Raises ExpiredError, BadRequestError."""
        match = self.matcher(options)
        resource_version = options.resource_version
        initial = options.send_initial_events
        if initial is None:
            initial = resource_version in {"", "0"}
        await self.wait(resource_version)
        watch = CacheWatch(self, match, options.namespace)
        if initial:
            watch.begin_with(self._entries(options.namespace, ""), bookmark=options.send_initial_events is True)
        elif resource_version not in {"", "0"}:
            after = int(resource_version)
            try:
                watch.replay(await self.history(after, self.caches.revision), after)
            except BaseException:
                watch.close()
                raise
        return watch

    async def history(self, after: int, until: int) -> Events:
        """The scope's events above ``after`` and up to ``until``, which the caches have reached.

        Raises ExpiredError, and ServiceUnavailableError at shutdown.
        """
        recent = self.cache.recent(after)
        if recent is not None:
            return [event for event in recent if event.revision <= until and self.scope in {WILDCARD, event.cluster}]
        prefix = self.cache.prefix if self.scope == WILDCARD else f"{self.cache.prefix}{self.scope}/"
        found: Events = []
        events = self.caches.store.watch(prefix, after=Revision(after))
        try:
            async with contextlib.aclosing(events):  # type: ignore[type-var]
                async for event in events:
                    if event.revision > until or (not isinstance(event, Event) and event.revision == until):
                        return found
                    if isinstance(event, Event):
                        found.append(self._cache_event(event))
                    if len(found) > SUBSCRIPTION_EVENTS:
                        raise ExpiredError(f"too old resource version: {after} (too much has happened since)")
        except (StoreError, ValueError):  # the history is gone, or damaged
            raise ExpiredError(f"too old resource version: {after}") from None
        raise ServiceUnavailableError("the server is shutting down")

    def _cache_event(self, event: Event) -> CacheEvent:
        previous = None if event.previous is None else self._decode(event.previous)
        entry = None
        if event.value is not None:
            entry = self._decode(StoredEntry(event.key, event.value, event.revision))
        one = entry or previous
        return CacheEvent(event.revision, one.cluster if one else "", entry, previous)


def _first(blocks: Blocks, limit: int) -> tuple[Blocks, Entry | None]:
    """Blocks with the first ``limit`` entries of ``blocks``, and the entry that follows."""
    page: Blocks = []
    for block in blocks:
        if len(block.entries) > limit:
            return (page + loose(block.entries[:limit]) if limit else page), block.entries[limit]
        page.append(block)
        limit -= len(block.entries)
    return page, None


def too_large(asked: int, current: int) -> TimeoutStatusError:
    """What kube-apiserver says of a resourceVersion that it has not reached."""
    cause = StatusCause("ResourceVersionTooLarge", "Too large resource version")
    text = f"Timeout: Too large resource version: {asked}, current: {current}"
    return TimeoutStatusError(text, causes=[cause], retry_after_seconds=1)


def _exact(options: ListOptions) -> bool:
    """Whether a list is asked for as it was at its resourceVersion: by name, or because it is to be paged."""
    if options.resource_version_match:
        return options.resource_version_match == "Exact"
    return options.limit > 0 and options.resource_version not in {"", "0"}
