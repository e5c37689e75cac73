"""Who is bound, who consumes, who refers to whom; and that one change never makes everybody look."""

import asyncio
from collections.abc import Mapping

import pytest
from shard_world import BINDINGS, CACHED_RESOURCES, CRDS, EXPORTS, FLAVORS, SLICES, Shard, running

from kcpcache.meta.objects import Object
from kcpcache.registry.view import ListOptions
from kcpcache.runtime.controllers.cache import COUNTS_DELAY_SECONDS
from kcpcache.runtime.indexes import SliceIndex, spellings
from kcpcache.storage.memory import MemoryStore
from kcpcache.storage.store import Revision


class Effort:
    """How many keys each controller has looked at since the last question."""

    def __init__(self, shard: Shard) -> None:
        self._shard, self._before = shard, self._now(shard)

    @staticmethod
    def _now(shard: Shard) -> dict[str, int]:
        return {controller.name: controller.counts.reconciled for controller in shard.controllers}

    def spent(self) -> Mapping[str, int]:
        now = self._now(self._shard)
        found = {name: now[name] - self._before[name] for name in now if now[name] != self._before[name]}
        self._before = now
        return found


async def consumers(shard: Shard, provider: str, count: int) -> list[str]:
    found = []
    for index in range(count):
        found.append(await shard.workspace(f"consumer-{index}"))
        await shard.bind(found[-1], provider)
    await shard.settled()
    return found


async def test_binding_the_last_of_many_consumers_costs_as_much_as_the_second(shard: Shard) -> None:
    provider = await shard.provider()
    costs = []
    effort = Effort(shard)
    for index in range(12):
        consumer = await shard.workspace(f"consumer-{index}")
        effort.spent()
        await shard.bind(consumer, provider)
        await shard.settled()
        costs.append(effort.spent())
    assert costs[1] == costs[-1]
    await shard.delete(consumer, BINDINGS, "cloud")
    await shard.settled()
    assert sum(effort.spent().values()) <= sum(costs[-1].values())


async def test_a_changed_object_makes_only_its_own_copy_be_looked_at(shard: Shard) -> None:
    provider = await shard.provider()
    await shard.flavor(provider, "small")
    await consumers(shard, provider, 5)
    effort = Effort(shard)
    await shard.label(provider, FLAVORS, "small", tier="gold")
    await shard.settled()
    assert effort.spent() == {"replication": 1}


async def test_a_hundred_new_objects_write_the_counts_a_few_times_and_wake_no_consumer(shard: Shard) -> None:
    provider = await shard.provider()
    await consumers(shard, provider, 5)
    effort = Effort(shard)
    for index in range(100):
        await shard.flavor(provider, f"f{index}")
    await shard.settled()
    spent = effort.spent()
    assert spent.pop("replication") <= 200
    assert spent.pop("cached-resource") <= 6
    assert spent == {}
    assert shard.status(provider)["resourceCounts"] == {"local": 100, "cache": 100}


class SlowStore(MemoryStore):
    """Its writes take time, as those of a disk do: there is always one under way while there are many."""

    async def create(self, key: str, value: bytes) -> Revision:
        await asyncio.sleep(0.004)
        return await super().create(key, value)

    async def update(self, key: str, value: bytes, *, expected: Revision) -> Revision:
        await asyncio.sleep(0.004)
        return await super().update(key, value, expected=expected)

    async def delete(self, key: str, *, expected: Revision) -> Revision:
        await asyncio.sleep(0.004)
        return await super().delete(key, expected=expected)


@pytest.mark.parametrize("what", ["created", "deleted with their CRD"])
async def test_the_counts_are_written_ten_times_a_second_at_most_while_there_are_many_changes(what: str) -> None:
    """Else a status would be written for each object, and nobody could write the CachedResource meanwhile."""
    async with running(SlowStore()) as shard:
        provider = await shard.provider()
        if what != "created":
            for index in range(200):
                await shard.flavor(provider, f"f{index}")
            await shard.settled()
        written: list[object] = []
        shard.env.on_event("cache.kcp.io", "cachedresources", written.append)
        loop = asyncio.get_running_loop()
        began = loop.time()
        if what == "created":
            for index in range(200):
                await shard.flavor(provider, f"f{index}")
        else:
            await shard.delete(provider, CRDS, "flavors.cloud.example.com")
            for _ in range(1000):
                if not await shard.copies(provider):
                    break
                await asyncio.sleep(0.01)
        most = (loop.time() - began) / COUNTS_DELAY_SECONDS + 3
        assert 1 <= len(written) <= most
        await shard.settled()
        counts = 200 if what == "created" else 0
        assert shard.status(provider)["resourceCounts"] == {"local": counts, "cache": counts}


