"""What replication measures of itself, with every controller running."""

import pytest
from shard_world import CACHED_RESOURCES, FLAVORS, Shard

from kcpcache.runtime.replication_measures import ResourceMeasures


def measures(shard: Shard) -> ResourceMeasures:
    return shard.cache_side.replication.measures.resources[FLAVORS.group_resource]


@pytest.fixture
async def provider(shard: Shard) -> str:
    cluster = await shard.provider()
    await shard.flavor(cluster, "small")
    await shard.settled()
    return cluster


async def test_each_change_of_an_original_has_one_lag(shard: Shard, provider: str) -> None:
    await shard.change(provider, FLAVORS, "small", lambda obj: obj["spec"].update(cpu=2))
    await shard.settled()
    await shard.delete(provider, FLAVORS, "small")
    await shard.settled()
    found = measures(shard)
    assert found.writes == {"create": 1, "update": 1, "delete": 1}
    assert (found.committed.count, found.visible.count) == (3, 3)
    assert 0 <= found.committed.sum <= found.visible.sum
    assert (found.orphans_removed, found.repairs) == (0, 0)
    assert shard.cache_side.replication.measures.oldest(float("inf")) == {FLAVORS.group_resource: 0.0}


async def test_orphans_and_damage_in_the_cache_are_counted(shard: Shard, provider: str) -> None:
    [key] = [key for key in await shard.keys("", "/cache/root/cloud.example.com/") if key.endswith("/small")]
    copy = (await shard.store.get(key)).entry
    assert copy is not None
    await shard.store.create(key.replace("/small", "/left-behind"), copy.value.replace(b'"small"', b'"left-behind"'))
    await shard.settled()
    await shard.wipe(key)
    await shard.settled()
    assert await shard.copies(provider) == ["small"]
    found = measures(shard)
    assert (found.orphans_removed, found.repairs) == (1, 1)
    assert found.visible.count == 1


async def test_the_first_pass_another_selection_and_the_end_are_neither_lag_nor_repair(
    shard: Shard, provider: str
) -> None:
    await shard.change(
        provider, CACHED_RESOURCES, "flavors", lambda obj: obj["spec"].update(labelSelector={"matchLabels": {"a": "b"}})
    )
    await shard.settled()
    assert await shard.copies(provider) == []
    await shard.change(provider, CACHED_RESOURCES, "flavors", lambda obj: obj["spec"].pop("labelSelector"))
    await shard.settled()
    assert await shard.copies(provider) == ["small"]
    await shard.delete(provider, CACHED_RESOURCES, "flavors")
    await shard.settled()
    found = measures(shard)
    assert found.writes == {"create": 2, "update": 0, "delete": 2}
    assert (found.visible.count, found.orphans_removed, found.repairs) == (1, 0, 0)


async def test_usage_is_per_cached_resource(shard: Shard, provider: str) -> None:
    consumer = await shard.workspace("consumer")
    await shard.bind(consumer, provider)
    await shard.settled()
    [usage] = shard.cache_side.usage()
    assert usage == (FLAVORS.group_resource, 1, 1, 1)
