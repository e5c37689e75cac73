"""A whole shard behind its HTTP layer, in process and on virtual time."""

from collections.abc import AsyncIterator, Callable, Mapping

import pytest
from service_world import ServiceWorld, VirtualTimeLoop, running_service


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], VirtualTimeLoop]]:
    return {"virtual": VirtualTimeLoop}


@pytest.fixture
async def world() -> AsyncIterator[ServiceWorld]:
    """A settled shard with nothing but what bootstrap makes."""
    async with running_service() as found:
        yield found
