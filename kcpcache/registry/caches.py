"""The watch caches: everything that a store holds, encoded, in key order, current by one watch of the whole.

``Caches`` owns the one task that reads the store's watch and hands each event, in revision order, to the cache of
its resource. Whatever has to agree with what the caches show (indexes, subscriptions) is told in the same step, so
nobody on the event loop ever sees one without the other. Only the event loop may touch any of this.
"""

import asyncio
import contextlib
import heapq
from collections import deque
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from itertools import count
from time import perf_counter
from typing import NamedTuple, Protocol

import msgspec
import structlog

from kcpcache.meta.errors import ServiceUnavailableError
from kcpcache.registry.entry import Entry, copy_entry, entry_of
from kcpcache.registry.kept import Kept
from kcpcache.registry.settling import Token
from kcpcache.registry.shelf import Shelf
from kcpcache.registry.subscription import Subscription
from kcpcache.registry.write_turns import WriteTurns
from kcpcache.storage.keys import CACHE
from kcpcache.storage.store import Event, Progress, Revision, Store, StoredEntry, StoreError

log = structlog.get_logger(__name__)

RING_EVENTS = 4096
RING_BYTES = 8 * 1024 * 1024
"""What the recent events of one resource may keep alive of old and deleted objects."""
_LOAD_PAGE = 10_000
_RELOAD_PAUSE_SECONDS = 1.0
_SLICE_SECONDS, _SLICE_IN_COMPANY_SECONDS = 0.001, 0.0002
"""How long events are taken in at a time: whoever waited for them goes on in the same round.

Shorter, what was committed together is taken apart so far that its next writes no longer share a commit, and a hundred
events wait for many rounds, of other requests each: that is worth it only where another user waits."""
_RELEASED_AT_ONCE = 4
"""How many who wait for what they wrote go on in a round of the event loop, while one user writes what is copied.

Each goes on for as long as it takes to take in a dozen events, so that the copies' events would wait behind the answers
to all others, and whoever watches them too. Where nothing is copied nobody would gain, and fewer writes share a commit.
"""
_COPIED_EVENTS = 256
"""For so many events after a copy's, there are copies to come."""


class CacheEvent(msgspec.Struct, gc=False, frozen=True, eq=False):
    """One change: ``entry`` None is a delete (``previous`` keeps its old revision), ``previous`` None a create."""

    revision: int
    cluster: str
    entry: Entry | None
    previous: Entry | None

    @property
    def weight(self) -> int:
        """About how many bytes of a replaced or deleted object the event keeps."""
        return len(self.previous.tail) if self.previous is not None else 0


class CopyInWriting(NamedTuple):
    """What the entry of a copy is made of. ``token``: that it is settled under, None where that is not known."""

    original: Entry
    token: Token | None


