"""Where audit events go: a bounded queue, and a thread that writes what is in it to the log, batch by batch."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Sequence
from typing import Final, Protocol

import structlog

from kcpcache.audit.event import Event

log = structlog.get_logger(__name__)

QUEUE_BYTES: Final = 64 * 1024 * 1024
"""When so much waits to be written, new requests wait too."""
CLOSE_SECONDS: Final = 5.0
"""How long a disk may take over the last events."""
_BATCH_EVENTS: Final = 256


class Sink(Protocol):
    """A file. Used by the writing thread alone, and by whoever closes it afterwards."""

    def write(self, data: bytes) -> None:
        """Append. Raises OSError."""
        ...

    def close(self) -> None:
        """Idempotent."""
        ...


class AuditLog:
    """Writes events in the order of ``put``. Nothing is dropped for want of room: see ``room``.

    What cannot be written (the disk is full) is lost, and requests go on, as with kube-apiserver's blocking log:
    ``events`` counts all, ``lost`` those. ``put`` and ``room`` are for the event loop; ``close`` writes what is queued.
    """

    def __init__(self, sink: Sink, *, queue_bytes: int = QUEUE_BYTES, close_seconds: float = CLOSE_SECONDS) -> None:
        self.events = self.lost = 0
        self._failing = False
        self._sink, self._most_bytes, self._close_seconds = sink, queue_bytes, close_seconds
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._queued_bytes = 0
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._thread = threading.Thread(target=self._run, name="audit-log", daemon=True)
        self._thread.start()

    async def room(self) -> None:
        """Return when there is room in the queue. To be awaited before a request is begun.

        What is begun may always ``put``: so the queue's size is bounded by that and by the requests in flight.
        """
        while self._queued_bytes >= self._most_bytes:
            await self._has_room.wait()

    def put(self, event: Event) -> None:
        """Queue an event. Never waits."""
        self.events += 1
        self._queued_bytes += event.weight_bytes
        if self._queued_bytes >= self._most_bytes:
            self._has_room.clear()
        self._queue.put(event)

    async def close(self) -> None:
        """Write what is queued, and close the file; a disk that hangs is given up after a while. Idempotent."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join, self._close_seconds)
        if self._thread.is_alive():
            log.error("the audit log could not be written to its end", waiting_bytes=self._queued_bytes)
        else:
            self._sink.close()

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            batch, stop = [first], False
            while len(batch) < _BATCH_EVENTS:
                try:
                    event = self._queue.get_nowait()
                except queue.Empty:
                    break
                if event is None:
                    stop = True
                    break
                batch.append(event)
            self._write(batch)
            with contextlib.suppress(RuntimeError):  # a closed event loop has nobody left who waits
                self._loop.call_soon_threadsafe(self._written, sum(event.weight_bytes for event in batch))
            if stop:
                return

    def _write(self, batch: Sequence[Event]) -> None:
        try:
            self._sink.write(b"".join([event.line() for event in batch]))
        except Exception as error:  # noqa: BLE001 -- whatever it is, the thread goes on
            if not self._failing:
                log.error("audit events cannot be written and are lost", error=repr(error))  # noqa: TRY400
            self._failing = True
            self.lost += len(batch)
            with contextlib.suppress(OSError):
                self._sink.close()  # opened anew by the next write
        else:
            self._failing = False

    def _written(self, size_bytes: int) -> None:
        self._queued_bytes -= size_bytes
        if self._queued_bytes < self._most_bytes:
            self._has_room.set()
