"""Copies in a version that the webhook of their APIResourceSchema converts to: as of any other resource."""

import asyncio

import pytest
from export_world import EXPORT, ExportWorld, SplittingWebhook, accepted, claim, converted_orders_schema, place, told
from shard_world import CACHED_RESOURCES, CRDS, EXPORTS, SCHEMAS, SLICES, G, Shard, virtual_entry

V1, V2 = G("shop.example.com", "v1", "orders"), "apis/shop.example.com/v2/orders"
TEA = "spec.good=tea"


class Cached(ExportWorld):
    """Export ``shop`` of cached orders, which are stored in v1; two workspaces consume it."""

    def __init__(self, shard: Shard) -> None:
        super().__init__(shard)
        self.webhook = SplittingWebhook()
        self.one = self.two = ""

    async def begin_cached(self, version: str = "v1") -> None:
        """``version``: that of the CachedResource."""
        shard, spec = self.shard, {**converted_orders_schema(), "scope": "Cluster"}
        shard.webhook = self.webhook
        self.provider = await shard.workspace("provider")
        versions = [{**one, "schema": {"openAPIV3Schema": one["schema"]}} for one in spec["versions"]]
        await shard.create(self.provider, CRDS, "orders.shop.example.com", spec={**spec, "versions": versions})
        of = {"group": V1.group, "version": version, "resource": "orders"}
        await shard.create(self.provider, CACHED_RESOURCES, "orders", spec=of)
        await shard.settled()
        await shard.create(self.provider, SCHEMAS, "v1.orders.shop.example.com", spec=spec)
        identity = shard.need(self.provider, CACHED_RESOURCES, "orders")["status"]["identityHash"]
        assert shard.get(self.provider, SLICES, "orders")
        entry = {**virtual_entry(identity, "orders"), "group": V1.group, "name": "orders"}
        entry["schema"] = "v1.orders.shop.example.com"
        await shard.create(self.provider, EXPORTS, EXPORT, spec={"resources": [entry]})
        await shard.settled()
        self.one, self.two = await self.consumer("one"), await self.consumer("two")

    async def put(self, name: str, item: str, **labels: str) -> None:
        """An order of the provider's, as it is now."""
        if name in await self.shard.names(self.provider, V1):
            await self.shard.change(self.provider, V1, name, lambda obj: obj["spec"].update(item=item))
        else:
            await self.shard.create(self.provider, V1, name, labels=labels, spec={"item": item})
        await self.shard.settled(1)


@pytest.fixture
async def cached(shard: Shard) -> Cached:
    found = Cached(shard)
    await found.begin_cached()
    return found


def urls(cached: Cached) -> dict[str, tuple[str, list[str]]]:
    """Where the copies are seen, and in which workspaces."""
    both = sorted([cached.one, cached.two])
    return {
        "in a consumer's workspace": (f"/clusters/{cached.one}/{V2}", [cached.one]),
        "over all workspaces": (f"/clusters/*/{V2}:{cached.identity}", both),
        "through the export, in one": (cached.url(cached.one, V2), [cached.one]),
        "through the export, in all": (cached.url("*", V2), both),
    }


@pytest.fixture(params=["in a consumer's workspace", "over all workspaces", "through the export, in one",
                        "through the export, in all"])  # fmt: skip
async def seen_at(request: pytest.FixtureRequest, cached: Cached) -> tuple[str, list[str]]:
    return urls(cached)[str(request.param)]


async def test_copies_are_shown_and_selected_in_the_version_that_is_asked_for(
    cached: Cached, seen_at: tuple[str, list[str]]
) -> None:
    url, clusters = seen_at
    for name, item in (("a", "tea:1"), ("b", "rum:2"), ("c", "tea:3")):
        await cached.put(name, item)
    listed = (await cached.http.get(url))["items"]
    assert [(*place(item), item["apiVersion"], item["spec"]) for item in listed] == [
        (cluster, name, "shop.example.com/v2", {"good": good, "count": count})
        for cluster in clusters
        for name, good, count in (("a", "tea", "1"), ("b", "rum", "2"), ("c", "tea", "3"))
    ]
    assert sorted(cached.webhook.asked) == ["a", "b", "c"]  # once, however many consume them
    found = (await cached.http.get(f"{url}?fieldSelector={TEA}"))["items"]
    assert [place(item) for item in found] == [(cluster, name) for cluster in clusters for name in ("a", "c")]
    page = await cached.http.get(f"{url}?fieldSelector={TEA}&limit=1")
    rest = await cached.http.get(f"{url}?fieldSelector={TEA}&limit=9&continue={page['metadata']['continue']}")
    assert [place(item) for item in (*page["items"], *rest["items"])] == [place(item) for item in found]
    if clusters == [cached.one]:
        assert (await cached.http.get(f"{url}/b"))["spec"] == {"good": "rum", "count": "2"}


