"""What multicluster-provider does with an APIExport: it watches APIBindings of the older version over ``*``."""

import asyncio

from export_world import EXPORT, ExportWorld
from shard_world import BINDINGS, EXPORT_SLICES, Shard

OLD = "apis/apis.kcp.io/v1alpha1/apibindings"


def is_ready(binding: dict) -> bool:
    return any((c["type"], c["status"]) == ("Ready", "True") for c in binding["status"].get("conditions", ()))


async def test_a_cluster_is_engaged_once_its_binding_is_ready_and_left_when_it_goes(shard: Shard) -> None:
    world = ExportWorld(shard)
    async with world.http.client:
        await world.begin()
        early = await world.consumer("early")
        [endpoint] = shard.need(world.provider, EXPORT_SLICES, EXPORT)["status"]["endpoints"]
        base = endpoint["url"].removeprefix(shard.url)
        assert base == f"/services/apiexport/{world.provider}/{EXPORT}"
        listed = await world.http.get(f"{base}/clusters/*/{OLD}")
        assert [(b["metadata"]["annotations"]["kcp.io/cluster"], is_ready(b)) for b in listed["items"]] == [
            (early, True)
        ]
        version = listed["metadata"]["resourceVersion"]
        watching = world.http.watch(f"{base}/clusters/*/{OLD}", seconds=500, resourceVersion=version)
        await asyncio.sleep(1)
        late = await world.consumer("late")
        await shard.delete(early, BINDINGS, EXPORT)
        await shard.settled()
        engaged = {early}
        for event in await watching:
            binding = event["object"]
            cluster = binding["metadata"]["annotations"]["kcp.io/cluster"]
            assert binding["apiVersion"] == "apis.kcp.io/v1alpha1"
            if event["type"] == "DELETED":
                engaged.discard(cluster)
            elif is_ready(binding):
                engaged.add(cluster)
                order = f"{base}/clusters/{cluster}/apis/shop.example.com/v1/orders"
                assert cluster == early or (await world.http.get(order))["items"] == []
        assert engaged == {late}
