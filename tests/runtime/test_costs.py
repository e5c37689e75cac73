"""How much work each thing takes, in countable steps: what must not grow unnoticed, since no test measures time."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from shard_http import Http
from shard_world import CACHED_RESOURCES, CRDS, FLAVORS, WORKSPACES, Shard, crd_spec

from kcpcache.meta.objects import Object
from kcpcache.reconcilers.plan import CacheTarget
from kcpcache.registry import caches, virtual_sources, write_steps
from kcpcache.registry import entry as entries
from kcpcache.registry import shelf as shelves
from kcpcache.registry.epoch import Epoch
from kcpcache.registry.shelf import Block
from kcpcache.runtime import apply

FLAVOR = {"apiVersion": "cloud.example.com/v1", "kind": "Flavor"}
PATH = "/clusters/root/apis/cloud.example.com/v1/flavors"


def flavor(name: str, cpu: int = 2) -> Object:
    return {**FLAVOR, "metadata": {"name": name, "labels": {"tier": "basic"}}, "spec": {"cpu": cpu}}


@pytest.fixture
async def http(shard: Shard):
    found = Http(shard)
    async with found.client:
        await shard.create("root", CRDS, "flavors.cloud.example.com", spec=crd_spec())
        await shard.settled()
        yield found


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the objects that were encoded, in order."""
    found: list[str] = []
    encode = entries.encode

    def counting(obj: Any) -> bytes:
        found.append(obj["metadata"]["name"])
        return encode(obj)

    for module in (entries, write_steps, apply):
        monkeypatch.setattr(module, "encode", counting)
    return found


