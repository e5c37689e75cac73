"""Reads from other servers that endpoint URLs lead to: HTTPS GETs with every limit that foreign hosts call for.

No redirects, no proxies from the environment, no cookies, no credentials of anybody, no compressed or oversized
answers. For the event loop only; httpx is imported with the first request.
"""

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import orjson

from kcpcache.meta.errors import (
    BadRequestError,
    ConflictError,
    ExpiredError,
    ForbiddenError,
    MethodNotAllowedError,
    NotFoundError,
    RequestEntityTooLargeError,
    ServiceUnavailableError,
    StatusError,
    TimeoutStatusError,
    TooManyRequestsError,
)
from kcpcache.meta.objects import Object, nested
from kcpcache.outgoing import distrustful_client
from kcpcache.virtual.asking import HOPS_HEADER

if TYPE_CHECKING:
    import httpx

ANSWER_SECONDS: Final = 30.0
"""How long an answer may take; of a watch, its beginning."""
MOST_ANSWER_BYTES: Final = 16 * 1024 * 1024
MOST_LINE_BYTES: Final = 3 * 1024 * 1024
_MOST_WAITING: Final = 16
_MOST_CONNECTIONS: Final = 1000
_LONGEST_MESSAGE: Final = 1000
_LONGEST_RETRY_SECONDS: Final = 3600
_OK, _BAD_REQUEST, _UNAUTHORIZED = 200, 400, 401
_PASSED_ON: Final[Mapping[int, type[StatusError]]] = {
    found.code: found
    for found in (
        BadRequestError,
        ForbiddenError,
        NotFoundError,
        MethodNotAllowedError,
        ConflictError,
        ExpiredError,
        RequestEntityTooLargeError,
        TooManyRequestsError,
        TimeoutStatusError,
    )
}
Parameters = Mapping[str, str]


class RemoteError(Exception):
    """A server could not be asked, or did not answer with what an API server answers; the text says which."""


def error_of(status: object, code: int) -> StatusError:
    """The error that a ``Status`` of another server is here. Raises RemoteError where ``status`` is none."""
    if not isinstance(status, dict) or status.get("kind") != "Status":
        raise RemoteError(f"it answers with HTTP status {code}")
    given, message = status.get("code"), str(status.get("message") or "")[:_LONGEST_MESSAGE]
    found = given if isinstance(given, int) and given >= _BAD_REQUEST else code
    if found == _UNAUTHORIZED:
        # Passed on, it would tell the client to doubt his own credentials, which have nothing to do with it.
        raise RemoteError("it asks for credentials, and is sent none")
    seconds = nested(status, "details", "retryAfterSeconds", default=0)
    seconds = seconds if isinstance(seconds, int) and 0 < seconds < _LONGEST_RETRY_SECONDS else 0
    if found == ExpiredError.code:
        return ExpiredError(message)
    return _PASSED_ON.get(found, ServiceUnavailableError)(message, retry_after_seconds=seconds)


class Lines:
    """Whole lines of an answer that goes on and on; a reader that is slow makes the sender wait. One reader."""

    def __init__(self) -> None:
        self._ready: deque[Sequence[bytes]] = deque()
        self._news, self._room = asyncio.Event(), asyncio.Event()
        self._rest = bytearray()
        self._ended = False
        self._error: RemoteError | None = None
        self.task: asyncio.Task[None] | None = None

    async def feed(self, chunk: bytes) -> None:
        """Take what came. Raises RemoteError for a line that is too long."""
        self._rest += chunk
        end = self._rest.rfind(b"\n") + 1
        if len(self._rest) - end > MOST_LINE_BYTES:
            raise RemoteError(f"it sends a line of more than {MOST_LINE_BYTES} bytes")
        if not end:
            return
        lines = bytes(self._rest[:end]).split(b"\n")
        del self._rest[:end]
        while len(self._ready) >= _MOST_WAITING:
            self._room.clear()
            await self._room.wait()
        self._ready.append([line for line in lines if line])
        self._news.set()

    def end(self, error: RemoteError | None = None) -> None:
        """Nothing comes any more."""
        self._ended, self._error = True, self._error or error
        self._news.set()

    async def next(self, timeout_seconds: float | None) -> Sequence[bytes]:
        """What has come; empty after the time. Raises StopAsyncIteration at the end, RemoteError where it was bad."""
        if not self._ready and not self._ended:
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_seconds):
                    await self._news.wait()
        if self._ready:
            self._room.set()
            return self._ready.popleft()
        if not self._ended:
            return ()
        if self._error is not None:
            raise self._error
        raise StopAsyncIteration

    def close(self) -> None:
        """Stop reading; may be called more than once."""
        self._ready.clear()
        self.end()
        if self.task is not None:
            self.task.cancel()


