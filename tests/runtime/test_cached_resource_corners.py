"""Sentences of behaviour §3, §4 and §6 that need a whole shard, and that no longer story tells by the way."""

import base64
from typing import Any

import pytest
from shard_world import (
    CACHED_RESOURCES,
    CRDS,
    EXPORTS,
    FLAVORS,
    NAMESPACES,
    SCHEMAS,
    SECRETS,
    SLICES,
    Shard,
    crd_spec,
    schema_spec,
    virtual_entry,
)

CRD = "flavors.cloud.example.com"
SKIP = {"cachedresources.cache.kcp.io/skip-endpointslice": "true"}
SELECTORS: list[Any] = [
    {},
    {"matchLabels": {"tier": "gold"}},
    {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["gold"]}]},
    {"matchLabels": {"tier": "gold"}, "matchExpressions": [{"key": "old", "operator": "DoesNotExist"}]},
]


async def test_a_resource_that_comes_back_namespaced_loses_its_copies_and_gets_them_back(shard: Shard) -> None:
    cluster = await shard.provider()
    await shard.flavor(cluster, "small")
    await shard.settled()
    assert await shard.copies(cluster) == ["small"]
    for scope in ("Namespaced", "Cluster"):
        await shard.delete(cluster, CRDS, CRD)
        await shard.settled()
        await shard.create(cluster, CRDS, CRD, spec=crd_spec(scope=scope))
        await shard.settled()
        where = {"namespace": "default"} if scope == "Namespaced" else {}
        await shard.create(cluster, FLAVORS, "large", **where, spec={})
        await shard.settled()
        cached = scope == "Cluster"
        assert await shard.copies(cluster) == (["large"] if cached else [])
        assert shard.condition(cluster, "ResourceValid").get("reason") == (
            None if cached else "ResourceNotClusterScoped"
        )
        assert shard.status(cluster)["phase"] == ("Ready" if cached else "Initializing")


async def test_the_namespace_of_the_secret_is_made_and_the_key_has_256_bits(shard: Shard) -> None:
    cluster = await shard.workspace("work")
    assert shard.get(cluster, NAMESPACES, "kcp-system") is None
    await shard.cache_flavors(cluster)
    await shard.settled()
    assert shard.get(cluster, NAMESPACES, "kcp-system") is not None
    key = base64.b64decode(shard.need(cluster, SECRETS, "flavors", "kcp-system")["data"]["key"])
    assert len(bytes.fromhex(key.decode())) == 256 // 8


async def test_nothing_goes_from_the_cache_back_into_the_workspace(shard: Shard) -> None:
    cluster = await shard.provider()
    for name in ("changed", "deleted"):
        await shard.flavor(cluster, name)
    await shard.settled()
    before = await shard.objects(cluster, FLAVORS)
    [key] = [key for key in await shard.keys("", "/cache/") if key.endswith("/changed")]
    entry = shard.caches.of(key.removesuffix(f"{cluster}/changed")).get(cluster, "changed")
    assert entry is not None
    for name in ("changed", "forged"):
        copy = {**entry.object(), "spec": {"cpu": 99}}
        copy["metadata"] = {**copy["metadata"], "name": name}
        await shard.put_copy(key.removesuffix("changed") + name, copy)
    await shard.wipe(key.removesuffix("changed") + "deleted")
    await shard.settled()
    assert await shard.objects(cluster, FLAVORS) == before
    assert await shard.copies(cluster) == ["changed", "deleted"]


@pytest.mark.parametrize("selector", SELECTORS)
async def test_whatever_the_selector_deletion_purges_all_copies(shard: Shard, selector: Any) -> None:
    cluster = await shard.provider(labelSelector=selector)
    for name, labels in {"a": {"tier": "gold"}, "b": {"tier": "gold", "old": "yes"}, "c": {}}.items():
        await shard.flavor(cluster, name, **labels)
    await shard.settled()
    assert "a" in await shard.copies(cluster)
    await shard.delete(cluster, CACHED_RESOURCES, "flavors")
    await shard.settled()
    assert await shard.keys("", "/cache/") == []
    assert await shard.names(cluster, FLAVORS) == ["a", "b", "c"]


async def own_slice(shard: Shard) -> tuple[str, str]:
    """A provider who makes its slice ``mine`` itself and leaves the path out; and a consumer."""
    cluster, consumer = await shard.workspace("provider"), await shard.workspace("consumer")
    await shard.create(cluster, CRDS, CRD, spec=crd_spec())
    spec = {"group": "cloud.example.com", "version": "v1", "resource": "flavors"}
    await shard.create(cluster, CACHED_RESOURCES, "flavors", annotations=SKIP, spec=spec)
    await shard.create(cluster, SLICES, "mine", spec={"cachedResource": {"name": "flavors"}})
    await shard.create(cluster, SCHEMAS, f"v1.{CRD}", spec=schema_spec())
    await shard.settled()
    resource = virtual_entry(shard.status(cluster)["identityHash"], "mine")
    await shard.create(cluster, EXPORTS, "cloud", spec={"resources": [resource]})
    await shard.flavor(cluster, "small")
    await shard.bind(consumer, cluster)
    await shard.settled()
    return cluster, consumer


async def test_a_slice_without_a_path_refers_to_its_own_workspace(shard: Shard) -> None:
    cluster, consumer = await own_slice(shard)
    status = shard.need(cluster, SLICES, "mine")["status"]
    assert {c["type"]: c["status"] for c in status["conditions"]} == {"ResourceValid": "True", "PartitionValid": "True"}
    assert status["endpoints"] == [{"url": f"{shard.url}/services/replication/{cluster}/flavors"}]
    assert await shard.names(consumer, FLAVORS) == ["small"]
    assert shard.get(cluster, SLICES, "flavors") is None


async def test_a_bound_resource_is_served_whether_or_not_endpoints_are_published(shard: Shard) -> None:
    cluster, consumer = await own_slice(shard)
    for task in shard.tasks:  # nobody shall publish them again
        task.cancel()
    [key] = [key for key in await shard.keys("/cachedresourceendpointslices/") if key.endswith("/mine")]
    slice_ = shard.need(cluster, SLICES, "mine")
    slice_.pop("status")
    await shard.put_copy(key, slice_)
    await shard.caches.fresh()
    assert "status" not in shard.need(cluster, SLICES, "mine")
    assert await shard.names(consumer, FLAVORS) == ["small"]


async def test_a_workspace_is_not_served_what_it_exports_by_exporting_it(shard: Shard) -> None:
    cluster, consumer = await shard.workspace("exporter"), await shard.workspace("consumer")
    await shard.create(cluster, SCHEMAS, f"v1.{CRD}", spec=schema_spec())
    entry = {"group": "cloud.example.com", "name": "flavors", "schema": f"v1.{CRD}", "storage": {"crd": {}}}
    await shard.create(cluster, EXPORTS, "cloud", spec={"resources": [entry]})
    await shard.settled()
    await shard.bind(consumer, cluster)
    await shard.settled()
    assert await shard.names(consumer, FLAVORS) == []
    with pytest.raises(KeyError):
        shard.view(cluster, FLAVORS)
