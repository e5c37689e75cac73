"""The storage contract: keys, bytes and one growing revision. It knows nothing of Kubernetes.

Implementations: ``memory.py`` (the model that tests trust), ``sqlite.py`` (the default). Every one of them
passes ``tests/storage/contract.py``. All methods are called from the event loop that opened the store.

What exists in great numbers is a ``msgspec.Struct(gc=False)``: quick to make, and no work for the collector.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import NewType, Protocol, TypeAlias

import msgspec

Revision = NewType("Revision", int)
"""A point in the life of one store. Starts at 1 with the first write, grows by one per write, never repeats."""


class StoredEntry(msgspec.Struct, frozen=True, gc=False):
    """The live value of a key, and the revision of the write that put it there."""

    key: str
    value: bytes
    revision: Revision


@dataclass(frozen=True, slots=True)
class Read:
    """A key's entry, or None where there is none, as of ``revision``."""

    entry: StoredEntry | None
    revision: Revision


@dataclass(frozen=True, slots=True)
class Page:
    """Entries in key order as of ``revision``.

    ``next_start`` is the ``start`` of the following page, None after the last. ``remaining`` counts the
    entries after this page.
    """

    entries: tuple[StoredEntry, ...]
    revision: Revision
    next_start: str | None = None
    remaining: int = 0


class Put(msgspec.Struct, frozen=True, gc=False):
    """A write as ``Store.write_each`` takes it: ``expected`` None creates, ``value`` None deletes what is at it."""

    key: str
    value: bytes | None
    expected: Revision | None = None

    def check(self) -> None:
        """Raise ValueError for a key that is no UTF-8 (UnicodeEncodeError), and for a deletion without a revision."""
        self.key.encode()
        if self.value is None and self.expected is None:
            raise ValueError(f"{self.key}: a deletion names the revision that it is of")


class Event(msgspec.Struct, frozen=True, gc=False):
    """One committed write.

    ``value`` is what the key holds from ``revision`` on; None for a delete. ``previous`` is the entry that
    the write replaced or removed; None for a create.
    """

    key: str
    revision: Revision
    value: bytes | None
    previous: StoredEntry | None

    @property
    def deleted(self) -> bool:
        """Whether the write was a delete (its last value is ``previous``)."""
        return self.value is None


@dataclass(frozen=True, slots=True)
class Progress:
    """Promises that every event up to and including ``revision`` was delivered to this watch."""

    revision: Revision


class StoreError(Exception):
    """Root of what a store raises.

    * StoreError
      * KeyExistsError: ``create`` met a live entry
      * RevisionConflictError: ``update`` or ``delete`` met another entry than expected, or none
      * CompactedError: a read or watch below the compacted revision
      * FutureRevisionError: a read at a revision that the store has not reached
      * WatcherTooSlowError: a watch whose queue ran full was ended
      * StoreUnavailableError: the write did not happen (disk full, I/O error, closed); reads may still work
      * StoreLockedError: another process has the store open
      * StoreBrokenError: the file is not a store of ours, or damaged; nothing was overwritten
      * EncryptionKeyError: the key file cannot be used, or lacks a key; nothing was overwritten
    """


class KeyExistsError(StoreError):
    """``create`` met a live entry, which is ``current``."""

    def __init__(self, current: StoredEntry) -> None:
        super().__init__(f"key exists: {current.key}")
        self.current = current


class RevisionConflictError(StoreError):
    """``update`` or ``delete`` expected another revision; ``current`` is the live entry, or None."""

    def __init__(self, key: str, expected: Revision, current: StoredEntry | None) -> None:
        found = "none" if current is None else str(current.revision)
        super().__init__(f"{key}: expected revision {expected}, found {found}")
        self.key, self.expected, self.current = key, expected, current


class CompactedError(StoreError):
    """The revision asked for is gone; ``compacted`` is the oldest that can still be read."""

    def __init__(self, asked: Revision, compacted: Revision) -> None:
        super().__init__(f"revision {asked} was compacted; the oldest is {compacted}")
        self.compacted = compacted


