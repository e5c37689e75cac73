"""An event loop whose clock jumps to the next timer as soon as nothing else is left to do: waiting costs no time.

Something else is left to do while anything is computed in the loop's pool of threads.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Impatient(selectors.DefaultSelector):
    """Instead of waiting for a timer it moves the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.computing = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        if self.computing:
            return super().select(None)  # the end of what is computed wakes the loop
        found = super().select(0)
        if not found:
            self.now += timeout
        return found


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """``sleep(60)`` returns once everything that can happen within a minute has happened."""

    def __init__(self) -> None:
        self._impatient = _Impatient()
        super().__init__(self._impatient)
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self._impatient.now

    def run_in_executor(self, *args: Any) -> "asyncio.Future[Any]":  # type: ignore[override]
        self._impatient.computing += 1
        future = super().run_in_executor(*args)
        future.add_done_callback(self._computed)
        return future

    def _computed(self, _future: "asyncio.Future[Any]") -> None:
        self._impatient.computing -= 1


def run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end on a loop of its own."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main())
