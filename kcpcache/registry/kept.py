"""What is kept of work that can be done again: so much and no more, and of that what was used last."""

from typing import Final, Protocol

MOST_KEPT_BYTES: Final = 32 * 1024 * 1024


class Keeper(Protocol):
    """Whoever holds something in ``Kept``."""

    def forget(self) -> None:
        """Let go of it."""
        ...


class Kept:
    """Counts bytes that keepers hold; where there are too many, those forget whose were used the longest ago."""

    __slots__ = ("_most", "_sizes", "bytes")

    def __init__(self, most: int = MOST_KEPT_BYTES) -> None:
        self._most, self.bytes = most, 0
        self._sizes: dict[Keeper, int] = {}  # in the order of their last use

    def __len__(self) -> int:
        return len(self._sizes)

    def keep(self, keeper: Keeper, size: int) -> None:
        """Count ``size`` bytes more for a keeper, and make room for them."""
        self._sizes[keeper] = self._sizes.pop(keeper, 0) + size
        self.bytes += size
        while self.bytes > self._most:
            next(iter(self._sizes)).forget()

    def use(self, keeper: Keeper) -> None:
        """Called when something that was kept has been of use."""
        if (size := self._sizes.pop(keeper, None)) is not None:
            self._sizes[keeper] = size

    def drop(self, keeper: Keeper) -> None:
        """Called by a keeper that has let go."""
        self.bytes -= self._sizes.pop(keeper, 0)
