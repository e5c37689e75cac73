"""Where what is computed on another thread stops while the event loop takes in a request.

The interpreter hands over from one thread to another in either direction: a computation beside the event loop takes it
away from it again within microseconds, several times for each request, and each time a thread has to be
woken. At a gate it waits once.
"""

import threading
from typing import Final


class Gate:
    """The event loop closes and opens it; ``if gate.closed: gate.wait()`` stands in long computations."""

    __slots__ = ("_barrier", "_closed_by", "closed", "computing")

    def __init__(self) -> None:
        self.computing = False
        """Whether there is something to stop; kept by whoever starts it."""
        self.closed = False
        self._closed_by = 0
        self._barrier = threading.Lock()

    def close(self) -> bool:
        """Stop what is computed on another thread at its next look; whether there was anything. Then ``open``."""
        if not self.computing or not self._barrier.acquire(blocking=False):
            return False
        self._closed_by, self.closed = threading.get_ident(), True
        return True

    def open(self) -> None:
        """Have it go on. Only after ``close`` was True."""
        self.closed = False
        self._barrier.release()

    def wait(self) -> None:
        """Return when the gate is open; on the thread that has closed it, at once."""
        if self._closed_by != threading.get_ident():
            with self._barrier:
                pass


GATE: Final = Gate()
"""Of the one event loop."""
