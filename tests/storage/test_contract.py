"""Every store keeps the contract."""

import pytest
from contract import StoreContract

from kcpcache.storage.memory import MemoryStore
from kcpcache.storage.sqlite import SqliteStore


@pytest.fixture
async def store(open_store):
    opened = await open_store()
    yield opened
    await opened.close()


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def open_store(self):
        async def opened(**options):
            return MemoryStore(**options)

        return opened


class TestSqliteStore(StoreContract):
    @pytest.fixture
    def open_store(self, tmp_path):
        async def opened(**options):
            return await SqliteStore.open(tmp_path / "store.db", synchronous="normal", **options)

        return opened
