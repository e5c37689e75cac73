"""Whose file it is, which schema it has, who has it open, and what a crash can leave of it."""

import asyncio
import contextlib
import os
import random
import shutil
import subprocess
import sys
import threading

import apsw
import pytest
from watching import replay

from kcpcache.storage import sqlite_file
from kcpcache.storage.sqlite import SqliteStore
from kcpcache.storage.store import StoreBrokenError, StoreLockedError, StoreUnavailableError

OPEN = "import asyncio, sys, pathlib; from kcpcache.storage.sqlite import SqliteStore; "


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


def query(path, statement):
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return connection.execute(statement).get
    finally:
        connection.close()


async def test_what_was_written_is_there_after_reopening_and_the_revision_goes_on(path):
    store = await SqliteStore.open(path)
    await store.delete("/a", expected=await store.create("/a", b"1"))
    await store.create("/b", b"2")
    await store.close()
    store = await SqliteStore.open(path)
    assert await store.revision() == 3
    assert [event.key for event in await replay(store, "/", 0)] == ["/a", "/a", "/b"]
    assert await store.create("/c", b"") == 4
    await store.close()


async def test_the_counter_outlives_compacted_deletes_and_reopening(path):
    store = await SqliteStore.open(path)
    await store.delete("/a", expected=await store.create("/a", b"1"))
    await store.compact(2)
    await store.close()
    store = await SqliteStore.open(path)
    assert await store.create("/b", b"") == 3
    await store.close()


async def test_a_second_open_in_this_process_is_refused_until_the_first_is_closed(path):
    store = await SqliteStore.open(path)
    with pytest.raises(StoreLockedError, match="in use by another process"):
        await SqliteStore.open(path)
    assert await store.create("/a", b"") == 1
    await store.close()
    await (await SqliteStore.open(path)).close()


async def test_a_second_process_is_refused_also_by_another_name_of_the_file(path, tmp_path):
    store = await SqliteStore.open(path)
    (tmp_path / "link.db").symlink_to(path)
    for name in (path, tmp_path / "link.db"):
        script = f"{OPEN}asyncio.run(SqliteStore.open(pathlib.Path(sys.argv[1])))"
        done = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", script, str(name)], capture_output=True, text=True, check=False
        )
        assert "StoreLockedError" in done.stderr
    await store.close()


async def test_an_open_that_was_cancelled_leaves_no_lock(path, monkeypatch):
    entered, go_on, locked = threading.Event(), threading.Event(), threading.Event()

    def slow(*args, **kwargs):
        entered.set()
        go_on.wait()
        file = sqlite_file.SqliteFile(*args, **kwargs)
        locked.set()
        return file

    with monkeypatch.context() as slowly:
        slowly.setattr("kcpcache.storage.sqlite.SqliteFile", slow)
        opening = asyncio.create_task(SqliteStore.open(path))
        await asyncio.to_thread(entered.wait)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        go_on.set()
        await asyncio.to_thread(locked.wait)
    for _ in range(1_000):  # the event loop hears of the thread's end a moment later
        with contextlib.suppress(StoreLockedError):
            await (await SqliteStore.open(path)).close()
            return
    pytest.fail("the lock was never given back")


@pytest.mark.parametrize("content", [b"not a database at all", b"\0" * 4096, b"SQLite format 3\0" + b"\0" * 4080])
async def test_a_file_of_another_kind_is_refused_and_left_as_it_is(path, content):
    path.write_bytes(content)
    with pytest.raises(StoreBrokenError):
        await SqliteStore.open(path)
    assert path.read_bytes() == content
    assert {file.name for file in path.parent.iterdir()} == {"store.db", "store.db.lock"}


async def test_somebody_elses_database_is_refused_and_left_as_it_is(path):
    with apsw.Connection(str(path)) as connection:
        connection.execute("CREATE TABLE meta (revision)")
    connection.close()
    content = path.read_bytes()
    with pytest.raises(StoreBrokenError, match="not a kcpcache store"):
        await SqliteStore.open(path)
    assert path.read_bytes() == content


