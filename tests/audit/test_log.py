"""The queue before the audit log: in order, bounded, and never in the way of the event loop."""

import asyncio
import threading
from datetime import UTC, datetime

import orjson
import pytest

from kcpcache.audit.event import Event, Head
from kcpcache.audit.log import AuditLog
from kcpcache.audit.policy import Level

AT = datetime(2030, 1, 1, tzinfo=UTC)


def event(number, body_bytes=0):
    head = Head(str(number), "/", "", [], AT)
    return Event(head, Level.METADATA, "ResponseComplete", AT, "get", {}, body_bytes=body_bytes)


class Sink:
    """Writes while ``go_on`` is set; raises what ``error`` is."""

    def __init__(self):
        self.lines, self.closed, self.error = [], 0, None
        self.go_on, self.entered = threading.Event(), threading.Event()
        self.go_on.set()

    def write(self, data):
        self.entered.set()
        self.go_on.wait()
        if self.error is not None:
            raise self.error
        self.lines += data.splitlines()

    def close(self):
        self.closed += 1

    def numbers(self):
        return [int(orjson.loads(line)["auditID"]) for line in self.lines]


@pytest.fixture
def sink():
    return Sink()


async def test_events_are_written_in_order_and_all_of_them_before_it_closes(sink):
    log = AuditLog(sink)
    for number in range(1_000):
        log.put(event(number))
    await log.close()
    assert sink.numbers() == list(range(1_000))
    assert sink.closed == 1
    await log.close()


async def test_a_slow_disk_holds_up_nobody_who_has_begun_and_whoever_comes_when_the_queue_is_full(sink):
    log = AuditLog(sink, queue_bytes=10_000)
    sink.go_on.clear()
    await log.room()
    log.put(event(0, 20_000))
    log.put(event(1, 20_000))
    waiting = asyncio.create_task(log.room())
    await asyncio.to_thread(sink.entered.wait)
    assert not waiting.done()
    sink.go_on.set()
    await waiting
    await log.close()
    assert sink.numbers() == [0, 1]


async def test_whoever_waits_for_room_may_give_up(sink):
    log = AuditLog(sink, queue_bytes=1)
    sink.go_on.clear()
    log.put(event(0))
    waiting = asyncio.create_task(log.room())
    await asyncio.to_thread(sink.entered.wait)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    sink.go_on.set()
    await log.room()
    await log.close()


async def test_what_cannot_be_written_is_counted_and_it_goes_on_once_it_can(sink, capfd):
    log = AuditLog(sink, queue_bytes=1)
    sink.error = OSError(28, "No space left on device")
    for number in (0, 1):
        log.put(event(number))
        await log.room()
    assert (log.events, log.lost) == (2, 2)
    assert sink.closed == 2
    sink.error = None
    log.put(event(2))
    await log.close()
    assert sink.numbers() == [2]
    assert capfd.readouterr().out.count("audit events cannot be written") == 1


async def test_a_disk_that_hangs_does_not_keep_the_server_from_ending(sink, capfd):
    log = AuditLog(sink, close_seconds=0.0)
    sink.go_on.clear()
    log.put(event(0))
    await asyncio.to_thread(sink.entered.wait)
    await log.close()
    assert sink.closed == 0
    assert "could not be written to its end" in capfd.readouterr().out
    sink.go_on.set()
