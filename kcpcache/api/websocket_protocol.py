"""uvicorn's WebSocket protocol, but that a refused handshake is an answer like any other."""

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from kcpcache.registry.handover import handover


class KubernetesWebSocket(WebSocketsSansIOProtocol):
    """Give this class to uvicorn as ``ws``."""

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        try:
            super().data_received(data)
        finally:
            handover.release()

    async def send(self, message: Any) -> None:
        """As in ASGI. After a refusal uvicorn would log an error: strangers could fill the log with those."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True