async def test_watchers_are_told_what_begins_and_what_stops_to_match(
    cached: Cached, seen_at: tuple[str, list[str]]
) -> None:
    url, clusters = seen_at
    await cached.put("a", "tea:1")
    await cached.put("b", "rum:1")
    start = (await cached.http.get(url))["metadata"]["resourceVersion"]
    watch = cached.http.watch(url, seconds=20, fieldSelector=TEA)
    everything = cached.http.watch(url, seconds=20, resourceVersion=start)
    await asyncio.sleep(1)
    for name, item in (("b", "tea:2"), ("b", "tea:3"), ("a", "rum:1"), ("a", "rum:2")):
        await cached.put(name, item)
    changes = [("ADDED", "b"), ("MODIFIED", "b"), ("DELETED", "a")]
    expected = [(kind, cluster, name) for kind, name in changes for cluster in clusters]
    events = await watch
    assert told(events) == [*(("ADDED", cluster, "a") for cluster in clusters), *expected]
    assert events[-1]["object"]["spec"] == {"good": "tea", "count": "1"}
    assert told(await cached.http.watch(url, fieldSelector=TEA, resourceVersion=start)) == expected
    assert {event["object"]["apiVersion"] for event in await everything} == {"shop.example.com/v2"}


async def test_copies_that_another_export_claims_are_selected_in_the_version_that_is_asked_for(cached: Cached) -> None:
    other = ExportWorld(cached.shard)
    of_orders = {"group": V1.group, "identity": cached.identity}
    async with other.http.client:
        other.provider = await cached.shard.workspace("claiming")
        await cached.shard.create(
            other.provider, EXPORTS, EXPORT, spec={"permissionClaims": [claim("orders", "*", **of_orders)]}
        )
        await cached.shard.settled()
        for cluster in (cached.one, cached.two):
            await other.bind(cluster, accepted("orders", "*", **of_orders), name="claiming")
        await cached.shard.settled()
        await cached.put("a", "tea:1")
        await cached.put("b", "rum:1")
        for where, clusters in (("*", sorted([cached.one, cached.two])), (cached.one, [cached.one])):
            assert await other.seen(where, V2, f"?fieldSelector={TEA}") == [(cluster, "a") for cluster in clusters]
            watch = await other.http.watch(other.url(where, V2), fieldSelector=TEA)
            assert told(watch) == [("ADDED", cluster, "a") for cluster in clusters]
            assert {event["object"]["spec"]["good"] for event in watch} == {"tea"}


async def test_in_the_version_that_copies_are_stored_in_nobody_is_asked(cached: Cached) -> None:
    await cached.put("a", "tea:1")
    cached.webhook.failing = True
    for url, clusters in urls(cached).values():
        of_v1 = url.replace("/v2/", "/v1/")
        found = (await cached.http.get(f"{of_v1}?fieldSelector=spec.item=tea:1"))["items"]
        assert [(*place(item), item["spec"]) for item in found] == [
            (cluster, "a", {"item": "tea:1"}) for cluster in clusters
        ]
        assert (await cached.http.refused("GET", url))[0] == 500
    assert cached.webhook.asked == ["a"] * 4


async def test_a_cached_resource_of_a_version_that_a_webhook_converts_is_seen_in_it(shard: Shard) -> None:
    cached = Cached(shard)
    await cached.begin_cached("v2")
    for name, item in (("a", "tea:1"), ("b", "rum:2")):
        await cached.put(name, item)
    everywhere = f"/services/replication/{cached.provider}/orders/clusters/{{}}/{V2}"
    both = sorted([cached.one, cached.two])
    more = {everywhere.format("*"): both, everywhere.format(cached.one): [cached.one]}
    for url, clusters in (*urls(cached).values(), *more.items()):
        listed = (await cached.http.get(url))["items"]
        assert [(*place(item), item["apiVersion"], item["spec"]) for item in listed] == [
            (cluster, name, "shop.example.com/v2", {"good": good, "count": count})
            for cluster in clusters
            for name, good, count in (("a", "tea", "1"), ("b", "rum", "2"))
        ]
        events = await cached.http.watch(url, fieldSelector=TEA)
        assert told(events) == [("ADDED", cluster, "a") for cluster in clusters]
        assert {event["object"]["spec"]["good"] for event in events} == {"tea"}
    only = await cached.http.get(f"/services/replication/{cached.provider}/orders/clusters/*/apis/shop.example.com")
    assert [version["version"] for version in only["versions"]] == ["v2"]
