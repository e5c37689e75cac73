"""The objects of one resource in one logical cluster, in the order of their keys."""

from bisect import bisect_left

from kcpcache.registry.entry import Entry


def key_of(entry: Entry) -> str:
    """``namespace/name``, or ``name`` where there is no namespace."""
    return f"{entry.namespace}/{entry.name}" if entry.namespace else entry.name


class Shelf:
    """The entries of one resource in one logical cluster, in key order (``namespace/name`` or ``name``)."""

    __slots__ = ("_entries", "_order")

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._order: list[Entry] = []

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> Entry | None:
        """The entry of ``namespace/name`` or ``name``."""
        return self._entries.get(key)

    def put(self, key: str, entry: Entry) -> Entry | None:
        """Insert or replace; the replaced entry."""
        order = self._order
        previous = self._entries.get(key)
        self._entries[key] = entry
        if not order or key > key_of(order[-1]):  # a store is loaded in order
            order.append(entry)
        elif previous is None:
            order.insert(bisect_left(order, key, key=key_of), entry)
        else:
            order[bisect_left(order, key, key=key_of)] = entry
        return previous

    def pop(self, key: str) -> Entry | None:
        """Remove; the removed entry."""
        previous = self._entries.pop(key, None)
        if previous is not None:
            del self._order[bisect_left(self._order, key, key=key_of)]
        return previous

    def count(self, namespace: str) -> int:
        """How many entries a namespace has, without copying them."""
        first = bisect_left(self._order, f"{namespace}/", key=key_of)
        return bisect_left(self._order, f"{namespace}0", key=key_of) - first

    def snapshot(self, namespace: str = "", start: str = "") -> list[Entry]:
        """The entries of ``namespace`` ("" means all) from key ``start`` on: a list of the caller's own."""
        low = max(start, f"{namespace}/") if namespace else start
        order = self._order
        first = bisect_left(order, low, key=key_of) if low else 0
        last = bisect_left(order, f"{namespace}0", key=key_of) if namespace else len(order)
        return order[first:last]
