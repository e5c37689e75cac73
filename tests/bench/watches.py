"""B6: one change, many watchers. The watchers live in processes of their own, so that they do not wait for the writer.

A watcher counts its events without parsing them: the server ends each with a newline, and all other newlines of a
chunked answer come after a carriage return, which JSON never holds. A few in each process also read the stamps.
"""

import asyncio
import contextlib
import multiprocessing
import resource
import secrets
import time
from collections.abc import AsyncIterator, Callable
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import NamedTuple

import uvloop

from tests.bench import manifests
from tests.bench.client import Pool, Request, without_collector
from tests.bench.kubeconfig import BenchError, Target, load_kubeconfig
from tests.bench.report import Goal, quantile
from tests.bench.site import Bench

PROCESSES = 2
SAMPLED = 25
OPENING = 100
EVENT_BYTES = 400
DRAIN_SECONDS = 30.0
OPEN_SECONDS = 300.0
SPARE_FILES = 200
_CARRIAGE_RETURN = 13
P99_GOAL_MS = {1_000: 100.0, 5_000: 400.0, 10_000: 500.0}


class Seen(NamedTuple):
    """What the watchers of one process saw: events of each watcher, sampled lags in seconds, watchers cut off."""

    events: list[int]
    lags: list[float]
    ended: int


class Watcher(asyncio.Protocol):
    """Asks for a watch and counts what comes; with ``lags``, also notes how long each stamped event took."""

    def __init__(self, head: bytes, lags: list[float] | None) -> None:
        self._head, self._lags, self._rest, self._last = head, lags, b"", 0
        self.events, self.ended = 0, False
        self.answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.write(self._head)

    def data_received(self, data: bytes) -> None:
        at = data.find(b"\n")  # counting both ends of lines takes twice as long, most of what a watcher does
        while at >= 0:
            self.events += (data[at - 1] if at else self._last) != _CARRIAGE_RETURN
            at = data.find(b"\n", at + 1)
        self._last = data[-1]
        if not self.answered.done():
            self.answered.set_result(data.split(b"\r\n", 1)[0])
        if self._lags is not None:
            *lines, self._rest = (self._rest + data).split(b"\n")
            self._lags += [lag for line in lines if (lag := manifests.lag_of(line)) is not None]

    def connection_lost(self, error: Exception | None) -> None:
        self.ended = True
        if not self.answered.done():
            self.answered.set_result(b"the connection was closed")


def _process(kubeconfig: Path, path: str, count: int, pipe: Pipe) -> None:
    """A process of watchers. Says "open", takes the number of events to wait for, answers with what was seen."""
    without_collector()
    with contextlib.suppress(KeyboardInterrupt, EOFError, BrokenPipeError):
        try:
            uvloop.run(_watchers(load_kubeconfig(kubeconfig), path, count, pipe))
        except (BenchError, OSError, TimeoutError) as error:
            pipe.send(f"{type(error).__name__} {error}")


async def _watchers(target: Target, path: str, count: int, pipe: Pipe) -> None:
    head, lags, loop = f"GET {path} HTTP/1.1\r\n{target.head}\r\n".encode(), [], asyncio.get_running_loop()
    watchers = [Watcher(head, lags if number < SAMPLED else None) for number in range(count)]
    for start in range(0, count, OPENING):
        part = watchers[start : start + OPENING]
        opening = (
            loop.create_connection(lambda one=one: one, target.host, target.port, ssl=target.tls) for one in part
        )
        await asyncio.gather(*opening)
        for watcher in part:
            if b" 200 " not in (line := await asyncio.wait_for(watcher.answered, DRAIN_SECONDS)):
                raise BenchError(f"watch {path}: {line.decode(errors='replace')}")
    pipe.send("open")
    while True:  # until the other end closes the pipe
        wanted = await asyncio.to_thread(pipe.recv)
        deadline = time.monotonic() + DRAIN_SECONDS
        while any(one.events < wanted for one in watchers) and time.monotonic() < deadline:  # noqa: ASYNC110 -- many
            await asyncio.sleep(0.05)
        pipe.send(Seen([one.events for one in watchers], lags, sum(one.ended for one in watchers)))


class Watching:
    """The running processes of watchers."""

    def __init__(self, pipes: list[Pipe]) -> None:
        self._pipes = pipes

    async def seen(self, events: int) -> Seen:
        """What all watchers saw, once each has so many events or does not get them in time."""
        for pipe in self._pipes:
            pipe.send(events)
        found = [await _receive(pipe, DRAIN_SECONDS * 2) for pipe in self._pipes]
        lists = [one for seen in found for one in seen.events], [lag for seen in found for lag in seen.lags]
        return Seen(*lists, sum(seen.ended for seen in found))


