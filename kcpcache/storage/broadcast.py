"""The live fan-out of committed writes, and how a watch joins it after its history. Event loop only."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import NamedTuple, TypeAlias

from kcpcache.storage.store import Event, Progress, Revision, WatcherTooSlowError

WATCH_QUEUE_EVENTS = 16_384
"""How many events may wait for one watcher, unless a store is told otherwise."""


class History(NamedTuple):
    """Past events in order: all that the prefix has above the revision asked for, up to ``revision``."""

    events: Sequence[Event]
    revision: Revision


ReadHistory: TypeAlias = Callable[[str, Revision], Awaitable[History | None]]
"""``(prefix, after)`` → a chunk that reaches beyond ``after``, None once the store closes. CompactedError."""


class _Watcher:
    """One watch's queue of batches above ``after``; ``revision`` is how far the queue reaches."""

    __slots__ = ("_after", "_limit", "_waiter", "batches", "overflown", "pending", "prefix", "revision")

    def __init__(self, prefix: str, after: Revision, revision: Revision, limit: int) -> None:
        self.prefix = prefix
        self.revision = revision
        self._after = after
        self.batches: deque[Sequence[Event]] = deque()
        self.pending = 0
        self.overflown = False
        self._limit = limit
        self._waiter: asyncio.Future[None] | None = None

    def offer(self, events: Sequence[Event], revision: Revision) -> None:
        if events and events[0].revision <= self._after:
            events = [event for event in events if event.revision > self._after]
        if self.prefix:
            prefix = self.prefix
            events = [event for event in events if event.key.startswith(prefix)]
        # One batch always fits: a watcher that keeps up is not ended for the size of a transaction.
        if self.pending and self.pending + len(events) > self._limit:
            self.overflown = True
            self.batches.clear()
        elif events:
            self.batches.append(events)
            self.pending += len(events)
        self.revision = max(self.revision, revision)
        self.wake()

    def take(self) -> Sequence[Event]:
        """The next batch; empty when there is none."""
        if not self.batches:
            return ()
        batch = self.batches.popleft()
        self.pending -= len(batch)
        return batch

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None


class Broadcast:
    """Hands each committed batch to every watcher whose prefix it touches, and moves all of them on.

    A whole-store watcher costs one list append per batch. Everything happens on the event loop, between
    whose steps nothing is published: that is what makes the join of history and live free of gaps.
    """

    def __init__(self, revision: Revision, *, queue_events: int = WATCH_QUEUE_EVENTS) -> None:
        self.revision = revision
        """The newest revision that was published."""
        self._queue_events = queue_events
        self._watchers: dict[_Watcher, None] = {}
        self._closed = False

    @property
    def watchers(self) -> int:
        """How many watches are live (those still in their history do not count)."""
        return len(self._watchers)

    def publish(self, events: Sequence[Event], revision: Revision) -> None:
        """Deliver one committed batch, in revision order; with it the store stands at ``revision``."""
        self.revision = max(self.revision, revision)
        for watcher in list(self._watchers):
            watcher.offer(events, revision)
            if watcher.overflown:
                del self._watchers[watcher]

    def close(self) -> None:
        """End every watch once it has delivered what is queued. Idempotent."""
        self._closed = True
        for watcher in self._watchers:
            watcher.wake()

    async def watch(
        self, prefix: str, *, after: Revision, history: ReadHistory
    ) -> AsyncGenerator[Event | Progress, None]:
        """The contract's ``watch``: history from ``history``, then live.

        Nothing is queued while the history is read: it is read until it has caught up with what was
        published, so a long replay cannot overflow. It ends by StopAsyncIteration on ``close``.
        """
        position = after
        while position < self.revision:
            chunk = await history(prefix, position)
            if chunk is None:
                return
            for event in chunk.events:
                yield event
            position = chunk.revision
        # No step of the event loop lies between the comparison above and this: no gap, no duplicate.
        watcher = _Watcher(prefix, position, position if position > after else self.revision, self._queue_events)
        promised = position - 1
        self._watchers[watcher] = None
        try:
            while True:
                if batch := watcher.take():
                    for event in batch:
                        yield event
                elif watcher.overflown:
                    raise WatcherTooSlowError(
                        f"the watch of {prefix!r} fell more than {self._queue_events} events behind"
                    )
                elif self._closed:
                    return
                elif watcher.revision > promised:
                    promised = watcher.revision
                    yield Progress(watcher.revision)
                else:
                    await watcher.wait()
        finally:
            self._watchers.pop(watcher, None)
