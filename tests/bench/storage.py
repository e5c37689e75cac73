"""How fast the SQLite store writes and loads. Run: ``python tests/bench/storage.py [--quick]``.

Prints writes per second with many writers in flight, the time of one list of everything, the same while the
event loop is busy, and what a write waits for. Figures depend on the disk: compare runs on one machine.
"""

# ruff: noqa: T201 - printing is what it is for

import argparse
import asyncio
import contextlib
import random
import statistics
import tempfile
import time
from pathlib import Path

from kcpcache.storage.sqlite import SqliteStore
from kcpcache.storage.store import Event

VALUE_BYTES = 1_024


def key(index: int) -> str:
    return f"/registry/cloud.example.com/cpuflavors/c{index % 10}/name-{index:07}"


async def write_all(store: SqliteStore, indexes: list[int], writers: int) -> tuple[float, list[float]]:
    """Seconds in all, and the seconds of each write."""
    value, queue, waits = random.Random(1).randbytes(VALUE_BYTES), iter(indexes), []

    async def write() -> None:
        for index in queue:
            began = time.perf_counter()
            await store.create(key(index), value)
            waits.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(write() for _ in range(writers)))
    return time.perf_counter() - began, waits


async def count_events(store: SqliteStore, counted: list[int]) -> None:
    async with contextlib.aclosing(store.watch("/", after=0)) as watch:
        async for step in watch:
            counted[0] += isinstance(step, Event)


async def keep_busy() -> None:
    """An event loop with 1 ms of work in each step."""
    while True:
        until = time.perf_counter() + 0.001
        while time.perf_counter() < until:
            pass
        await asyncio.sleep(0)


async def timed_list(store: SqliteStore) -> float:
    began = time.perf_counter()
    await store.list("/registry/")
    return time.perf_counter() - began


async def run(directory: Path, rows: int, writers: int, synchronous: str) -> None:
    store = await SqliteStore.open(directory / "store.db", synchronous=synchronous)
    indexes = list(range(rows))
    random.Random(2).shuffle(indexes)
    counted = [0]
    watching = asyncio.create_task(count_events(store, counted))
    seconds, waits = await write_all(store, indexes, writers)
    await asyncio.sleep(0)
    cuts = statistics.quantiles(waits, n=100)
    print(f"creates, {writers} writers, synchronous={synchronous}: {rows / seconds:,.0f}/s")
    print(
        f"  one write: p50 {cuts[49] * 1e3:.1f} ms, p99 {cuts[98] * 1e3:.1f} ms; one watcher saw {counted[0]:,} events"
    )
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    await store.close()
    began = time.perf_counter()
    store = await SqliteStore.open(directory / "store.db", synchronous=synchronous)
    print(f"open: {(time.perf_counter() - began) * 1e3:.0f} ms")
    seconds = statistics.median([await timed_list(store) for _ in range(3)])
    print(f"list of {rows:,} x {VALUE_BYTES} bytes: {seconds:.2f} s")
    busy = asyncio.create_task(keep_busy())
    print(f"  beside a busy event loop: {await timed_list(store):.2f} s")
    busy.cancel()
    await asyncio.gather(busy, return_exceptions=True)
    await store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--writers", type=int, default=64)
    parser.add_argument("--synchronous", choices=["full", "normal"], default="full")
    parser.add_argument("--directory", type=Path, help="where the database is made; default: a temporary directory")
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows")
    options = parser.parse_args()
    rows = options.rows // 10 if options.quick else options.rows
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        asyncio.run(run(Path(directory), rows, options.writers, options.synchronous))


if __name__ == "__main__":
    main()
