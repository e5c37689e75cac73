"""A port that leads to a server, and whose connections break when a test says so."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator


class FragilePort:
    """Forwards bytes. Its loop is a thread's own; the public methods may be called from any other."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self.port = 0
        self.accepted = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        with contextlib.suppress(OSError):
            upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", self._target)
            pair = {writer, upstream}
            self._open |= pair
            try:
                await asyncio.gather(_pump(reader, upstream), _pump(upstream_reader, writer))
            finally:
                self._open -= pair
                upstream.transport.abort()
        writer.transport.abort()

    def cut(self) -> None:
        """Break every connection, in the middle of whatever it carries."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result(5)

    async def _cut(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    async def _listen(self) -> asyncio.Server:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _close(self, server: asyncio.Server) -> None:
        server.close()
        await self._cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await server.wait_closed()

    @contextlib.contextmanager
    def listening(self) -> Iterator["FragilePort"]:
        """Accept connections while the block runs."""
        thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        thread.start()
        server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(5)
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self._close(server), self._loop).result(5)
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join(5)
            self._loop.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until one side is gone, then end the other too."""
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()


@contextlib.contextmanager
def fragile_port(target: int) -> Iterator[FragilePort]:
    """A port of this machine that leads to ``target``."""
    with FragilePort(target).listening() as port:
        yield port
