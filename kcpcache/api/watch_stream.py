"""Where a watch's frames go: what every way to a client can do, and the one over HTTP."""

from collections.abc import Callable
from typing import Protocol

from kcpcache.api.call import OK
from kcpcache.api.exchange import Exchange


class Stream(Protocol):
    """Where a watch's frames go."""

    def require_own_page(self) -> None:
        """Called for every watch. Raises ForbiddenError where another site's page makes use of a user's certificate."""
        ...

    def require_watch(self) -> None:
        """Called for every other verb. Raises BadRequestError where the stream can only be a watch's."""
        ...

    async def start(self) -> None:
        """Send what comes before the first frame."""
        ...

    @property
    def prompt(self) -> bool:
        """Whether ``write`` would not wait."""
        ...

    def at_once(self) -> Callable[[bytes], bool] | None:
        """What sends chunks of HTTP without waiting, and says whether it did; None where that cannot be."""
        ...

    def sent(self, size: int) -> None:
        """Called with how many bytes were sent by ``at_once``."""
        ...

    async def write(self, frames: bytes) -> None:
        """Send frames, each ended by a newline. Waits while the client does not read."""
        ...

    async def finish(self) -> None:
        """End the stream cleanly."""
        ...

    async def disconnected(self) -> None:
        """Return when the client has gone away."""
        ...


class HttpStream:
    """A chunked HTTP answer."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def require_own_page(self) -> None:
        """See ``Stream``: browsers keep the answer from other sites' pages."""

    def require_watch(self) -> None:
        """See ``Stream``: an HTTP request may be anything."""

    async def start(self) -> None:
        """See ``Stream``."""
        await self._exchange.start(OK, ((b"content-type", b"application/json"),))
        await self._exchange.write(b"")  # the head waits for a body, and the first event may be long in coming

    @property
    def prompt(self) -> bool:
        """See ``Stream``."""
        return self._exchange.prompt

    def at_once(self) -> Callable[[bytes], bool] | None:
        """See ``Stream``."""
        return self._exchange.chunks_at_once()

    def sent(self, size: int) -> None:
        """See ``Stream``."""
        self._exchange.sent_bytes += size

    async def write(self, frames: bytes) -> None:
        """See ``Stream``."""
        await self._exchange.write(frames)

    async def finish(self) -> None:
        """See ``Stream``."""
        await self._exchange.finish()

    async def disconnected(self) -> None:
        """See ``Stream``."""
        await self._exchange.disconnected()
