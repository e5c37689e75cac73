"""Another server: HTTPS on 127.0.0.1, with a certificate of its own authority."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import orjson
import trustme

Send = Callable[[bytes], Awaitable[None]]


class OtherServer:
    """Answers each GET with ``answer``: raw bytes of a response, or an object; a ``stream`` goes on by itself."""

    def __init__(self) -> None:
        self.authority = trustme.CA()
        self.answer: Any = {}
        self.stream: Callable[[Send], Awaitable[None]] | None = None
        self.targets: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.gone = asyncio.Event()
        self.port = 0

    @property
    def trust(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context

    @property
    def base(self) -> str:
        return f"https://127.0.0.1:{self.port}/services/some/thing/clusters/consumer"

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["OtherServer"]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert("127.0.0.1").configure_cert(context)
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError):
            while True:
                first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                self.targets.append(first.split(" ")[1])
                self.headers.append({n.lower(): v.strip() for n, _, v in (li.partition(":") for li in lines if li)})
                if self.stream is None:
                    writer.write(self.answer if isinstance(self.answer, bytes) else response(self.answer))
                    await writer.drain()
                    continue
                await self._stream(self.stream, reader, writer)
                break
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError, asyncio.CancelledError):
            await writer.wait_closed()

    async def _stream(
        self, stream: Callable[[Send], Awaitable[None]], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        async def send(data: bytes) -> None:
            writer.write(b"%x\r\n%b\r\n" % (len(data), data))
            await writer.drain()

        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
        await stream(send)
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        if not await reader.read(1):
            self.gone.set()


def response(obj: Any, status: int = 200, *headers: str) -> bytes:
    """A whole HTTP response."""
    body = obj if isinstance(obj, bytes) else orjson.dumps(obj)
    more = "".join(f"{header}\r\n" for header in headers).encode()
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n%b\r\n%b" % (status, len(body), more, body)


def failure(code: int, reason: str, message: str = "because", **details: Any) -> dict[str, Any]:
    """A Status."""
    return {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message, **details}


def thing(name: str, version: str, **metadata: Any) -> dict[str, Any]:
    """An object as the other server has it."""
    meta = {"name": name, "resourceVersion": version, **metadata}
    return {"apiVersion": "other/v9", "kind": "Other", "metadata": meta, "spec": {"size": 1}}
