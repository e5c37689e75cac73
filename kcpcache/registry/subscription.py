"""How the caches tell a reader of events: a bounded queue. Event loop only."""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kcpcache.registry.caches import CacheEvent, ResourceCache

SUBSCRIPTION_EVENTS = 65_536


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
        cache.subscriptions.setdefault(cluster, {})[self] = None
        self._sources.append((cache, cluster))

    def push(self, event: "CacheEvent") -> None:
        """Called by the caches."""
        if len(self._events) >= self._limit:
            self.overrun = True
            self.close()
            return
        self._events.append(event)
        waiter = self._waiter
        if waiter is not None and not waiter.done():  # as ``_wake``: of many watchers most do not wait
            waiter.set_result(None)

    async def drain(self, timeout_seconds: float | None = None) -> "list[CacheEvent]":
        """What has come, waiting for something if there is nothing. Empty after the timeout or once closed."""
        if not self._events and not self.closed:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            # ``asyncio.wait_for`` costs more than all the rest that a watch does about an event.
            timer = None if timeout_seconds is None else loop.call_later(timeout_seconds, self._wake)
            try:
                await self._waiter
            finally:
                self._waiter = None
                if timer is not None:
                    timer.cancel()
        return self.take()

    def take(self) -> "list[CacheEvent]":
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
            self.suspend()
            self._wake()

    def suspend(self) -> None:
        """Receive nothing until ``resume``: somebody else notes what comes."""
        for cache, cluster in self._sources:
            cache.unsubscribe(cluster, self)

    def resume(self, missed: "Iterable[CacheEvent]") -> None:
        """Receive again, after what came since ``suspend``."""
        self._events += missed
        for cache, cluster in self._sources:
            cache.subscriptions.setdefault(cluster, {})[self] = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
