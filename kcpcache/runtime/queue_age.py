"""Since when the oldest of many things that come and go has waited: O(1) for each of them, and to ask."""

from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

_LEAST: Final = 64

Waiting = TypeVar("Waiting")


class QueueAge(Generic[Waiting]):
    """Told when something begins to wait, in the order of time; asks ``still`` whether it does, and since then.

    It keeps what has ceased to wait for a while, but never more of that than of what waits, a few aside.
    """

    __slots__ = ("_began", "_most", "_still")

    def __init__(self, still: Callable[[Waiting, float], bool]) -> None:
        self._still = still
        self._began: deque[tuple[Waiting, float]] = deque()
        self._most = _LEAST

    def begin(self, waiting: Waiting, at: float) -> None:
        """``waiting`` waits, or will: what is ``still`` so is known when it is asked."""
        self._began.append((waiting, at))
        if len(self._began) > self._most:
            self._began = deque(each for each in self._began if self._still(*each))
            self._most = max(_LEAST, 2 * len(self._began))

    def seconds(self, now: float) -> float:
        """How long what waits longest has waited; 0 where nothing does."""
        while self._began and not self._still(*self._began[0]):
            self._began.popleft()
        return now - self._began[0][1] if self._began else 0.0

    def __len__(self) -> int:
        return len(self._began)
