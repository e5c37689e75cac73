"""The whole server in this process, asked over ASGI: as fast as thousands of attacks need it, and as real as may be."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import orjson
from uvicorn.config import Config

from kcpcache.api.services import Services
from kcpcache.auth.certificates import Certificates
from kcpcache.config import Settings
from kcpcache.server import Server

JSON, MERGE_PATCH = "application/json", "application/merge-patch+json"
WAIT_SECONDS = 30.0


Asked: TypeAlias = tuple[str, str, Mapping[str, str]]
"""Of a watch: ``http`` or ``websocket``, the target, headers."""


class Answer(NamedTuple):
    """An answer as it goes over the wire, but for its framing."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    @property
    def everything(self) -> bytes:
        """Status, headers and body in one piece, to search in."""
        head = b"\r\n".join(b": ".join(header) for header in self.headers)
        return b"%d\r\n%b\r\n\r\n%b" % (self.status, head, self.body)

    def json(self) -> Any:
        return orjson.loads(self.body)


class _Listening(Server):
    """The server, and the ASGI application that it made."""

    def _uvicorn_config(self, services: Services, certificates: Certificates) -> Config:
        config = super()._uvicorn_config(services, certificates)
        self.app = config.app
        return config


class Conversation:
    """One request, as ASGI, on its way; the client leaves when ``gone`` is set."""

    def __init__(self, scope: dict[str, Any], body: bytes = b"") -> None:
        self._scope, self.gone = scope, asyncio.Event()
        first = (
            {"type": "websocket.connect"} if scope["type"] == "websocket" else {"type": "http.request", "body": body}
        )
        self._messages = [first]
        self._status, self._headers, self._body = 0, (), bytearray()

    async def hold(self, app: Any) -> Answer:
        """Have it out to its end."""
        await app(self._scope, self._receive, self._send)
        return self.answer

    @property
    def answer(self) -> Answer:
        """What has come so far; status 0: nothing. A WebSocket that was accepted has 101."""
        return Answer(self._status, self._headers, bytes(self._body))

    async def _receive(self) -> dict[str, Any]:
        if self._messages:
            return self._messages.pop()
        await self.gone.wait()
        return {"type": f"{self._scope['type']}.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        if "status" in message:
            self._status, self._headers = message["status"], tuple(message["headers"])
        elif message["type"] == "websocket.accept":
            self._status = 101
        self._body += message.get("body", b"") or message.get("text", "").encode()


class Http:
    """Asks the application as somebody: by a token, or as nobody."""

    def __init__(self, server: _Listening, token: str = "") -> None:
        self._server, self._token = server, token

    def as_user(self, token: str) -> "Http":
        return Http(self._server, token)

    async def ask(
        self, method: str, target: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request. ``target`` is a path with its query; a body that is no bytes is sent as JSON."""
        data = b"" if body is None else body if isinstance(body, bytes) else orjson.dumps(body)
        return await Conversation(self._scope("http", method, target, headers or {}), data).hold(self._server.app)

    async def must(self, method: str, target: str, body: object = None) -> Any:
        """The JSON of an answer that is a success."""
        kind = MERGE_PATCH if method == "PATCH" else JSON
        found = await self.ask(method, target, body, {"content-type": kind})
        assert found.status < 300, f"{method} {target}: {found.everything!r}"
        return found.json()

    @contextlib.asynccontextmanager
    async def watches(self, asked: Iterable[Asked]) -> AsyncIterator[list[Conversation]]:
        """All of them at once, open until the block is left; each has begun to answer, or has been refused."""
        found = [Conversation(self._scope(kind, "GET", target, headers)) for kind, target, headers in asked]
        async with asyncio.TaskGroup() as tasks:
            for one in found:
                tasks.create_task(one.hold(self._server.app))
            try:
                await until(lambda: all(one.answer.status for one in found))
                yield found
            finally:
                for one in found:
                    one.gone.set()

    def _scope(self, kind: str, method: str, target: str, headers: Mapping[str, str]) -> dict[str, Any]:
        path, _, query = target.partition("?")
        sent = {"host": "test", **({"authorization": f"Bearer {self._token}"} if self._token else {}), **headers}
        return {
            "type": kind,
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
            "subprotocols": [],
            "http_version": "1.1",
            "state": {},
        }

    async def until(self, target: str, wanted: Callable[[Any], Any]) -> Any:
        """The object there as soon as it is as wanted."""
        found: Any = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WAIT_SECONDS):
                while True:
                    answer = await self.ask("GET", target)
                    found = answer.json()
                    if answer.status == 200 and wanted(found):
                        return found
                    await asyncio.sleep(0.02)
        raise AssertionError(f"{target} does not become as it should; it is {found}")

    async def until_gone(self, target: str) -> None:
        """Return when there is nothing any more."""
        async with asyncio.timeout(WAIT_SECONDS):
            while (await self.ask("GET", target)).status != 404:  # noqa: ASYNC110 -- a server has no event for it
                await asyncio.sleep(0.02)


async def until(check: Callable[[], Any]) -> None:
    """Return when it is so."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not check():  # noqa: ASYNC110 -- conditions of any kind
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def server_in_process(folder: Path, tokens: str, **settings: Any) -> AsyncIterator[Http]:
    """A running server, asked as nobody. ``tokens`` is a token file's content."""
    (folder / "tokens.csv").write_text(tokens)
    ready = asyncio.Event()
    wanted = Settings(root_dir=folder / "root", port=0, token_auth_file=folder / "tokens.csv", **settings)
    server = _Listening(wanted, lambda _url, _path: ready.set())
    running = asyncio.create_task(server.run())
    try:
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait((running, waiting), timeout=30, return_when=asyncio.FIRST_COMPLETED)
        assert ready.is_set(), running
        yield Http(server)
    finally:
        server.shutting_down.set()
        await running
