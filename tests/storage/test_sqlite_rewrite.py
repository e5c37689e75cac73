"""Encrypting anew what a store already holds: all of it or nothing, and nothing plain is left behind."""

import os

import apsw
import pytest
from watching import replay

from kcpcache.storage.encrypted import SECRETS, EncryptedStore
from kcpcache.storage.encryption import EncryptionKey, KeyRing
from kcpcache.storage.sqlite import SqliteStore
from kcpcache.storage.sqlite_rewrite import delete_unreadable, rewrite_values
from kcpcache.storage.store import EncryptionKeyError, StoreLockedError, StoreUnavailableError

A, B, C = (f"{SECRETS}2x7f0/default/{name}" for name in "abc")
OTHER = "/registry/core/configmaps/2x7f0/default/a"


def ring(*numbers):
    return KeyRing(EncryptionKey(f"key-{number}", bytes([number]) * 32) for number in numbers)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


async def fill(path, keys=None):
    """Five revisions: ``a`` written twice, ``b`` deleted, something that is no Secret."""
    below = await SqliteStore.open(path)
    store = EncryptedStore(below, keys) if keys else below
    revision = await store.create(A, b"hidden 1")
    await store.update(A, b"hidden 2" * 2_000, expected=revision)
    await store.delete(B, expected=await store.create(B, b"hidden 3"))
    await store.create(OTHER, b"open")
    await below.close()


async def shown(path, keys):
    """Entries, events and revision, as somebody with ``keys`` sees them."""
    below = await SqliteStore.open(path)
    store = EncryptedStore(below, keys)
    page = await store.list("/")
    events = await replay(store, "/", 0)
    await below.close()
    return page.entries, events, page.revision


async def listed(path, keys):
    below = await SqliteStore.open(path)
    page = await EncryptedStore(below, keys).list("/")
    await below.close()
    return [(entry.key, entry.value) for entry in page.entries]


async def revision_of(path):
    below = await SqliteStore.open(path)
    revision = await below.revision()
    await below.close()
    return revision


def everything(path):
    return b"".join(file.read_bytes() for file in path.parent.iterdir())


async def test_what_was_plain_is_encrypted_and_gone_from_every_file(path):
    await fill(path)
    assert b"hidden" in everything(path)
    found = rewrite_values(path, ring(1))
    assert (found.changed, found.current, found.unreadable) == (3, 0, [])
    assert b"hidden" not in everything(path)
    assert {file.name for file in path.parent.iterdir()} == {"store.db", "store.db.lock"}
    assert path.stat().st_mode & 0o777 == 0o600


async def test_pages_that_were_given_up_are_not_taken_along(path):
    await fill(path)
    store = await SqliteStore.open(path)
    await store.compact(await store.revision())
    await store.close()
    assert b"hidden 1" in path.read_bytes()
    rewrite_values(path, ring(1))
    assert b"hidden" not in everything(path)


async def test_entries_revisions_and_history_stay_as_they_were(path):
    await fill(path)
    below = await SqliteStore.open(path)
    before = (await below.list("/")).entries, await replay(below, "/", 0), await below.revision()
    await below.close()
    rewrite_values(path, ring(1))
    assert await shown(path, ring(1)) == before


async def test_a_new_first_key_takes_over_and_the_old_one_is_needed_no_more(path):
    await fill(path, ring(1))
    before = await shown(path, ring(1))
    assert rewrite_values(path, ring(2, 1)).changed == 3
    assert await shown(path, ring(2)) == before
    assert rewrite_values(path, ring(2)).current == 3


async def test_without_a_key_nothing_is_changed(path):
    await fill(path, ring(1))
    before = path.read_bytes()
    with pytest.raises(EncryptionKeyError, match='3 with key "key-1"'):
        rewrite_values(path, ring(2))
    assert path.read_bytes() == before
    assert {file.name for file in path.parent.iterdir()} == {"store.db", "store.db.lock"}


def damage(path):
    connection = apsw.Connection(str(path))
    value = connection.execute("SELECT value FROM log WHERE key = ?", (C,)).get
    connection.execute("UPDATE log SET value = ? WHERE key = ?", (value[:-1] + bytes([value[-1] ^ 1]), C))
    connection.close()


async def test_a_damaged_value_is_left_as_it_is_named_and_can_be_deleted(path):
    await fill(path, ring(1))
    below = await SqliteStore.open(path)
    await EncryptedStore(below, ring(1)).create(C, b"hidden 4")
    await below.close()
    damage(path)
    found = rewrite_values(path, ring(2, 1))
    assert (found.changed, found.unreadable) == (3, [C])
    assert await delete_unreadable(path, ring(2), found.unreadable) == 1
    assert await listed(path, ring(2)) == [(OTHER, b"open"), (A, b"hidden 2" * 2_000)]
    assert await revision_of(path) == 7  # the deletion is a write like any
    assert rewrite_values(path, ring(2)).unreadable == []


async def test_where_a_key_is_lost_the_rest_can_be_kept(path):
    await fill(path, ring(1))
    found = rewrite_values(path, ring(2), without_missing_keys=True)
    assert sorted(found.unreadable) == [A, A, B]
    assert await delete_unreadable(path, ring(2), found.unreadable) == 1
    assert await listed(path, ring(2)) == [(OTHER, b"open")]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
async def test_the_file_stays_its_owners(path):
    await fill(path)
    os.chown(path, 65532, 65533)
    rewrite_values(path, ring(1))
    assert (path.stat().st_uid, path.stat().st_gid) == (65532, 65533)


async def test_an_open_store_is_left_alone(path):
    store = await SqliteStore.open(path)
    with pytest.raises(StoreLockedError):
        rewrite_values(path, ring(1))
    await store.close()


async def test_a_file_that_another_program_reads_is_left_alone(path):
    await fill(path)
    reader = apsw.Connection(str(path))
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM log").get  # noqa: B018 -- begins to read
    with pytest.raises(StoreUnavailableError, match=r"in use by another program|locked"):
        rewrite_values(path, ring(1))
    reader.close()
    assert b"hidden" in everything(path)
    rewrite_values(path, ring(1))
