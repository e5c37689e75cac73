"""uvicorn's HTTP protocol with what is needed beyond ASGI: certificates, cut connections, answers in one piece.

And with patience that ends: requests are bounded in time by ``api/deadlines.py``, what comes before, after and between
them is here.
"""

import asyncio
import ssl
import sys
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import httptools
import orjson
import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from kcpcache.auth.client_certificates import CertificateChain
from kcpcache.meta.errors import BadRequestError, RequestHeaderFieldsTooLargeError, RequestTimeoutError, StatusError
from kcpcache.registry.handover import handover

log = structlog.get_logger(__name__)

CONNECTION: Final = "kcpcache.connection"
"""Where ``scope["state"]`` holds the connection's ``Connection``."""
REPLY: Final = "kcpcache.reply"
"""Where the scope of a request holds its ``Reply``, which answers to HEAD do not have."""
PLAIN_HEADS: Final = {
    status: b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncache-control: no-cache, private\r\ncontent-length: "
    % line
    for status, line in ((200, b"200 OK"), (201, b"201 Created"))
}
"""What almost every answer begins with."""
_OK: Final = 200
MOST_HEAD_BYTES: Final = 64 * 1024
"""Of a request's line and headers."""
LOOK_SECONDS: Final = 16.0
"""Who lets the server wait for the same at two looks in a row is cut off: after 32 seconds at the most, as in kube."""
_GOODBYE_SECONDS: Final = 0.5
_ENCODING_DER: Final = 2
_PROVISIONAL: Final = b"HTTP/1.1 1"
_WORTH_NO_COPY_BYTES: Final = 16 * 1024
"""To copy this much costs more than TLS records of their own for what is before and after it."""
_WITH_HOST, _VERSIONS = "1.1", frozenset({"1.0", "1.1"})


class Connection:
    """One client connection, as long as it lives.

    ``certificates`` is what the peer showed and the TLS handshake verified, its own first; empty without one.
    ``shortcuts`` are for ``api/shortcuts.py`` alone, ``routes`` for ``api/routes.py``; ``refused`` is for
    ``api/strangers.py``: whether the credentials that it showed last were.
    """

    __slots__ = ("_transport", "certificates", "refused", "routes", "shortcuts")

    def __init__(self, certificates: CertificateChain = (), transport: asyncio.Transport | None = None) -> None:
        self.certificates = certificates
        self.refused = False
        self.shortcuts: dict[Any, Any] = {}
        self.routes: dict[Any, Any] = {}
        self._transport = transport

    def abort(self) -> None:
        """Cut the connection at once, without sending what is still buffered."""
        if self._transport is not None:
            self._transport.abort()


NO_CONNECTION: Final = Connection()
"""Stands in where another server (a test's transport) has put nothing into the scope."""


def connection_of(scope: Mapping[str, Any]) -> Connection:
    """The connection that a request came on."""
    state = scope.get("state")
    found = state.get(CONNECTION) if state else None
    return found if isinstance(found, Connection) else NO_CONNECTION


class Reply:
    """The way of one answer to its client, in place of the transport that uvicorn writes to.

    The head waits for the first piece of the body, which may be empty. uvicorn writes both apart, each in a TLS record
    and a system call of its own: half of what a short answer costs.
    """

    __slots__ = ("_cycle", "_head", "_transport", "_written")

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle, self._transport = cycle, cycle.transport
        self._head, self._written = b"", False

    async def whole(self, head: bytes, body: bytes) -> None:
        """Send an answer at once. ``head`` is the status line and the headers up to the value of content-length."""
        cycle = self._cycle
        if cycle.flow.write_paused and not cycle.disconnected:
            await cycle.flow.drain()
        if not cycle.disconnected:
            self._written = True
            send_whole(cycle, self._transport, head, body)

    @property
    def waits(self) -> bool:
        """Whether the client has too much to read to be sent more."""
        return self._cycle.flow.write_paused

    async def piece(self, data: bytes) -> None:
        """Send a piece of an answer in chunks that has begun. Waits while the client does not read."""
        cycle = self._cycle
        if cycle.flow.write_paused and not cycle.disconnected:
            await cycle.flow.drain()
        if cycle.disconnected:
            return
        if not data:
            self.write(data)
        elif len(data) < _WORTH_NO_COPY_BYTES:
            self.write(b"%x\r\n%b\r\n" % (len(data), data))
        else:
            self._written, head = True, b"" if self._written else self._head
            self._transport.writelines((b"%b%x\r\n" % (head, len(data)), data, b"\r\n"))

    def chunk(self, data: bytes) -> bool:
        """Send a chunk, framed as such, of an answer whose head has gone; unless ``waits``: whether it was sent."""
        cycle = self._cycle
        if cycle.flow.write_paused:
            return False
        if not cycle.disconnected:
            self._transport.write(data)
        return True

    def write(self, data: bytes) -> None:
        """Send ``data``, or keep it as the head. ``100 Continue`` and what else is provisional goes at once."""
        if self._written or data.startswith(_PROVISIONAL):
            self._transport.write(data)
        elif self._head:
            self._written = True
            self._transport.write(self._head + data)
        else:
            self._head = data

    def is_closing(self) -> bool:
        """As of every transport."""
        return self._transport.is_closing()

    def close(self) -> None:
        """As of every transport."""
        self._transport.close()

    async def answering(self, app: Any, scope: Any, receive: Any, send: Any) -> None:
        """Have ``app`` answer. Then the request and this know nothing of each other any more.

        Whatever still did would be garbage that only the collector finds: some ten objects of each request, of which it
        takes away ten thousand at a time while everybody waits.
        """
        try:
            await app(scope, receive, send)
        finally:
            scope.pop(REPLY, None)
            self._cycle.transport = self._transport


