"""What a server that has ended left in its store."""

import asyncio
from pathlib import Path

from kcpcache.root_dir import DATABASE
from kcpcache.storage.sqlite import SqliteStore


def stored_keys(root_dir: Path) -> list[str]:
    """All live keys of both stores, in order. The server must have ended."""

    async def read() -> list[str]:
        store = await SqliteStore.open(root_dir / DATABASE)
        try:
            return [entry.key for entry in (await store.list("/")).entries]
        finally:
            await store.close()

    return asyncio.run(read())