class ResourceCache:
    """All objects of one resource (one storage prefix), over all logical clusters, and its recent events."""

    def __init__(self, prefix: str, loaded_at: int, kept: Kept | None = None) -> None:
        self.prefix = prefix
        self._kept = Kept() if kept is None else kept
        self.shelves: dict[str, Shelf] = {}
        self.listeners: list[Callable[[CacheEvent], None]] = []
        self.subscriptions: dict[str, dict[Subscription, None]] = {}
        self._unreadable: set[str] = set()  # keys below the prefix
        self.settled: dict[int, Token] = {}
        """What is being written that needs no look when it comes back as an event: the token that it is settled under,
        by the ``id`` of the stored form. Its writer notes it, holds the bytes and takes the note back."""
        self.copied: dict[int, CopyInWriting] = {}
        """In the same way, copies whose originals are known, which need not be decoded when they come back."""
        self.ring: deque[CacheEvent] = deque()
        self.ring_after = loaded_at
        """The ring holds every event above this revision."""
        self._ring_bytes = self._size = 0

    def get(self, cluster: str, name: str, namespace: str = "") -> Entry | None:
        """The live entry, or None."""
        shelf = self.shelves.get(cluster)
        return None if shelf is None else shelf.get(f"{namespace}/{name}" if namespace else name)

    def is_unreadable(self, cluster: str, name: str, namespace: str = "") -> bool:
        """Whether there is an entry, but its stored value is no object (damaged, or not to be decrypted)."""
        return bool(self._unreadable) and f"{cluster}/{namespace}/{name}".replace("//", "/") in self._unreadable

    def count_unreadable(self, cluster: str, namespace: str = "") -> int:
        """How many such entries there are in a logical cluster (``*``: in all), in ``namespace`` if it is given."""
        if not self._unreadable:
            return 0
        keys = [key.split("/") for key in self._unreadable]
        return sum(key[0] == cluster or cluster == "*" for key in keys if not namespace or key[1] == namespace)

    def entries(self, cluster: str, namespace: str = "") -> list[Entry]:
        """The live entries of one logical cluster in key order."""
        shelf = self.shelves.get(cluster)
        return [] if shelf is None else shelf.snapshot(namespace)

    def all_entries(self) -> Iterator[Entry]:
        """The live entries of all logical clusters, in key order."""
        for cluster in self.clusters():
            yield from self.shelves[cluster].snapshot()

    def clusters(self) -> list[str]:
        """The logical clusters that have entries, in the order of their keys (``a-b/`` is before ``a/``)."""
        return sorted(self.shelves, key=_as_segment)

    def count(self, cluster: str) -> int:
        """How many live entries a logical cluster has: O(1)."""
        shelf = self.shelves.get(cluster)
        return len(shelf) if shelf else 0

    def __len__(self) -> int:
        return self._size

    def recent(self, after: int) -> list[CacheEvent] | None:
        """The events above ``after``; None where the ring does not reach back that far."""
        if after < self.ring_after:
            return None
        found = []
        for event in reversed(self.ring):
            if event.revision <= after:
                break
            found.append(event)
        found.reverse()
        return found

    def apply(self, key: str, revision: int, value: bytes | None) -> None:
        """Take in one event of the store; ``key`` is below the prefix: ``cluster[/namespace]/name``."""
        cluster, _, rest = key.partition("/")
        previous, entry = self._store(cluster, rest, revision, value)
        if previous is None and entry is None:
            return
        event = CacheEvent(revision, cluster, entry, previous)
        self._remember(event)
        for listener in self.listeners:
            listener(event)
        for scope in (cluster, "*"):
            for subscription in tuple(self.subscriptions.get(scope, ())):
                subscription.push(event)

    def _remember(self, event: CacheEvent) -> None:
        if not self.shelves:  # the last object went: what was there must not stay in memory
            self.forget(event.revision)
            return
        self.ring.append(event)
        self._ring_bytes += event.weight
        while len(self.ring) > RING_EVENTS or self._ring_bytes > RING_BYTES:
            oldest = self.ring.popleft()
            self._ring_bytes -= oldest.weight
            self.ring_after = oldest.revision

    def forget(self, revision: int) -> None:
        """Drop the recent events: whoever resumes at or before ``revision`` is served from the store's history."""
        self.ring.clear()
        self._ring_bytes = 0
        self.ring_after = revision

    def load(self, key: str, revision: int, value: bytes) -> Entry | None:
        """Take in one entry that is not news: no event."""
        cluster, _, rest = key.partition("/")
        return self._store(cluster, rest, revision, value)[1]

    def _store(self, cluster: str, rest: str, revision: int, value: bytes | None) -> tuple[Entry | None, Entry | None]:
        shelf = self.shelves.get(cluster)
        self._unreadable.discard(f"{cluster}/{rest}")
        entry = None if value is None else self._decode(cluster, rest, revision, value)
        if entry is None:
            previous = shelf.pop(rest) if shelf else None
            if shelf is not None and not shelf:
                del self.shelves[cluster]
            self._size -= previous is not None
            return previous, None
        if shelf is None:
            shelf = self.shelves[cluster] = Shelf(self._kept)
        previous = shelf.put(rest, entry)
        self._size += previous is None
        return previous, entry

    def _decode(self, cluster: str, rest: str, revision: int, value: bytes) -> Entry | None:
        namespace, _, name = rest.rpartition("/")
        copied = self.copied.get(id(value)) if self.copied else None
        if copied is not None:
            return copy_entry(copied.original, value, name=name, revision=revision, memo=copied.token)
        memo = self.settled.get(id(value))
        try:
            return entry_of(value, cluster=cluster, namespace=namespace, name=name, revision=revision, memo=memo)
        except (ValueError, RecursionError) as error:
            # Damage to one object (nothing of ours writes such a value) must not take all others down with it.
            key = f"{self.prefix}{cluster}/{rest}"
            log.exception("a stored value is no object; it is left out", key=key, error=str(error))
            self._unreadable.add(f"{cluster}/{rest}")
            return None

    def unsubscribe(self, cluster: str, subscription: Subscription) -> None:
        """Called by the subscription."""
        found = self.subscriptions.get(cluster)
        if found is not None:
            found.pop(subscription, None)
            if not found:
                del self.subscriptions[cluster]


