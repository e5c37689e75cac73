"""The work queue of a controller: keys deduplicated, serial per key, retried with bounded exponential backoff.

What comes in thousands at once (all objects of a type) is a backlog: its keys are made one by one. For each key that
is taken one more comes into the queue from the backlogs, in turn, so that nobody waits for the whole of one.
"""

import asyncio
import random
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from kcpcache.measure import Histogram

Key = TypeVar("Key", bound=Hashable)

BASE_DELAY_SECONDS = 0.005
MAX_DELAY_SECONDS = 30.0


@dataclass(slots=True)
class QueueMeasures:
    """What went through a queue: what client-go measures of its own. Seconds from added to taken, and to done."""

    adds: int = 0
    retries: int = 0
    waiting: Histogram = field(default_factory=Histogram)
    working: Histogram = field(default_factory=Histogram)


class _Backlog(NamedTuple, Generic[Key]):
    """Since when it is waiting, the names of what is left of it, and the key of each."""

    since: float
    names: deque[str]
    key_of: Callable[[str], Key]


class WorkQueue(Generic[Key]):
    """Holds each key at most once, however often it is added; a key that is being worked on waits until it is done.

    Bounded by the number of distinct keys, and by one backlog for each owner. Use it on one event loop only. ``clock``
    gives seconds, for ``measures``.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.measures = QueueMeasures()
        self._ready: deque[Key] = deque()
        self._dirty: dict[Key, float] = {}  # since when
        self._busy: dict[Key, float] = {}
        self._backlogs: OrderedDict[Hashable, _Backlog[Key]] = OrderedDict()
        self._failures: dict[Key, int] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._arrival: asyncio.Future[None] | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._dirty) + sum(len(backlog.names) for backlog in self._backlogs.values())

    def busy_seconds(self) -> list[float]:
        """How long each key that is being worked on has been."""
        now = self._clock()
        return [now - since for since in self._busy.values()]

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do, nothing being done, and nothing scheduled."""
        return not self._dirty and not self._busy and not self._timers and not self._backlogs

    def add(self, key: Key) -> None:
        """Have ``key`` looked at, now or as soon as it is no longer busy."""
        if key in self._dirty or self._closed:
            return
        self._dirty[key] = self._clock()
        self.measures.adds += 1
        if key not in self._busy:
            self._offer(key)

    def add_all(self, owner: Hashable, names: Iterable[str], key_of: Callable[[str], Key]) -> None:
        """Have the key of every name looked at; replaces what is left of an earlier backlog of ``owner``."""
        self.drop(owner)
        waiting = deque(names)
        if waiting and not self._closed:
            self._backlogs[owner] = _Backlog(self._clock(), waiting, key_of)
            self._arrived()

    def drop(self, owner: Hashable) -> None:
        """Forget what is left of the backlog of ``owner``."""
        self._backlogs.pop(owner, None)

    def add_after(self, key: Key, seconds: float) -> None:
        """Have ``key`` looked at in ``seconds``; an earlier appointment stays."""
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        known = self._timers.get(key)
        if known is not None:
            if known.when() <= due:
                return
            known.cancel()
        self._timers[key] = loop.call_at(due, self._fire, key)

    def retry(self, key: Key) -> None:
        """Have ``key`` looked at later, the later the more often it failed in a row (with jitter)."""
        self.measures.retries += 1
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        delay = min(BASE_DELAY_SECONDS * 2 ** min(failures - 1, 20), MAX_DELAY_SECONDS)
        self.add_after(key, delay * random.uniform(0.5, 1.0))  # noqa: S311 -- jitter needs no secrecy

    def forget(self, key: Key) -> None:
        """``key`` succeeded: its next failure counts as the first."""
        self._failures.pop(key, None)

    def take(self) -> Key | None:
        """A key to work on, now busy; None where there is none."""
        if self._backlogs:
            self._draw()
        while self._backlogs and not self._ready:  # what was drawn is being worked on
            self._draw()
        if not self._ready:
            return None
        key = self._ready.popleft()
        now = self._clock()
        self.measures.waiting.observe(now - self._dirty.pop(key))
        self._busy[key] = now
        return key

    async def wait(self) -> None:
        """Return once there is something to take. One waiter at a time."""
        if not self._ready and not self._backlogs:
            self._arrival = asyncio.get_running_loop().create_future()
            try:
                await self._arrival
            finally:
                self._arrival = None

    def done(self, key: Key) -> None:
        """The work on ``key`` ended, however it went."""
        self.measures.working.observe(self._clock() - self._busy.pop(key))
        if key in self._dirty:
            self._offer(key)

    def close(self) -> None:
        """Accept and schedule nothing more."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._backlogs.clear()

    def _draw(self) -> None:
        """Add the next key of the backlog whose turn it is."""
        owner, backlog = self._backlogs.popitem(last=False)
        key = backlog.key_of(backlog.names.popleft())
        if backlog.names:
            self._backlogs[owner] = backlog
        if key not in self._dirty:
            self.add(key)
            self._dirty[key] = backlog.since

    def _offer(self, key: Key) -> None:
        self._ready.append(key)
        self._arrived()

    def _arrived(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    def _fire(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key)
