"""Events on their way to many watches that see the same: one loop that writes, and no task that wakes, for all of them.

What the events of a feed are on the wire is made once. The loop then writes it to one watch after the other, as much as
each has not been told yet, for a fifth of a millisecond in a round of the event loop. All feeds share it: each has
its turn in a cycle, and a cycle begins so late that all of them together take half of the event loop's time. The more
watches there are, the more events thus go to each in one write.

A watch whose client has too much to read, whose time is up, or that is closed, goes on by itself (``api/watch.py``).
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator
from time import perf_counter
from typing import Final, NamedTuple

import structlog

from kcpcache.api.request_measures import WatchCounts
from kcpcache.api.watch_frames import frames_of
from kcpcache.registry.cache_watch import FEWEST_ALIKE, CacheWatch
from kcpcache.registry.feed import Feed, Place
from kcpcache.registry.pauses import SLICE_SECONDS

log = structlog.get_logger(__name__)

SHARE: Final = 0.5
"""Of the event loop's time, how much is for this at the most."""
SHORTEST_SECONDS, LONGEST_SECONDS = 0.002, 0.5
"""Between the beginnings of two cycles: where it would be shorter there is no waiting."""
_WEIGHT_OF_THE_NEWEST: Final = 0.25

Send = Callable[[bytes], bool]


class _Piece(NamedTuple):
    """What is written at once: the events before ``until``."""

    chunk: bytes
    until: int
    events: int
    bytes: int


class _Crowd:
    """The watches of one feed. ``stirred``: events have come since its last turn."""

    __slots__ = ("_pieces", "feed", "stirred")

    def __init__(self, watch: CacheWatch, stir: "Callable[[_Crowd], None]") -> None:
        self.feed = Feed(watch, lambda: stir(self))
        self._pieces, self.stirred = dict[int, _Piece](), False

    def forget(self, until: int) -> None:
        """All have been told the events before ``until``: keep neither them nor what was made."""
        self.feed.forget(until)
        self._pieces.clear()

    def piece(self, at: int) -> _Piece:
        """The next to write to whoever stands there: until ``forget`` the same for all, whatever comes meanwhile."""
        found = self._pieces.get(at)
        if found is None:
            self._make(at)
            found = self._pieces[at]
        return found

    def _make(self, at: int) -> None:
        for piece, events, size in zip(*frames_of(self.feed.batch(at)), strict=True):
            self._pieces[at] = _Piece(b"%x\r\n%b\r\n" % (len(piece), piece), at + events, events, size)
            at += events


class _Rider(Place):
    """A watch that is written to. ``size`` is how many bytes it was sent."""

    __slots__ = ("_counts", "_send", "crowd", "left", "size")

    def __init__(self, crowd: _Crowd, watch: CacheWatch, send: Send, counts: WatchCounts) -> None:
        self.left: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.crowd, self.size, self._send, self._counts = crowd, 0, send, counts
        super().__init__(crowd.feed, watch, self._wake)

    def _wake(self) -> None:
        if not self.left.done():
            self.left.set_result(None)

    def tell(self) -> None:
        """Send the next piece of what there is; leave where that is not to be done here."""
        feed = self.feed
        if feed is None:
            return
        if feed.unsettled:
            self.leave()
            return
        piece = self.crowd.piece(self.at)
        if not self._send(piece.chunk):
            self.leave()
            return
        self.at = piece.until
        self.size += len(piece.chunk)
        self._counts.events += piece.events
        self._counts.bytes += piece.bytes


