"""The default store: one SQLite file, one writer thread, readers beside it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import apsw

from kcpcache.measure import Histogram
from kcpcache.storage.broadcast import WATCH_QUEUE_EVENTS, Broadcast, History
from kcpcache.storage.commit_times import CommitTimes
from kcpcache.storage.sqlite_compaction import Compaction
from kcpcache.storage.sqlite_file import SqliteFile, Synchronous, store_errors
from kcpcache.storage.sqlite_rows import read_history, read_key, read_page
from kcpcache.storage.sqlite_writer import OneOf, Order, Together, Write, Writer
from kcpcache.storage.store import Event, Outcomes, Page, Progress, Put, Read, Revision, StoreUnavailableError

HISTORY_SECONDS = 600.0
"""How much history is kept for watches to resume in, unless the store is told otherwise."""

_QUEUED_WRITES = 4_096
_VERBS = ("get", "list", "create", "update", "delete")
_COMMIT_WRITES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

_P = ParamSpec("_P")
_T = TypeVar("_T")


def _release_opened(opening: asyncio.Future[SqliteFile]) -> None:
    if opening.exception() is None:
        opening.result().release()


class _Reader:
    """A thread with a read-only connection of its own."""

    def __init__(self, file: SqliteFile, name: str) -> None:
        self._connection = file.connect(read_only=True)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def run(
        self, function: Callable[Concatenate[apsw.Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """``function`` on the reader's thread. Raises what it raises; apsw.Error as StoreError."""

        def call() -> _T:
            with store_errors("cannot read"):
                return function(self._connection, *args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def close(self) -> None:
        """Finish what is running and close the connection. Blocks: not for the event loop."""
        self._thread.shutdown(wait=True)
        self._connection.close()


class SqliteStore:
    """A ``Store`` in one SQLite file (WAL), for one process.

    Writes are queued to one thread that commits them in groups; when the queue is full they wait. Events are
    published on the event loop after the commit and before the writes return. Reads run on two more threads,
    so that a long list holds up no get; none of them ever waits for a write. Use ``open``.
    """

    def __init__(
        self,
        file: SqliteFile,
        *,
        history_seconds: float,
        watch_queue_events: int,
        now: Callable[[], float],
    ) -> None:
        self._file = file
        self._loop = asyncio.get_running_loop()
        self._writing = file.connect()
        revision = Revision(self._writing.execute("SELECT revision FROM meta").get)
        self._newest = revision  # seen by any read or write; the broadcast's may be behind it for a moment
        self._broadcast = Broadcast(revision, queue_events=watch_queue_events)
        compaction = Compaction(self._writing, history_seconds=history_seconds, now=now)
        self._writer = Writer(self._writing, compaction, self._deliver)
        self._points = _Reader(file, "sqlite-get")
        self._scans = _Reader(file, "sqlite-list")
        self._room = asyncio.Semaphore(_QUEUED_WRITES)
        self._commits = CommitTimes()
        self.durations: Mapping[str, Histogram] = {verb: Histogram() for verb in _VERBS}
        """Seconds from the call of each verb to its answer, waiting in the queue included; failures too."""
        self.commit_writes = Histogram(_COMMIT_WRITES)
        """How many writes shared a commit."""
        self._closing: asyncio.Task[None] | None = None
        self._writer.thread.start()

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        synchronous: Synchronous = "full",
        history_seconds: float = HISTORY_SECONDS,
        watch_queue_events: int = WATCH_QUEUE_EVENTS,
        now: Callable[[], float] = time.monotonic,
        vfs: str = "",
    ) -> "SqliteStore":
        """Open the store at ``path``, made if missing, and lock it for this process.

        ``now`` gives seconds that never go back; ``vfs`` names a registered SQLite VFS. Raises
        StoreLockedError, StoreBrokenError, StoreUnavailableError.
        """
        opening = asyncio.ensure_future(asyncio.to_thread(SqliteFile, path, synchronous, vfs=vfs))
        try:
            file = await asyncio.shield(opening)
        except asyncio.CancelledError:
            # The thread cannot be stopped: the lock it takes is given back when it is done.
            opening.add_done_callback(_release_opened)
            raise
        try:
            with store_errors(f"cannot open {path}"):
                return cls(file, history_seconds=history_seconds, watch_queue_events=watch_queue_events, now=now)
        except BaseException:
            file.release()
            raise

    @property
    def healthy(self) -> bool:
        """Whether the last transaction could be committed. It heals by itself: see ``probe``."""
        return not self._writer.why_unhealthy

    @property
    def why_unhealthy(self) -> str:
        """What the last transaction failed of; "" when healthy."""
        return self._writer.why_unhealthy

    async def revision(self) -> Revision:
        """The newest revision that a read or an acknowledged write has shown."""
        return self._newest

    async def get(self, key: str) -> Read:
        """The newest entry of ``key``. Raises StoreUnavailableError, StoreBrokenError."""
        self._check_open()
        with self._timed("get"):
            read = await self._points.run(read_key, key)
        self._newest = max(self._newest, read.revision)
        return read

    async def list(
        self, prefix: str, *, revision: Revision | None = None, limit: int = 0, start: str | None = None
    ) -> Page:
        """Entries below ``prefix``. Raises as the contract says, and StoreUnavailableError, StoreBrokenError."""
        self._check_open()
        with self._timed("list"):
            page = await self._scans.run(read_page, prefix, revision, limit, start)
        self._newest = max(self._newest, page.revision)
        return page

    async def create(self, key: str, value: bytes) -> Revision:
        """Put ``value`` where no live entry is. Raises KeyExistsError, StoreUnavailableError."""
        return await self._write("create", key, value, None)

    async def update(self, key: str, value: bytes, *, expected: Revision) -> Revision:
        """Replace the entry at ``expected``. Raises RevisionConflictError, StoreUnavailableError."""
        return await self._write("update", key, value, expected)

    async def delete(self, key: str, *, expected: Revision) -> Revision:
        """Remove the entry at ``expected``. Raises RevisionConflictError, StoreUnavailableError."""
        return await self._write("delete", key, None, expected)

    async def write_each(self, puts: Sequence[Put]) -> Outcomes:
        """As many as the queue takes in one commit. Raises ValueError, StoreUnavailableError."""
        self._check_open()
        began = time.perf_counter()
        for put in puts:
            put.check()
        together = Together(len(puts), self._loop.create_future())
        for index, put in enumerate(puts):
            await self._room.acquire()
            if self._closing is None:
                self._writer.put(Write(put.key, put.value, put.expected, OneOf(together, index)))
            else:
                self._room.release()
                together.answer(index, StoreUnavailableError("the store is closed"))
        if puts:
            await together.all_answered
        seconds = time.perf_counter() - began
        for put in puts:
            verb = "delete" if put.value is None else "create" if put.expected is None else "update"
            self.durations[verb].observe(seconds)
        return together.outcomes

    def watch(self, prefix: str, *, after: Revision) -> AsyncGenerator[Event | Progress, None]:
        """Every event above ``after``. Raises CompactedError, WatcherTooSlowError, StoreUnavailableError."""
        return self._broadcast.watch(prefix, after=after, history=self._history)

    def committed_at(self, revision: Revision) -> float | None:
        """When the commit that holds ``revision`` was durable (``time.monotonic``); None for long ago."""
        return self._commits.of(revision)

    def size_bytes(self) -> int:
        """What the database takes of the disk, its write-ahead log included. Asks the file system."""
        return self._file.size_bytes()

    @contextlib.contextmanager
    def _timed(self, verb: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.durations[verb].observe(time.perf_counter() - began)

    async def compact(self, revision: Revision) -> None:
        """Forget what was superseded by ``revision``; returns when its rows are gone.

        Raises FutureRevisionError, StoreUnavailableError. The store also does this by itself.
        """
        await self._submit(Order("compact", revision, self._loop.create_future()))

    async def bump(self, revision: Revision) -> None:
        """Raise the counter to ``revision`` and compact all before it; no-op where it is already there.

        For a restored file: whoever holds a revision from before the restore must list anew.
        """
        await self._submit(Order("bump", revision, self._loop.create_future()))

    async def probe(self) -> None:
        """Commit an empty change now. Raises StoreUnavailableError where the disk refuses it.

        The writer does the same every second while the store is unhealthy.
        """
        await self._submit(Order("probe", Revision(0), self._loop.create_future()))

    async def close(self) -> None:
        """Refuse new requests, finish queued writes, end all watches, release the file. Idempotent."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        stopped = self._loop.create_future()
        self._writer.put(Order("stop", Revision(0), stopped))
        await stopped
        self._broadcast.close()
        await asyncio.to_thread(self._release)

    def _release(self) -> None:
        self._writer.thread.join()
        self._points.close()
        self._scans.close()
        # Last, since only a read-write connection takes the WAL back into the file on closing.
        self._writing.close()
        self._file.release()

    def _check_open(self) -> None:
        if self._closing is not None:
            raise StoreUnavailableError("the store is closed")

    async def _write(self, verb: str, key: str, value: bytes | None, expected: Revision | None) -> Revision:
        began = time.perf_counter()
        try:
            key.encode()  # raises ValueError on a lone surrogate, which has no place in the file
            return await self._submit(Write(key, value, expected, self._loop.create_future()))  # type: ignore[no-any-return]
        finally:
            self.durations[verb].observe(time.perf_counter() - began)

    async def _submit(self, request: Write | Order) -> Any:
        self._check_open()
        await self._room.acquire()
        if self._closing is not None:
            self._room.release()
            self._check_open()
        # The place in the queue is given back in _answer, even when the one who waits is cancelled.
        self._writer.put(request)
        return await request.reply

    def _deliver(self, requests: Sequence[Write | Order], events: Sequence[Event], revision: Revision) -> None:
        # On the writer's thread. A closed event loop has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._answer, requests, events, revision, time.monotonic())

    def _answer(
        self, requests: Sequence[Write | Order], events: Sequence[Event], revision: Revision, committed_at: float
    ) -> None:
        if events:
            self._commits.add(revision, committed_at)
            self.commit_writes.observe(len(events))
        if revision:
            self._newest = max(self._newest, revision)
            self._broadcast.publish(events, revision)
        for request in requests:
            self._room.release()
            reply, outcome = request.reply, request.outcome
            request.reply = request.outcome = None  # an error leads back to it: they would be left to the collector
            if reply.done():
                continue
            if isinstance(outcome, Exception):
                reply.set_exception(outcome)
            else:
                reply.set_result(outcome)

    async def _history(self, prefix: str, after: Revision) -> History | None:
        if self._closing is not None:
            return None
        return await self._scans.run(read_history, prefix, after)
