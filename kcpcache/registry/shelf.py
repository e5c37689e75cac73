"""The objects of one resource in one logical cluster, in the order of their keys.

They lie in blocks of neighbours. A list hands out whole blocks, and what it joins of a block's objects is kept for the
next list until one of them changes (``registry/kept.py``): a list after one write joins one block anew.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

from kcpcache.registry.entry import Entry
from kcpcache.registry.kept import Kept
from kcpcache.registry.settling import Token, is_shown_as_it_is

MOST_OF_A_BLOCK: Final = 128
_FEW = MOST_OF_A_BLOCK // 4
LARGEST_JOINED_BYTES: Final = 256 * 1024
"""What is larger than this is not joined: large objects are sent as fast one by one, and others want their turn."""
_FEWEST_JOINED = 16


def key_of(entry: Entry) -> str:
    """``namespace/name``, or ``name`` where there is no namespace."""
    return f"{entry.namespace}/{entry.name}" if entry.namespace else entry.name


class Block:
    """Neighbours on a shelf. Once it is ``lent``, its entries stay as they are: the shelf goes on with a copy.

    ``kept`` None: it is in no shelf, or no more, and nothing is kept that is joined of it.
    """

    __slots__ = ("_joined", "_opening", "_pieces", "_settled", "entries", "kept", "lent")

    def __init__(self, entries: list[Entry], kept: Kept | None = None) -> None:
        self.entries, self.kept, self.lent = entries, kept, False
        self._joined: bytes | None = None
        self._pieces: tuple[bytes, ...] | None = None
        self._opening: bytes | None = None
        self._settled: Token | None = None

    def all_settled(self, token: Token) -> bool:
        """Whether each entry is known to be shown as it is by what ``token`` stands for; found out once where it is."""
        if self._settled is not token:
            for entry in self.entries:
                if entry.memo is not token and not is_shown_as_it_is(entry, token):
                    return False
            self._settled = token
        return True

    def all_begin_with(self, opening: bytes) -> bool:
        """Whether the encoded form of each entry does; found out once."""
        if self._opening is None:
            first = self.entries[0].prefix
            alike = all(entry.prefix is first for entry in self.entries)
            self._opening = first if alike else b""
        return self._opening.startswith(opening) or all(entry.prefix.startswith(opening) for entry in self.entries)

    def wire(self, cluster: bytes | None) -> bytes | None:
        """The JSON of all entries as ``Entry.wire`` has it, a comma before each; None where it is too much at once."""
        kept = self.kept
        if kept is None or len(self.entries) < _FEWEST_JOINED:
            return None
        kept.use(self)
        if cluster is None:
            return self._joined or self._join(kept)
        pieces = self._pieces or self._cut(kept)
        return cluster.join(pieces) if pieces else None

    def _join(self, kept: Kept) -> bytes | None:
        if self._is_large():
            return None
        parts: list[bytes] = []
        for entry in self.entries:
            parts += (b",", entry.head, entry.cluster.encode(), entry.internal, entry.tail)
        joined = self._joined = b"".join(parts)
        kept.keep(self, len(joined))
        return joined

    def _cut(self, kept: Kept) -> tuple[bytes, ...] | None:
        """What is before, between and after the places where the logical cluster's name goes."""
        if self._is_large():
            return None
        pieces, end = [], b""
        for entry in self.entries:
            pieces.append(b"".join((end, b",", entry.head)))
            end = entry.tail
        pieces.append(end)
        found = self._pieces = tuple(pieces)
        kept.keep(self, sum(map(len, found)))
        return found

    def _is_large(self) -> bool:
        return sum(len(entry.head) + len(entry.tail) for entry in self.entries) > LARGEST_JOINED_BYTES

    def forget(self) -> None:
        """Let go of what was joined."""
        if self._joined is not None or self._pieces is not None:
            self._joined = self._pieces = None
            if self.kept is not None:
                self.kept.drop(self)
        self._opening = self._settled = None