async def test_counts_that_somebody_else_wrote_are_put_right(shard: Shard) -> None:
    provider = await shard.provider()
    await shard.flavor(provider, "small")
    await shard.settled()

    def wrong(obj: Object) -> None:
        obj["status"]["resourceCounts"] = {"local": 9, "cache": 9}

    await shard.change(provider, CACHED_RESOURCES, "flavors", wrong, subresource="status")
    await shard.settled()
    assert shard.status(provider)["resourceCounts"] == {"local": 1, "cache": 1}


async def test_what_was_replaced_is_not_kept_in_memory(shard: Shard) -> None:
    provider = await shard.provider()
    (consumer,) = await consumers(shard, provider, 1)
    watch = await shard.view(consumer, FLAVORS).watch(ListOptions())
    kept = len(shard.lookup._decoded)
    for index in range(10):
        await shard.flavor(provider, f"f{index}")
        await shard.change(provider, CACHED_RESOURCES, "flavors", lambda obj: obj["spec"].update(labelSelector={}))
        await shard.settled()
    assert shard.status(provider)["resourceCounts"]["cache"] == 10
    assert len(shard.lookup._decoded) <= kept
    watch.close()


# -- who is found


async def test_bindings_are_found_by_their_export_however_they_spell_it(shard: Shard) -> None:
    org = await shard.workspace("org")
    provider = await shard.workspace("provider", parent="root:org")
    index = shard.cache_side.bindings
    spelled = ["root:org:provider", f"{org}:provider", provider]
    for number, path in enumerate(spelled):
        consumer = await shard.workspace(f"consumer-{number}")
        await shard.create(consumer, BINDINGS, "cloud", spec={"reference": {"export": {"path": path, "name": "cloud"}}})
    own = {"reference": {"export": {"name": "cloud"}}}
    await shard.create(provider, BINDINGS, "own", spec=own)
    await shard.settled()
    clusters = {shard.clusters.resolve(f"root:consumer-{number}") for number in range(3)} | {provider}
    assert {cluster for cluster, _ in index.of_export(provider, "cloud")} == clusters
    assert index.of_export(provider, "other") == set()
    assert index.bound_count(provider, "cloud") == 0


async def test_only_bound_bindings_are_counted(shard: Shard) -> None:
    provider = await shard.provider()
    found = await consumers(shard, provider, 2)
    index = shard.cache_side.bindings
    assert index.bound_count(provider, "cloud") == 2
    await shard.delete(found[0], BINDINGS, "cloud")
    await shard.settled()
    assert index.bound_count(provider, "cloud") == 1
    assert index.of_export(provider, "cloud") == {(found[1], "cloud")}
    await shard.restart()
    assert shard.cache_side.bindings.bound_count(provider, "cloud") == 1


async def test_bindings_made_before_their_export_are_bound_when_it_comes(shard: Shard) -> None:
    provider = await shard.workspace("provider")
    consumer = await shard.workspace("consumer")
    await shard.bind(consumer, provider)
    await shard.settled()
    assert shard.need(consumer, BINDINGS, "cloud")["status"]["phase"] == "Binding"
    await shard.create(provider, EXPORTS, "cloud", spec={})
    await shard.settled()
    assert shard.need(consumer, BINDINGS, "cloud")["status"]["phase"] == "Bound"


@pytest.mark.parametrize("path", ["", "root:provider", "name"])
async def test_slices_are_found_by_what_they_refer_to(shard: Shard, path: str) -> None:
    provider = await shard.workspace("provider")
    reference = {"name": "flavors", "path": provider if path == "name" else path} if path else {"name": "flavors"}
    await shard.create(provider, SLICES, "mine", spec={"cachedResource": reference})
    await shard.settled()
    for index in (shard.cache_side._slice_index, SliceIndex(shard.env)):
        assert index.of_cached_resource(provider, "flavors") == {(provider, "mine")}
        assert index.of_cached_resource(provider, "others") == set()
        assert index.of_cached_resource("root", "flavors") == set()
    await shard.delete(provider, SLICES, "mine")
    await shard.settled()
    assert shard.cache_side._slice_index.of_cached_resource(provider, "flavors") == set()


async def test_a_slices_condition_follows_the_cached_resource_it_waits_for(shard: Shard) -> None:
    provider = await shard.workspace("provider")
    await shard.create(provider, SLICES, "mine", spec={"cachedResource": {"name": "flavors", "path": "root:provider"}})

    def valid() -> str:
        found: list[Object] = shard.need(provider, SLICES, "mine")["status"]["conditions"]
        return str(next(c for c in found if c["type"] == "ResourceValid")["status"])

    await shard.settled()
    assert valid() == "False"
    await shard.cache_flavors(provider)
    await shard.settled()
    assert valid() == "True"
    await shard.delete(provider, CACHED_RESOURCES, "flavors")
    await shard.settled()
    assert valid() == "False"


async def test_every_way_to_write_a_path_resolves_to_the_cluster_it_is_listed_for(shard: Shard) -> None:
    org = await shard.workspace("org")
    team = await shard.workspace("team", parent="root:org")
    leaf = await shard.workspace("leaf", parent="root:org:team")
    found = set(spellings(shard.clusters, leaf))
    assert found == {leaf, "root:org:team:leaf", f"{org}:team:leaf", f"{team}:leaf"}
    assert {shard.clusters.resolve(path) for path in found} == {leaf}
    assert list(spellings(shard.clusters, "root")) == ["root"]


