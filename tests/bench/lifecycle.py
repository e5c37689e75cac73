"""B1 and B11: starting, with nothing and with many objects. Only for a server that this program starts itself."""

import asyncio
import time
from pathlib import Path

from tests.bench import manifests
from tests.bench.baseline import run_baseline
from tests.bench.client import Pool, Request
from tests.bench.kubeconfig import BenchError, load_kubeconfig
from tests.bench.report import Goal, Report, quantile
from tests.bench.site import IN_FLIGHT, Site, own_server
from tests.bench.sizes import Sizes, doubling

IDLE_SECONDS = 1.0


async def cold_start(folder: Path, sizes: Sizes, report: Report) -> None:
    """B1. The baseline is a bare application's start on the same uvicorn, certificate made included."""
    seconds, memory, beside = [], [], []
    for number in range(sizes.starts + 1):
        took, idle = await _start(folder / f"cold-{number}")
        async with run_baseline(folder / f"baseline-{number}", 1) as baseline:
            other = baseline.start_seconds
        if number:  # the first start compiles what was not compiled at install
            seconds.append(took)
            beside.append(other)
            memory += [idle / 1e6] if idle else []
    report.add("B1", "cold start to ready", "s", seconds, baseline=beside, goal=Goal("<=", 1))
    report.add("B1", "idle memory", "MB", memory, goal=Goal("<=", 100))


async def _start(folder: Path) -> tuple[float, int | None]:
    """Seconds until /readyz is ok, and resident bytes a moment later."""
    began = time.perf_counter()
    with own_server(folder) as server:
        target = load_kubeconfig(server.kubeconfig, server.process.pid)
        async with Pool(target, 1) as pool:
            answer = await pool.send(Request("GET", "/readyz"))
            took = time.perf_counter() - began
            if answer.body != b"ok":
                raise BenchError(f"/readyz: {answer.status} {answer.body[:200]!r}")
            await asyncio.sleep(IDLE_SECONDS)
            return took, target.memory()


async def restart(folder: Path, sizes: Sizes, report: Report) -> None:
    """B11: one directory, filled further and further; after each part it is started several times."""
    points, seconds, made = [], [], 0
    for count in doubling(sizes.restart_objects):
        await _fill(folder / "restart", made, count)
        made = count
        seconds = [(await _start(folder / "restart"))[0] for _ in range(sizes.starts)]
        points.append((count, quantile(seconds, 0.5)))
    report.add("B11", f"restart with {made:,} objects to ready", "s", seconds, goal=Goal("<=", 2))
    report.grow("B11", "restart", "objects", "s", points)


async def _fill(folder: Path, there: int, wanted: int) -> None:
    """Add objects until there are as many as wanted. Raises BenchError where some have been lost."""
    with own_server(folder) as server:
        kubeconfig = folder / "bench.kubeconfig"
        target = load_kubeconfig(kubeconfig, server.process.pid)
        async with Pool(target, IN_FLIGHT) as pool:
            site = Site(target, kubeconfig, pool, "root")
            if there:
                collection = f"{site.base()}:restart{manifests.WIDGETS}"
                listed = await pool.call("GET", f"{collection}?limit=1")
                if (count := listed["metadata"].get("remainingItemCount", 0) + 1) != there:
                    raise BenchError(f"{count} objects after a restart, and {there} before")
            else:
                collection = await site.define(await site.workspace("restart"))
            await site.fill(collection, (f"o{number:07}" for number in range(there, wanted)))
