"""How soon the interpreter is handed over from one thread to another, while something is computed beside the loop.

Whoever waits for the interpreter asks for it after the switch interval, which is the same for all threads. So a
thread that gives way after microseconds takes the interpreter back after microseconds, too: an answer that takes a
quarter of a millisecond is interrupted ten times, each of which costs the processor as much as it brings. A thread
looks at the interval when it begins to wait. So it is short whenever the event loop is about to wait, and longer while
the loop has the interpreter and is in the middle of a request: whoever begins to wait then waits for longer.

Event loop only, except that the interval is the process's.
"""

import sys
from typing import Final

SWITCH_SECONDS: Final = 0.00002
"""After how long the thread gives way, while it computes. Python's own 5 ms are ten answers of others."""
HOLD_SECONDS: Final = 0.0003
"""After how long the event loop gives way, while it holds on: a short answer takes as long."""


class Handover:
    """``begin`` and ``end`` are around whatever is computed, and may be nested; the rest does nothing outside."""

    __slots__ = ("_usual", "computing", "holds")

    def __init__(self) -> None:
        self.computing = 0
        """How many things are computed."""
        self._usual = 0.0
        self.holds = False
        """Whether the event loop holds on to the interpreter."""

    def begin(self) -> None:
        """Something is going to be computed on another thread."""
        self.computing += 1
        if self.computing == 1:
            self._usual = sys.getswitchinterval()
            sys.setswitchinterval(SWITCH_SECONDS)

    def end(self) -> None:
        """It is done."""
        self.computing -= 1
        if not self.computing:
            self.holds = False
            sys.setswitchinterval(self._usual)

    def hold(self) -> None:
        """The event loop has the interpreter, and is to keep it for the next piece of work."""
        if self.computing:
            self.holds = True
            sys.setswitchinterval(HOLD_SECONDS)

    def lend(self) -> None:
        """The event loop is about to do something during which others may have the interpreter."""
        if self.holds:
            sys.setswitchinterval(SWITCH_SECONDS)

    def release(self) -> None:
        """The piece of work is done."""
        if self.holds:
            self.holds = False
            sys.setswitchinterval(SWITCH_SECONDS)


handover: Final = Handover()
"""The interpreter's, of which there is one."""
