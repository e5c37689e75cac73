"""The SQLite store's one writer: a thread that turns whatever is queued into one transaction."""

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import apsw
import orjson

from kcpcache.storage.sqlite_compaction import Compaction
from kcpcache.storage.sqlite_file import store_errors, write_transaction
from kcpcache.storage.sqlite_rows import current_entries
from kcpcache.storage.store import (
    Event,
    KeyExistsError,
    Revision,
    RevisionConflictError,
    StoreBrokenError,
    StoredEntry,
    StoreError,
    StoreUnavailableError,
)

_BATCH_WRITES = 1_024
_BATCH_BYTES = 16 * 1024 * 1024
_IDLE_SECONDS = 5.0
_PROBE_SECONDS = 1.0

# All that a batch changes, as one statement: it is a transaction of its own, and each further statement would have the
# thread wait once more for the interpreter's lock, a millisecond where the event loop is busy. A row of ``rows`` is
# [key, previous, deleted, first byte from 1, length]; substr of an empty blob would be NULL.
_PREPARE = """
    CREATE TEMP VIEW batch (first_revision, packed, rows, live, gone, revision) AS
    SELECT NULL, NULL, NULL, NULL, NULL, NULL WHERE false;
    CREATE TEMP TRIGGER store_batch INSTEAD OF INSERT ON batch BEGIN
        INSERT INTO log (revision, key, previous, deleted, value)
        SELECT NEW.first_revision + row.key, row.value ->> 0, row.value ->> 1, row.value ->> 2,
            CASE WHEN row.value ->> 2 THEN NULL
            ELSE coalesce(substr(NEW.packed, row.value ->> 3, row.value ->> 4), x'') END
        FROM json_each(NEW.rows) AS row;
        INSERT OR REPLACE INTO live (key, revision)
        SELECT row.value ->> 0, row.value ->> 1 FROM json_each(NEW.live) AS row;
        DELETE FROM live WHERE key IN (SELECT value FROM json_each(NEW.gone));
        UPDATE meta SET revision = NEW.revision;
    END;
"""
_STORE = "INSERT INTO batch VALUES (?, ?, ?, ?, ?, ?)"


class Write:
    """One write: ``value`` None deletes, ``expected`` None creates.

    ``outcome`` is set by the writer thread, which then hands the write back to the event loop.
    """

    __slots__ = ("expected", "key", "outcome", "reply", "value")

    def __init__(self, key: str, value: bytes | None, expected: Revision | None, reply: Any = None) -> None:
        self.key = key
        self.value = value
        self.expected = expected
        self.reply = reply
        self.outcome: Revision | Exception | None = None


class Together:
    """What came of several writes, ``outcomes``; ``all_answered`` (a future) is done when all have come. Loop only."""

    __slots__ = ("_left", "all_answered", "outcomes")

    def __init__(self, count: int, all_answered: Any) -> None:
        self._left, self.all_answered = count, all_answered
        self.outcomes: list[Any] = [None] * count

    def answer(self, index: int, outcome: object) -> None:
        """One more is answered."""
        self.outcomes[index] = outcome
        self._left -= 1
        if not self._left and not self.all_answered.done():
            self.all_answered.set_result(None)


class OneOf:
    """Stands for the reply (a future) of one of the writes that were sent together."""

    __slots__ = ("_index", "_together")

    def __init__(self, together: Together, index: int) -> None:
        self._together, self._index = together, index

    def done(self) -> bool:
        """No: whoever sent them may be gone, but not one of the answers."""
        return False

    def set_result(self, outcome: object) -> None:
        """What came of it: a revision or an error."""
        self._together.answer(self._index, outcome)

    set_exception = set_result


class Order:
    """Something other than a write, done between transactions: ``compact``, ``bump``, ``probe`` or ``stop``."""

    __slots__ = ("outcome", "reply", "revision", "verb")

    def __init__(self, verb: str, revision: Revision, reply: Any = None) -> None:
        self.verb = verb
        self.revision = revision
        self.reply = reply
        self.outcome: Revision | Exception | None = None


Deliver: TypeAlias = Callable[[Sequence[Write | Order], Sequence[Event], Revision], None]
"""Gets what is answered, the events that were committed with it, and the revision after them (0: unchanged)."""


