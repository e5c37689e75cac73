"""The store whose values are ciphertext: it keeps the contract, and the file shows nothing."""

import pytest
from contract import StoreContract
from watching import replay

from kcpcache.storage.encrypted import SECRETS, EncryptedStore, check_keys
from kcpcache.storage.encryption import EncryptionKey, KeyRing, header_of
from kcpcache.storage.memory import MemoryStore
from kcpcache.storage.sqlite import SqliteStore
from kcpcache.storage.store import EncryptionKeyError

A, B = f"{SECRETS}2x7f0/default/a", f"{SECRETS}2x7f0/default/b"
OTHER = "/registry/core/configmaps/2x7f0/default/a"


def ring(*numbers):
    return KeyRing(EncryptionKey(f"key-{number}", bytes([number]) * 32) for number in numbers)


@pytest.fixture
async def store(open_store):
    opened = await open_store()
    yield opened
    await opened.close()


class TestEncryptedMemoryStore(StoreContract):
    @pytest.fixture
    def open_store(self):
        async def opened(**options):
            below = MemoryStore(**options)
            store = EncryptedStore(below, ring(1), "/")
            store._broadcast = below._broadcast  # the contract counts its watchers
            return store

        return opened


class TestEncryptedSqliteStore(StoreContract):
    @pytest.fixture
    def open_store(self, tmp_path):
        async def opened(**options):
            below = await SqliteStore.open(tmp_path / "store.db", synchronous="normal", **options)
            store = EncryptedStore(below, ring(1), "/")
            store._broadcast = below._broadcast
            return store

        return opened


@pytest.fixture
async def below():
    opened = MemoryStore()
    yield opened
    await opened.close()


async def test_only_values_below_the_prefix_are_ciphertext_in_the_store_below(below):
    store = EncryptedStore(below, ring(1))
    await store.create(A, b"hidden")
    await store.create(OTHER, b"open")
    assert header_of((await below.get(A)).entry.value)
    assert b"hidden" not in (await below.get(A)).entry.value
    assert (await below.get(OTHER)).entry.value == b"open"
    assert [entry.value for entry in (await store.list("/")).entries] == [b"open", b"hidden"]
    assert [entry.value for entry in (await store.list(OTHER)).entries] == [b"open"]


async def test_history_and_tombstones_are_ciphertext_below_and_plain_above(below):
    store = EncryptedStore(below, ring(1))
    revision = await store.create(A, b"hidden 1")
    revision = await store.update(A, b"hidden 2", expected=revision)
    await store.delete(A, expected=revision)
    events = await replay(below, "/", 0)
    kept = [event.value for event in events] + [event.previous and event.previous.value for event in events]
    assert not [value for value in kept if value and b"hidden" in value]
    above = await replay(store, "/", 0)
    assert [event.value for event in above] == [b"hidden 1", b"hidden 2", None]
    assert [event.previous and event.previous.value for event in above] == [None, b"hidden 1", b"hidden 2"]


async def test_a_ciphertext_moved_to_another_key_is_worth_nothing_there(below):
    store = EncryptedStore(below, ring(1))
    await store.create(A, b"hidden")
    await below.create(B, (await below.get(A)).entry.value)
    assert b"hidden" not in (await store.get(B)).entry.value


async def test_a_value_that_cannot_be_decrypted_hides_none_of_the_others(below):
    store = EncryptedStore(below, ring(1))
    revision = await store.create(A, b"hidden")
    stored = (await below.get(A)).entry.value
    await below.update(A, stored[:-1] + bytes([stored[-1] ^ 1]), expected=revision)
    await store.create(B, b"also hidden")
    damaged, whole = (await store.list(SECRETS)).entries
    assert header_of(damaged.value)
    assert whole.value == b"also hidden"
    assert await check_keys(below, ring(1)) == 0
    await store.delete(A, expected=damaged.revision)


async def test_the_start_counts_what_is_plain(below):
    await below.create(A, b"plain")
    await below.create(OTHER, b"open")
    store = EncryptedStore(below, ring(1))
    await store.create(B, b"hidden")
    assert await check_keys(below, ring(1)) == 1
    assert await check_keys(MemoryStore(), None) == 0


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        (None, r'1 with key "key-1" \(\w{16}\), and there is no --encryption-key-file'),
        (ring(2), "--encryption-key-file does not have it"),
        (KeyRing([EncryptionKey("key-1", b"\7" * 32)]), "is another one of that name"),
    ],
)
async def test_a_missing_key_is_one_clear_line(below, keys, complaint):
    await EncryptedStore(below, ring(1)).create(A, b"hidden")
    with pytest.raises(EncryptionKeyError, match=complaint) as caught:
        await check_keys(below, keys)
    assert "\n" not in str(caught.value)


async def test_neither_the_file_nor_its_log_shows_a_value(tmp_path):
    path = tmp_path / "store.db"
    below = await SqliteStore.open(path)
    store = EncryptedStore(below, ring(1))
    revision = await store.create(A, b"hidden 1")
    revision = await store.update(A, b"hidden 2" * 1_000, expected=revision)
    await store.delete(A, expected=revision)
    await store.create(OTHER, b"open")
    written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"open" in written
    assert b"hidden" not in written
    await below.close()
    assert b"hidden" not in path.read_bytes()
