"""Large updates of one object, one after the other.

An update whose object has changed meanwhile begins anew. Where that is a matter of microseconds, nothing is lost. Of
sixteen clients that apply a quarter of a megabyte to the same object at once, one would get through at a time, and the
work of fifteen would be thrown away.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final
from weakref import WeakValueDictionary

WAIT_SECONDS: Final = 2.0
"""Nobody waits longer: the one before may be waiting for a webhook that writes the same object."""


class WriteTurns:
    """Turns by key. They spare work and promise nothing: who has waited for long goes on without. Event loop only."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._locks)

    @contextlib.asynccontextmanager
    async def turn(self, key: str) -> AsyncIterator[None]:
        """The block is run when those that came before with the same key have left theirs."""
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        mine = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WAIT_SECONDS):
                mine = await lock.acquire()
        try:
            yield
        finally:
            if mine:
                lock.release()
