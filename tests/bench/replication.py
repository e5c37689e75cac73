"""B7, B8, B10: from the provider's write to the consumer's watch, many consumers, many objects at once."""

import asyncio
import time
from collections.abc import Callable

import orjson

from tests.bench import manifests
from tests.bench.client import Pool, Request, Watch
from tests.bench.kubeconfig import BenchError
from tests.bench.report import Goal, quantile
from tests.bench.requests import timed
from tests.bench.site import Bench, gather
from tests.bench.sizes import doubling
from tests.bench.watches import paced

STRAGGLER_SECONDS = 30.0
SATURATED_PER_SECOND = 1_000
PROVIDER, CONSUMER = "provider", "consumer"


class Lags:
    """The lags in ms of the stamped events of one watch; others are not counted."""

    def __init__(self) -> None:
        self.values: list[float] = []
        self._changed = asyncio.Event()

    def note(self, line: bytes) -> None:
        if (lag := manifests.lag_of(line)) is not None:
            self.values.append(lag * 1e3)
            self._changed.set()

    async def take(self, count: int) -> list[float]:
        """So many lags, as soon as they are there, and start anew. Raises BenchError where they do not come."""
        try:
            async with asyncio.timeout(STRAGGLER_SECONDS):
                while len(self.values) < count:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise BenchError(f"{len(self.values)} of {count} events reached the consumer") from None
        found, self.values = self.values, []
        if len(found) != count:
            raise BenchError(f"{len(found)} events of {count} changes reached the consumer")
        return found


async def lag(bench: Bench) -> None:
    """B7: paced and saturated, with one consumer bound and then with many, of which one watches."""
    bench.site.need_workspaces()
    site, sizes = bench.site, bench.sizes
    provider, consumer = await site.workspaces([PROVIDER, CONSUMER])
    collection = await site.define(provider)
    await site.share(provider)
    seen, points = await site.bind(consumer, provider), []
    points.append((1, await _lags(bench, collection, seen, "1 consumer")))
    count = sizes.lag_consumers
    others = await site.workspaces(f"c{number:05}" for number in range(count - 1))
    await gather(site.bind(other, provider) for other in others)
    points.append((count, await _lags(bench, collection, seen, f"{count:,} consumers")))
    bench.report.grow("B7", f"lag p50 at {sizes.lag_rates[0]}/s", "consumers", "ms", points)


async def _lags(bench: Bench, collection: str, seen: str, label: str) -> float:
    """Rows for each rate and saturation; the p50 at the first rate."""
    site, sizes, report = bench.site, bench.sizes, bench.report
    version = (await site.pool.call("GET", f"{seen}?limit=1"))["metadata"]["resourceVersion"]
    lags, prefix = Lags(), f"n{time.monotonic_ns():x}"
    p50 = []

    def create(name: str) -> Request:
        return Request("POST", collection, manifests.widget(f"{prefix}-{name}", stamp=manifests.stamp()))

    async with Watch(site.target, lags.note).follow(f"{seen}?watch=1&resourceVersion={version}"):
        await paced(site.pool, lambda number: create(f"warm-{number}"), 10, 100)
        await lags.take(10)
        for rate in sizes.lag_rates:
            count = max(1, round(rate * sizes.lag_seconds))
            await paced(site.pool, _named(create, f"{rate}"), count, rate)
            values = await lags.take(count)
            p50.append(quantile(values, 0.5))
            report.add("B7", f"lag p50, {rate}/s, {label}", "ms", p50[-1:], goal=Goal("<=", 3))
            report.add("B7", f"lag p99, {rate}/s, {label}", "ms", [quantile(values, 0.99)], goal=Goal("<=", 15))
        count = max(1, round(SATURATED_PER_SECOND * sizes.lag_seconds))
        async with Pool(site.target, sizes.connections) as pool:
            await pool.each(create(f"full-{number}") for number in range(count))
        p99 = quantile(await lags.take(count), 0.99)
        report.add("B7", f"lag p99, {sizes.connections} in flight, {label}", "ms", [p99], goal=Goal("<=", 100))
    return p50[0]


