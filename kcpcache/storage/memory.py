"""The store as a plain model: what every other store is compared with."""

import time
from collections.abc import AsyncGenerator, Sequence

from kcpcache.storage.broadcast import WATCH_QUEUE_EVENTS, Broadcast, History
from kcpcache.storage.commit_times import CommitTimes
from kcpcache.storage.store import (
    CompactedError,
    Event,
    FutureRevisionError,
    KeyExistsError,
    Outcomes,
    Page,
    Progress,
    Put,
    Read,
    Revision,
    RevisionConflictError,
    StoredEntry,
    StoreError,
    StoreUnavailableError,
)


class MemoryStore:
    """A ``Store`` that is a list of events and the entries that were live before the first of them.

    Obvious rather than fast: an older revision is read by replaying. Nothing outlives the process.
    """

    healthy = True
    why_unhealthy = ""

    def __init__(self, *, watch_queue_events: int = WATCH_QUEUE_EVENTS) -> None:
        self._revision = Revision(0)
        self._compacted = Revision(0)
        self._base: dict[str, StoredEntry] = {}  # live at the compacted revision
        self._events: list[Event] = []  # above the compacted revision
        self._live: dict[str, StoredEntry] = {}
        self._broadcast = Broadcast(self._revision, queue_events=watch_queue_events)
        self._commits = CommitTimes()
        self._closed = False

    async def revision(self) -> Revision:
        """The newest revision."""
        return self._revision

    async def get(self, key: str) -> Read:
        """The newest entry of ``key``. Raises StoreUnavailableError once closed."""
        self._check_open()
        return Read(self._live.get(key), self._revision)

    async def list(
        self, prefix: str, *, revision: Revision | None = None, limit: int = 0, start: str | None = None
    ) -> Page:
        """Entries below ``prefix``. Raises CompactedError, FutureRevisionError, StoreUnavailableError."""
        self._check_open()
        at = self._revision if revision is None else revision
        state = self._as_of(at)
        found = [state[key] for key in sorted(state) if key.startswith(prefix) and key >= (start or "")]
        if not limit or len(found) <= limit:
            return Page(tuple(found), at)
        return Page(tuple(found[:limit]), at, found[limit].key, len(found) - limit)

    async def create(self, key: str, value: bytes) -> Revision:
        """Put ``value`` where no live entry is. Raises KeyExistsError, StoreUnavailableError."""
        self._check_open()
        current = self._live.get(key)
        if current is not None:
            raise KeyExistsError(current)
        return self._write(key, value, None)

    async def update(self, key: str, value: bytes, *, expected: Revision) -> Revision:
        """Replace the entry at ``expected``. Raises RevisionConflictError, StoreUnavailableError."""
        self._check_open()
        return self._write(key, value, self._expect(key, expected))

    async def delete(self, key: str, *, expected: Revision) -> Revision:
        """Remove the entry at ``expected``. Raises RevisionConflictError, StoreUnavailableError."""
        self._check_open()
        return self._write(key, None, self._expect(key, expected))

    async def write_each(self, puts: Sequence[Put]) -> Outcomes:
        """One after the other. Raises ValueError, StoreUnavailableError."""
        self._check_open()
        for put in puts:
            put.check()
        return [await self._outcome(put) for put in puts]

    async def _outcome(self, put: Put) -> Revision | StoreError:
        try:
            if put.value is None:
                return await self.delete(put.key, expected=put.expected or Revision(0))
            if put.expected is None:
                return await self.create(put.key, put.value)
            return await self.update(put.key, put.value, expected=put.expected)
        except StoreError as error:
            return error

    def watch(self, prefix: str, *, after: Revision) -> AsyncGenerator[Event | Progress, None]:
        """Every event above ``after``. Raises CompactedError, WatcherTooSlowError."""
        return self._broadcast.watch(prefix, after=after, history=self._history)

    async def compact(self, revision: Revision) -> None:
        """Forget what was superseded by ``revision``. Raises FutureRevisionError, StoreUnavailableError."""
        self._check_open()
        if revision > self._compacted:
            self._base = self._as_of(revision)
            self._events = [event for event in self._events if event.revision > revision]
            self._compacted = revision

    async def bump(self, revision: Revision) -> None:
        """Raise the counter to ``revision`` and compact all before it; no-op where it is already there."""
        self._check_open()
        if revision > self._revision:
            self._revision = revision
            await self.compact(revision)
            self._broadcast.publish((), revision)

    def committed_at(self, revision: Revision) -> float | None:
        """When ``revision`` was written (``time.monotonic``); None for long ago."""
        return self._commits.of(revision)

    async def close(self) -> None:
        """End all watches. Idempotent."""
        self._closed = True
        self._broadcast.close()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailableError("the store is closed")

    def _expect(self, key: str, expected: Revision) -> StoredEntry:
        current = self._live.get(key)
        if current is None or current.revision != expected:
            raise RevisionConflictError(key, expected, current)
        return current

    def _write(self, key: str, value: bytes | None, previous: StoredEntry | None) -> Revision:
        key.encode()  # raises ValueError on a lone surrogate, as every store does
        self._revision = Revision(self._revision + 1)
        event = Event(key, self._revision, value, previous)
        self._events.append(event)
        _apply(self._live, event)
        self._commits.add(self._revision, time.monotonic())
        self._broadcast.publish((event,), self._revision)
        return self._revision

    def _as_of(self, revision: Revision) -> dict[str, StoredEntry]:
        if revision < self._compacted:
            raise CompactedError(revision, self._compacted)
        if revision > self._revision:
            raise FutureRevisionError(revision, self._revision)
        state = dict(self._base)
        for event in self._events:
            if event.revision <= revision:
                _apply(state, event)
        return state

    async def _history(self, prefix: str, after: Revision) -> History | None:
        if self._closed:
            return None
        if after < self._compacted:
            raise CompactedError(after, self._compacted)
        found = [event for event in self._events if event.revision > after and event.key.startswith(prefix)]
        return History(found, self._revision)


def _apply(state: dict[str, StoredEntry], event: Event) -> None:
    if event.value is None:
        del state[event.key]
    else:
        state[event.key] = StoredEntry(event.key, event.value, event.revision)