class Writer:
    """Owns the only read-write connection; used on ``thread`` alone; ``put`` may be called from any thread.

    Whatever is queued becomes one transaction (group commit). A write that fails its check fails alone; when
    the transaction cannot be committed all of it fails, nothing is delivered, and no revision is used up.
    Between transactions it compacts, and while the disk refuses writes it tries again every second.
    """

    def __init__(self, connection: apsw.Connection, compaction: Compaction, deliver: Deliver) -> None:
        connection.execute(_PREPARE)
        self._connection = connection
        self._revision: Revision | None = None  # what the file has, while that is sure
        self._compaction = compaction
        self._deliver = deliver
        self._queue: queue.SimpleQueue[Write | Order] = queue.SimpleQueue()
        self._held: Order | None = None  # taken from the queue, but not part of the batch before it
        self._until_swept: list[Order] = []
        self._stopped = False
        self.why_unhealthy = ""
        """Why the last transaction failed; "" when it did not."""
        self.thread = threading.Thread(target=self._run, name="sqlite-writer", daemon=True)

    def put(self, request: Write | Order) -> None:
        """Queue a request. Each one put before the order ``stop`` is answered."""
        self._queue.put(request)

    def _run(self) -> None:
        while not self._stopped:
            requests = self._take()
            if requests and isinstance(requests[0], Order):
                self._obey(requests[0])
            elif requests:
                self._write(requests)  # type: ignore[arg-type]  # _take never mixes them
            elif self.why_unhealthy:
                self._attempt(self._probe)
            self._keep_house()

    def _take(self) -> Sequence[Write | Order]:
        """The queued writes that make one transaction, or one order, or nothing once it is time for other things."""
        first: Write | Order | None = self._held
        self._held = None
        if first is None:
            first = self._wait()
        if not isinstance(first, Write):
            return () if first is None else (first,)
        batch = [first]
        size_bytes = len(first.value or b"")
        while len(batch) < _BATCH_WRITES and size_bytes < _BATCH_BYTES:
            try:
                request = self._queue.get_nowait()
            except queue.Empty:
                break
            if isinstance(request, Order):
                self._held = request
                break
            batch.append(request)
            size_bytes += len(request.value or b"")
        return batch

    def _wait(self) -> Write | Order | None:
        try:
            if self._compaction.sweeping and not self.why_unhealthy:
                return self._queue.get_nowait()
            return self._queue.get(timeout=_PROBE_SECONDS if self.why_unhealthy else _IDLE_SECONDS)
        except queue.Empty:
            return None

    def _attempt(self, step: Callable[[], object]) -> StoreError | None:
        """Run a step that writes. What went wrong is given back; what is wrong with the disk is remembered."""
        try:
            with store_errors("nothing was stored"):
                step()
        except (StoreUnavailableError, StoreBrokenError) as error:
            self.why_unhealthy = str(error)
            return error
        except StoreError as error:
            return error
        except Exception as error:  # noqa: BLE001 - whatever it is: those who wait are told, and the thread goes on
            failure = StoreUnavailableError(f"nothing was stored: {error!r}")
            self.why_unhealthy = str(failure)
            return failure
        return None

    def _write(self, writes: Sequence[Write]) -> None:
        events: list[Event] = []
        failure = self._attempt(lambda: self._commit(writes, events))
        if failure is not None and not self._committed(events):
            events = []
            for write in writes:
                write.outcome = type(failure)(str(failure))  # one each: raising adds a traceback
        if failure is None and events:
            self.why_unhealthy = ""
        self._deliver(writes, events, events[-1].revision if events else Revision(0))

    def _commit(self, writes: Sequence[Write], events: list[Event]) -> None:
        # Nobody else writes to the file: what is read here is still so when the batch is stored.
        current: dict[str, StoredEntry | None] = {
            **current_entries(self._connection, list({write.key for write in writes}))
        }
        revision = self._newest() if self._revision is None else self._revision
        self._revision = None
        for write in writes:
            entry = current.get(write.key)
            if write.expected is None and entry is not None:
                write.outcome = KeyExistsError(entry)
            elif write.expected is not None and (entry is None or entry.revision != write.expected):
                write.outcome = RevisionConflictError(write.key, write.expected, entry)
            else:
                write.outcome = revision = Revision(revision + 1)
                events.append(Event(write.key, revision, write.value, entry))
                current[write.key] = None if write.value is None else StoredEntry(write.key, write.value, revision)
        if events:
            self._store(events, current)
        self._revision = revision

    def _newest(self) -> Revision:
        return self._connection.execute("SELECT revision FROM meta").get  # type: ignore[no-any-return]

    def _store(self, events: Sequence[Event], current: dict[str, StoredEntry | None]) -> None:
        rows: list[tuple[str, int, int, int, int]] = []
        first_byte = 1
        for event in events:
            size = len(event.value or b"")
            previous = event.previous.revision if event.previous else 0
            rows.append((event.key, previous, int(event.deleted), first_byte, size))
            first_byte += size
        values = b"".join([event.value or b"" for event in events])
        keys = {event.key for event in events}
        live = [(key, entry.revision) for key in keys if (entry := current[key]) is not None]
        gone = [key for key in keys if current[key] is None]
        tables = (orjson.dumps(table).decode() for table in (rows, live, gone))
        self._connection.execute(_STORE, (events[0].revision, values, *tables, events[-1].revision))

    def _committed(self, events: Sequence[Event]) -> bool:
        """Whether a transaction whose COMMIT reported an error is in the file all the same."""
        try:
            return bool(events) and self._newest() == events[-1].revision
        except apsw.Error:
            return False

    def _probe(self) -> None:
        with write_transaction(self._connection):
            self._connection.execute("UPDATE meta SET probes = probes + 1")
        self.why_unhealthy = ""

    def _obey(self, order: Order) -> None:
        revision = Revision(0)
        if order.verb == "stop":
            self._stopped = True
            # What is left to sweep is swept after the next start; it can no longer be read already.
            self._deliver(self._until_swept, (), revision)
        else:
            order.outcome = self._attempt(lambda: self._carry_out(order))
        if order.verb == "compact" and order.outcome is None:
            self._until_swept.append(order)
            return
        if order.verb == "bump" and order.outcome is None:
            revision = order.revision
        self._deliver((order,), (), revision)

    def _carry_out(self, order: Order) -> None:
        self._revision = None
        if self.why_unhealthy or order.verb == "probe":
            self._probe()
        if order.verb == "compact":
            self._compaction.compact(order.revision)
        elif order.verb == "bump":
            self._compaction.bump(order.revision)

    def _keep_house(self) -> None:
        if self._stopped:
            return
        failure: StoreError | None = None
        if self.why_unhealthy:
            failure = StoreUnavailableError(self.why_unhealthy)
        else:
            failure = self._attempt(self._compaction.tick)
            if failure is None and self._compaction.sweeping:
                failure = self._attempt(self._compaction.sweep)
        if self._until_swept and (failure is not None or not self._compaction.sweeping):
            for order in self._until_swept:
                order.outcome = failure and type(failure)(str(failure))
            self._deliver(self._until_swept, (), Revision(0))
            self._until_swept = []
