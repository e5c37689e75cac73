"""B9: workspaces, created to Ready and deleted to gone, and the memory that they take and give back."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import orjson

from tests.bench import manifests
from tests.bench.client import Request, Watch
from tests.bench.kubeconfig import BenchError
from tests.bench.report import Goal
from tests.bench.site import WAIT_SECONDS, Bench, Site

SETTLE_SECONDS = 2.0


class Progress:
    """Which of the workspaces below one are Ready and which are gone, by a watch."""

    def __init__(self) -> None:
        self.ready: set[str] = set()
        self.gone: set[str] = set()
        self._changed = asyncio.Event()
        self._error = ""

    def note(self, line: bytes) -> None:
        event = orjson.loads(line)
        if event["type"] == "ERROR":
            self._error = f"the watch of workspaces ended: {event['object'].get('message')}"
            self._changed.set()
            return
        name = event["object"]["metadata"]["name"]
        if event["type"] == "DELETED":
            self.gone.add(name)
        elif event["object"].get("status", {}).get("phase") == "Ready":
            self.ready.add(name)
        self._changed.set()

    async def until(self, seen: set[str], count: int) -> None:
        """Wait until so many are seen. Raises BenchError where nothing new comes for long."""
        while len(seen) < count:
            if self._error:
                raise BenchError(self._error)
            self._changed.clear()
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                raise BenchError(f"{len(seen)} of {count} workspaces, and no more come") from None


@contextlib.asynccontextmanager
async def _progress(site: Site) -> AsyncIterator[Progress]:
    found = Progress()
    collection = site.base() + manifests.WORKSPACES
    version = (await site.pool.call("GET", collection))["metadata"]["resourceVersion"]
    watch = Watch(site.target, found.note)
    async with watch.follow(f"{collection}?watch=1&resourceVersion={version}"):
        yield found


async def workspaces(bench: Bench) -> None:
    """Rounds of creating and deleting them all; the last round's memory is the row."""
    bench.site.need_workspaces()
    sizes, report, target = bench.sizes, bench.report, bench.site.target
    created, deleted, each, kept = [], [], [], []
    await _round(bench, "warm", max(1, sizes.workspaces // 10))
    for number in range(min(3, sizes.rounds)):
        before = target.memory()
        create_seconds, delete_seconds, most = await _round(bench, f"r{number}", sizes.workspaces)
        await asyncio.sleep(SETTLE_SECONDS)
        after = target.memory()
        created.append(sizes.workspaces / create_seconds)
        deleted.append(sizes.workspaces / delete_seconds)
        if before and after and most:
            each.append((most - before) / sizes.workspaces / 1e3)
            kept.append((after / before - 1) * 100)
    name = f"{sizes.workspaces:,} workspaces"
    report.add("B9", f"{name} to Ready", "workspaces/s", created, goal=Goal(">=", 100))
    report.add("B9", f"{name} deleted", "workspaces/s", deleted, goal=Goal(">=", 100))
    report.add("B9", "memory per empty workspace", "KB", each, goal=Goal("<=", 100))
    report.add("B9", "memory kept after deletion", "%", kept, goal=Goal("<=", 10))


async def _round(bench: Bench, prefix: str, count: int) -> tuple[float, float, int | None]:
    """Seconds to create, seconds to delete, and resident bytes in between."""
    site = bench.site
    collection, names = site.base() + manifests.WORKSPACES, [f"{prefix}-{number:05}" for number in range(count)]
    async with _progress(site) as progress:
        began = time.perf_counter()
        bodies = [orjson.dumps(manifests.workspace(name)) for name in names]
        await site.pool.each(Request("POST", collection, body) for body in bodies)
        await progress.until(progress.ready, count)
        ready = time.perf_counter()
        most = site.target.memory()
        began_deleting = time.perf_counter()
        await site.pool.each(Request("DELETE", f"{collection}/{name}") for name in names)
        await progress.until(progress.gone, count)
        return ready - began, time.perf_counter() - began_deleting, most
