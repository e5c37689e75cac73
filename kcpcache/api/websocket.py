"""Watches over WebSocket, for dashboards in browsers: one text frame per event (Kubernetes' watch over WebSocket).

A browser cannot set headers, so a bearer token may come as a sub-protocol; it is never the one that is chosen.
"""

import contextlib
from typing import Final

from kcpcache.api.body import Receive
from kcpcache.api.exchange import Message, Scope, Send
from kcpcache.api.origin import offers_token, require_own_page
from kcpcache.auth.authenticate import WEBSOCKET_BEARER_PREFIX
from kcpcache.meta.errors import BadRequestError

_NORMAL: Final = 1000
_OVER: Final = (OSError, RuntimeError)
"""What sending raises when the client has gone, and when uvicorn has closed the socket: for a ping that had no answer,
for a message that is too large or breaks the protocol."""
_AS_HTTP: Final = {
    "http.response.start": "websocket.http.response.start",
    "http.response.body": "websocket.http.response.body",
}


def as_http(scope: Scope, send: Send) -> tuple[Scope, Send]:
    """The handshake as a GET request whose answer, where it is refused, is an ordinary one."""

    async def respond(message: Message) -> None:
        await send({**message, "type": _AS_HTTP.get(message["type"], message["type"])})

    return {**scope, "type": "http", "method": "GET"}, respond


def chosen_protocol(offered: list[str]) -> str | None:
    """The sub-protocol to answer with: the first that is not a token; None where there is none."""
    return next((protocol for protocol in offered if not protocol.startswith(WEBSOCKET_BEARER_PREFIX)), None)


class WebSocketStream:
    """A watch's frames as text messages (see ``watch_stream.Stream``)."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send

    def require_own_page(self) -> None:
        """See ``Stream``. A token among the sub-protocols counts as one."""
        with_token = offers_token(self._scope.get("subprotocols") or ())
        require_own_page(dict(self._scope["headers"]), with_token=with_token)

    def require_watch(self) -> None:
        """Raises BadRequestError."""
        raise BadRequestError("only watches are served over WebSocket: add ?watch=true to a list")

    async def start(self) -> None:
        """Accept the connection."""
        protocol = chosen_protocol(list(self._scope.get("subprotocols") or ()))
        await self._receive()  # websocket.connect
        await self._send({"type": "websocket.accept", "subprotocol": protocol})

    @property
    def prompt(self) -> bool:
        """See ``Stream``: it cannot be told."""
        return False

    def at_once(self) -> None:
        """See ``Stream``: it cannot be told whether that would wait."""

    def sent(self, size: int) -> None:
        """See ``Stream``: nobody asks for it."""

    async def write(self, frames: bytes) -> None:
        """One message per line: JSON has no newline of its own. A client that has gone is noticed elsewhere."""
        with contextlib.suppress(*_OVER):
            for line in frames.decode().split("\n")[:-1]:
                await self._send({"type": "websocket.send", "text": line})

    async def finish(self) -> None:
        """Close cleanly."""
        with contextlib.suppress(*_OVER):
            await self._send({"type": "websocket.close", "code": _NORMAL})

    async def disconnected(self) -> None:
        """Return when the client has gone away; what it sends is of no interest."""
        while (await self._receive())["type"] != "websocket.disconnect":
            pass
