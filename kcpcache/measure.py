"""What every layer may count with: a histogram cheap enough for the hot path, and label values that stay bounded.

It knows nothing of how measurements are published (``kcpcache.metrics`` does) and imports nothing of the program.
"""

from bisect import bisect_left
from collections.abc import Hashable, Iterable, Sequence
from typing import Final, Generic, TypeVar

LATENCY_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Upper bounds for what usually takes milliseconds."""

Label = TypeVar("Label", bound=Hashable)


class Histogram:
    """Observations counted by upper bound, as Prometheus has them. Half a microsecond each; one thread observes.

    ``counts`` has one number per bound and one for what lies above all of them; they are not cumulative.
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float] = LATENCY_SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.counts)

    def copy(self) -> "Histogram":
        """As it stands now."""
        found = Histogram(self.bounds)
        found.counts, found.sum = self.counts.copy(), self.sum
        return found


class Cap(Generic[Label]):
    """Keeps a label that clients can choose from growing without end: the first ``most`` values, then ``other``."""

    def __init__(self, most: int, other: Label, known: Iterable[Label] = ()) -> None:
        self._most, self._other = most, other
        self._seen = set(known)

    def __call__(self, label: Label) -> Label:
        """``label`` itself where it is one of the first, else the one that stands for all others."""
        if label in self._seen:
            return label
        if len(self._seen) >= self._most:
            return self._other
        self._seen.add(label)
        return label
