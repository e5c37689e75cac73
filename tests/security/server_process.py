"""A server as a process of its own, asked over TLS: by all users on the same few connections."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import orjson
from real_server import Server, start_server
from server_in_process import Answer, Asked, Http
from wire import Wire, handshake, request

CONNECTIONS = 3
_CLOSED = 0


class Connections:
    """A few connections, used in turn, whoever asks."""

    def __init__(self, server: Server, stack: contextlib.AsyncExitStack) -> None:
        self.server, self._stack = server, stack
        self._authority = server.authority()
        self._open: dict[int, Wire] = {}
        self._locks = [asyncio.Lock() for _ in range(CONNECTIONS)]
        self._turns = itertools.cycle(range(CONNECTIONS))

    async def ask(self, method: str, data: bytes) -> Answer:
        """On the next connection in turn; on a new one in its place, if the server has ended it meanwhile."""
        turn = next(self._turns)
        async with self._locks[turn]:
            for wire in (self._open.get(turn), None):
                used = wire or await self.open()
                used.send(data)
                answer = await used.answer(head=method == "HEAD")
                closing = (b"connection", b"close") in answer.headers
                self._open.pop(turn, None)
                if answer.status != _CLOSED:
                    if not closing:
                        self._open[turn] = used
                    return answer
        raise AssertionError(f"no answer to {data[:200]!r}")

    async def open(self) -> Wire:
        """One more, which lives as long as the others."""
        return await self._stack.enter_async_context(self.another())

    def another(self, certificate: str | None = None) -> AbstractAsyncContextManager[Wire]:
        """One for whoever ends it; with a client's certificate and key in a PEM file."""
        return Wire.open(self.server.port, self._authority, certificate)


class WireHttp(Http):
    """Like ``Http``, over ``connections``."""

    def __init__(self, connections: Connections, token: str = "") -> None:
        self.connections, self._token = connections, token

    def as_user(self, token: str) -> "WireHttp":
        return WireHttp(self.connections, token)

    async def ask(
        self, method: str, target: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        data = b"" if body is None else body if isinstance(body, bytes) else orjson.dumps(body)
        return await self.connections.ask(method, request(method, target, self._token, data, headers or {}))

    @contextlib.asynccontextmanager
    async def watches(self, asked: Iterable[Asked]) -> AsyncIterator[list[Any]]:
        """All of them at once, each on a connection of its own."""
        async with contextlib.AsyncExitStack() as stack:
            found = []
            for kind, target, headers in asked:
                wire = await stack.enter_async_context(self.connections.another())
                ask = handshake if kind == "websocket" else request_to_watch
                wire.send(ask(target, self._token, headers))
                found.append(OpenWatch(wire))
            await asyncio.gather(*(one.begin() for one in found))
            readers = [asyncio.create_task(one.read()) for one in found]
            yield found
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)


def request_to_watch(target: str, token: str, headers: Mapping[str, str]) -> bytes:
    return request("GET", target, token, headers=headers)


class OpenWatch:
    """What has come of a watch so far; of a WebSocket the frames as they are, which hide no text."""

    def __init__(self, wire: Wire) -> None:
        self._wire, self.answer = wire, Answer(0, (), b"")

    async def begin(self) -> None:
        self.answer = await self._wire.started()

    async def read(self) -> None:
        """Whatever comes, until cancelled."""
        while data := await self._wire.some():
            self.answer = self.answer._replace(body=self.answer.body + data)


@contextlib.asynccontextmanager
async def server_process(folder: Path, tokens: str) -> AsyncIterator[WireHttp]:
    """A running server, asked as nobody. ``tokens`` is a token file's content."""
    (folder / "tokens.csv").write_text(tokens)
    running = start_server(folder / "root", "--token-auth-file", folder / "tokens.csv")
    server = await asyncio.to_thread(running.__enter__)
    try:
        async with contextlib.AsyncExitStack() as stack:
            yield WireHttp(Connections(server, stack))
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)
