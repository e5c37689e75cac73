"""HTTP/1.1 as bytes over TLS: what a client library would not send, and several users on one connection."""

import asyncio
import base64
import contextlib
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Self

import orjson
from server_in_process import Answer

ANSWER_SECONDS = 30.0
_NO_BODY = frozenset({101, 204, 304})


class Wire:
    """One connection. What is sent and what is read are apart, so that requests can be sent ahead."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, port: int, authority: str, certificate: str | None = None) -> AsyncIterator[Self]:
        """A connection to this machine; ``certificate`` is a PEM file with the client's certificate and key."""
        context = ssl.create_default_context(cadata=authority)
        if certificate is not None:
            context.load_cert_chain(certificate)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        try:
            yield cls(reader, writer)
        finally:
            writer.transport.abort()

    def send(self, data: bytes) -> None:
        """As it is."""
        self._writer.write(data)

    async def answer(self, *, head: bool = False) -> Answer:
        """The next answer; status 0 where the server ends the connection instead. ``head``: to a HEAD request."""
        async with asyncio.timeout(ANSWER_SECONDS):
            try:
                start = await self._reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, OSError):
                return Answer(0, (), b"")
            line, *lines = start.removesuffix(b"\r\n\r\n").split(b"\r\n")
            headers = tuple((name.lower(), value.strip()) for name, _, value in (one.partition(b":") for one in lines))
            status = int(line.split(b" ")[1])
            body = b"" if head or status in _NO_BODY else await self._body(dict(headers))
            return Answer(status, headers, body)

    async def started(self) -> Answer:
        """The next answer's beginning, whose body goes on."""
        async with asyncio.timeout(ANSWER_SECONDS):
            start = await self._reader.readuntil(b"\r\n\r\n")
        return Answer(int(start.split(b" ")[1]), (), start)

    async def some(self) -> bytes:
        """What comes next, whenever that is; nothing at the end."""
        try:
            return await self._reader.read(1 << 16)
        except OSError:
            return b""

    async def until(self, wanted: bytes) -> bytes:
        """What comes, up to there."""
        async with asyncio.timeout(ANSWER_SECONDS):
            return await self._reader.readuntil(wanted)

    async def rest(self, seconds: float = 0.2) -> bytes:
        """What still comes, until the end or until nothing has come for a moment."""
        found = b""
        with contextlib.suppress(TimeoutError, OSError):
            while True:
                async with asyncio.timeout(seconds):
                    data = await self._reader.read(1 << 16)
                if not data:
                    break
                found += data
        return found

    async def _body(self, headers: Mapping[bytes, bytes]) -> bytes:
        if headers.get(b"transfer-encoding") == b"chunked":
            body = b""
            while size := int(await self._reader.readline(), 16):
                body += await self._reader.readexactly(size)
                await self._reader.readexactly(2)
            await self._reader.readexactly(2)
            return body
        if b"content-length" in headers:
            return await self._reader.readexactly(int(headers[b"content-length"]))
        return await self._reader.read()


def request(method: str, target: str, token: str = "", body: bytes = b"", headers: Mapping[str, str] = {}) -> bytes:
    """One request, well formed."""
    sent = {"host": "127.0.0.1", **({"authorization": f"Bearer {token}"} if token else {}), **headers}
    if body or method in {"POST", "PUT", "PATCH"}:
        sent["content-length"] = str(len(body))
    lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode() + body


def handshake(target: str, token: str = "", headers: Mapping[str, str] = {}) -> bytes:
    """The beginning of a WebSocket."""
    key = base64.b64encode(os.urandom(16)).decode()
    upgrade = {
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-key": key,
        "sec-websocket-version": "13",
    }
    return request("GET", target, token, headers={**upgrade, **headers})


def name_in(answer: Answer) -> str:
    """Who a SelfSubjectReview's answer says it is; the status where there is no such answer."""
    if answer.status != 201:
        return str(answer.status)
    return str(orjson.loads(answer.body)["status"]["userInfo"]["username"])
