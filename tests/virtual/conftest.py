"""A whole shard in process, with the HTTP layer, on virtual time."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))

from export_world import ExportWorld
from shard_fixtures import http, pytest_asyncio_loop_factories, shard
from shard_world import Shard

__all__ = ["http", "pytest_asyncio_loop_factories", "shard"]


@pytest.fixture
async def world(shard: Shard) -> AsyncIterator[ExportWorld]:
    """A provider that exports, and consumers, as soon as a test begins them."""
    found = ExportWorld(shard)
    async with found.http.client:
        yield found
