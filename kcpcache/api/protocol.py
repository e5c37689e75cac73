"""uvicorn's HTTP protocol with what is needed beyond ASGI: the client's certificate, and cutting a connection."""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

CONNECTION: Final = "kcpcache.connection"
"""Where ``scope["state"]`` holds the connection's ``Connection``."""
_GOODBYE_SECONDS: Final = 0.5


class Connection:
    """One client connection, as long as it lives.

    ``certificate`` is what the peer showed and the TLS handshake verified, in DER; None without one.
    """

    __slots__ = ("_transport", "certificate")

    def __init__(self, certificate: bytes | None = None, transport: asyncio.Transport | None = None) -> None:
        self.certificate = certificate
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


class KubernetesProtocol(HttpToolsProtocol):
    """Give this class to uvicorn as ``http``; with TLS, use ``ssl_cert_reqs=CERT_OPTIONAL`` and the client CA."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Note the connection in the state that each of its requests gets a copy of."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        certificate = tls.getpeercert(binary_form=True) if isinstance(tls, ssl.SSLObject | ssl.SSLSocket) else None
        self.app_state = {**self.app_state, CONNECTION: Connection(certificate, transport)}

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
