"""Long pieces of work, in slices: in between, others are served. For the event loop only.

Whoever serves a request says by ``pausing`` how its work shares the event loop with that of others.
"""

import asyncio
from contextvars import ContextVar
from time import perf_counter
from typing import Final, Protocol

SLICE_SECONDS: Final = 0.0002
"""How long one piece of work keeps the event loop to itself."""


class Pausing(Protocol):
    """How a request shares the event loop with others. ``tenant`` is whom it is served for: the same for the same."""

    @property
    def tenant(self) -> object:
        """Compared by identity."""
        ...

    async def pause(self) -> None:
        """Return when the work may go on; others have been served in between."""
        ...

    async def turn(self) -> None:
        """Return when it is the request's turn: at once, where nobody else wants to be served."""
        ...


class _Unshared:
    """See ``Pausing``; of whoever serves no request."""

    tenant: object = None

    async def pause(self) -> None:
        """See ``Pausing``."""
        await asyncio.sleep(0)

    async def turn(self) -> None:
        """See ``Pausing``."""


pausing: ContextVar[Pausing] = ContextVar("pausing", default=_Unshared())  # noqa: B039 -- it has no state


async def pause() -> None:
    """Let others be served."""
    await pausing.get().pause()


async def turn() -> None:
    """Go on in one's turn: after many have been woken at once, who would all go on in the same round."""
    await pausing.get().turn()


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
