"""The SQLite store forgets by itself: how much, when, and across restarts."""

import asyncio
import contextlib
import time

import apsw
import pytest
from watching import replay

from kcpcache.storage.sqlite import SqliteStore
from kcpcache.storage.store import CompactedError


class Clock:
    """Monotonic seconds that a test moves."""

    def __init__(self, seconds):
        self.seconds = seconds

    def __call__(self):
        return self.seconds


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


def rows(path, table):
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return connection.execute(f"SELECT count(*) FROM {table}").get
    finally:
        connection.close()


async def touch(store, times=1):
    """Writes, each in its own transaction: after each the writer looks at the clock."""
    for _ in range(times):
        entry = (await store.get("/touched")).entry
        if entry is None:
            await store.create("/touched", b"")
        else:
            await store.update("/touched", b"", expected=entry.revision)


async def settle(store):
    """Until the writer has looked at the clock, and removed what it found to remove."""
    await store.probe()
    await store.compact(0)


async def test_what_is_older_than_the_history_is_forgotten_and_the_rest_is_not(path):
    clock = Clock(5_000.0)
    store = await SqliteStore.open(path, history_seconds=600, now=clock)
    for _ in range(30):
        clock.seconds += 60
        await touch(store)
        await settle(store)
    for past in (20, 30):
        assert (await store.list("/", revision=past)).entries[0].revision == past
    with pytest.raises(CompactedError):
        await store.list("/", revision=19)
    assert rows(path, "log") == 11
    assert rows(path, "mark") == 10
    await store.close()


async def test_nothing_is_forgotten_before_its_time(path):
    clock = Clock(0.0)
    store = await SqliteStore.open(path, history_seconds=600, now=clock)
    await touch(store, 5)
    clock.seconds = 599.0
    await touch(store, 5)
    await settle(store)
    assert len(await replay(store, "/", 0)) == 10
    await store.close()


async def test_time_while_closed_does_not_count_and_time_before_does(path):
    store = await SqliteStore.open(path, history_seconds=600, now=(clock := Clock(1_000_000.0)))
    await settle(store)
    for _ in range(2):
        await touch(store, 3)
        clock.seconds += 150
        await settle(store)
    await store.close()
    # Another boot: the clock starts anywhere.
    store = await SqliteStore.open(path, history_seconds=600, now=(clock := Clock(7.0)))
    await settle(store)
    assert len(await replay(store, "/", 0)) == 6
    clock.seconds += 450
    await settle(store)
    with pytest.raises(CompactedError):
        await replay(store, "/", 2)
    assert [event.revision for event in await replay(store, "/", 3)] == [4, 5, 6]
    await store.close()


async def test_a_wall_clock_that_jumps_takes_no_history_away(path, monkeypatch):
    real = time.time
    store = await SqliteStore.open(path, history_seconds=600)
    for hours in (0, 1, -2):
        monkeypatch.setattr(time, "time", lambda hours=hours: real() + hours * 3600)
        await touch(store, 3)
        await settle(store)
    await store.close()
    store = await SqliteStore.open(path, history_seconds=600)
    await settle(store)
    assert [event.revision for event in await replay(store, "/", 0)] == list(range(1, 10))
    await store.close()


async def test_live_entries_and_the_counter_outlive_their_history(path):
    clock = Clock(0.0)
    store = await SqliteStore.open(path, history_seconds=10, now=clock)
    await store.create("/kept", b"1")
    await store.delete("/gone", expected=await store.create("/gone", b"2"))
    await settle(store)
    clock.seconds = 11.0
    await settle(store)
    clock.seconds = 22.0
    await settle(store)
    assert [entry.key for entry in (await store.list("/")).entries] == ["/kept"]
    assert rows(path, "log") == 1
    assert await store.create("/next", b"") == 4
    await store.close()


async def test_a_sweep_that_was_interrupted_goes_on_after_reopening(path):
    store = await SqliteStore.open(path, synchronous="normal")
    await touch(store, 1_000)
    await store.close()
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE meta SET compacted = revision")  # as after a kill between the two
    connection.close()
    store = await SqliteStore.open(path)
    await settle(store)
    assert rows(path, "log") == 1
    await store.close()


async def test_writes_and_watches_go_on_between_the_steps_of_a_long_sweep(path):
    store = await SqliteStore.open(path, synchronous="normal")
    await touch(store, 1_500)
    async with contextlib.aclosing(store.watch("/", after=1_500)) as watch:
        await anext(watch)
        compacting = asyncio.ensure_future(store.compact(1_500))
        await store.create("/between", b"")
        assert not compacting.done()
        assert (await anext(watch)).key == "/between"
        await compacting
    assert rows(path, "log") == 2
    await store.close()
