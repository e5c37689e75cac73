"""A client with one connection, which sees whether a request went the ordinary way: then authorisation was asked."""

import contextlib
from collections.abc import AsyncIterator

import httpx

_WITHOUT_A_NAME = {"create", "list", "watch", "deletecollection"}


class OneConnection:
    """Sends, and says of each answer whether it came by a shorter way."""

    def __init__(self, world, client: httpx.AsyncClient) -> None:
        self._world, self._client = world, client

    async def send(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[httpx.Response, bool]:
        before = self._asked()
        response = await self._client.request(method, path, json=body, headers=headers)
        return response, self._asked() == before

    def _asked(self) -> int:
        """Not counting what is asked after an answer to ``get`` and the like: whether any name is allowed."""
        return sum(1 for asked in self._world.asked if asked.name or asked.verb in _WITHOUT_A_NAME)


@contextlib.asynccontextmanager
async def connected(world, server: str) -> AsyncIterator[httpx.AsyncClient]:
    """The client, where there are ConfigMaps a and b."""
    limits = httpx.Limits(max_connections=1)
    async with httpx.AsyncClient(base_url=server, limits=limits, timeout=20) as client:
        for name in ("a", "b"):
            await world.create(name)
        yield client
