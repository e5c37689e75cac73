"""Tests of the runtime live on virtual time: whoever waits waits for nothing but the work of others."""

from collections.abc import AsyncIterator, Callable, Mapping

import pytest
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
