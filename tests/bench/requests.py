"""B2, B3, B5: GET of one object, LIST of many, PATCH of status by several controllers."""

import asyncio
import itertools
import multiprocessing
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import uvloop

from tests.bench.client import MERGE_PATCH, Pool, Request
from tests.bench.kubeconfig import BenchError, Target, load_kubeconfig
from tests.bench.report import Goal, quantile
from tests.bench.site import Bench
from tests.bench.sizes import doubling

SAMPLE_SECONDS = 0.005


async def get_one(bench: Bench) -> None:
    """B2. With wrk where it is installed and the kubeconfig has a token, else with this program's own generator."""
    site, sizes, beside = bench.site, bench.sizes, bench.baseline
    collection = await site.define(await site.workspace("get"))
    await site.fill(collection, ["one"])
    path = f"{collection}/one"
    body = (await site.pool.send(Request("GET", path))).body
    await beside.pool.send(Request("PUT", "/one", body))
    wrk = shutil.which("wrk") if site.target.token else None
    bench.report.notes.append(
        f"B2: requests come from {'wrk' if wrk else 'one Python process, which may be the limit'}"
    )
    found, other = [], []
    for number in range(sizes.rounds + 1):
        pair = [await _rate(wrk, one, url, bench) for one, url in ((site.target, path), (beside.target, "/one"))]
        if number:  # the first round warms up
            found.append(pair[0])
            other.append(pair[1])
    name = f"GET one object, {sizes.connections} connections"
    bench.report.add("B2", name, "requests/s", found, baseline=other, goal=Goal(">=", 0.8, of_ratio=True))


async def _rate(wrk: str | None, target: Target, path: str, bench: Bench) -> float:
    seconds, connections = bench.sizes.seconds, bench.sizes.connections
    if wrk:
        return await _wrk(wrk, target, path, connections, max(1, round(seconds)))
    async with Pool(target, connections) as pool:
        began = time.perf_counter()
        answers = await pool.each(itertools.repeat(Request("GET", path)), until=began + seconds)
        return len(answers) / (time.perf_counter() - began)


async def _wrk(wrk: str, target: Target, path: str, connections: int, seconds: int) -> float:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:  # a token has no place in a command line
        script.write(f'wrk.headers["Authorization"] = "Bearer {target.token}"\n' if target.token else "")
        script.flush()
        command = [wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script.name]
        process = await asyncio.create_subprocess_exec(
            *command, f"https://{target.host}:{target.port}{path}", stdout=asyncio.subprocess.PIPE
        )
        text = (await process.communicate())[0].decode()
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    if rate is None or "Non-2xx" in text:
        raise BenchError(f"wrk {path}: {text}")
    return float(rate[1])


async def list_many(bench: Bench) -> None:
    """B3: bytes per second, first byte, memory per list, other requests beside lists, and growth."""
    site, sizes, report = bench.site, bench.sizes, bench.report
    collection = await site.define(await site.workspace("list"))
    points, size, made = [], 0, 0
    for count in doubling(sizes.list_objects):
        made += await site.fill(collection, (f"o{number:06}" for number in range(made, count)))
        answers = [await _list(site.pool, collection) for _ in range(sizes.rounds + 1)][1:]
        points.append((count, quantile([answer[1] for answer in answers], 0.5) / count * 1e6))
    answer = await site.pool.send(Request("GET", collection))
    if len(orjson.loads(answer.body)["items"]) != sizes.list_objects:
        raise BenchError(f"{collection} does not list {sizes.list_objects} objects")
    size = answer.size
    await bench.baseline.pool.send(Request("PUT", "/list", answer.body))
    found, first, other = [], [], []
    for number in range(sizes.rounds + 1):
        mine, beside = await _list(site.pool, collection), await _list(bench.baseline.pool, "/list?chunked")
        if number:
            found.append(size / mine[1] / 1e6)
            other.append(size / beside[1] / 1e6)
            first.append(mine[0] * 1e3)
    name = f"LIST {sizes.list_objects:,} x 1 KB"
    report.add("B3", name, "MB/s", found, baseline=other, goal=Goal(">=", 0.9, of_ratio=True))
    report.add("B3", f"{name}: first byte", "ms", first, goal=Goal("<=", 5))
    await _beside_lists(bench, collection)
    report.grow("B3", "one object of a list", "objects", "µs", points)


async def _list(pool: Pool, path: str) -> tuple[float, float]:
    """Seconds to the first byte, and in all."""
    answer = await pool.send(Request("GET", path), keep=False)
    if answer.status != 200:
        raise BenchError(f"GET {path}: {answer.status}")
    return answer.first_byte, answer.seconds