class Remote:
    """Asks other servers. ``context`` says whom to trust (None: whom the system trusts); ``close`` ends everything.

    ``transport`` stands in for the network.
    """

    def __init__(
        self, *, context: ssl.SSLContext | None = None, transport: "httpx.AsyncBaseTransport | None" = None
    ) -> None:
        self._context, self._transport = context, transport
        self._tasks: set[asyncio.Task[None]] = set()
        self._made: httpx.AsyncClient | None = None

    async def get(self, url: str, parameters: Parameters, hops: int) -> Object:
        """The JSON object there. Raises RemoteError, and StatusErrors that the server answers with."""
        with _told():
            async with asyncio.timeout(ANSWER_SECONDS), self._answer(url, parameters, hops) as response:
                return _object(await _body(response, MOST_ANSWER_BYTES))

    async def lines(self, url: str, parameters: Parameters, hops: int) -> Lines:
        """The lines of a watch, once it has begun. Raises what ``get`` raises."""
        found, opened = Lines(), asyncio.get_running_loop().create_future()
        task = found.task = asyncio.create_task(self._pump(url, parameters, hops, found, opened), name="remote-watch")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            with _told():
                async with asyncio.timeout(ANSWER_SECONDS):
                    await opened
        except BaseException:
            task.cancel()
            raise
        return found

    async def close(self) -> None:
        """End all watches and connections."""
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._made is not None:
            await self._made.aclose()
            self._made = None

    async def _pump(
        self, url: str, parameters: Parameters, hops: int, lines: Lines, opened: "asyncio.Future[None]"
    ) -> None:
        error: RemoteError | None = None
        try:
            with _told():
                async with self._answer(url, parameters, hops) as response:
                    if not opened.done():
                        opened.set_result(None)
                    async for chunk in response.aiter_raw():
                        await lines.feed(chunk)
        except (StatusError, RemoteError) as found:
            if not opened.done():
                opened.set_exception(found)
            error = found if isinstance(found, RemoteError) else None
        finally:
            lines.end(error)

    @contextlib.asynccontextmanager
    async def _answer(self, url: str, parameters: Parameters, hops: int) -> "AsyncIterator[httpx.Response]":
        """A successful answer whose body is still to come."""
        async with self._client().stream("GET", url, params=parameters, headers={HOPS_HEADER: str(hops)}) as response:
            if response.headers.get("content-encoding", "identity") != "identity":
                raise RemoteError("its answer is encoded, which was not asked for")
            if response.status_code >= _BAD_REQUEST:
                body = await _body(response, MOST_LINE_BYTES)
                try:
                    status = orjson.loads(body)
                except orjson.JSONDecodeError:
                    status = None
                raise error_of(status, response.status_code)
            if response.status_code != _OK:
                raise RemoteError(f"it answers with HTTP status {response.status_code}")
            yield response

    def _client(self) -> "httpx.AsyncClient":
        if self._made is not None:
            return self._made
        context = self._context or ssl.create_default_context()
        self._made = distrustful_client(context, most_connections=_MOST_CONNECTIONS, transport=self._transport)
        return self._made


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Say what goes wrong below in one way."""
    import httpx

    try:
        yield
    except TimeoutError:
        raise RemoteError(f"it does not answer within {ANSWER_SECONDS:.0f} seconds") from None
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError) as error:
        raise RemoteError(f"it cannot be reached: {_why(error)}") from None


async def _body(response: "httpx.Response", most_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > most_bytes:
            raise RemoteError(f"its answer is larger than {most_bytes} bytes; ask for smaller pages (limit=…)")
    return bytes(body)


def _object(body: bytes) -> Object:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise RemoteError("its answer is no JSON object")
    return found


def _why(error: BaseException) -> str:
    """The innermost text: httpx wraps the operating system's and TLS' own words."""
    cause = error
    while not isinstance(cause, ssl.SSLError) and (below := cause.__cause__ or cause.__context__) is not None:
        cause = below
    return str(cause) or str(error) or type(error).__name__