@contextlib.asynccontextmanager
async def watching(kubeconfig: Path, path: str, count: int) -> AsyncIterator[Watching]:
    """So many watchers of ``path``, spread over processes, until the block is left. Raises BenchError."""
    context, pipes, processes = multiprocessing.get_context("spawn"), [], []
    shares = [count // PROCESSES + (number < count % PROCESSES) for number in range(PROCESSES)]
    try:
        for share in filter(None, shares):
            mine, theirs = context.Pipe()
            process = context.Process(target=_process, args=(kubeconfig, path, share, theirs), daemon=True)
            process.start()
            theirs.close()
            pipes.append(mine)
            processes.append(process)
        for pipe in pipes:
            await _receive(pipe, OPEN_SECONDS)
        yield Watching(pipes)
    finally:
        for pipe, process in zip(pipes, processes, strict=True):
            pipe.close()
            await asyncio.to_thread(process.join, 5)
            process.kill()


async def _receive(pipe: Pipe, seconds: float) -> Seen | str:
    try:
        found = await asyncio.to_thread(lambda: pipe.recv() if pipe.poll(seconds) else "no answer in time")
    except EOFError:
        found = "the process ended"
    if isinstance(found, str) and found != "open":
        raise BenchError(f"the watchers: {found}")
    return found


async def paced(pool: Pool, make: Callable[[int], Request], count: int, rate: float) -> None:
    """Send each at its time, whether or not the earlier ones are answered. Raises BenchError for a refused one."""
    await pool.open()
    began, running = time.perf_counter(), []
    async with asyncio.TaskGroup() as tasks:
        for number in range(count):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            running.append(tasks.create_task(pool.send(make(number), keep=False)))
    if failed := [status for task in running if (status := task.result().status) >= 300]:
        raise BenchError(f"{len(failed)} of {count} paced requests were refused, the first with {failed[0]}")


async def fan_out(bench: Bench) -> None:
    """Each pair of (watchers, writes per second); the baseline streams as many bytes to as many."""
    collection = await bench.site.define(await bench.site.workspace("watch"))
    files, points = raise_file_limit(), []
    for watchers, rate in bench.sizes.watches:
        if watchers + SPARE_FILES > files:
            bench.report.notes.append(f"B6: {watchers:,} watchers need more open files than {files:,} (ulimit -n)")
            continue
        before = bench.baseline.target.memory() or 0
        async with watching(bench.baseline.kubeconfig, "/watch?watch", watchers) as others:
            idle = ((bench.baseline.target.memory() or 0) - before) / watchers / 1e3
            beside = await _stream(bench.baseline.pool, others, bench, rate, _put)
        version = (await bench.site.pool.call("GET", f"{collection}?limit=1"))["metadata"]["resourceVersion"]
        before = bench.site.target.memory()
        path = f"{collection}?watch=1&resourceVersion={version}"
        async with watching(bench.site.kubeconfig, path, watchers) as mine:
            memory = bench.site.target.memory()
            seen = await _stream(bench.site.pool, mine, bench, rate, lambda name: _create(collection, name))
        kilobytes = [(memory - before) / watchers / 1e3] if memory and before else []
        _add(bench, f"{watchers:,} watchers x {rate}/s", seen, beside, P99_GOAL_MS.get(watchers))
        baseline, goal = [idle] if idle > 0 else [], Goal("<=", 60)
        bench.report.add("B6", f"{watchers:,} watchers: memory of each", "KB", kilobytes, baseline=baseline, goal=goal)
        points += [(watchers, value) for value in kilobytes]
    bench.report.grow("B6", "memory per watcher", "watchers", "KB", points)


def _create(collection: str, name: str) -> Request:
    return Request("POST", collection, manifests.widget(name, stamp=manifests.stamp(), size_bytes=EVENT_BYTES))


def _put(name: str) -> Request:
    return Request("PUT", "/watch", manifests.widget(name, stamp=manifests.stamp(), size_bytes=EVENT_BYTES) + b"\n")


class Outcome(NamedTuple):
    """Sampled lags in ms; how many watchers were ended, or did not see each event exactly once."""

    lags: list[float]
    astray: int


async def _stream(pool: Pool, watchers: Watching, bench: Bench, rate: int, make: Callable[[str], Request]) -> Outcome:
    prefix, warm = secrets.token_hex(4), max(1, rate // 10)
    await paced(pool, lambda number: make(f"{prefix}-warm-{number}"), warm, rate)
    first = await watchers.seen(warm)
    count = max(1, round(rate * bench.sizes.watch_seconds))
    await paced(pool, lambda number: make(f"{prefix}-{number}"), count, rate)
    seen = await watchers.seen(warm + count)
    astray = sum(events != warm + count for events in seen.events) + seen.ended
    return Outcome([lag * 1e3 for lag in seen.lags[len(first.lags) :]], astray)


def _add(bench: Bench, name: str, seen: Outcome, beside: Outcome, goal: float | None) -> None:
    if not seen.lags:
        raise BenchError(f"{name}: no watcher saw an event")
    for label, share, limit in (("p50", 0.5, None), ("p99", 0.99, goal)):
        other = [quantile(beside.lags, share)] if beside.lags and not beside.astray else []
        wanted = Goal("<=", limit) if limit else None
        value = [quantile(seen.lags, share)]
        bench.report.add("B6", f"{name}: lag {label}", "ms", value, baseline=other, goal=wanted)
    bench.report.add("B6", f"{name}: ended or astray", "watchers", [seen.astray], goal=Goal("<=", 0))


def raise_file_limit() -> int:
    """Open files that a process may have from now on; those of the server are its own affair."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