class Shelf:
    """The entries of one resource in one logical cluster, in key order (``namespace/name`` or ``name``)."""

    __slots__ = ("_blocks", "_entries", "_kept")

    def __init__(self, kept: Kept | None = None) -> None:
        self._entries: dict[str, Entry] = {}
        self._blocks: list[Block] = []  # none is empty
        self._kept = Kept() if kept is None else kept

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> Entry | None:
        """The entry of ``namespace/name`` or ``name``."""
        return self._entries.get(key)

    def put(self, key: str, entry: Entry) -> Entry | None:
        """Insert or replace; the replaced entry."""
        blocks = self._blocks
        previous = self._entries.get(key)
        self._entries[key] = entry
        if not blocks or key > _last_key(blocks[-1]):  # a store is loaded in order
            if not blocks or len(blocks[-1].entries) >= MOST_OF_A_BLOCK:
                blocks.append(Block([], self._kept))
            self._changing(len(blocks) - 1).append(entry)
            return previous
        index = bisect_left(blocks, key, key=_last_key)
        order = self._changing(index)
        at = bisect_left(order, key, key=key_of)
        if previous is not None:
            order[at] = entry
            return previous
        order.insert(at, entry)
        if len(order) > MOST_OF_A_BLOCK:
            middle = len(order) // 2
            blocks.insert(index + 1, Block(order[middle:], self._kept))
            del order[middle:]
        return previous

    def pop(self, key: str) -> Entry | None:
        """Remove; the removed entry."""
        previous = self._entries.pop(key, None)
        if previous is None:
            return None
        index = bisect_left(self._blocks, key, key=_last_key)
        order = self._changing(index)
        del order[bisect_left(order, key, key=key_of)]
        if len(order) < _FEW:
            self._unite(index)
        return previous

    def count(self, namespace: str) -> int:
        """How many entries a namespace has, without copying them."""
        return sum(last - first for _, first, last in self._parts(namespace, ""))

    def snapshot(self, namespace: str = "", start: str = "") -> list[Entry]:
        """The entries of ``namespace`` ("" means all) from key ``start`` on: a list of the caller's own."""
        parts = self._parts(namespace, start)
        return list(
            chain.from_iterable(
                block.entries if last - first == len(block.entries) else block.entries[first:last]
                for block, first, last in parts
            )
        )

    def lend(self, namespace: str = "", start: str = "") -> list[Block]:
        """As ``snapshot``, in blocks that will not change: where it can be, those that lie here."""
        found = []
        for block, first, last in self._parts(namespace, start):
            if last - first == len(block.entries):
                block.lent = True
                found.append(block)
            else:
                found.append(Block(block.entries[first:last]))
        return found

    def _parts(self, namespace: str, start: str) -> Iterator[tuple[Block, int, int]]:
        """The blocks that have some of it, each with the range of those."""
        low, end = (max(start, f"{namespace}/"), f"{namespace}0") if namespace else (start, "")
        blocks = self._blocks
        for index in range(bisect_left(blocks, low, key=_last_key) if low else 0, len(blocks)):
            block = blocks[index]
            order = block.entries
            first, last = 0, len(order)
            if low:  # where the first one begins; the others begin behind it
                first, low = bisect_left(order, low, key=key_of), ""
            beyond = bool(end) and key_of(order[-1]) >= end
            if beyond:
                last = bisect_left(order, end, key=key_of)
            if first < last:
                yield block, first, last
            if beyond:
                return

    def _changing(self, index: int) -> list[Entry]:
        """The entries of a block, which are about to change."""
        block = self._blocks[index]
        block.forget()
        if block.lent:
            block.kept = None
            block = self._blocks[index] = Block(block.entries.copy(), self._kept)
        return block.entries

    def _unite(self, index: int) -> None:
        """Have a block that has become small be part of its neighbour, or be no more if nothing is in it."""
        blocks = self._blocks
        if not blocks[index].entries:
            del blocks[index]
            return
        first = index if index + 1 < len(blocks) else index - 1
        if first >= 0 and len(blocks[first].entries) + len(blocks[first + 1].entries) <= MOST_OF_A_BLOCK // 2:
            self._changing(first).extend(self._changing(first + 1))
            del blocks[first + 1]


def loose(entries: Sequence[Entry]) -> list[Block]:
    """Entries that lie on no shelf together, as blocks."""
    most = MOST_OF_A_BLOCK
    return [Block(list(entries[first : first + most])) for first in range(0, len(entries), most)]


def _last_key(block: Block) -> str:
    return key_of(block.entries[-1])
