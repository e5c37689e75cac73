"""How much work the SQLite store does, in countable steps."""

import asyncio
import gc
import threading
import weakref

import apsw
import pytest

from kcpcache.storage.sqlite import SqliteStore
from kcpcache.storage.store import KeyExistsError


@pytest.fixture
async def store(tmp_path):
    found = await SqliteStore.open(tmp_path / "store.db")
    yield found
    await found.close()


async def test_what_is_queued_meanwhile_is_one_commit_however_much_it_is(store, monkeypatch):
    stored: list[int] = []
    store_batch, first_may_end = store._writer._store, threading.Event()

    def counting(events, current):
        stored.append(len(events))
        assert first_may_end.wait(10)
        store_batch(events, current)

    monkeypatch.setattr(store._writer, "_store", counting)
    writes = [asyncio.create_task(store.create("/first", b"x"))]
    while not stored:  # noqa: ASYNC110 -- the writer is a thread
        await asyncio.sleep(0)
    writes += [asyncio.create_task(store.create(f"/a/{number}", b"x")) for number in range(100)]
    while store._writer._queue.qsize() < 100:  # noqa: ASYNC110 -- it tells nobody
        await asyncio.sleep(0)
    first_may_end.set()
    await asyncio.gather(*writes)
    assert stored == [1, 100]


async def test_a_batch_takes_two_statements(store, monkeypatch):
    statements: list[str] = []

    def trace(event):
        if event["code"] == apsw.SQLITE_TRACE_STMT and not event["trigger"]:
            statements.append(event["sql"].split()[0])

    await store.create("/a", b"x")  # the first one also reads the revision
    store._writing.trace_v2(apsw.SQLITE_TRACE_STMT, trace)
    await store.update("/a", b"y", expected=1)
    assert statements == ["SELECT", "INSERT"]


async def test_a_write_that_is_refused_leaves_nothing_to_the_collector(store):
    """What only the collector finds, it takes away ten thousand at a time, while everybody waits."""
    await store.create("/a", b"x")
    gc.disable()
    try:
        try:
            await store.create("/a", b"x")
        except KeyExistsError as error:
            known = weakref.ref(error)
        await asyncio.sleep(0)  # what has woken this task still knows of it
        assert known() is None
    finally:
        gc.enable()
