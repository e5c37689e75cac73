"""The watch caches: everything that a store holds, encoded, in key order, current by one watch of the whole.

``Caches`` owns the one task that reads the store's watch and hands each event, in revision order, to the cache of
its resource. Whatever has to agree with what the caches show (indexes, subscriptions) is told in the same step, so
nobody on the event loop ever sees one without the other. Only the event loop may touch any of this.
"""

import asyncio
import contextlib
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator

import msgspec
import structlog

from kcpcache.registry.entry import Entry, entry_of
from kcpcache.storage.store import Event, Progress, Revision, Store, StoreError

log = structlog.get_logger(__name__)

RING_EVENTS = 4096
SUBSCRIPTION_EVENTS = 65_536
_LOAD_PAGE = 10_000


class CacheEvent(msgspec.Struct, gc=False, frozen=True, eq=False):
    """One change: ``entry`` None is a delete (``previous`` keeps its old revision), ``previous`` None a create."""

    revision: int
    cluster: str
    entry: Entry | None
    previous: Entry | None


class Shelf:
    """The entries of one resource in one logical cluster, in key order (``namespace/name`` or ``name``)."""

    __slots__ = ("_entries", "_keys", "_order")

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._keys: list[str] = []
        self._order: list[Entry] = []

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> Entry | None:
        """The entry of ``namespace/name`` or ``name``."""
        return self._entries.get(key)

    def put(self, key: str, entry: Entry) -> Entry | None:
        """Insert or replace; the replaced entry."""
        at = bisect_left(self._keys, key)
        previous = self._entries.get(key)
        self._entries[key] = entry
        if previous is None:
            self._keys.insert(at, key)
            self._order.insert(at, entry)
        else:
            self._order[at] = entry
        return previous

    def pop(self, key: str) -> Entry | None:
        """Remove; the removed entry."""
        previous = self._entries.pop(key, None)
        if previous is not None:
            at = bisect_left(self._keys, key)
            del self._keys[at], self._order[at]
        return previous

    def snapshot(self, namespace: str = "", start: str = "") -> list[Entry]:
        """The entries of ``namespace`` ("" means all) from key ``start`` on: a list of the caller's own."""
        low = max(start, f"{namespace}/") if namespace else start
        first = bisect_left(self._keys, low) if low else 0
        last = bisect_left(self._keys, f"{namespace}0") if namespace else len(self._keys)
        return self._order[first:last]


class Subscription:
    """A bounded queue of events for one reader; ended, never skipped, when it runs full."""

    def __init__(self, limit: int = SUBSCRIPTION_EVENTS) -> None:
        self._limit = limit
        self._events: deque[CacheEvent] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._sources: list[tuple[ResourceCache, str]] = []
        self.overrun = False
        self.closed = False

    def attach(self, cache: "ResourceCache", cluster: str) -> None:
        """Also receive the events of ``cache`` in ``cluster`` (``*``: in all), from the next one on."""
        cache.subscriptions.setdefault(cluster, []).append(self)
        self._sources.append((cache, cluster))

    def push(self, event: CacheEvent) -> None:
        """Called by the caches."""
        if len(self._events) >= self._limit:
            self.overrun = True
            self.close()
            return
        self._events.append(event)
        self._wake()

    async def drain(self, timeout_seconds: float | None = None) -> list[CacheEvent]:
        """What has come, waiting for something if there is nothing. Empty after the timeout or once closed."""
        if not self._events and not self.closed:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await asyncio.wait_for(self._waiter, timeout_seconds)
            except TimeoutError:
                return []
            finally:
                self._waiter = None
        return self.take()

    def take(self) -> list[CacheEvent]:
        """What has come, without waiting."""
        events = list(self._events)
        self._events.clear()
        return events

    @property
    def idle(self) -> bool:
        """Whether everything that was pushed has been taken."""
        return not self._events

    def close(self) -> None:
        """Receive nothing more, and wake the reader."""
        if not self.closed:
            self.closed = True
            for cache, cluster in self._sources:
                cache.unsubscribe(cluster, self)
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class ResourceCache:
    """All objects of one resource (one storage prefix), over all logical clusters, and its recent events."""

    def __init__(self, prefix: str, loaded_at: int) -> None:
        self.prefix = prefix
        self.shelves: dict[str, Shelf] = {}
        self.listeners: list[Callable[[CacheEvent], None]] = []
        self.subscriptions: dict[str, list[Subscription]] = {}
        self.ring: deque[CacheEvent] = deque()
        self.ring_after = loaded_at
        """The ring holds every event above this revision."""

    def get(self, cluster: str, name: str, namespace: str = "") -> Entry | None:
        """The live entry, or None."""
        shelf = self.shelves.get(cluster)
        return shelf.get(f"{namespace}/{name}" if namespace else name) if shelf else None

    def entries(self, cluster: str, namespace: str = "") -> list[Entry]:
        """The live entries of one logical cluster in key order."""
        shelf = self.shelves.get(cluster)
        return shelf.snapshot(namespace) if shelf else []

    def all_entries(self) -> Iterator[Entry]:
        """The live entries of all logical clusters, cluster by cluster in order of their names."""
        for cluster in sorted(self.shelves):
            yield from self.shelves[cluster].snapshot()

    def count(self, cluster: str) -> int:
        """How many live entries a logical cluster has: O(1)."""
        shelf = self.shelves.get(cluster)
        return len(shelf) if shelf else 0

    def __len__(self) -> int:
        return sum(len(shelf) for shelf in self.shelves.values())

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
        self.ring.append(event)
        if len(self.ring) > RING_EVENTS:
            self.ring_after = self.ring.popleft().revision
        for listener in self.listeners:
            listener(event)
        for scope in (cluster, "*"):
            for subscription in tuple(self.subscriptions.get(scope, ())):
                subscription.push(event)

    def load(self, key: str, revision: int, value: bytes) -> Entry | None:
        """Take in one entry that is not news: no event."""
        cluster, _, rest = key.partition("/")
        return self._store(cluster, rest, revision, value)[1]

    def _store(self, cluster: str, rest: str, revision: int, value: bytes | None) -> tuple[Entry | None, Entry | None]:
        shelf = self.shelves.get(cluster)
        if value is None:
            previous = shelf.pop(rest) if shelf else None
            if shelf is not None and not shelf:
                del self.shelves[cluster]
            return previous, None
        if shelf is None:
            shelf = self.shelves[cluster] = Shelf()
        namespace, _, name = rest.rpartition("/")
        entry = entry_of(value, cluster=cluster, namespace=namespace, name=name, revision=revision)
        return shelf.put(rest, entry), entry

    def unsubscribe(self, cluster: str, subscription: Subscription) -> None:
        """Called by the subscription."""
        found = self.subscriptions.get(cluster, [])
        if subscription in found:
            found.remove(subscription)
        if not found:
            self.subscriptions.pop(cluster, None)