def send_whole(cycle: RequestResponseCycle, transport: asyncio.Transport, head: bytes, body: bytes) -> None:
    """Write an answer, and have its cycle know that it is complete. ``head`` is as in ``Reply.whole``."""
    parts = [head, b"%d\r\n" % len(body)]
    for name, value in cycle.default_headers:
        parts += (name, b": ", value, b"\r\n")
    parts += (b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n", body)
    cycle.response_started = cycle.response_complete = True
    transport.write(b"".join(parts))
    cycle.message_event.set()
    if not cycle.keep_alive:
        transport.close()
    cycle.on_response()


class KubernetesProtocol(HttpToolsProtocol):
    """Give this class to uvicorn as ``http``; with TLS, use ``ssl_cert_reqs=CERT_OPTIONAL`` and the client CA.

    ``most_connections`` is for all connections of the server: one more is cut as soon as it is there.
    """

    def __init__(self, *arguments: Any, most_connections: int = sys.maxsize, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._most_connections = most_connections
        self._head_bytes = self._header_bytes = self._hosts = 0
        self._has_head = False
        self._refusal: StatusError | None = None
        self._ended: object = None  # the scope of the last request that has come as a whole
        self._awaited: object = None
        self._next_look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Note the connection in the state that each of its requests gets a copy of."""
        super().connection_made(transport)
        if len(self.connections) > self._most_connections:
            log.warning("a connection too many has been cut", most=self._most_connections, client=self.client)
            transport.abort()
            return
        tls = transport.get_extra_info("ssl_object")
        certificates = _peer_certificates(tls) if isinstance(tls, ssl.SSLObject | ssl.SSLSocket) else ()
        self.app_state = {**self.app_state, CONNECTION: Connection(certificates, transport)}
        self._awaited = self._awaits()
        self._next_look = self.loop.call_later(LOOK_SECONDS, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Have nobody look after it any more."""
        super().connection_lost(exc)
        if self._next_look is not None:
            self._next_look.cancel()

    def data_received(self, data: bytes) -> None:
        """Take what came. A head that does not end is answered with 431."""
        try:
            super().data_received(data)
        finally:
            if handover.holds:
                handover.release()
        if not self._head_is_open():
            self._head_bytes = 0
            return
        self._head_bytes += len(data)
        if self._head_bytes > MOST_HEAD_BYTES and self in self.connections and not self.transport.is_closing():
            self._refuse(_too_large())

    def on_message_begin(self) -> None:
        """Begin to count what the request's head has."""
        super().on_message_begin()
        self._has_head, self._header_bytes, self._hosts = False, 0, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header. What comes after a body is none: no proxy in front has looked at it."""
        if self._has_head:
            return
        name = name.lower()
        if name == b"host":
            self._hosts += 1
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self._header_bytes += len(name) + len(value)
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Begin with the request, unless it is for no host or for several (RFC 9112, 3.2), or has too large a head."""
        self._has_head = True
        version = self.parser.get_http_version()
        if version not in _VERSIONS:
            self._refusal = BadRequestError(f"this server speaks HTTP/1.1, not HTTP/{version}")
        elif self._hosts > 1 or (version == _WITH_HOST and not self._hosts):
            self._refusal = BadRequestError("a request has exactly one Host header")
        elif self._header_bytes + len(self.url) > MOST_HEAD_BYTES:
            self._refusal = _too_large()
        if self._refusal is not None:
            raise httptools.HttpParserError  # ends the parser
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note that the request has come as a whole; uvicorn does not, once it is answered."""
        self._ended = self.scope
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP. In place of uvicorn's own, which is no Status."""
        self._refuse(self._refusal or BadRequestError(msg))

    def _refuse(self, error: StatusError) -> None:
        body = orjson.dumps(error.status())
        line = b"%d %b" % (error.code, HTTPStatus(error.code).phrase.encode())
        head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
        self.transport.write(head % (line, len(body)) + body)
        self.transport.close()

    def _head_is_open(self) -> bool:
        """Whether a request has begun whose headers have not ended."""
        return self.scope is not None and (self.cycle is None or self.cycle.scope is not self.scope)

    def _look(self) -> None:
        """Cut the connection where the server has waited for the same thing since the last look.

        Who is in the middle of his headers is told; what becomes of the answer, the next looks tell.
        """
        if self not in self.connections:
            return  # it has become another protocol's
        awaited = self._awaits()
        if awaited is not None and awaited == self._awaited:
            if self.transport.is_closing() or not self._head_is_open():
                self.transport.abort()
                return
            self._refuse(RequestTimeoutError("the request's headers have not come in time"))
        self._awaited = awaited
        self._next_look = self.loop.call_later(LOOK_SECONDS, self._look)

    def _awaits(self) -> object:
        """What the client is to do next, if that is not for a deadline of a request or of keep-alive to decide.

        Equal to what it was before only where the client has not done it.
        """
        cycle: RequestResponseCycle | None = self.cycle
        scope: Any = self.scope
        transport = self.transport
        if transport.is_closing():
            return "to read the last of it"
        if self._head_is_open():
            return "the headers' end", id(scope)
        if cycle is None:
            return "to ask for something"
        if not cycle.response_complete:
            return None
        if self._ended is not scope:
            return "the end of a body that nobody reads", id(cycle)
        unread = transport.get_write_buffer_size()
        return ("to read", unread) if unread else None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Answer at once, without a task, what the application knows already; let other answers leave in one piece."""
        method = cycle.scope["method"]
        # What was sent ahead is begun by the end of the one before: answered at once, each would be inside that one.
        newest = cycle is self.cycle and not self.flow.write_paused
        if method == "GET" and newest and (at_once := getattr(app, "at_once", None)) is not None:
            body = at_once(cycle.scope)
            if body is not None:
                send_whole(cycle, self.transport, PLAIN_HEADS[_OK], body)
                return
        if method != "HEAD":  # what has no body needs no waiting for it
            cycle.transport = reply = Reply(cycle)  # type: ignore[assignment]
            cycle.scope[REPLY] = reply  # type: ignore[typeddict-unknown-key]
            app = partial(reply.answering, app)
        super()._start_asgi_task(cycle, app)

    def shutdown(self) -> None:
        """End the connection, after the response that is under way if there is one.

        Closing TLS waits for the peer's goodbye, which a client that reads nothing between two requests (a pool's
        idle connection) never sends: once all is written, the connection is cut after a moment.
        """
        super().shutdown()
        self.loop.call_later(_GOODBYE_SECONDS, self._leave, False)

    def _leave(self, was_closing: bool) -> None:
        if self not in self.connections:
            return
        closing = self.transport.is_closing() and not self.transport.get_write_buffer_size()
        if closing and was_closing:
            self.transport.abort()
        else:
            self.loop.call_later(_GOODBYE_SECONDS, self._leave, closing)


def _too_large() -> StatusError:
    return RequestHeaderFieldsTooLargeError(f"the headers are larger than {MOST_HEAD_BYTES} bytes")


def _peer_certificates(tls: Any) -> CertificateChain:
    """What the peer showed, in DER. Before Python 3.13 only the object inside knows more than the first one."""
    if tls.getpeercert(binary_form=True) is None:
        return ()
    if hasattr(tls, "get_unverified_chain"):
        return tuple(tls.get_unverified_chain())
    return tuple(one.public_bytes(_ENCODING_DER) for one in tls._sslobj.get_unverified_chain())  # noqa: SLF001
