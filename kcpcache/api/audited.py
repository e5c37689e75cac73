"""Requests under audit: what they send and get passes by their trail."""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final, TypeAlias
from uuid import uuid4

import orjson

from kcpcache.api.body import Receive
from kcpcache.api.decoding import YAML, media_type
from kcpcache.api.exchange import Exchange, Message, Scope, Send
from kcpcache.api.patches import APPLY_PATCH
from kcpcache.api.protocol import REPLY, connection_of
from kcpcache.api.yaml_body import decode_yaml
from kcpcache.audit.event import Head, source_ips, user_agent
from kcpcache.audit.trail import MOST_BODY_BYTES, Audit, Trail
from kcpcache.meta import protobuf
from kcpcache.meta.audit_annotations import collected
from kcpcache.meta.errors import StatusError
from kcpcache.registry.builtin.wire import protobuf_types

AUDIT_ID: Final = b"audit-id"
_SWITCHING_PROTOCOLS: Final = 101

Handle: TypeAlias = Callable[[Scope, Receive, Send, Trail | None], Awaitable[None]]


async def audited(audit: Audit, scope: Scope, receive: Receive, send: Send, handle: Handle) -> None:
    """Have ``handle`` answer, and its trail tell of it. Waits while the audit log has no room."""
    await audit.log.room()
    trail = Trail(audit, _head(scope, audit))
    # What is sent has to pass by here: the short way to the transport would not.
    seen = {key: value for key, value in scope.items() if key != REPLY}
    try:
        with collected(trail.annotations):
            await handle(seen, receive, _told(trail, scope, send), trail)
    finally:
        trail.close()


def _head(scope: Scope, audit: Audit) -> Head:
    headers = dict(scope["headers"])
    query = scope["query_string"]
    client = scope.get("client")
    return Head(
        audit_id=headers.get(AUDIT_ID, b"").decode("latin-1") or str(uuid4()),
        uri=(scope["raw_path"] + (b"?" + query if query else b"")).decode("latin-1"),
        user_agent=user_agent(headers),
        source_ips=source_ips(headers, client[0] if client else ""),
        received=audit.clock(),
    )


def _told(trail: Trail, scope: Scope, send: Send) -> Send:
    """``send``, which tells the trail when the answer begins, and gives the audit ID back in a header."""
    audit_id = (AUDIT_ID, trail.head.audit_id.encode("latin-1"))

    async def tell_and_send(message: Message) -> None:
        kind = message["type"]
        if kind in {"http.response.start", "websocket.http.response.start"}:
            trail.started(message["status"], _credentials(scope))
            message = {**message, "headers": [*message["headers"], audit_id]}
        elif kind == "websocket.accept":
            trail.started(_SWITCHING_PROTOCOLS)
            message = {**message, "headers": [*message.get("headers", ()), audit_id]}
        await send(message)

    return tell_and_send


def _credentials(scope: Scope) -> str:
    """Which kinds of credentials were shown, in kube-apiserver's words."""
    kinds = []
    authorization = dict(scope["headers"]).get(b"authorization", b"").strip().lower()
    kinds += [kind for kind in ("basic", "bearer") if authorization.startswith(f"{kind} ".encode())]
    if connection_of(scope).certificates:
        kinds.append("x509")
    return ", ".join(kinds)


class AuditedExchange(Exchange):
    """An exchange whose bodies are told to its trail, where the policy wants them."""

    __slots__ = ("_trail",)

    def __init__(self, trail: Trail, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(scope, receive, send)
        self.trail = self._trail = trail

    async def body(self) -> bytes:
        """See ``Exchange``."""
        data = await super().body()
        if data and self._trail.wants_request:
            self._trail.request(partial(_document, data, self.header(b"content-type")), len(data))
        return data

    async def respond(self, status: int, body: bytes, **how: Any) -> None:
        """See ``Exchange``."""
        if self._trail.wants_response:
            self._trail.response(body)
        await super().respond(status, body, **how)

    async def respond_chunks(self, status: int, chunks: Iterator[bytes]) -> None:
        """See ``Exchange``."""
        if not self._trail.wants_response:
            await super().respond_chunks(status, chunks)
            return
        kept = _Kept(chunks)
        await super().respond_chunks(status, iter(kept))
        self._trail.response(kept.body())

    async def respond_error(self, error: StatusError) -> None:
        """See ``Exchange``."""
        self._trail.failed(error.status())
        await super().respond_error(error)


class _Kept:
    """Chunks on their way out, kept as long as they are not too many."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self._parts: list[bytes] = []
        self._size = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._size += len(chunk)
            if self._size <= MOST_BODY_BYTES:
                self._parts.append(chunk)
            else:
                self._parts.clear()
            yield chunk

    def body(self) -> bytes | None:
        return b"".join(self._parts) if self._size <= MOST_BODY_BYTES else None


def _document(data: bytes, content_type: str) -> Any:
    """A body as values. For the audit log's thread."""
    kind = media_type(content_type)
    if kind == protobuf.MEDIA_TYPE:
        return protobuf.decode_body(data, protobuf_types())
    if kind in {YAML, APPLY_PATCH}:
        return decode_yaml(data).value
    return orjson.loads(data)
