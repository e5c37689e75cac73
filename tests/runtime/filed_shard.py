"""A whole shard over a real SQLite file, on virtual time: its process ends and begins again with the file."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from shard_world import Shard
from virtual_time import VirtualTimeLoop

from kcpcache.storage.sqlite import SqliteStore
from kcpcache.storage.store import Outcomes, Put

T = TypeVar("T")


class PatientLoop(VirtualTimeLoop):
    """Time stands still while a thread works: what it does takes none, as with a store in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.busy = 0
        jump = self._impatient.select

        def select(timeout: float | None = None) -> list[tuple[Any, int]]:
            return (
                super(type(self._impatient), self._impatient).select(None) if self.busy and timeout else jump(timeout)
            )

        self._impatient.select = select  # type: ignore[method-assign]

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """While this lasts, some thread is at work that will wake the loop."""
        self.busy += 1
        try:
            yield
        finally:
            self.busy -= 1

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        """See ``asyncio.loop``. Counts what is not yet done."""
        self.busy += 1
        found = super().run_in_executor(executor, func, *args)
        found.add_done_callback(self._done)
        return found

    def _done(self, _future: object) -> None:
        self.busy -= 1


def run_patiently(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end on a loop of its own."""
    with asyncio.Runner(loop_factory=PatientLoop) as runner:
        return runner.run(main())


class _Store(SqliteStore):
    """Tells the loop of writes, which are done by the store's own thread."""

    async def _submit(self, request: Any) -> Any:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, PatientLoop)
        with loop.working():
            return await super()._submit(request)

    async def write_each(self, puts: Sequence[Put]) -> Outcomes:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, PatientLoop)
        with loop.working():
            return await super().write_each(puts)


class FiledShard(Shard):
    """``restart`` closes the file and opens it again. Use ``running_on``."""

    path: Path

    async def restart(self) -> None:
        """Stop, close the store, open it anew, start."""
        await self.stop()
        await self.store.close()
        self.store = await _Store.open(self.path, synchronous="normal")  # type: ignore[assignment]
        await self.start()


@contextlib.asynccontextmanager
async def running_on(path: Path) -> AsyncIterator[FiledShard]:
    """A shard over the file at ``path`` for the duration, settled."""
    shard = FiledShard(await _Store.open(path, synchronous="normal"))  # type: ignore[arg-type]
    shard.path = path
    await shard.start()
    try:
        await shard.settled()
        yield shard
    finally:
        await shard.stop()
        await shard.store.close()
