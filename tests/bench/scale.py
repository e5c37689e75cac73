"""Many providers, consumers and objects in one server: how long, how large, and whether everyone sees what is theirs.

All objects have the same names with every provider and tell whose they are, so that none can be taken for another's.
"""

import time

import orjson

from tests.bench.client import Request
from tests.bench.kubeconfig import BenchError
from tests.bench.site import Bench, gather


async def scale(bench: Bench) -> None:
    """Consumer number C is bound to provider C modulo the number of providers, and sees its objects only."""
    bench.site.need_workspaces()
    site, report = bench.site, bench.report
    providers, consumers, objects = bench.sizes.scale
    before, began = site.target.memory(), time.perf_counter()
    laps: list[tuple[str, float]] = []

    def lap(name: str) -> None:
        laps.append((name, time.perf_counter() - began - sum(seconds for _, seconds in laps)))

    paths = await site.workspaces(f"p{number:05}" for number in range(providers))
    others = await site.workspaces(f"c{number:05}" for number in range(consumers))
    lap(f"{providers + consumers:,} workspaces Ready")
    collections = await gather(site.define(path) for path in paths)
    lap(f"{providers:,} CRDs Established")
    await gather(site.share(path) for path in paths)
    lap(f"{providers:,} CachedResources Ready and exported")
    bound = await gather(site.bind(path, paths[number % providers]) for number, path in enumerate(others))
    lap(f"{consumers:,} APIBindings Bound and served")
    names = [f"o{number:06}" for number in range(objects)]
    for number, collection in enumerate(collections):
        await site.fill(collection, names, owner=f"provider-{number}")
    lap(f"{providers * objects:,} objects created")
    await gather(site.counted(path, objects) for path in paths)
    lap("all of them counted as cached")
    total, after = time.perf_counter() - began, site.target.memory()
    name = f"{providers} providers x {consumers} consumers x {objects} objects"
    report.add("scale", f"{name}: in all", "s", [total])
    for label, seconds in laps:
        report.add("scale", label, "s", [seconds])
    if after and before:
        report.add("scale", f"{name}: memory", "MB", [after / 1e6], baseline=[before / 1e6])
    wrong = await gather(
        _wrong(bench, url, f"provider-{number % providers}", names) for number, url in enumerate(bound)
    )
    lap(f"{consumers:,} lists compared")
    if found := [text for text in wrong if text]:
        raise BenchError(f"{len(found)} of {consumers} consumers see what they should not: {found[0]}")
    report.add("scale", f"{consumers:,} consumers with exactly their provider's objects", "consumers", [len(bound)])


async def _wrong(bench: Bench, url: str, owner: str, names: list[str]) -> str:
    """What is wrong with a consumer's list; empty where nothing is."""
    answer = await bench.site.pool.send(Request("GET", url))
    if answer.status != 200:
        return f"{url}: {answer.status}"
    items = orjson.loads(answer.body)["items"]
    seen = [(item["metadata"]["name"], item["spec"]["owner"]) for item in items]
    return "" if seen == [(name, owner) for name in names] else f"{url}: {len(seen)} objects, among them {seen[:3]}"
