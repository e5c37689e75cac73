"""What replication measures of itself, with every controller running."""

import pytest
from shard_world import BINDINGS, CACHED_RESOURCES, FLAVORS, Shard

from kcpcache.metrics.catalog import COPIES, LAG_SECONDS
from kcpcache.metrics.sources import of_replication
from kcpcache.runtime import replication_measures
from kcpcache.runtime.replication_measures import CachedResourceMeasures


def measures(shard: Shard, provider: str) -> CachedResourceMeasures:
    return shard.cache_side.replication.measures.named[provider, "flavors"]


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
    found = measures(shard, provider)
    assert found.writes == {"create": 1, "update": 1, "delete": 1}
    assert (found.committed.count, found.visible.count) == (3, 3)
    assert 0 <= found.committed.sum <= found.visible.sum
    assert (found.orphans_removed, found.repairs) == (0, 0)
    assert found.waiting.seconds(float("inf")) == 0.0


async def test_orphans_and_damage_in_the_cache_are_counted(shard: Shard, provider: str) -> None:
    [key] = [key for key in await shard.keys("", "/cache/root/cloud.example.com/") if key.endswith("/small")]
    copy = (await shard.store.get(key)).entry
    assert copy is not None
    await shard.store.create(key.replace("/small", "/left-behind"), copy.value.replace(b'"small"', b'"left-behind"'))
    await shard.settled()
    await shard.wipe(key)
    await shard.settled()
    assert await shard.copies(provider) == ["small"]
    found = measures(shard, provider)
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
    found = measures(shard, provider)
    await shard.delete(provider, CACHED_RESOURCES, "flavors")
    await shard.settled()
    assert found.writes == {"create": 2, "update": 0, "delete": 2}
    assert (found.visible.count, found.orphans_removed, found.repairs) == (1, 0, 0)
    assert shard.cache_side.replication.measures.named == {}


async def test_usage_is_per_cached_resource_and_over_all(shard: Shard, provider: str) -> None:
    consumer, other = await shard.workspace("consumer"), await shard.provider("other")
    await shard.bind(consumer, provider)
    await shard.flavor(other, "big")
    await shard.flavor(other, "huge")
    await shard.settled()
    side = shard.cache_side
    assert side.usage((provider, "flavors")) == (1, 1, 1)
    assert side.usage((other, "flavors")) == (2, 2, 0)
    assert side.usage_of_all() == (3, 3, 1)
    await shard.delete(consumer, BINDINGS, "cloud")
    await shard.delete(provider, FLAVORS, "small")
    await shard.delete(other, CACHED_RESOURCES, "flavors")
    await shard.settled()
    assert side.usage_of_all() == side.usage((provider, "flavors")) == (0, 0, 0)


async def test_a_scrape_names_the_oldest_and_sums_the_others_and_what_is_gone_has_no_series(
    shard: Shard, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replication_measures, "MOST_NAMED", 1)
    others = [await shard.provider(name) for name in ("second", "third")]
    for cluster in others:
        await shard.flavor(cluster, "big")
    await shard.settled()

    def copies() -> dict[str, float]:
        samples = list(of_replication(shard.cache_side, shard.clusters.path, 0.0))
        assert {sample.labels[0] for sample in samples} == {
            sample.labels[0] for sample in samples if sample.metric is LAG_SECONDS
        }
        return {sample.labels[0]: float(sample.value) for sample in samples if sample.metric is COPIES}

    assert copies() == {"root:provider:flavors": 1, "other": 2}
    await shard.delete(provider, CACHED_RESOURCES, "flavors")
    await shard.settled()
    assert copies() == {"root:second:flavors": 1, "other": 1}
    for cluster in others:
        await shard.delete(cluster, CACHED_RESOURCES, "flavors")
    await shard.settled()
    assert copies() == {"other": 0}, "what was counted of others before stays counted"


async def test_after_a_restart_the_figures_are_the_same_and_the_oldest_come_first(shard: Shard, provider: str) -> None:
    await shard.provider("other")
    await shard.settled()
    before = shard.cache_side.usage_of_all()
    named = list(shard.cache_side.replication.measures.named)
    await shard.restart()
    await shard.settled()
    assert shard.cache_side.usage_of_all() == before == (1, 1, 0)
    assert list(shard.cache_side.replication.measures.named) == named
