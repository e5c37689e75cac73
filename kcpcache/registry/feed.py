"""What alike watches are told, kept once for all of them that have been told everything before.

A watch that is up to date need not be woken by each event. It takes a place in a feed, which notes how far it has been
told, and somebody reads for all of them from there. A watch that is to go on by itself leaves, with what it lacks.
"""

from collections.abc import Callable

from kcpcache.registry.batches import Batch
from kcpcache.registry.cache_watch import MOST_SHARED_EVENTS, CacheWatch
from kcpcache.registry.caches import CacheEvent
from kcpcache.registry.history import Events
from kcpcache.registry.subscription import Subscription


def _nothing() -> None:
    """Nobody wants to be told any more."""


class Place:
    """Where a watch stands in a feed: the events before ``at`` have been told. ``feed`` is None once it has left.

    Made for a watch that is ``up_to_date`` and ``like`` the others. Event loop only.
    """

    __slots__ = ("_left", "_watch", "at", "feed")

    def __init__(self, feed: "Feed", watch: CacheWatch, left: Callable[[], None]) -> None:
        """``left`` is called once, when the place has been given up, whoever does that."""
        self.feed: Feed | None = feed
        self.at = feed.end
        self._watch, self._left = watch, left
        feed.places[self] = None
        watch.follow(self)

    def leave(self) -> None:
        """Have the watch go on by itself, with what it has not been told yet. May be called again."""
        feed, self.feed = self.feed, None
        if feed is None:
            return
        del feed.places[self]
        self._watch.resume(feed.since(self.at), feed)
        if not feed.places:
            feed.close()
        left, self._left = self._left, _nothing  # it may lead back here, and nothing is to be left to the collector
        left()


class Feed(Subscription):
    """The events of watches that are like ``watch``, counted from 0. Ended, never skipped, when too many are kept.

    ``heard`` is called with each event that comes. ``unsettled``: an event has come that cannot be shown at once; each
    watch is to leave and see to it by itself. A feed that nobody has a place in any more is closed.
    """

    def __init__(self, watch: CacheWatch, heard: Callable[[], None]) -> None:
        super().__init__()
        self._watch, self._heard = watch, heard
        self._log: list[CacheEvent] = []
        self._before = 0
        self.end = 0
        self.unsettled = False
        self.places: dict[Place, None] = {}
        self.attach(*watch.source)

    def push(self, event: CacheEvent) -> None:
        """See ``Subscription``."""
        if not self._watch.concerns(event):
            return
        if len(self._log) >= self._limit:
            self.overrun = True
            self.close()
            return
        if not self._watch.knows(event):
            self.unsettled = True
        self._log.append(event)
        self.end += 1
        self._heard()

    def since(self, at: int) -> Events:
        """The events from ``at`` on."""
        return self._log[at - self._before :]

    def batch(self, at: int) -> Batch:
        """The first events from ``at`` on, as all its watches see them, of which there are some."""
        first = at - self._before
        return self._watch.batch(self._log[first : first + MOST_SHARED_EVENTS])

    def forget(self, until: int) -> None:
        """Keep no events before ``until``, which all have been told."""
        del self._log[: until - self._before]
        self._before = until

    def close(self) -> None:
        """See ``Subscription``: each watch is handed what it has not been told yet, and ends in the same way."""
        if not self.closed:
            super().close()
            for place in tuple(self.places):
                place.leave()
            self._heard = _nothing
            self._log.clear()
