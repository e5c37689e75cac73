"""Long pieces of work, in slices: in between, others are served. For the event loop only.

Whoever serves a request says by ``pausing`` how its work shares the event loop with that of others.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from time import perf_counter
from typing import Final, TypeAlias

SLICE_SECONDS: Final = 0.0005
"""How long one piece of work keeps the event loop to itself."""

Pause: TypeAlias = Callable[[], Awaitable[None]]


async def _yield() -> None:
    await asyncio.sleep(0)


pausing: ContextVar[Pause] = ContextVar("pausing", default=_yield)
"""Returns when the work may go on."""


async def pause() -> None:
    """Let others be served."""
    await pausing.get()()


class Slices:
    """``if slices.over: await slices.pause()`` (or ``await slices.pause_if_over()``) between the steps of long work."""

    __slots__ = ("_end",)

    def __init__(self) -> None:
        self._end = perf_counter() + SLICE_SECONDS

    @property
    def over(self) -> bool:
        """Whether it is time to pause."""
        return perf_counter() > self._end

    async def pause(self) -> None:
        """Let others be served, and begin the next slice."""
        await pause()
        self._end = perf_counter() + SLICE_SECONDS

    async def pause_if_over(self) -> None:
        """Pause if it is time to."""
        if self.over:
            await self.pause()
