"""One HTTP request and its answer, over ASGI."""

import zlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any, Final, TypeAlias

import orjson

from kcpcache.api.body import Receive, read_body
from kcpcache.api.fairness import EXEMPT, Seat
from kcpcache.api.negotiation import accepts_gzip
from kcpcache.api.paths import RequestInfo
from kcpcache.api.protocol import PLAIN_HEADS, REPLY
from kcpcache.audit.trail import Trail
from kcpcache.meta.errors import StatusError
from kcpcache.registry.beside import LIGHT_BYTES, computed
from kcpcache.registry.pauses import Slices, pause
from kcpcache.registry.resource import ResourceDefinition

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Header: TypeAlias = tuple[bytes, bytes]

GZIP_ABOVE_BYTES: Final = 128 * 1024
_GZIP: Final = zlib.MAX_WBITS | 16
_FASTEST: Final = 1
_PIECE_BYTES: Final = 64 * 1024
_JSON: Final = (b"content-type", b"application/json")
_NO_CACHE: Final = (b"cache-control", b"no-cache, private")
_MOST_WARNING_BYTES: Final = 4096
_CLOSE: Final = (b"connection", b"close")
_NOT_MODIFIED, _ENTITY_TOO_LARGE = 304, 413


class Exchange:
    """Reads the request, sends the answer once. ``warnings`` become ``Warning`` headers of the answer.

    ``info`` and ``resource`` are what was found out about the request so far, ``epoch`` is of before anything was;
    ``status`` and ``sent_bytes`` (of the body) are of the answer, 0 as long as there is none. ``trail`` is what the
    audit log is told through; None where nothing is audited.
    """

    __slots__ = (
        *(
            "_receive",
            "_send",
            "epoch",
            "headers",
            "info",
            "method",
            "resource",
            "scope",
            "seat",
            "sent_bytes",
            "started",
        ),
        *("status", "trail", "warnings"),
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self._receive, self._send = scope, receive, send
        self.method: str = scope["method"]
        # Of several headers of one name the first counts, as in Go: authentication must see the same one.
        self.headers: Mapping[bytes, bytes] = dict(reversed(scope["headers"]))
        self.info: RequestInfo | None = None
        self.epoch = 0
        self.seat: Seat = EXEMPT
        self.resource: ResourceDefinition | None = None
        self.started = False
        self.trail: Trail | None = None
        self.status = self.sent_bytes = 0
        self.warnings: list[str] = []

    def header(self, name: bytes) -> str:
        """A header by its lower-case name, or ""."""
        found = self.headers.get(name)
        return found.decode("latin-1") if found else ""

    async def body(self) -> bytes:
        """The request's body. Raises what ``read_body`` raises."""
        found = await read_body(self._receive, self.headers)
        if len(found) > LIGHT_BYTES:  # to copy it together has taken as long as a slice of anything else
            await pause()
        return found

    async def disconnected(self) -> None:
        """Return when the client has gone away. Only after the body has been read, or where there is none."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def respond(
        self, status: int, body: bytes, *, headers: Iterable[Header] = (), content_type: Header = _JSON
    ) -> None:
        """Send the whole answer; compressed where it is large and the client likes that."""
        reply, head = self.scope.get(REPLY), PLAIN_HEADS.get(status)
        plain = content_type is _JSON and not headers and not self.warnings and len(body) <= GZIP_ABOVE_BYTES
        if plain and reply is not None and head is not None:
            self.started, self.status, self.sent_bytes = True, status, len(body)
            await reply.whole(head, body)
            return
        more: list[Header] = []
        if len(body) > GZIP_ABOVE_BYTES and accepts_gzip(self.header(b"accept-encoding")):
            body = await computed(len(body), _compressed, body)
            more = [(b"content-encoding", b"gzip"), (b"vary", b"Accept-Encoding")]
        length = (b"content-length", b"%d" % len(body))
        await self.start(status, (content_type, length, *more, *headers))
        self.sent_bytes = len(body)
        at, last = 0, len(body) - _PIECE_BYTES
        while at < last:  # to encrypt all of a large one keeps others waiting
            piece = body[at : at + _PIECE_BYTES]
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})
            at += _PIECE_BYTES
            await pause()
        await self._send({"type": "http.response.body", "body": body[at:] if at else body, "more_body": False})

    async def respond_json(self, status: int, value: Any, *, headers: Iterable[Header] = ()) -> None:
        """Send ``value`` as JSON."""
        await self.respond(status, orjson.dumps(value), headers=headers)

    async def respond_not_modified(self, headers: Iterable[Header]) -> None:
        """304: what the client has is current. No length or type: caches would take them for the document's."""
        await self.start(_NOT_MODIFIED, headers)
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def respond_error(self, error: StatusError) -> None:
        """Send the Status of an error."""
        headers = [(name.lower().encode(), value.encode()) for name, value in error.headers().items()]
        if error.code == _ENTITY_TOO_LARGE:
            headers.append(_CLOSE)  # the rest of the body is not worth reading
        body = await computed(len(error.message), _encoded_status, error)
        await self.respond(error.code, body, headers=headers)

    async def respond_chunks(self, status: int, chunks: Iterator[bytes]) -> None:
        """Send a large answer piece by piece, with the event loop free in between; a small one as a whole."""
        first, size, slices = [], 0, Slices()
        for chunk in chunks:
            first.append(chunk)
            size += len(chunk)
            if size > GZIP_ABOVE_BYTES:
                break
            if slices.over:
                await slices.pause()
        else:
            await self.respond(status, b"".join(first))
            return
        if accepts_gzip(self.header(b"accept-encoding")):
            await self.start(status, (_JSON, (b"content-encoding", b"gzip"), (b"vary", b"Accept-Encoding")))
            await self._send_compressed(first, chunks)
            return
        await self.start(status, (_JSON,))
        await self.write(b"".join(first))
        for chunk in chunks:
            await pause()  # send alone does not let others run
            await self.write(chunk)
        await self.finish()

    async def _send_compressed(self, first: list[bytes], chunks: Iterator[bytes]) -> None:
        compressor = zlib.compressobj(_FASTEST, zlib.DEFLATED, _GZIP)
        for source in (first, chunks):
            for chunk in source:
                if small := compressor.compress(chunk):
                    await self.write(small)
                await pause()
        await self._send({"type": "http.response.body", "body": compressor.flush(), "more_body": False})

    async def start(self, status: int, headers: Iterable[Header]) -> None:
        """Send status and headers."""
        self.started, self.status = True, status
        sent = [*headers]
        if status != _NOT_MODIFIED and not any(name == b"cache-control" for name, _ in sent):
            sent.append(_NO_CACHE)
        if self.warnings:
            sent += _warning_headers(self.warnings)
        await self._send({"type": "http.response.start", "status": status, "headers": sent})

    @property
    def prompt(self) -> bool:
        """Whether ``write`` would not wait: the client has read enough of what it was sent."""
        reply = self.scope.get(REPLY)
        return reply is not None and not reply.waits

    async def write(self, chunk: bytes) -> None:
        """Send a piece of an answer that began without a length; waits while the client does not read."""
        self.sent_bytes += len(chunk)
        reply = self.scope.get(REPLY)
        if reply is not None:
            await reply.piece(chunk)
        else:
            await self._send({"type": "http.response.body", "body": chunk, "more_body": True})

    def chunks_at_once(self) -> Callable[[bytes], bool] | None:
        """What sends pieces that are framed as chunks without waiting; None where the client has to be waited for.

        It says whether a piece was sent. Whoever uses it adds to ``sent_bytes``, after the first ``write``.
        """
        reply = self.scope.get(REPLY)
        return reply.chunk if reply is not None and not reply.waits else None

    async def finish(self) -> None:
        """End an answer that was sent piece by piece."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def _encoded_status(error: StatusError) -> bytes:
    return orjson.dumps(error.status())


def _compressed(body: bytes) -> bytes:
    compressor = zlib.compressobj(_FASTEST, zlib.DEFLATED, _GZIP)
    return compressor.compress(body) + compressor.flush()


def _warning_headers(warnings: Iterable[str]) -> Iterator[Header]:
    """``Warning: 299 - "…"``, each once, 4 KiB in all as in kube-apiserver."""
    left = _MOST_WARNING_BYTES
    for warning in dict.fromkeys(warnings):
        text = "".join(c if c.isprintable() else " " for c in warning).replace("\\", "\\\\").replace('"', '\\"')
        value = f'299 - "{text}"'.encode()
        left -= len(value)
        if left < 0:
            return
        yield b"warning", value
