"""A webhook of the tests: HTTPS on localhost, with a certificate of its own authority."""

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import orjson
import trustme

Answer = Callable[[dict[str, Any]], Any]


class WebhookServer:
    """Answers each POST with ``answer(review)``: an object, or raw bytes of a whole HTTP response."""

    def __init__(self) -> None:
        self.authority = trustme.CA()
        self.answer: Answer = lambda _review: {}
        self.reviews: list[dict[str, Any]] = []
        self.heads: list[str] = []
        self.before_answer: Callable[[], Awaitable[None]] | None = None
        self.connections = 0
        self.port = 0

    @property
    def ca_bundle(self) -> str:
        return base64.b64encode(self.authority.cert_pem.bytes()).decode()

    def client_config(self, path: str = "/check") -> dict[str, Any]:
        return {"url": f"https://localhost:{self.port}{path}", "caBundle": self.ca_bundle}

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["WebhookServer"]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert("localhost").configure_cert(context)
        server = await asyncio.start_server(self._serve, "localhost", 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = next(int(li.split(":")[1]) for li in head.splitlines() if li.lower().startswith("content-len"))
                review = orjson.loads(await reader.readexactly(length))
                self.heads.append(head)
                self.reviews.append(review)
                if self.before_answer is not None:
                    await self.before_answer()
                writer.write(_response(self.answer(review)))
                await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError, asyncio.CancelledError):
            await writer.wait_closed()


def _response(answer: Any) -> bytes:
    if isinstance(answer, bytes):
        return answer
    body = orjson.dumps(answer)
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
