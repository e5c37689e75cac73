"""How long requests may take, with one timer for all of them: a timer each would cost as much as a short answer."""

import asyncio
from collections.abc import Awaitable
from typing import Final

SWEEP_SECONDS: Final = 1.0
"""A request that is overdue is ended this much later at the most."""


class Deadlines:
    """Ends what takes longer than ``seconds``. For tasks of one event loop."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._began: dict[asyncio.Task[object], float] = {}  # in the order of their beginning
        self._overdue: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def bound(self, work: Awaitable[None]) -> None:
        """Await ``work``. Raises TimeoutError where it takes too long, after ending it by cancellation."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline is for tasks")
        self._began[task] = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(SWEEP_SECONDS, self._sweep, loop)
        try:
            await work
        except asyncio.CancelledError:
            # Others may have cancelled the task as well: then it is theirs.
            if task in self._overdue and task.uncancel() <= 0:
                raise TimeoutError from None
            raise
        finally:
            self._began.pop(task, None)
            self._overdue.discard(task)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        oldest = loop.time() - self.seconds
        for task, began in list(self._began.items()):
            if began > oldest:
                break
            del self._began[task]
            self._overdue.add(task)
            task.cancel()
        self._timer = loop.call_later(SWEEP_SECONDS, self._sweep, loop) if self._began else None