@pytest.fixture
def reads(shard: Shard, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the store was read, by verb."""
    found: Counter[str] = Counter()

    def counting(verb: str, real: Any) -> Any:
        def counted(*args: Any, **kwargs: Any) -> Any:
            found[verb] += 1
            return real(*args, **kwargs)

        return counted

    for verb in ("get", "list", "watch"):
        monkeypatch.setattr(shard.store, verb, counting(verb, getattr(shard.store, verb)))
    return found


async def test_a_write_encodes_its_object_once(http: Http, encoded: list[str]):
    for body in (flavor("a", 1), flavor("b", 1)):
        await http.request("POST", PATH, body)
    assert encoded == ["a", "b"]
    await http.request("PATCH", f"{PATH}/a", {"spec": {"cpu": 3}})
    assert encoded == ["a", "b", "a"]
    await http.request("DELETE", f"{PATH}/b")
    assert encoded == ["a", "b", "a"]


async def test_reads_and_watches_encode_nothing_and_read_no_store(http: Http, encoded: list[str], reads: Counter[str]):
    await http.request("POST", PATH, flavor("a"))
    encoded.clear()
    watches = [http.watch(PATH, seconds=2) for _ in range(10)]
    await asyncio.sleep(0.01)
    await http.get(f"{PATH}/a")
    await http.get(PATH)
    await http.get(f"{PATH}?labelSelector=tier%3Dbasic")
    await http.request("PATCH", f"{PATH}/a", {"spec": {"cpu": 3}})
    assert [len(await watch) for watch in watches] == [2] * 10
    assert encoded == ["a"]
    assert not reads


async def test_a_list_joins_anew_only_what_has_changed_in_whatever_workspace_it_is_shown(
    http: Http, shard: Shard, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shelves, "MOST_OF_A_BLOCK", 16)
    joined: list[int] = []
    for way in ("_join", "_cut"):
        real = getattr(Block, way)
        monkeypatch.setattr(Block, way, lambda block, kept, real=real: (joined.append(1), real(block, kept))[1])
    provider = await shard.provider()
    consumers = [await shard.workspace(f"consumer-{number}") for number in range(3)]
    for consumer in consumers:
        await shard.bind(consumer, provider)
    for number in range(3 * 16):
        await shard.flavor(provider, f"f{number:02}")
    await shard.settled()
    flavors = "/apis/cloud.example.com/v1/flavors"
    made = []
    for path in (provider, provider, *consumers):
        listed = await http.get(f"/clusters/{path}{flavors}")
        made.append((len(listed["items"]), len(joined)))
        joined.clear()
    assert made == [(3 * 16, count) for count in (3, 0, 3, 0, 0)]
    await http.request("PATCH", f"/clusters/{provider}{flavors}/f20", {"spec": {"cpu": 7}})
    await shard.settled()
    for path in (provider, consumers[0]):
        await http.get(f"/clusters/{path}{flavors}")
    assert len(joined) == 1 + 1


async def test_a_replicated_object_is_encoded_when_it_is_written_and_never_again_for_copies_and_consumers(
    shard: Shard, encoded: list[str]
):
    provider = await shard.provider()
    consumers = [await shard.workspace(f"consumer-{number}") for number in range(5)]
    for consumer in consumers:
        await shard.bind(consumer, provider)
    await shard.settled()
    encoded.clear()
    await shard.flavor(provider, "late")
    await shard.settled()
    for consumer in consumers:
        assert "late" in await shard.names(consumer, FLAVORS)
    await shard.change(provider, FLAVORS, "late", lambda obj: obj["spec"].update(cpu=7))
    await shard.settled()
    assert encoded.count("late") == 2


async def test_where_a_consumers_objects_lie_is_found_out_once_until_that_may_have_changed(
    http: Http, shard: Shard, monkeypatch: pytest.MonkeyPatch
):
    found: list[str] = []
    resolve = virtual_sources.resolve

    def counting(lookup: Any, bound: Any, resource: Any) -> Any:
        found.append(bound.export)
        return resolve(lookup, bound, resource)

    monkeypatch.setattr(virtual_sources, "resolve", counting)
    provider, consumer = await shard.provider(), await shard.workspace("consumer")
    await shard.bind(consumer, provider)
    await shard.settled()
    flavors = f"/clusters/{consumer}/apis/cloud.example.com/v1/flavors"
    for _ in range(3):
        await http.get(flavors)
    assert len(found) == 1
    await shard.flavor(provider, "a")
    await shard.settled()  # the CachedResource counts one more
    for _ in range(3):
        assert len((await http.get(flavors))["items"]) == 1
    assert len(found) == 2
    await shard.delete(provider, CACHED_RESOURCES, "flavors")
    await shard.settled()
    assert (await http.refused("GET", flavors))[0] == 503


async def test_plain_objects_begin_no_new_epoch(shard: Shard, http: Http):
    epoch = Epoch(shard.caches)
    before = epoch.value
    for name in ("a", "b"):
        await http.request("POST", PATH, flavor(name))
    assert epoch.value == before


async def test_a_watch_costs_two_tasks(http: Http):
    async def tasks() -> int:
        await asyncio.sleep(0.01)
        return len(asyncio.all_tasks())

    before = await tasks()
    watches = [http.watch(PATH, seconds=2) for _ in range(10)]  # each is one task of the test's client, too
    assert await tasks() - before == 10 * (1 + 1)
    await asyncio.gather(*watches)
    assert await tasks() == before


async def test_an_empty_workspace_shares_its_catalog(shard: Shard):
    one, other = await shard.workspace("one"), await shard.workspace("other")
    await shard.settled()
    assert shard.serving.snapshot(one) is shard.serving.snapshot(other)


def decided(shard: Shard) -> int:
    """How many decisions the controllers have made."""
    return sum(controller.counts.reconciled for controller in shard.controllers)


async def test_a_workspace_costs_few_writes_and_decisions(shard: Shard):
    """Controllers that meet on one object save some or cost some: it is not always the same number."""
    await shard.workspace("first")
    before, decisions = await shard.store.revision(), decided(shard)
    await shard.workspace("one")
    ready = await shard.store.revision()
    assert decided(shard) - decisions <= 13
    decisions = decided(shard)
    await shard.delete("root", WORKSPACES, "one")
    await shard.settled()
    gone = await shard.store.revision()
    assert ready - before <= 13
    assert gone - ready <= 14
    assert decided(shard) - decisions <= 20


async def test_a_copy_that_is_as_it_should_be_is_not_decoded(shard: Shard, monkeypatch: pytest.MonkeyPatch):
    provider = await shard.provider()
    await shard.flavor(provider, "known")
    await shard.settled()
    (copies,) = [
        cache for cache in shard.caches.known() if cache.prefix.startswith("/cache/") and "flavors:" in cache.prefix
    ]
    decoded: list[str] = []
    read = entries.Entry.object

    def reading(entry: entries.Entry, cluster: str | None = None) -> Object:
        decoded.append(entry.name)
        return read(entry, cluster)

    monkeypatch.setattr(entries.Entry, "object", reading)
    replication = shard.cache_side.replication.controller
    before = replication.counts.reconciled
    for entry in copies.entries(provider):
        replication.add(CacheTarget("root", FLAVORS, copies.prefix.rstrip("/").partition(":")[2], provider, entry.name))
    await shard.settled()
    assert replication.counts.reconciled == before + 1
    assert not decoded


async def test_a_first_pass_sends_copies_many_at_a_time_and_decides_once_on_each(
    shard: Shard, monkeypatch: pytest.MonkeyPatch
):
    cluster = await shard.workspace("provider")
    await shard.create(cluster, CRDS, "flavors.cloud.example.com", spec=crd_spec())
    await shard.settled()
    for number in range(500):
        await shard.flavor(cluster, f"f{number:03}")
    sent: list[int] = []
    write_each = shard.store.write_each

    async def counting(puts: Any) -> Any:
        sent.append(len(puts))
        return await write_each(puts)

    monkeypatch.setattr(shard.store, "write_each", counting)
    counts = shard.cache_side.replication.controller.counts
    before = counts.reconciled
    await shard.cache_flavors(cluster)
    await shard.settled()
    assert len(await shard.copies(cluster)) == 500
    assert sum(sent) == 500
    assert len(sent) == 10
    assert counts.reconciled - before == 500
    before = counts.reconciled
    await shard.flavor(cluster, "late")
    await shard.settled()
    assert counts.reconciled - before == 1


async def test_the_entry_of_a_copy_is_made_of_its_originals_and_decoded_from_nothing(
    shard: Shard, monkeypatch: pytest.MonkeyPatch
):
    cluster = await shard.workspace("provider")
    await shard.create(cluster, CRDS, "flavors.cloud.example.com", spec=crd_spec())
    await shard.settled()
    for number in range(20):
        await shard.flavor(cluster, f"f{number:02}")
    decoded: Counter[str] = Counter()
    entry_of = caches.entry_of

    def counting(value: bytes, **at: Any) -> entries.Entry:
        decoded[at["name"]] += 1
        return entry_of(value, **at)

    monkeypatch.setattr(caches, "entry_of", counting)
    await shard.cache_flavors(cluster)
    await shard.flavor(cluster, "late")
    await shard.change(cluster, FLAVORS, "f07", lambda obj: obj["spec"].update(cpu=7))
    await shard.settled()
    assert len(await shard.copies(cluster)) == 21
    assert {name: count for name, count in decoded.items() if name[0] == "f" and name[1:].isdigit()} == {"f07": 1}
    assert decoded["late"] == 1
    copies = next(each for each in shard.caches.known() if "/flavors:" in each.prefix)
    assert not copies.copied
    (original, copy) = (each.get(cluster, "f07") for each in (flavors_of(shard), copies))
    assert original is not None
    assert copy is not None
    assert copy.tail is original.tail


def flavors_of(shard: Shard) -> caches.ResourceCache:
    return next(each for each in shard.caches.known() if each.prefix == "/registry/cloud.example.com/flavors/")


async def test_a_restart_queues_copies_one_by_one_and_once(shard: Shard):
    provider = await shard.provider()
    for number in range(100):
        await shard.flavor(provider, f"f{number:02}")
    await shard.settled()
    await shard.stop()
    await shard.start()
    controller = shard.cache_side.replication.controller
    assert (controller.queue.measures.adds, len(controller.queue)) == (0, 100)
    await shard.settled()
    assert controller.counts.reconciled == 100


async def test_what_goes_with_a_cached_resource_is_queued_one_by_one(shard: Shard, monkeypatch: pytest.MonkeyPatch):
    provider = await shard.provider()
    for number in range(100):
        await shard.flavor(provider, f"f{number:02}")
    await shard.settled()
    replication = shard.cache_side.replication
    queue, counts = replication.controller.queue, replication.controller.counts
    queued: list[tuple[int, int]] = []
    follow, reconciled = replication._follow, counts.reconciled

    def counting(*args: Any) -> None:
        before = queue.measures.adds
        follow(*args)
        queued.append((queue.measures.adds - before, len(queue)))

    monkeypatch.setattr(replication, "_follow", counting)
    await shard.delete(provider, CACHED_RESOURCES, "flavors")
    await shard.settled()
    assert queued[0] == (0, 100)
    assert {adds for adds, _ in queued} == {0}
    assert not await shard.copies(provider)
    assert counts.reconciled - reconciled == 100, "each is decided on once"


async def test_what_a_cached_resource_says_anew_is_decided_on_once_for_each_object(shard: Shard):
    provider = await shard.provider()
    for number in range(100):
        await shard.flavor(provider, f"f{number:02}")
    await shard.settled()
    counts = shard.cache_side.replication.controller.counts
    reconciled, changes = counts.reconciled, counts.changes
    selector = {"matchExpressions": [{"key": "hidden", "operator": "DoesNotExist"}]}
    await shard.change(provider, CACHED_RESOURCES, "flavors", lambda obj: obj["spec"].update(labelSelector=selector))
    await shard.settled()
    assert (counts.reconciled - reconciled, counts.changes - changes) == (100, 0)


async def test_a_workspace_among_others_wakes_neither_endpoint_slices_nor_the_garbage_collector(shard: Shard):
    spared = [one for one in shard.controllers if one.name in {"api-export-endpoint-slice", "garbage"}]
    await shard.workspace("first")
    before = [(controller.name, controller.counts.reconciled) for controller in spared]
    await shard.workspace("one")
    await shard.delete("root", WORKSPACES, "one")
    await shard.settled()
    assert [(controller.name, controller.counts.reconciled) for controller in spared] == before
    assert len(before) == 2