def _as_segment(cluster: str) -> str:
    return f"{cluster}/"


def split_key(key: str) -> tuple[str, str]:
    """A storage key as (resource prefix with its final slash, the rest); ("", "") for keys of another kind."""
    steps = 4 if key.startswith("/registry/") else 6 if key.startswith("/cache/") else 0
    at = -1
    for _ in range(steps):
        at = key.find("/", at + 1)
        if at < 0:
            return "", ""
    return (key[: at + 1], key[at + 1 :]) if steps else ("", "")


class Company(Protocol):
    """Tells by ``together``, which is 0 where nobody else is there, whether several users are being served."""

    together: int


class _Alone:
    """See ``Company``."""

    together = 0


class Caches:
    """The caches of one store. ``start`` loads everything, ``close`` ends all subscriptions."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.revision = 0
        self.kept = Kept()
        """What lists have joined, and may use again."""
        self.company: Company = _Alone()
        """Who is served: where there are several, each shall wait less for what others have written."""
        self.write_turns = WriteTurns()
        """Of large updates, by storage key."""
        self._caches: dict[str, ResourceCache] = {}
        self._latest: ResourceCache | None = None  # that of the last event: many of one resource follow each other
        self._cache_listeners: list[Callable[[ResourceCache], None]] = []
        self._waiters: list[tuple[int, int, asyncio.Future[None]]] = []  # a heap by revision, then by arrival
        self._arrivals = count()
        self._copied = 0  # for how many events from now on there are copies to come
        self._room = _RELEASED_AT_ONCE  # in this round of the event loop
        self._next_release: asyncio.Handle | None = None
        self._task: asyncio.Task[None] | None = None
        self.closed = False

    def of(self, prefix: str) -> ResourceCache:
        """The cache of a resource prefix (``/registry/core/configmaps/``); empty where nothing is stored under it."""
        cache = self._caches.get(prefix)
        if cache is None:
            cache = self._caches[prefix] = ResourceCache(prefix, self.revision, self.kept)
            for listener in self._cache_listeners:
                listener(cache)
        return cache

    def known(self) -> Iterable[ResourceCache]:
        """Every cache there is."""
        return tuple(self._caches.values())

    def on_new_cache(self, listener: Callable[[ResourceCache], None]) -> None:
        """Call ``listener`` with every cache there is and, before its first event, with every new one."""
        self._cache_listeners.append(listener)
        for cache in self.known():
            listener(cache)

    async def start(self) -> None:
        """Load the store and follow it. Raises StoreError."""
        await self._load()
        self._task = asyncio.create_task(self._follow(), name="caches")

    async def close(self) -> None:
        """Stop following; every subscription is closed, every waiter is told. Idempotent."""
        self.closed = True
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self.end_subscriptions()
        self._give_up()

    async def failed(self) -> None:
        """Runs as long as the store is followed; raises what ended that."""
        if self._task is not None:
            await asyncio.shield(self._task)

    def end_subscriptions(self) -> None:
        """Close every open watch; their readers end cleanly."""
        for subscription in self._subscriptions():
            subscription.close()

    def _subscriptions(self) -> list[Subscription]:
        return [one for cache in self.known() for found in cache.subscriptions.values() for one in found]

    async def fresh(self) -> None:
        """Return once the caches show every write acknowledged before the call. Raises ServiceUnavailableError."""
        try:
            revision = await self.store.revision()
        except StoreError as error:
            raise ServiceUnavailableError(f"the store cannot be read: {error}") from None
        await self.reached(revision)

    async def reached(self, revision: int) -> None:
        """Return once the caches show everything up to ``revision``. Raises ServiceUnavailableError once closed."""
        if self.revision >= revision:
            return
        if self.closed:
            raise _closing()
        waiter = asyncio.get_running_loop().create_future()
        item = (revision, next(self._arrivals), waiter)
        heapq.heappush(self._waiters, item)
        try:
            await waiter
        except asyncio.CancelledError:
            # Nobody may ever reach the revision: without this, each such question would be remembered for ever.
            if item in self._waiters:
                self._waiters.remove(item)
                heapq.heapify(self._waiters)
            raise

    def _give_up(self) -> None:
        for revision, _, waiter in self._waiters:
            if waiter.done():
                continue
            if revision <= self.revision:  # it is there, and was only waiting for room
                waiter.set_result(None)
            else:
                waiter.set_exception(_closing())
        self._waiters.clear()

    async def _load(self) -> None:
        page = await self.store.list("/", limit=_LOAD_PAGE)
        revision = page.revision
        self.revision = revision
        while True:
            for stored in page.entries:
                prefix, rest = split_key(stored.key)
                if prefix:
                    self.of(prefix).load(rest, stored.revision, stored.value)
            if page.next_start is None:
                return
            page = await self.store.list("/", revision=revision, limit=_LOAD_PAGE, start=page.next_start)

    async def _follow(self) -> None:
        lost = False
        while not self.closed:
            try:
                if lost:
                    await self._reload()
                    lost = False
                events = self.store.watch("/", after=Revision(self.revision))
                async with contextlib.aclosing(events):  # type: ignore[type-var]
                    await self._take_all(events)
            except StoreError as error:
                log.exception("the caches lost their watch and load anew", error=str(error))
                if lost:  # the store cannot be read either: reads that need it fail meanwhile
                    await asyncio.sleep(_RELOAD_PAUSE_SECONDS)
                lost = True
            else:
                self.closed = True  # the store was closed: nobody will be told of anything any more
                self._give_up()
                return

    async def _take_all(self, events: AsyncIterable[Event | Progress]) -> None:
        """Many come at once, and each wakes whoever waits for it: others are served in between."""
        spent = 0.0
        async for event in events:
            began = perf_counter()
            self._take(event)
            spent += perf_counter() - began
            if spent > _SLICE_SECONDS or (spent > _SLICE_IN_COMPANY_SECONDS and self.company.together):
                spent = 0.0
                await asyncio.sleep(0)

    def _take(self, event: Event | Progress) -> None:
        if isinstance(event, Event):
            key, cache = event.key, self._latest
            if cache is None or not key.startswith(cache.prefix):
                prefix, _ = split_key(key)
                cache = self._latest = self.of(prefix) if prefix else None
            if cache is not None:
                cache.apply(key[len(cache.prefix) :], event.revision, event.value)
            if key.startswith(CACHE):
                self._copied = _COPIED_EVENTS
            elif self._copied:
                self._copied -= 1
        self.revision = event.revision
        if self._waiters:
            self._release()

    def _release(self) -> None:
        """Let go on who waits for what is shown now."""
        waiters, revision = self._waiters, self.revision
        limited = self._copied and not self.company.together
        while waiters and waiters[0][0] <= revision and (self._room or not limited):
            waiter = heapq.heappop(waiters)[2]
            if not waiter.done():
                waiter.set_result(None)
                self._room -= bool(limited)
        if not self._room and self._next_release is None:
            self._next_release = asyncio.get_running_loop().call_soon(self._release_more)

    def _release_more(self) -> None:
        self._next_release, self._room = None, _RELEASED_AT_ONCE
        self._release()

    async def _reload(self) -> None:
        """After a lost watch: open watches are ended as too old, and what changed is told to the listeners."""
        page = await self.store.list("/")
        for subscription in self._subscriptions():
            subscription.overrun = True
            subscription.close()
        live = {stored.key: stored for stored in page.entries}
        for cache in self.known():
            self._drop_gone(cache, live, page.revision)
        for stored in page.entries:
            prefix, rest = split_key(stored.key)
            if prefix:
                self._catch_up(self.of(prefix), rest, stored)
        for cache in self.known():
            cache.forget(page.revision)
        self.revision = page.revision
        self._release()

    @staticmethod
    def _drop_gone(cache: ResourceCache, live: dict[str, StoredEntry], revision: int) -> None:
        for entry in list(cache.all_entries()):
            key = (
                f"{entry.cluster}/{entry.namespace}/{entry.name}"
                if entry.namespace
                else f"{entry.cluster}/{entry.name}"
            )
            stored = live.get(cache.prefix + key)
            # A value under the same key may be another object by now: its creation needs a deletion before it.
            if stored is None or (stored.revision != entry.revision and entry.uid.encode() not in stored.value):
                cache.apply(key, revision, None)

    @staticmethod
    def _catch_up(cache: ResourceCache, key: str, stored: StoredEntry) -> None:
        cluster, _, rest = key.partition("/")
        shelf = cache.shelves.get(cluster)
        known = shelf.get(rest) if shelf else None
        if known is None or known.revision != stored.revision:
            cache.apply(key, stored.revision, stored.value)


def _closing() -> ServiceUnavailableError:
    return ServiceUnavailableError("the server is shutting down")
