"""PartitionSets, Partitions and the endpoint slices that refer to them, with all controllers running (behaviour §8)."""

from shard_world import EXPORT_SLICES, PARTITIONS, SHARDS, SLICES, G, Shard

PARTITION_SETS = G("topology.kcp.io", "v1alpha1", "partitionsets")


async def partitions(shard: Shard, cluster: str) -> dict[str, dict[str, str]]:
    found = await shard.objects(cluster, PARTITIONS)
    return {obj["metadata"]["name"]: obj["spec"]["selector"].get("matchLabels", {}) for obj in found}


async def test_a_set_makes_partitions_of_the_shards_labels_and_follows_them(shard: Shard) -> None:
    cluster = await shard.workspace("work")
    await shard.create(cluster, PARTITION_SETS, "regions", spec={"dimensions": ["region"]})
    await shard.settled()
    assert await partitions(shard, cluster) == {}
    for region in ("eu", "us"):
        labels = {"name": "root", "region": region}
        await shard.change("root", SHARDS, "root", lambda obj, labels=labels: obj["metadata"].update(labels=labels))
        await shard.settled()
        assert list((await partitions(shard, cluster)).values()) == [{"region": region}]
    found = shard.need(cluster, PARTITION_SETS, "regions")
    assert found["status"]["count"] == 1


async def test_what_is_done_to_a_sets_partitions_is_undone(shard: Shard) -> None:
    cluster = await shard.workspace("work")
    await shard.create(cluster, PARTITION_SETS, "names", spec={"dimensions": ["name"]})
    await shard.settled()
    before = await partitions(shard, cluster)
    (name,) = before
    await shard.change(cluster, PARTITIONS, name, lambda obj: obj["spec"].update(selector={"matchLabels": {"a": "b"}}))
    await shard.settled()
    assert await partitions(shard, cluster) == before
    await shard.delete(cluster, PARTITIONS, name)
    await shard.settled()
    assert await partitions(shard, cluster) == before


async def test_partitions_go_with_their_set(shard: Shard) -> None:
    cluster = await shard.workspace("work")
    await shard.create(cluster, PARTITION_SETS, "names", spec={"dimensions": ["name"]})
    await shard.create(cluster, PARTITIONS, "own", spec={"selector": {"matchLabels": {"name": "root"}}})
    await shard.settled()
    assert len(await partitions(shard, cluster)) == 2
    await shard.delete(cluster, PARTITION_SETS, "names")
    await shard.settled()
    assert list(await partitions(shard, cluster)) == ["own"]


async def test_slices_with_a_partition_list_its_shards_only(shard: Shard) -> None:
    provider, consumer = await shard.provider(), await shard.workspace("consumer")
    await shard.bind(consumer, provider)
    await shard.create(provider, PARTITION_SETS, "names", spec={"dimensions": ["name"]})
    await shard.create(provider, PARTITIONS, "elsewhere", spec={"selector": {"matchLabels": {"name": "mars"}}})
    await shard.settled()
    (here,) = {name for name in await partitions(shard, provider) if name != "elsewhere"}
    for partition, slices in ((here, 1), ("elsewhere", 0)):
        cached = {"cachedResource": {"name": "flavors"}, "partition": partition}
        exported = {"export": {"name": "cloud"}, "partition": partition}
        await shard.create(provider, SLICES, f"s-{partition}", spec=cached)
        await shard.create(provider, EXPORT_SLICES, f"s-{partition}", spec=exported)
        await shard.settled()
        for resource in (SLICES, EXPORT_SLICES):
            status = shard.need(provider, resource, f"s-{partition}")["status"]
            assert len(status.get("endpoints", ())) == slices, (resource, partition)
            assert status["shardSelector"] == f"name={'root' if slices else 'mars'}"
    await shard.delete(provider, PARTITION_SETS, "names")
    await shard.settled()
    status = shard.need(provider, SLICES, f"s-{here}")["status"]
    assert "endpoints" not in status
    reasons = {condition["type"]: condition.get("reason") for condition in status["conditions"]}
    assert reasons["PartitionValid"] == "PartitionInvalidReference"
