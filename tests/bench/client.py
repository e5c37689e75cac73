"""HTTP/1.1 over TLS as a load generator needs it: a connection per request in flight, times taken at the socket."""

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any, NamedTuple, Self

import httptools
import orjson

from tests.bench.kubeconfig import BenchError, Target

JSON, MERGE_PATCH = "application/json", "application/merge-patch+json"
REQUEST_SECONDS = 60.0
OPENED_AT_ONCE = 16


def without_collector() -> None:
    """Have this process collect no garbage by itself: its pauses, of 26 ms and more, are not to be measured."""
    gc.freeze()
    gc.disable()


class Request(NamedTuple):
    method: str
    path: str
    body: bytes = b""
    content_type: str = JSON
    accept: str = ""


class Answer(NamedTuple):
    """``first_byte`` and ``seconds`` count from when the request was sent; ``size`` is the body's, in bytes."""

    status: int
    body: bytes
    size: int
    first_byte: float
    seconds: float


class Connection(asyncio.Protocol):
    """One request at a time. Opens itself, and again where the server has closed it between two requests."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._transport: asyncio.Transport | None = None
        self._done: asyncio.Future[None] | None = None

    async def open(self) -> None:
        target = self.target
        async with asyncio.timeout(REQUEST_SECONDS):
            await asyncio.get_running_loop().create_connection(lambda: self, target.host, target.port, ssl=target.tls)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def request(self, request: Request, *, keep: bool = True) -> Answer:
        """Ask and read to the end; ``keep=False`` only counts the body. Raises OSError, TimeoutError."""
        if not self.is_open:
            await self.open()
        self._send(request, keep=keep)
        async with asyncio.timeout(REQUEST_SECONDS):
            await self._done
        finished = time.perf_counter()
        body = b"".join(self._parts)
        return Answer(self.status, body, self._size, self._first - self._began, finished - self._began)

    def _send(self, request: Request, *, keep: bool) -> None:
        method, path, body, content_type, accept = request
        self._done = asyncio.get_running_loop().create_future()
        self._parts: list[bytes] = []
        self._size, self._first, self._keep, self.status = 0, 0.0, keep, 0
        more = f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n" if body else ""
        more += f"Accept: {accept}\r\n" if accept else ""
        self._began = time.perf_counter()
        self._transport.write(f"{method} {path} HTTP/1.1\r\n{self.target.head}{more}\r\n".encode() + body)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self._parser = transport, httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        if not self._first:
            self._first = time.perf_counter()
        self._parser.feed_data(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self._done is not None and not self._done.done():
            self._done.set_exception(error or ConnectionResetError("the server closed the connection"))

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()

    def on_body(self, part: bytes) -> None:
        self._size += len(part)
        if self._keep:
            self._parts.append(part)

    def on_message_complete(self) -> None:
        if not self._done.done():
            self._done.set_result(None)


class Watch(Connection):
    """A watch: ``on_line`` is called with each event's JSON as it comes."""

    def __init__(self, target: Target, on_line: Callable[[bytes], None]) -> None:
        super().__init__(target)
        self._on_line, self._rest, self._started = on_line, b"", asyncio.Event()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._started.set()

    def on_body(self, part: bytes) -> None:
        *lines, self._rest = (self._rest + part).split(b"\n")
        for line in lines:
            self._on_line(line)

    @contextlib.asynccontextmanager
    async def follow(self, path: str) -> AsyncIterator[Self]:
        """Open on ``path`` (query included) until the block is left. Raises BenchError where it is refused."""
        await self.open()
        try:
            self._send(Request("GET", path), keep=False)
            async with asyncio.timeout(REQUEST_SECONDS):
                await self._started.wait()
            if self.status != 200:
                raise BenchError(f"watch {path}: {self.status}")
            yield self
        finally:
            self._done.cancel()
            self.close()


class Pool:
    """A fixed number of connections, open from the beginning."""

    def __init__(self, target: Target, size: int) -> None:
        self.target = target
        self._all = [Connection(target) for _ in range(size)]
        self._free: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
        for connection in self._all:
            self._free.put_nowait(connection)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def open(self) -> None:
        """Open those that are not: a handshake takes both sides a millisecond, and is not to be measured."""
        closed = [one for one in self._all if not one.is_open]
        for start in range(0, len(closed), OPENED_AT_ONCE):
            await asyncio.gather(*(one.open() for one in closed[start : start + OPENED_AT_ONCE]))

    async def __aexit__(self, *_: object) -> None:
        for connection in self._all:
            connection.close()

    async def send(self, request: Request, *, keep: bool = True) -> Answer:
        """Ask on the next free connection."""
        connection = await self._free.get()
        try:
            return await connection.request(request, keep=keep)
        except (TimeoutError, asyncio.CancelledError):
            connection.close()  # an answer that comes late must not be taken for the next one
            raise
        finally:
            self._free.put_nowait(connection)

    async def each(self, requests: Iterable[Request], *, until: float = float("inf")) -> list[Answer]:
        """All of them, as many at once as there are connections, none begun after ``until`` (``perf_counter``).

        Raises BenchError at the first that does not succeed. The answers come without their bodies.
        """
        found: list[Answer] = []
        source: Iterator[Request] = iter(requests)

        async def work() -> None:
            for request in source:
                if time.perf_counter() >= until:
                    return
                answer = await self.send(request, keep=False)
                if answer.status >= 300:
                    raise BenchError(f"{request.method} {request.path}: {answer.status}")
                found.append(answer)

        async with asyncio.TaskGroup() as tasks:
            for _ in self._all:
                tasks.create_task(work())
        return found

    async def call(self, method: str, path: str, body: object = None, content_type: str = JSON) -> dict[str, Any]:
        """The JSON of an answer that must succeed. Raises BenchError."""
        request = Request(method, path, b"" if body is None else orjson.dumps(body), content_type)
        answer = await self.send(request)
        if answer.status >= 300:
            raise BenchError(f"{method} {path}: {answer.status} {answer.body[:300].decode(errors='replace')}")
        return orjson.loads(answer.body) if answer.body else {}