def split_key(key: str) -> tuple[str, str]:
    """A storage key as (resource prefix with its final slash, the rest); ("", "") for keys of another kind."""
    steps = 4 if key.startswith("/registry/") else 6 if key.startswith("/cache/") else 0
    at = -1
    for _ in range(steps):
        at = key.find("/", at + 1)
        if at < 0:
            return "", ""
    return (key[: at + 1], key[at + 1 :]) if steps else ("", "")


class Caches:
    """The caches of one store. ``start`` loads everything, ``close`` ends all subscriptions."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.revision = 0
        self._caches: dict[str, ResourceCache] = {}
        self._cache_listeners: list[Callable[[ResourceCache], None]] = []
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None
        self.closed = False

    def of(self, prefix: str) -> ResourceCache:
        """The cache of a resource prefix (``/registry/core/configmaps/``); empty where nothing is stored under it."""
        cache = self._caches.get(prefix)
        if cache is None:
            cache = self._caches[prefix] = ResourceCache(prefix, self.revision)
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
        """Stop following; every subscription is closed, every waiter released. Idempotent."""
        self.closed = True
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self.end_subscriptions()
        for _, waiter in self._waiters:
            waiter.cancel()

    async def failed(self) -> None:
        """Runs as long as the store is followed; raises what ended that."""
        if self._task is not None:
            await asyncio.shield(self._task)

    def end_subscriptions(self) -> None:
        """Close every open watch; their readers end cleanly."""
        for cache in self.known():
            for subscriptions in tuple(cache.subscriptions.values()):
                for subscription in tuple(subscriptions):
                    subscription.close()

    async def fresh(self) -> None:
        """Return once the caches show every write that was acknowledged before the call."""
        await self.reached(await self.store.revision())

    async def reached(self, revision: int) -> None:
        """Return once the caches show everything up to ``revision``."""
        if self.revision >= revision:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append((revision, waiter))
        await waiter

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
        while not self.closed:
            try:
                events = self.store.watch("/", after=Revision(self.revision))
                async with contextlib.aclosing(events):  # type: ignore[type-var]
                    async for event in events:
                        self._take(event)
            except StoreError as error:
                log.exception("the caches lost their watch and load anew", error=str(error))
                await self._reload()
            else:
                return

    def _take(self, event: Event | Progress) -> None:
        if isinstance(event, Event):
            prefix, rest = split_key(event.key)
            if prefix:
                self.of(prefix).apply(rest, event.revision, event.value)
        self.revision = event.revision
        if self._waiters:
            self._release()

    def _release(self) -> None:
        waiting = []
        for revision, waiter in self._waiters:
            if revision > self.revision:
                waiting.append((revision, waiter))
            elif not waiter.done():
                waiter.set_result(None)
        self._waiters = waiting

    async def _reload(self) -> None:
        """After a lost watch: open watches are ended as too old, and what changed is told to the listeners."""
        page = await self.store.list("/")
        live = {stored.key: stored for stored in page.entries}
        for cache in self.known():
            for subscriptions in tuple(cache.subscriptions.values()):
                for subscription in tuple(subscriptions):
                    subscription.overrun = True
                    subscription.close()
            gone = [(e.cluster, f"{e.namespace}/{e.name}" if e.namespace else e.name) for e in cache.all_entries()]
            for cluster, rest in gone:
                if f"{cache.prefix}{cluster}/{rest}" not in live:
                    cache.apply(f"{cluster}/{rest}", page.revision, None)
        for stored in page.entries:
            prefix, rest = split_key(stored.key)
            if prefix:
                cluster, _, key = rest.partition("/")
                shelf = self.of(prefix).shelves.get(cluster)
                known = shelf.get(key) if shelf else None
                if known is None or known.revision != stored.revision:
                    self.of(prefix).apply(rest, stored.revision, stored.value)
        for cache in self.known():
            cache.ring.clear()
            cache.ring_after = page.revision
        self.revision = page.revision
        self._release()
