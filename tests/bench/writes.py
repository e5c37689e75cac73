"""B4: CREATE with a schema, durable, many in flight, beside many objects that are already there."""

from tests.bench import manifests
from tests.bench.client import Pool, Request
from tests.bench.kubeconfig import BenchError
from tests.bench.report import Goal
from tests.bench.requests import timed
from tests.bench.site import Bench
from tests.bench.sizes import doubling


async def create(bench: Bench) -> None:
    """The baseline takes the same bytes and sends them back: it validates nothing and keeps nothing."""
    site, sizes, report = bench.site, bench.sizes, bench.report
    collection = await site.define(await site.workspace("create"))
    before, made, points = site.target.memory(), 0, []
    rates, waits, other = [], [], []
    async with Pool(site.target, sizes.connections) as pool, Pool(bench.baseline.target, sizes.connections) as beside:
        for existing in doubling(sizes.create_existing):
            names = (f"e{number:07}" for number in range(made, existing))
            await site.fill(collection, names)
            made = existing
            rate, _ = await timed(pool, _creates(collection, f"at{existing}", sizes.create_objects // 4))
            points.append((existing, 1e6 / rate))
        made += sum(sizes.create_objects // 4 for _ in points)
        for number in range(sizes.rounds):
            rate, p99 = await timed(pool, _creates(collection, f"round{number}", sizes.create_objects))
            rates.append(rate)
            waits.append(p99)
            other.append((await timed(beside, _creates("/create", "x", sizes.create_objects)))[0])
        made += sizes.rounds * sizes.create_objects
    listed = await site.pool.call("GET", f"{collection}?limit=1")
    if (remaining := listed["metadata"].get("remainingItemCount", made - 1)) != made - 1:
        raise BenchError(f"{collection} has {remaining + 1} objects and should have {made}")
    name = f"CREATE 1 KB, {sizes.connections} in flight, {sizes.create_existing:,} there"
    report.add("B4", name, "creates/s", rates, baseline=other, goal=Goal(">=", 4_000))
    report.add("B4", f"{name}: p99", "ms", waits, goal=Goal("<=", 50))
    after = site.target.memory()
    if before and after:
        report.add("B4", "memory per object", "KB", [(after - before) / made / 1e3])
    report.grow("B4", "one create", "objects there", "µs", points)


def _creates(collection: str, prefix: str, count: int) -> list[Request]:
    return [Request("POST", collection, manifests.widget(f"{prefix}-{number:07}")) for number in range(count)]