async def test_a_damaged_store_is_refused_or_its_reads_are_never_silently_wrong(path):
    store = await SqliteStore.open(path)
    for index in range(200):
        await store.create(f"/{index:03}", b"x" * 500)
    await store.close()
    content = bytearray(path.read_bytes())
    content[4096:] = random.Random(1).randbytes(len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(StoreBrokenError, match="damaged"):
        await SqliteStore.open(path)
    assert path.read_bytes() == content


async def test_damage_that_a_read_meets_is_reported_as_such(path):
    store = await SqliteStore.open(path)
    for index in range(200):
        await store.create(f"/{index:03}", b"x" * 5_000)
    await store.close()
    content = bytearray(path.read_bytes())
    content[20 * 4096 :] = b"\xff" * (len(content) - 20 * 4096)
    path.write_bytes(content)
    store = await SqliteStore.open(path)
    with pytest.raises(StoreBrokenError, match="damaged"):
        await store.list("/")
    await store.close()


async def test_an_empty_file_becomes_a_store(path):
    path.touch()
    store = await SqliteStore.open(path)
    assert await store.create("/a", b"") == 1
    await store.close()


async def test_a_lost_database_beside_its_wal_is_refused(path):
    path.with_name("store.db-wal").write_bytes(b"x" * 100)
    with pytest.raises(StoreBrokenError, match=r"store\.db-wal"):
        await SqliteStore.open(path)
    assert not path.exists()


async def test_a_restored_copy_without_wal_gets_it_back(path, tmp_path):
    store = await SqliteStore.open(path)
    await store.create("/a", b"1")
    await store.close()
    copy = tmp_path / "restored.db"
    query(path, f"VACUUM INTO '{copy}'")
    assert query(copy, "PRAGMA journal_mode") == "delete"
    store = await SqliteStore.open(copy)
    assert (await store.get("/a")).entry.value == b"1"
    await store.close()
    assert query(copy, "PRAGMA journal_mode") == "wal"


async def test_a_newer_schema_is_refused(path):
    await (await SqliteStore.open(path)).close()
    with apsw.Connection(str(path)) as connection:
        connection.pragma("user_version", len(sqlite_file.MIGRATIONS) + 1)
    connection.close()
    with pytest.raises(StoreBrokenError, match="newer"):
        await SqliteStore.open(path)


async def test_an_older_schema_is_migrated_and_keeps_its_entries(path, monkeypatch):
    store = await SqliteStore.open(path)
    await store.create("/a", b"1")
    await store.close()
    more = "CREATE TABLE more (x INTEGER); INSERT INTO more SELECT revision FROM meta;"
    monkeypatch.setattr(sqlite_file, "MIGRATIONS", (*sqlite_file.MIGRATIONS, more))
    store = await SqliteStore.open(path)
    assert (await store.get("/a")).entry.value == b"1"
    await store.close()
    assert query(path, "SELECT x FROM more") == 1
    assert query(path, "PRAGMA user_version") == len(sqlite_file.MIGRATIONS)


async def test_a_migration_that_fails_leaves_the_file_at_its_version(path, monkeypatch):
    await (await SqliteStore.open(path)).close()
    with monkeypatch.context() as newer:
        newer.setattr(
            sqlite_file, "MIGRATIONS", (*sqlite_file.MIGRATIONS, "CREATE TABLE more (x); DROP TABLE nothing;")
        )
        with pytest.raises(StoreUnavailableError, match="nothing"):
            await SqliteStore.open(path)
    await (await SqliteStore.open(path)).close()
    assert query(path, "SELECT count(*) FROM sqlite_schema WHERE name = 'more'") == 0


async def test_a_missing_directory_is_an_error_that_names_the_path(tmp_path):
    with pytest.raises(StoreUnavailableError, match=r"missing/store\.db"):
        await SqliteStore.open(tmp_path / "missing" / "store.db")


def test_a_read_only_directory_is_an_error_and_no_traceback(tmp_path):
    tmp_path.chmod(0o555)
    pid = os.fork()
    if pid == 0:
        # Root may write anywhere: be nobody, in a process of its own.
        if os.geteuid() == 0:
            os.setuid(65_534)
        try:
            sqlite_file.SqliteFile(tmp_path / "store.db", "full")
        except StoreUnavailableError:
            os._exit(7)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


async def test_a_torn_wal_tail_loses_only_the_end_and_leaves_a_sound_store(path, tmp_path):
    store = await SqliteStore.open(path)
    ends = []
    for index in range(60):
        await store.create(f"/{index:02}", os.urandom(700))
        ends.append(path.with_name("store.db-wal").stat().st_size)
    main, wal = path.read_bytes(), path.with_name("store.db-wal").read_bytes()
    expected = [(event.key, event.value) for event in await replay(store, "/", 0)]
    await store.close()
    choice = random.Random(4)
    for cycle in range(40):
        torn = tmp_path / f"torn{cycle}"
        torn.mkdir()
        cut = choice.randrange(len(wal) // 4, len(wal))
        tail = choice.choice((b"", bytes(len(wal) - cut), choice.randbytes(len(wal) - cut)))
        (torn / "store.db").write_bytes(main)
        (torn / "store.db-wal").write_bytes(wal[:cut] + tail)
        store = await SqliteStore.open(torn / "store.db")
        kept = [(event.key, event.value) for event in await replay(store, "/", 0)]
        whole = sum(end <= cut for end in ends)
        assert kept == expected[: len(kept)]
        assert len(kept) >= whole, "a transaction that was whole in the WAL is lost"
        assert await store.create("/more", b"") == len(kept) + 1
        await store.close()
        assert query(torn / "store.db", "PRAGMA integrity_check") == "ok"
        shutil.rmtree(torn)