class FutureRevisionError(StoreError):
    """The revision asked for has not been reached; ``current`` is the newest."""

    def __init__(self, asked: Revision, current: Revision) -> None:
        super().__init__(f"revision {asked} is in the future; the newest is {current}")
        self.current = current


class WatcherTooSlowError(StoreError):
    """The watch's bounded queue ran full; it was ended and nothing was skipped before that."""


class StoreUnavailableError(StoreError):
    """The write did not happen and will not; the reason is in the text."""


class StoreLockedError(StoreError):
    """Another process has the store open."""


class StoreBrokenError(StoreError):
    """What is at the path is not a store of ours, or is damaged. Nothing was overwritten."""


class EncryptionKeyError(StoreError):
    """The encryption keys cannot be used, or one that stored values need is not there. Nothing was overwritten."""


Outcomes: TypeAlias = list[Revision | StoreError]
"""What came of each of several writes."""


class Store(Protocol):
    """Verbs over keys and bytes, after what Kubernetes uses of etcd.

    A failed write uses up no revision. A write returns only once it is durable *and* ``revision`` covers it.
    A cancelled write may or may not have happened.
    """

    async def revision(self) -> Revision:
        """The newest revision: at least that of every write acknowledged before this call (linearizable)."""
        ...

    async def get(self, key: str) -> Read:
        """The newest entry of ``key``."""
        ...

    async def list(
        self, prefix: str, *, revision: Revision | None = None, limit: int = 0, start: str | None = None
    ) -> Page:
        """Entries whose key starts with ``prefix``, in key order (code points), as of ``revision`` (None: newest).

        ``limit`` 0 means all. ``start`` is the first key of the page, inclusive. Raises CompactedError,
        FutureRevisionError.
        """
        ...

    async def create(self, key: str, value: bytes) -> Revision:
        """Put ``value`` where no live entry is. Raises KeyExistsError."""
        ...

    async def update(self, key: str, value: bytes, *, expected: Revision) -> Revision:
        """Replace the entry whose revision is ``expected``. Raises RevisionConflictError."""
        ...

    async def delete(self, key: str, *, expected: Revision) -> Revision:
        """Remove the entry whose revision is ``expected``; the tombstone gets a revision.

        Raises RevisionConflictError.
        """
        ...

    async def write_each(self, puts: Sequence[Put]) -> Outcomes:
        """Many writes sent together: no transaction, each succeeds or fails by itself, in whatever order.

        What came of each, in the order of ``puts``: its revision, or what ``create``, ``update`` or ``delete`` would
        have raised. Raises ValueError, and writes nothing, where a key is none, or a deletion names no revision.
        """
        ...

    def watch(self, prefix: str, *, after: Revision) -> AsyncIterator[Event | Progress]:
        """Every event above ``after`` under ``prefix``, in order, once; then live, until the iterator is closed.

        A Progress follows when the history has been replayed, and whenever live events were drained; it also
        moves on when writes elsewhere moved the store on. Raises CompactedError at the first step where
        ``after`` is below the compacted revision, WatcherTooSlowError when the bounded queue ran full.
        ``after`` above the newest revision waits for it.
        """
        ...

    async def compact(self, revision: Revision) -> None:
        """Forget what was superseded or deleted at or below ``revision``; live entries stay.

        Afterwards reads and watches below ``revision`` raise CompactedError; ``watch(after=revision)`` still works.
        """
        ...

    async def bump(self, revision: Revision) -> None:
        """Raise the counter to ``revision`` and compact all before it; no-op where it is already there."""
        ...

    def committed_at(self, revision: Revision) -> float | None:
        """When the commit that holds ``revision`` was durable, on ``time.monotonic``'s clock; None where forgotten."""
        ...

    async def close(self) -> None:
        """End all watches, finish queued writes, release the store. Idempotent."""
        ...
