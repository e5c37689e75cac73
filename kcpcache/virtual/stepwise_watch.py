"""Watches of views that change by more than their own objects: what an event means depends on what there was before."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Sequence

from kcpcache.meta.errors import ExpiredError
from kcpcache.registry.caches import CacheEvent
from kcpcache.registry.entry import Entry
from kcpcache.registry.field_match import Match
from kcpcache.registry.reading import Reader
from kcpcache.registry.subscription import SUBSCRIPTION_EVENTS, Subscription
from kcpcache.registry.view import Bookmark, WatchEvent
from kcpcache.registry.watch_events import Change, told

Seen = Iterable[Change | Bookmark]


class StepwiseWatch(Subscription, ABC):
    """See ``view.Watch``. It has a state of its own, as of the last change that it has seen.

    A subclass takes over the caches' state and attaches itself to them in one step, with nothing awaited in between.
    What it sees are entries as they are stored: ``next`` hands them out as ``reader`` shows them, and judges them by
    ``match`` where that needs a look into them. ``replaying``: changes are held back until ``replay`` has told those of
    the past.
    """

    def __init__(self, reader: Reader, match: Match | None, *, replaying: bool) -> None:
        super().__init__()
        self._reader, self._caches, self._match = reader, reader.caches, match
        self._held: list[CacheEvent] | None = [] if replaying else None
        self._ready: deque[Change | Bookmark] = deque()
        self._sent = self._caches.revision

    @abstractmethod
    def _present(self) -> Seen:
        """Everything that there is, as ADDED."""

    @abstractmethod
    def _step(self, event: CacheEvent, now: Entry | None) -> None:
        """Take over that what ``event`` is of became ``now``: forth its ``entry``, back its ``previous``."""

    @abstractmethod
    def _seen(self, event: CacheEvent) -> Seen:
        """Take the event's step, and say what it means."""

    def begin(self, *, bookmark: bool) -> None:
        """Deliver what is there as ADDED, then (``bookmark``) the mark that it was all."""
        self._ready += self._present()
        if bookmark:
            self._ready.append(Bookmark(self._sent, initial=True))

    def replay(self, events: Sequence[CacheEvent], *, told: int) -> None:
        """Deliver these past events: go back to the state before them, then forth again.

        The one at ``told`` has been told before, at least in part: where it is but one event, in full.
        """
        held, self._held = self._held or [], None  # later than the state that this watch has kept
        for event in reversed(events):
            self._step(event, event.previous)
        for event in (*events, *held):
            seen = list(self._seen(event))
            self._ready += seen if event.revision != told or len(seen) > 1 else ()

    def push(self, event: CacheEvent) -> None:
        """Called by the caches. One batch may be larger than the bound; another one on top of it may not."""
        if self._held is not None:
            self._held.append(event)
            self._bound(len(self._held))
            return
        waiting = len(self._ready)
        self._ready += self._seen(event)
        self._bound(waiting)
        self._wake()

    def _bound(self, waiting: int) -> None:
        if waiting > SUBSCRIPTION_EVENTS:
            self.overrun = True
            self.close()

    async def next(self, timeout_seconds: float | None = None) -> Sequence[WatchEvent | Bookmark]:
        """See ``view.Watch``."""
        if not self._ready:
            await self.drain(timeout_seconds)
        if self.overrun:
            raise ExpiredError("the watch fell behind and was ended: list and watch anew")
        if not self._ready and self.closed:
            raise StopAsyncIteration
        ready = list(self._ready)
        self._ready.clear()
        self._sent = self._caches.revision
        return await told(self._reader, self._match, ready)

    def bookmark(self) -> Bookmark:
        """See ``view.Watch``."""
        if not self._ready and not self.closed:
            self._sent = self._caches.revision
        return Bookmark(self._sent)