# -- consumer records


async def record_keys(shard: Shard) -> list[str]:
    return [key.rpartition("/")[2] for key in await shard.keys("/consumers:", "/cache/")]


async def test_records_come_with_bindings_and_go_with_them_and_endpoints_with_the_first_and_last(shard: Shard) -> None:
    provider = await shard.provider()

    def endpoints() -> list[str]:
        return [e["url"] for e in shard.need(provider, SLICES, "flavors")["status"].get("endpoints", [])]

    assert (await record_keys(shard), endpoints()) == ([], [])
    one, two = sorted(await consumers(shard, provider, 2))
    assert await record_keys(shard) == [f"{one}_cloud_flavors", f"{two}_cloud_flavors"]
    assert endpoints() == [f"{shard.url}/services/replication/{provider}/flavors"]
    await shard.delete(one, BINDINGS, "cloud")
    await shard.settled()
    assert await record_keys(shard) == [f"{two}_cloud_flavors"]
    assert endpoints()
    await shard.delete(two, BINDINGS, "cloud")
    await shard.settled()
    assert (await record_keys(shard), endpoints()) == ([], [])


@pytest.mark.parametrize("change", ["slice", "export", "reference", "identity"])
async def test_records_go_when_the_export_no_longer_exports_it_and_come_back(shard: Shard, change: str) -> None:
    provider = await shard.provider()
    await consumers(shard, provider, 1)
    before = await record_keys(shard)
    good = shard.need(provider, EXPORTS, "cloud")["spec"]["resources"]

    async def exporting(resources: object) -> None:
        await shard.change(provider, EXPORTS, "cloud", lambda obj: obj["spec"].update(resources=resources))

    virtual = good[0]["storage"]["virtual"]
    if change == "slice":
        skip = {"cachedresources.cache.kcp.io/skip-endpointslice": "yes"}
        await shard.change(
            provider, CACHED_RESOURCES, "flavors", lambda obj: obj["metadata"]["annotations"].update(skip)
        )
        await shard.delete(provider, SLICES, "flavors")
    elif change == "export":
        await exporting([])
    elif change == "reference":
        other = {"reference": {**virtual["reference"], "name": "other"}, "identityHash": virtual["identityHash"]}
        await exporting([{**good[0], "storage": {"virtual": other}}])
    else:
        await exporting([{**good[0], "storage": {"virtual": {**virtual, "identityHash": "0" * 64}}}])
    await shard.settled()
    assert await record_keys(shard) == []
    if change == "slice":
        await shard.create(
            provider, SLICES, "flavors", spec={"cachedResource": {"name": "flavors", "path": "root:provider"}}
        )
    else:
        await exporting(good)
    await shard.settled()
    assert await record_keys(shard) == before


async def test_a_record_that_was_forged_changed_or_deleted_is_put_right(shard: Shard) -> None:
    provider = await shard.provider()
    await consumers(shard, provider, 1)
    [key] = await shard.keys("/consumers:", "/cache/")
    good = (await shard.store.get(key)).entry
    assert good is not None
    await shard.store.update(key, good.value.replace(b'"cloud"', b'"other"'), expected=good.revision)
    place = key.rpartition("/")[0]
    forged = {"apiVersion": "cache.kcp.io/v1alpha1", "kind": "Consumer", "metadata": {"name": "x"}, "spec": {}}
    await shard.put_copy(f"{place}/stranger_cloud_flavors", forged)
    await shard.settled()
    assert await shard.keys("/consumers:", "/cache/") == [key]
    entry = (await shard.store.get(key)).entry
    assert entry is not None
    assert entry.value == good.value
    await shard.wipe(key)
    await shard.settled()
    assert await shard.keys("/consumers:", "/cache/") == [key]


async def test_what_is_no_record_at_all_does_no_harm(shard: Shard) -> None:
    provider = await shard.provider()
    await consumers(shard, provider, 1)
    [key] = await shard.keys("/consumers:", "/cache/")
    forged = {"apiVersion": "cache.kcp.io/v1alpha1", "kind": "Consumer", "metadata": {"name": "x"}}
    await shard.put_copy(f"{key.rpartition('/')[0]}/nonsense", forged)
    await shard.settled()
    await shard.flavor(provider, "small")
    await shard.settled()
    assert await shard.copies(provider) == ["small"]


async def test_a_record_whose_binding_went_while_the_server_was_down_goes_at_the_start(shard: Shard) -> None:
    provider = await shard.provider()
    [consumer] = await consumers(shard, provider, 1)
    await shard.stop()
    await shard.wipe(f"/registry/apis.kcp.io/apibindings/{consumer}/cloud")
    await shard.start()
    await shard.settled()
    assert await record_keys(shard) == []
