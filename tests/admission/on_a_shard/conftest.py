"""A whole shard in process, with the HTTP layer, on virtual time."""

import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "runtime"))

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
