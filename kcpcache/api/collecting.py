"""How long watches wait for more events after they were sent some: the longer, the more of them there are."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

COLLECT_SECONDS: Final = 40e-6
"""For each watch that is sent events at a time, all of them wait so long for more: a write costs about as much, however
many events are in it. Thus whoever else is there has his share of the event loop."""
SHORTEST_SECONDS, LONGEST_SECONDS = 0.01, 0.5
ACTIVE_SECONDS: Final = 0.5
"""Whoever was sent something in this time counts."""
_WOKEN_AT_ONCE: Final = 16


class Turn:
    """What a watch is counted by: in which period it was last."""

    __slots__ = ("period",)

    def __init__(self) -> None:
        self.period = -1


class Collecting:
    """All watches that collect events wait for the same moment, and go on a few at a time. Event loop only."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock
        self._period = self._counted = self._before = 0
        self._until = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._going: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def seconds(self, one: Turn) -> float:
        """How long to wait from when ``one`` has been sent events; 0 where there are few like it."""
        now = self._clock() if self._clock is not None else asyncio.get_running_loop().time()
        if now >= self._until:
            self._before = self._counted if now < self._until + ACTIVE_SECONDS else 0
            self._counted, self._period, self._until = 0, self._period + 1, now + ACTIVE_SECONDS
        if one.period != self._period:
            one.period = self._period
            self._counted += 1
        found = max(self._counted, self._before) * COLLECT_SECONDS
        return 0.0 if found < SHORTEST_SECONDS else min(found, LONGEST_SECONDS)

    async def wait(self, one: Turn) -> None:
        """Called after ``one`` has been sent events: return when it is time for the next ones."""
        seconds = self.seconds(one)
        if not seconds:
            return
        loop = asyncio.get_running_loop()
        if self._timer is None:
            self._timer = loop.call_later(seconds, self._ring)
        mine = loop.create_future()
        self._waiting.append(mine)
        await mine

    def _ring(self) -> None:
        """Those who wait may go on; who comes from now on waits for the next time."""
        self._timer = None
        idle = not self._going
        self._going += self._waiting
        self._waiting.clear()
        if idle:
            self._wake()

    def _wake(self) -> None:
        """A few in each round of the loop, so that others have their turns in between."""
        for _ in range(min(_WOKEN_AT_ONCE, len(self._going))):
            mine = self._going.popleft()
            if not mine.done():  # cancelled
                mine.set_result(None)
        if self._going:
            asyncio.get_running_loop().call_soon(self._wake)