async def _beside_lists(bench: Bench, collection: str) -> None:
    """What several lists at once cost: memory, and the wait of a GET, asked for by a process that reads no list."""
    sizes, site = bench.sizes, bench.site
    memory, p99 = [], []
    for _ in range(sizes.rounds):
        async with Pool(site.target, sizes.lists_at_once) as lists:
            with _peak_memory(site.target) as peak:
                done = asyncio.Event()
                listing = asyncio.create_task(lists.each(_until(done, Request("GET", collection))))
                waits = await asyncio.to_thread(_gets, site.kubeconfig, f"{collection}/o000000", sizes.seconds)
                done.set()
                await listing
        p99.append(quantile(waits, 0.99) * 1e3)
        if peak[0]:
            memory.append((peak[1] - peak[0]) / sizes.lists_at_once / 1e6)
    name = f"{sizes.lists_at_once} lists of {sizes.list_objects:,} at once"
    bench.report.add("B3", f"{name}: memory of each", "MB", memory, goal=Goal("<=", 2))
    bench.report.add("B3", f"{name}: GET p99 beside", "ms", p99, goal=Goal("<=", 10))


def _until(done: asyncio.Event, request: Request) -> Iterator[Request]:
    while not done.is_set():
        yield request


def _gets(kubeconfig: Path, path: str, seconds: float) -> list[float]:
    """How long each GET takes, one after the other, in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as process:
        return process.apply(_get_for, (kubeconfig, path, seconds))


def _get_for(kubeconfig: Path, path: str, seconds: float) -> list[float]:
    async def gets() -> list[float]:
        async with Pool(load_kubeconfig(kubeconfig), 1) as pool:
            await pool.send(Request("GET", path))
            answers = await pool.each(itertools.repeat(Request("GET", path)), until=time.perf_counter() + seconds)
            return [answer.seconds for answer in answers]

    return uvloop.run(gets())


@contextmanager
def _peak_memory(target: Target) -> Iterator[list[int]]:
    """Resident bytes at the start, and the most seen until the block is left; zeros where that is unknown."""
    found = [target.memory() or 0] * 2

    async def sample() -> None:
        while True:
            found[1] = max(found[1], target.memory() or 0)
            await asyncio.sleep(SAMPLE_SECONDS)

    sampling = asyncio.create_task(sample())
    try:
        yield found
    finally:
        sampling.cancel()


async def patch_status(bench: Bench) -> None:
    """B5. Each controller waits for its answer before it patches the next object."""
    site, sizes = bench.site, bench.sizes
    collection = await site.define(await site.workspace("patch"))
    names = [f"o{number:06}" for number in range(sizes.patch_objects)]
    await site.fill(collection, names)
    rates, waits, other = [], [], []
    async with (
        Pool(site.target, sizes.patch_controllers) as pool,
        Pool(bench.baseline.target, sizes.patch_controllers) as beside,
    ):
        for number in range(sizes.rounds + 1):
            body = orjson.dumps({"status": {"round": number, "message": f"round {number}"}})
            patches = [Request("PATCH", f"{collection}/{name}/status", body, MERGE_PATCH) for name in names]
            rate, p99 = await timed(pool, patches)
            answer = [Request("POST", "/patch", await _content(site.pool, f"{collection}/{names[0]}"))] * len(names)
            if number:
                rates.append(rate)
                waits.append(p99)
                other.append((await timed(beside, answer))[0])
    last = await site.pool.call("GET", f"{collection}/{names[-1]}")
    if last["status"]["round"] != sizes.rounds:
        raise BenchError(f"the last patch is not in {collection}/{names[-1]}")
    name = f"PATCH status of {sizes.patch_objects:,}, {sizes.patch_controllers} controllers"
    bench.report.add("B5", name, "patches/s", rates, baseline=other, goal=Goal(">=", 2_500))
    bench.report.add("B5", f"{name}: p99", "ms", waits)


async def _content(pool: Pool, path: str) -> bytes:
    return (await pool.send(Request("GET", path))).body


async def timed(pool: Pool, requests: list[Request]) -> tuple[float, float]:
    """Requests per second, and the p99 of what one waits, in ms."""
    began = time.perf_counter()
    answers = await pool.each(requests)
    seconds = time.perf_counter() - began
    return len(answers) / seconds, quantile([answer.seconds for answer in answers], 0.99) * 1e3
