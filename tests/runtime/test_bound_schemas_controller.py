"""``system:bound-crds``: what nothing can need any more goes, and never what a binding needs."""

from shard_world import BINDINGS, EXPORTS, FLAVORS, SCHEMAS, Shard, schema_spec

BOUND = "system:bound-crds"
LEFT_BEHIND = "7c1d6e6a-0f4c-4a63-9d55-d2c5e8d3f1aa"
SCHEMA = "v1.flavors.cloud.example.com"
STORED = {"group": "cloud.example.com", "name": "flavors", "schema": SCHEMA, "storage": {"crd": {}}}


async def bound(shard: Shard) -> tuple[str, str, str]:
    """Provider and consumer of flavors, and the UID of their schema."""
    provider, consumer = await shard.workspace("provider"), await shard.workspace("consumer")
    made = await shard.create(provider, SCHEMAS, SCHEMA, spec=schema_spec())
    await shard.create(provider, EXPORTS, "cloud", spec={"resources": [STORED]})
    await shard.bind(consumer, provider)
    await shard.settled()
    return provider, consumer, made["metadata"]["uid"]


async def test_the_copy_of_a_removed_original_stays_as_long_as_it_is_bound_and_goes_with_the_last_binding(
    shard: Shard,
) -> None:
    provider, consumer, uid = await bound(shard)
    other = await shard.workspace("other")
    await shard.bind(other, provider)
    await shard.settled()
    await shard.delete(provider, EXPORTS, "cloud")
    await shard.delete(provider, SCHEMAS, SCHEMA)
    await shard.settled()
    await shard.flavor(consumer, "small")
    assert await shard.names(consumer, FLAVORS) == ["small"]
    await shard.delete(other, BINDINGS, "cloud")
    await shard.settled()
    assert shard.get(BOUND, SCHEMAS, uid) is not None
    await shard.delete(consumer, BINDINGS, "cloud")
    await shard.settled()
    assert shard.get(BOUND, SCHEMAS, uid) is None
    assert not await shard.keys("/flavors:")


async def test_after_a_restart_nothing_that_is_used_goes_and_the_rest_does(shard: Shard) -> None:
    _, consumer, uid = await bound(shard)
    of_nobody = {"apis.kcp.io/schema-cluster": "root", "apis.kcp.io/schema-name": SCHEMA}
    await shard.create(BOUND, SCHEMAS, LEFT_BEHIND, annotations=of_nobody, spec=schema_spec())
    await shard.restart()
    await shard.settled()
    assert shard.get(BOUND, SCHEMAS, uid) is not None
    assert shard.get(BOUND, SCHEMAS, LEFT_BEHIND) is None
    await shard.flavor(consumer, "small")