def _named(create: Callable[[str], Request], prefix: str) -> Callable[[int], Request]:
    return lambda number: create(f"{prefix}-{number}")


async def consumers(bench: Bench) -> None:
    """B8: the baseline is the provider's own list of the same objects."""
    bench.site.need_workspaces()
    site, sizes, report = bench.site, bench.sizes, bench.report
    (provider,) = await site.workspaces([PROVIDER])
    collection = await site.define(provider)
    names = [f"o{number:06}" for number in range(sizes.consumer_objects)]
    await site.fill(collection, names)
    await site.share(provider)
    bound: list[str] = []
    growth, memory, found, plain = [], [], [], []
    for count in doubling(sizes.consumers):
        paths = await site.workspaces(f"c{number:05}" for number in range(len(bound), count))
        before = site.target.memory()
        bound += await gather(site.bind(path, provider) for path in paths)
        if before and (after := site.target.memory()):
            memory.append((count, (after - before) / len(paths) / 1e3))
        found, plain = await _lists(bench, bound, collection)
        growth.append((count, 1e3 / quantile(found, 0.5)))
    for url in {bound[0], bound[-1]}:
        items = orjson.loads((await site.pool.send(Request("GET", url))).body)["items"]
        if [item["metadata"]["name"] for item in items] != names:
            raise BenchError(f"{url} does not list the provider's objects")
    name = f"list of {sizes.consumer_objects:,} in each of {sizes.consumers:,} consumers"
    report.add("B8", name, "lists/s", found, baseline=plain, goal=Goal(">=", 0.85, of_ratio=True))
    report.add("B8", "memory per bound consumer", "KB", [value for _, value in memory[-1:]], goal=Goal("<=", 50))
    report.grow("B8", "one list", "consumers", "ms", growth)
    report.grow("B8", "memory per bound consumer", "consumers", "KB", memory)


async def _lists(bench: Bench, bound: list[str], collection: str) -> tuple[list[float], list[float]]:
    """Lists per second over the consumers, one list in each, and as many plain lists, round by round."""
    found, plain = [], []
    async with Pool(bench.site.target, bench.sizes.lists_at_once) as pool:
        for number in range(bench.sizes.rounds + 1):
            mine, _ = await timed(pool, [Request("GET", url) for url in bound])
            other, _ = await timed(pool, [Request("GET", collection)] * len(bound))
            if number:
                found.append(mine)
                plain.append(other)
    return found, plain


async def cached(bench: Bench) -> None:
    """B10: create to Ready over what is there, and what one change then takes to be counted."""
    bench.site.need_workspaces()
    site, report = bench.site, bench.report
    ready, counted, seconds = [], [], 0.0
    for count in doubling(bench.sizes.cached_objects):
        (path,) = await site.workspaces([f"{PROVIDER}-{count}"])
        collection = await site.define(path)
        await site.fill(collection, (f"o{number:07}" for number in range(count)))
        seconds = await site.share(path)
        await site.counted(path, count)
        ready.append((count, seconds / count * 1e6))
        changes = []
        for number in range(bench.sizes.rounds):
            began = time.perf_counter()
            await site.fill(collection, [f"more-{number}"])
            await site.counted(path, count + number + 1)
            changes.append((time.perf_counter() - began) * 1e3)
        counted.append((count, quantile(changes, 0.5)))
    name = f"CachedResource over {bench.sizes.cached_objects:,} objects to Ready"
    report.add("B10", name, "s", [seconds], goal=Goal("<=", 10))
    report.grow("B10", "create to Ready, each object", "objects", "µs", ready)
    report.grow("B10", "one create to its being counted (asked every 50 ms)", "objects", "ms", counted)
