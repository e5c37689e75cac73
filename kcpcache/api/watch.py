"""Watches: a stream of JSON lines that begins at once and ends cleanly."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Iterator, Sequence
from typing import Final

import orjson
import structlog

from kcpcache.api.call import Call
from kcpcache.api.collecting import Collecting, Turn
from kcpcache.api.fan_out import FanOut
from kcpcache.api.options import list_options, number
from kcpcache.api.request_measures import WatchCounts
from kcpcache.api.shapes import CHUNK_BYTES, PlainShaper, Shaper
from kcpcache.api.watch_frames import END, OPENINGS, frames_of
from kcpcache.api.watch_stream import Stream
from kcpcache.meta.errors import InternalError, StatusError
from kcpcache.registry.batches import Batch
from kcpcache.registry.cache_watch import CacheWatch
from kcpcache.registry.pauses import pause
from kcpcache.registry.view import Bookmark, ListOptions, Watch, WatchEvent

log = structlog.get_logger(__name__)

BOOKMARK_SECONDS: Final = 55.0
LONGEST_SECONDS: Final = 24 * 3600
SHORTEST_DEFAULT_SECONDS, LONGEST_DEFAULT_SECONDS = 1800, 3600
SEND_SECONDS: Final = 30.0
"""A client that does not read for so long is cut off."""
_BOOKMARK: Final = b'{"type":"BOOKMARK","object":'
_ERROR: Final = b'{"type":"ERROR","object":'


class SlowClientError(Exception):
    """The client stopped reading; the connection is to be cut."""


class OpenWatches:
    """All watches that are being streamed, so that shutdown can end them. Used on the event loop."""

    def __init__(self) -> None:
        self._open: set[Watch] = set()
        self._ended = False
        self.collecting = Collecting()
        self.fan_out = FanOut()

    def __len__(self) -> int:
        return len(self._open)

    @contextlib.contextmanager
    def holding(self, watch: Watch) -> Iterator[None]:
        """Know the watch for the duration, and close it in the end."""
        self._open.add(watch)
        if isinstance(watch, CacheWatch):
            self.fan_out.add(watch)
        if self._ended:
            watch.close()
        try:
            yield
        finally:
            self._open.discard(watch)
            if isinstance(watch, CacheWatch):
                self.fan_out.discard(watch)
            watch.close()

    def end(self) -> None:
        """End every watch, those that are open and those to come."""
        self._ended = True
        for watch in tuple(self._open):
            watch.close()


async def watch(call: Call, open_watches: OpenWatches, stream: Stream) -> None:
    """Stream changes until the time is up, the client goes, the view ends the watch, or the server shuts down.

    Errors before the first byte are raised. Afterwards they are the last event, of type ERROR. Raises
    SlowClientError where the client does not read.
    """
    shaper, options = call.shaper(), list_options(call.info)
    seconds = number(call.info, "timeoutSeconds") or random.uniform(  # noqa: S311 -- spreads load, hides nothing
        SHORTEST_DEFAULT_SECONDS, LONGEST_DEFAULT_SECONDS
    )
    seconds = min(seconds, LONGEST_SECONDS)
    seat = call.exchange.seat
    with seat.watching(), open_watches.holding(found := await call.view.watch(options)):
        seat.leave()  # what has begun is in nobody's way
        gone = asyncio.create_task(_close_when_gone(stream, found), name="watch-disconnect")
        counts = call.services.measures.watch(call.definition, call.info.version)
        counts.open += 1
        try:
            await _Streaming(found, shaper, options, stream, counts, open_watches).run(seconds)
        finally:
            counts.open -= 1
            gone.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await gone


async def _close_when_gone(stream: Stream, found: Watch) -> None:
    await stream.disconnected()
    found.close()


class _Streaming:
    """One watch on its way to one client."""

    def __init__(
        self,
        found: Watch,
        shaper: Shaper,
        options: ListOptions,
        stream: Stream,
        counts: WatchCounts,
        open_watches: OpenWatches,
    ) -> None:
        self._watch, self._shaper, self._stream = found, shaper, stream
        self._counts, self._turn = counts, Turn()
        self._collecting, self._fan_out = open_watches.collecting, open_watches.fan_out
        self._plain = isinstance(shaper, PlainShaper)
        self._bookmarks = options.allow_watch_bookmarks
        self._clock = asyncio.get_running_loop().time

    async def run(self, seconds: float) -> None:
        await self._sent(self._stream.start())
        try:
            timed_out = await self._forward(self._clock() + seconds)
            if timed_out and self._bookmarks:
                await self._send(self._bookmark(self._watch.bookmark()))
        except StatusError as error:
            await self._send(_error_frame(error))
        except (asyncio.CancelledError, SlowClientError):
            raise
        except Exception:
            log.exception("a watch failed")
            await self._send(_error_frame(InternalError("an internal error ended the watch")))
        await self._stream.finish()

    async def _forward(self, end: float) -> bool:
        """Whether the time is up; False where the watch was ended."""
        next_bookmark = self._clock() + BOOKMARK_SECONDS
        collects = False
        while True:
            now = self._clock()
            if now >= end:
                return True
            if self._bookmarks and now >= next_bookmark:
                await self._send(self._bookmark(self._watch.bookmark()))
                next_bookmark = now + BOOKMARK_SECONDS
            until = min(end, next_bookmark) if self._bookmarks else end
            if await self._carried(until - now):
                collects = False
                continue
            if collects:
                await self._collecting.wait(self._turn)
            try:
                events = await self._watch.next(max(until - self._clock(), 0.0))
                await self._send_all(events)
            except StopAsyncIteration:
                return False
            collects = bool(events)

    async def _carried(self, seconds: float) -> bool:
        """Whether events were sent together with those of alike watches, until there was something to do for this."""
        found = self._watch
        if not self._plain or not isinstance(found, CacheWatch) or not self._fan_out.takes(found):
            return False
        send = self._stream.at_once()
        if send is None:
            return False
        self._stream.sent(await self._fan_out.carry(found, send, self._counts, seconds))
        return True

    async def _send_all(self, events: Sequence[WatchEvent | Bookmark]) -> None:
        """One write for what came at once, but none much larger than 64 KiB."""
        if isinstance(events, Batch) and self._plain:
            await self._send_shared(events)
            return
        parts: list[bytes] = []
        size = 0
        for event in events:
            size += self._add(event, parts)
            if size >= CHUNK_BYTES:
                await self._send(b"".join(parts))
                await pause()  # send alone does not let others run
                parts.clear()
                size = 0
        if parts:
            await self._send(b"".join(parts))

    async def _send_shared(self, events: Batch) -> None:
        """As ``_send_all``, of what is made for all who share it."""
        frames = frames_of(events)
        self._counts.events += sum(frames.events)
        self._counts.bytes += sum(frames.bytes)
        for at, piece in enumerate(frames.pieces):
            if at:
                await pause()
            await self._send(piece)

    def _add(self, event: WatchEvent | Bookmark, parts: list[bytes]) -> int:
        if isinstance(event, Bookmark):
            if self._bookmarks:
                parts.append(self._bookmark(event))
                return len(parts[-1])
            return 0
        shown = self._shaper.item(event.item)
        self._counts.events += 1
        self._counts.bytes += len(shown)
        parts += (OPENINGS[event.type], shown, END)
        return len(shown)

    def _bookmark(self, bookmark: Bookmark) -> bytes:
        return b"".join((_BOOKMARK, self._shaper.bookmark(bookmark), END))

    async def _send(self, frames: bytes) -> None:
        if self._stream.prompt:  # most of the time; a deadline would cost as much as the rest
            await self._stream.write(frames)
        else:
            await self._sent(self._stream.write(frames))

    @staticmethod
    async def _sent(sending: Awaitable[None]) -> None:
        """Await it, but not for ever."""
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await sending
        except TimeoutError:
            raise SlowClientError from None


def _error_frame(error: StatusError) -> bytes:
    return b"".join((_ERROR, orjson.dumps(error.status()), END))
