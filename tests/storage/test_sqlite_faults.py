"""When the disk refuses: writes fail cleanly, reads go on, and it heals by itself."""

import asyncio

import apsw
import pytest
from watching import events_until, replay

from kcpcache.storage.sqlite import SqliteStore
from kcpcache.storage.sqlite_file import SqliteFile
from kcpcache.storage.store import KeyExistsError, StoredEntry, StoreUnavailableError

ERRORS = [apsw.FullError("disk full"), apsw.IOError("I/O error"), apsw.ReadOnlyError("read-only file system")]


class Disk(apsw.VFS):
    """A VFS whose writes (or syncs) fail while ``error`` is set."""

    def __init__(self):
        super().__init__("faulty", "")
        self.error = None
        self.on = "write"

    def xOpen(self, name, flags):  # noqa: N802 - SQLite's name
        return DiskFile(self, name, flags)


class DiskFile(apsw.VFSFile):
    def __init__(self, disk, name, flags):
        super().__init__("", name, flags)
        self.disk = disk

    def xWrite(self, data, offset):  # noqa: N802 - SQLite's name
        if self.disk.error and self.disk.on == "write":
            raise self.disk.error
        super().xWrite(data, offset)

    def xSync(self, flags):  # noqa: N802 - SQLite's name
        if self.disk.error and self.disk.on == "sync":
            raise self.disk.error
        super().xSync(flags)


@pytest.fixture
def disk():
    vfs = Disk()
    yield vfs
    vfs.unregister()


@pytest.fixture
async def store(tmp_path, disk):
    opened = await SqliteStore.open(tmp_path / "store.db", vfs="faulty")
    yield opened
    disk.error = None
    await opened.close()


@pytest.mark.parametrize("error", ERRORS, ids=str)
@pytest.mark.parametrize("on", ["write", "sync"])
async def test_a_refused_transaction_fails_whole_and_uses_up_no_revision(store, disk, error, on):
    await store.create("/a", b"1")
    watch = store.watch("/", after=1)
    await anext(watch)
    disk.error, disk.on = error, on
    results = await asyncio.gather(
        store.create("/b", b""),
        store.update("/a", b"2", expected=1),
        store.create("/c", b""),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [StoreUnavailableError] * 3
    assert await store.revision() == 1
    assert (await store.get("/a")).entry == StoredEntry("/a", b"1", 1)
    assert [entry.key for entry in (await store.list("/")).entries] == ["/a"]
    disk.error = None
    assert await store.create("/d", b"") == 2
    assert [(event.key, event.revision) for event in await events_until(watch, 2)] == [("/d", 2)]
    await watch.aclose()


@pytest.mark.parametrize("error", ERRORS, ids=str)
async def test_readiness_follows_the_disk(store, disk, error):
    assert (store.healthy, store.why_unhealthy) == (True, "")
    disk.error = error
    with pytest.raises(StoreUnavailableError) as caught:
        await store.create("/a", b"")
    assert str(error) in str(caught.value)
    assert not store.healthy
    assert str(error) in store.why_unhealthy
    with pytest.raises(StoreUnavailableError):
        await store.probe()
    assert not store.healthy
    disk.error = None
    await store.probe()
    assert (store.healthy, store.why_unhealthy) == (True, "")


async def test_it_heals_without_a_write(store, disk, monkeypatch):
    monkeypatch.setattr("kcpcache.storage.sqlite_writer._PROBE_SECONDS", 0.001)
    disk.error = ERRORS[0]
    with pytest.raises(StoreUnavailableError):
        await store.create("/a", b"")
    disk.error = None
    while not store.healthy:  # noqa: ASYNC110 - the writer's thread has no event to set
        await asyncio.sleep(0)


async def test_a_write_that_fails_its_check_says_nothing_about_the_disk(store, disk):
    await store.create("/a", b"")
    disk.error = ERRORS[0]
    with pytest.raises(StoreUnavailableError):
        await store.create("/b", b"")
    with pytest.raises(KeyExistsError):
        await store.create("/a", b"")
    assert not store.healthy


async def test_a_compaction_that_the_disk_refuses_fails_and_changes_nothing(store, disk):
    await store.update("/a", b"", expected=await store.create("/a", b""))
    disk.error = ERRORS[0]
    with pytest.raises(StoreUnavailableError):
        await store.compact(2)
    with pytest.raises(StoreUnavailableError):
        await store.bump(10)
    disk.error = None
    assert len(await replay(store, "/", 0)) == 2
    await store.compact(2)
    assert await store.create("/b", b"") == 3


async def test_a_full_database_takes_writes_again_once_there_is_room(tmp_path, monkeypatch):
    connect = SqliteFile.connect

    def connect_small(file, *, read_only=False):
        connection = connect(file, read_only=read_only)
        connection.pragma("max_page_count", 40)
        return connection

    monkeypatch.setattr(SqliteFile, "connect", connect_small)
    store = await SqliteStore.open(tmp_path / "small.db")
    await store.create("/a", b"x" * 80_000)
    with pytest.raises(StoreUnavailableError):
        await store.create("/b", b"x" * 80_000)
    assert await store.create("/c", b"x") == 2
    await store.delete("/a", expected=1)
    await store.compact(3)
    assert await store.create("/b", b"x" * 80_000) == 4
    assert [entry.key for entry in (await store.list("/")).entries] == ["/b", "/c"]
    await store.close()


async def test_a_commit_that_reports_an_error_but_happened_is_acknowledged(store, monkeypatch):
    commit = store._writer._commit

    def commit_and_complain(writes, events):
        commit(writes, events)
        raise apsw.IOError("after the commit")

    with monkeypatch.context() as complaining:
        complaining.setattr(store._writer, "_commit", commit_and_complain)
        revision = await store.create("/a", b"1")
    assert (await store.get("/a")).entry == StoredEntry("/a", b"1", revision)
    assert [event.key for event in await replay(store, "/", 0)] == ["/a"]
    assert await store.create("/b", b"") == 2


async def test_an_unexpected_error_in_the_writer_is_told_and_survived(store, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr("kcpcache.storage.sqlite_writer.current_entries", lambda *_: 1 / 0)
        with pytest.raises(StoreUnavailableError, match="ZeroDivisionError"):
            await store.create("/a", b"")
    assert await store.create("/a", b"") == 1


async def test_writers_wait_while_the_queue_is_full_and_all_of_them_get_through(tmp_path, monkeypatch):
    monkeypatch.setattr("kcpcache.storage.sqlite._QUEUED_WRITES", 3)
    store = await SqliteStore.open(tmp_path / "small.db", synchronous="normal")
    longest = 0
    put = store._writer.put

    def counted(request):
        nonlocal longest
        put(request)
        longest = max(longest, store._writer._queue.qsize())

    monkeypatch.setattr(store._writer, "put", counted)
    tasks = [asyncio.create_task(store.create(f"/{index}", b"")) for index in range(50)]
    await asyncio.sleep(0)
    for task in tasks[::5]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(result, int) for result in results) == 40
    assert longest <= 3
    assert store._room._value == 3
    await store.close()
