"""What is made of large JSON: ten thousand objects at a time, which the interpreter cannot make little of.

To delete such a value is one step of it, and so is its look for garbage among what is new: a millisecond or several
in which no thread runs.
"""

import contextlib
import gc
from collections.abc import Iterator
from typing import Any, Final

AT_ONCE: Final = 128
"""So many values are deleted in one step."""

MOST: Final = 16
"""So many are kept; the oldest one goes first."""

_PARTED: Final = frozenset({dict, list, tuple})
_usual: list[tuple[int, int, int]] = []  # the thresholds, while there are others
_inside: list[int] = []  # meanwhile, how many of the objects since the last look were made in blocks


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """No garbage is looked for in the block, and afterwards only when as much as usual has been made beside it.

    What is looked for is what is new and not in use; what is large and new is in use. What is made between blocks
    counts, however many of them follow each other.
    """
    collects = gc.isenabled()
    gc.disable()
    before = gc.get_count()[0]
    try:
        yield
    finally:
        if collects:
            usual = _usual[0] if _usual else gc.get_threshold()
            if usual[0]:  # else there is never a look
                earlier = min(_inside[0], before) if _inside else 0  # a look begins to count anew
                inside = max(0, earlier + gc.get_count()[0] - before)
                _usual[:], _inside[:] = [usual], [inside]
                gc.set_threshold(usual[0] + inside, *usual[1:])
            gc.enable()


def usually_collected() -> None:
    """From now on garbage is looked for as often as before ``uncollected``."""
    if _usual:
        gc.set_threshold(*_usual.pop())
        _inside.clear()


class LargeValues:
    """Keeps values, so that whoever else uses them can drop them without deleting much. Values are JSON's, or tuples.

    ``delete`` is for one thread, when nobody adds any more. It changes no value: others may still use a part.
    """

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values: list[Any] = []

    def add(self, value: object) -> None:
        """Keep a value, if it is of a kind that has parts."""
        if type(value) in _PARTED:
            self._values.append(value)
            del self._values[:-MOST]

    def delete(self) -> None:
        """Keep nothing any more, in small steps: what contains others goes before what it contains."""
        found, self._values = self._values, []
        for value in found:  # which grows
            kind = type(value)
            if kind is dict:
                found.extend(value)
                found.extend(value.values())
            elif kind in _PARTED:
                found.extend(value)
        found.reverse()
        value = None  # it would outlive the others
        while found:
            del found[-AT_ONCE:]
