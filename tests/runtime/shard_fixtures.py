"""What the conftest.py of every folder offers in which a whole shard runs in process, on virtual time.

Whoever waits there waits for nothing but the work of others.
"""

from collections.abc import AsyncIterator, Callable, Mapping

import pytest
from shard_http import Http
from shard_world import Shard, running
from virtual_time import VirtualTimeLoop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], VirtualTimeLoop]]:
    return {"virtual": VirtualTimeLoop}


@pytest.fixture
async def shard() -> AsyncIterator[Shard]:
    """A settled shard with nothing but what bootstrap makes."""
    async with running() as found:
        yield found


@pytest.fixture
async def http(shard: Shard) -> AsyncIterator[Http]:
    """The HTTP layer over ``shard``."""
    found = Http(shard)
    async with found.client:
        yield found