class FanOut:
    """All feeds of a server, and the loop that writes. Event loop only."""

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._alike: Counter[Hashable] = Counter()
        self._crowds: dict[Hashable, _Crowd] = {}
        self._stirred: deque[_Crowd] = deque()
        self._cycle: Iterator[_Rider] | None = None
        self._planned: asyncio.Handle | None = None
        self._began = self._not_before = self._busy = self._each = 0.0
        self._told = 0

    def add(self, watch: CacheWatch) -> None:
        """Count a watch that may be carried, until ``discard``."""
        if (like := watch.like) is not None:
            self._alike[like] += 1

    def discard(self, watch: CacheWatch) -> None:
        """It has ended."""
        like = watch.like
        if like is not None:
            self._alike[like] -= 1
            if not self._alike[like]:
                del self._alike[like]

    def takes(self, watch: CacheWatch) -> bool:
        """Whether the watch can be carried now: all was sent that has come, and there are enough like it."""
        return watch.up_to_date and self._alike.get(watch.like, 0) >= FEWEST_ALIKE

    async def carry(self, watch: CacheWatch, send: Send, counts: WatchCounts, seconds: float) -> int:
        """Send what comes, for so long at the most; how many bytes that was. ``takes`` it.

        Returns as soon as the watch is to be seen to by itself: as its time is up, it has been closed, ``send`` has
        refused a chunk, or what has come must be settled first.
        """
        crowd = self._crowd(watch)
        rider = _Rider(crowd, watch, send, counts)
        timer = asyncio.get_running_loop().call_later(seconds, rider.leave)
        try:
            await rider.left
        finally:
            timer.cancel()
            rider.leave()
            if crowd.feed.closed and self._crowds.get(watch.like) is crowd:
                del self._crowds[watch.like]
        return rider.size

    def _crowd(self, watch: CacheWatch) -> _Crowd:
        found = self._crowds.get(watch.like)
        if found is None or found.feed.closed or found.feed.unsettled:
            found = self._crowds[watch.like] = _Crowd(watch, self._stir)
        return found

    # -- the loop

    def _stir(self, crowd: _Crowd) -> None:
        """Events have come: they are sent in the next cycle, to those that are not told in this one."""
        if crowd.stirred:
            return
        crowd.stirred = True
        self._stirred.append(crowd)
        if self._cycle is None and self._planned is None:
            self._plan()

    def _plan(self) -> None:
        """Begin the next cycle when it is time to."""
        loop, seconds = asyncio.get_running_loop(), self._not_before - self._clock()
        if seconds > 0:
            self._planned = loop.call_later(seconds, self._begin)
        else:
            self._planned = loop.call_soon(self._begin)

    def _begin(self) -> None:
        self._planned, self._cycle = None, self._riders(len(self._stirred))
        self._began, self._busy, self._told = self._clock(), 0.0, 0
        self._slice()

    def _riders(self, crowds: int) -> Iterator[_Rider]:
        """Whom to tell a piece next: each until it has been told what had come when the turn of its feed began."""
        for _ in range(crowds):
            crowd = self._stirred.popleft()
            crowd.stirred = False
            feed = crowd.feed
            until = feed.end
            for rider in tuple(feed.places):
                while rider.at < until and rider.feed is not None:
                    yield rider  # type: ignore[misc]  # nobody else takes places
            crowd.forget(until)

    def _slice(self) -> None:
        """Others are served in between."""
        cycle = self._cycle
        if cycle is None:
            return
        began = now = self._clock()
        for rider in cycle:
            try:
                rider.tell()
            except Exception:
                log.exception("watches cannot be told together")
                for place in tuple(rider.crowd.feed.places):  # each tells its own client
                    place.leave()
            self._told += 1
            now = self._clock()
            if now - began >= SLICE_SECONDS:
                self._busy += now - began
                asyncio.get_running_loop().call_soon(self._slice)
                return
        self._end(now, self._busy + now - began)

    def _end(self, now: float, busy: float) -> None:
        """The cycle is over; the next one may begin when this one's share is over, too."""
        self._cycle = None
        if self._told:
            each = busy / self._told
            self._each += (each - self._each) * (_WEIGHT_OF_THE_NEWEST if self._each else 1.0)
            wait = self._told * self._each / SHARE
            self._not_before = self._began + min(wait, LONGEST_SECONDS) if wait >= SHORTEST_SECONDS else now
        if self._stirred:
            self._plan()
