"""Events that several watches are given as one list, so that what is made of it serves them all."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, NamedTuple

from kcpcache.registry.view import WatchEvent


class Frames(NamedTuple):
    """What a batch is on its way to clients: pieces to write, with the events and bytes of objects in each."""

    pieces: tuple[bytes, ...]
    events: tuple[int, ...]
    bytes: tuple[int, ...]


class Batch(list[WatchEvent]):
    """Events that several watches are given: nobody changes it. ``frames`` is kept by whoever has made them."""

    __slots__ = ("definition", "frames")

    def __init__(self, events: Iterator[WatchEvent], definition: Any) -> None:
        super().__init__(events)
        self.definition = definition  # alive, so that nothing else has its id
        self.frames: Frames | None = None


class Batches:
    """The last batches of one cache, ``most`` of them. Event loop only."""

    __slots__ = ("_known", "_most")

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: OrderedDict[Any, Batch] = OrderedDict()

    def of(self, key: Any, events: Iterator[WatchEvent], definition: Any) -> Batch:
        """The batch of that key, made of ``events`` if there is none yet."""
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = Batch(events, definition)
            if len(self._known) > self._most:
                self._known.popitem(last=False)
        return found
