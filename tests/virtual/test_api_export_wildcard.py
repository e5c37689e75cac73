"""``/clusters/*`` and ``<resource>:<identityHash>`` (behaviour §2)."""

import asyncio
import gc

import pytest
from export_world import EXPORT, FLAVORS_PATH, MAPS_PATH, ORDERS_PATH, ExportWorld, orders_schema, place
from shard_world import CRDS, EXPORTS, FLAVORS, SCHEMAS, crd_spec

from kcpcache.api.paths import parse
from kcpcache.api.wildcard import Wildcard
from kcpcache.meta.names import GroupResource
from kcpcache.meta.objects import Object, copy
from kcpcache.registry.caches import CacheEvent
from kcpcache.registry.catalog import Resource
from kcpcache.registry.serving import Serving
from kcpcache.registry.view import ListOptions, View
from kcpcache.virtual.api_export_resources import ExportsByIdentity

METADATA = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"


async def metadata_of(world: ExportWorld, path: str) -> list[tuple[str, str]]:
    headers = {"x-user": "master", "accept": METADATA}
    response = await world.http.client.get(path, headers=headers)
    assert response.status_code == 200, response.text
    assert response.json()["kind"] == "PartialObjectMetadataList"
    return sorted(place(item) for item in response.json()["items"])


async def test_built_in_and_system_resources_are_seen_over_all_workspaces(world: ExportWorld) -> None:
    await world.begin()
    one = await world.consumer("one")
    await world.config_map(one, "a")
    assert (one, "a") in [place(item) for item in (await world.http.get(f"/clusters/*/{MAPS_PATH}"))["items"]]
    bindings = (await world.http.get("/clusters/*/apis/apis.kcp.io/v1alpha2/apibindings"))["items"]
    assert (one, EXPORT) in [place(item) for item in bindings]


async def test_only_masters_see_all_workspaces(world: ExportWorld) -> None:
    await world.begin()
    for path in (MAPS_PATH, f"{ORDERS_PATH}:{world.identity}"):
        assert (await world.http.refused("GET", f"/clusters/*/{path}", user="bob"))[0] == 403


async def test_a_bound_resource_needs_its_identity(world: ExportWorld) -> None:
    await world.begin()
    one, two = await world.consumer("one"), await world.consumer("two")
    for cluster in (one, two):
        await world.order(cluster, "a")
    assert (await world.http.refused("GET", f"/clusters/*/{ORDERS_PATH}"))[0] == 404
    assert (await world.http.refused("GET", f"/clusters/*/{ORDERS_PATH}:{'0' * 64}"))[0] == 404
    everywhere = await world.http.get(f"/clusters/*/{ORDERS_PATH}:{world.identity}")
    assert sorted(place(item) for item in everywhere["items"]) == sorted([(one, "a"), (two, "a")])
    here = await world.http.get(f"/clusters/{one}/{ORDERS_PATH}:{world.identity}")
    assert [place(item) for item in here["items"]] == [(one, "a")]
    assert (await world.http.refused("GET", f"/clusters/{one}/{ORDERS_PATH}:{'0' * 64}"))[0] == 404
    assert (await world.http.refused("GET", f"/clusters/{one}/{MAPS_PATH}:{world.identity}"))[0] == 404


async def test_a_resource_of_a_crd_is_seen_over_all_workspaces_by_its_metadata_only(world: ExportWorld) -> None:
    await world.begin(virtual=True)  # flavors are of a CRD in the provider's workspace
    await world.shard.flavor(world.provider, "small")
    await world.shard.settled()
    assert (await world.http.refused("GET", f"/clusters/*/{FLAVORS_PATH}"))[0] == 404
    assert (world.provider, "small") in await metadata_of(world, f"/clusters/*/{FLAVORS_PATH}")


async def test_an_identity_outlives_its_export_where_it_is_bound(world: ExportWorld) -> None:
    await world.begin()
    one, identity = await world.consumer("one"), world.identity
    await world.order(one, "a")
    await world.shard.delete(world.provider, EXPORTS, EXPORT)
    await world.shard.settled()
    found = await world.http.get(f"/clusters/*/{ORDERS_PATH}:{identity}")
    assert [place(item) for item in found["items"]] == [(one, "a")]


async def test_virtual_resources_are_seen_by_the_identity_of_their_export(world: ExportWorld) -> None:
    await world.begin(virtual=True)
    one = await world.consumer("one")
    await world.shard.flavor(world.provider, "small")
    await world.shard.settled()
    found = await world.http.get(f"/clusters/*/{FLAVORS_PATH}:{world.identity}")
    assert [place(item) for item in found["items"]] == [(one, "small")]


async def test_the_metadata_of_all_is_seen_whatever_their_identity(world: ExportWorld) -> None:
    await world.begin()
    one = await world.consumer("one")
    await world.order(one, "a")
    other = ExportWorld(world.shard)
    async with other.http.client:
        names, spec = "orders.shop.example.com", crd_spec("Namespaced")
        spec |= {"group": "shop.example.com"}
        spec["names"] = {"plural": "orders", "singular": "order", "kind": "Order", "listKind": "OrderList"}
        private = await world.shard.workspace("private")
        await world.shard.create(private, CRDS, names, spec=spec)
        await world.shard.settled()
        await world.order(private, "a")
    wanted = sorted([(one, "a"), (private, "a")])
    assert await metadata_of(world, f"/clusters/*/{ORDERS_PATH}") == wanted
    assert await metadata_of(world, f"/clusters/*/{ORDERS_PATH}?fieldSelector=metadata.name%3Db") == []
    assert (await world.http.refused("GET", f"/clusters/*/{ORDERS_PATH}"))[0] == 404
    assert (await world.http.refused("GET", "/clusters/*/apis/shop.example.com/v9/orders"))[0] == 404
    headers = {"x-user": "master", "accept": METADATA}
    found: list[tuple[str, str]] = []
    token = ""
    for _ in wanted:
        path = f"/clusters/*/{ORDERS_PATH}?limit=1&continue={token}"
        page: Object = (await world.http.client.get(path, headers=headers)).json()
        found += [place(item) for item in page["items"]]
        token = page["metadata"].get("continue", "")
    assert (sorted(found), token) == (wanted, "")


async def test_a_version_that_only_some_workspaces_serve_shows_the_metadata_of_all(world: ExportWorld) -> None:
    wanted = []
    for version in ("v1", "v2"):
        cluster = await world.shard.workspace(f"serves-{version}")
        await world.shard.create(cluster, CRDS, "flavors.cloud.example.com", spec=crd_spec(versions=(version,)))
        await world.shard.settled()
        await world.shard.create(cluster, FLAVORS._replace(version=version), "small")
        wanted.append((cluster, "small"))
    for version in ("v1", "v2"):
        path = f"/clusters/*/apis/cloud.example.com/{version}/flavors"
        assert await metadata_of(world, path) == sorted(wanted)


async def test_a_watch_of_metadata_hears_of_identities_that_come_later(world: ExportWorld) -> None:
    await world.begin()
    one = await world.consumer("one")
    await world.order(one, "a")
    version = (await world.http.get(f"/clusters/*/{MAPS_PATH}"))["metadata"]["resourceVersion"]
    path = f"/clusters/*/{ORDERS_PATH}?watch=1&timeoutSeconds=1000"
    headers = {"x-user": "master", "accept": "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"}

    async def later() -> None:
        later = ExportWorld(world.shard)
        async with later.http.client:
            await later.begin(name="second")
            two = await later.consumer("two")
            await later.order(two, "b")

    watch = asyncio.create_task(world.http.client.get(path, headers=headers))
    resumed = asyncio.create_task(world.http.client.get(f"{path}&resourceVersion={version}", headers=headers))
    await world.shard.settled(1)
    await later()
    lines = [response.text.splitlines() for response in (await watch, await resumed)]
    assert [len(found) for found in lines] == [2, 1]
    assert '"name":"b"' in lines[0][1]
    assert '"kind":"PartialObjectMetadata"' in lines[1][0]


async def test_a_schema_that_an_export_moves_on_to_is_seen_over_all_workspaces_and_ends_watches(
    world: ExportWorld,
) -> None:
    await world.begin()
    one = await world.consumer("one")
    await world.order(one, "a")
    everywhere = [f"/clusters/*/{ORDERS_PATH}:{world.identity}", world.url()]
    watches = [world.http.watch(path, seconds=3600) for path in everywhere]
    await asyncio.sleep(1)
    later = orders_schema("v1")
    later["versions"][0]["schema"]["properties"]["spec"]["properties"] = {"size": {"type": "string", "default": "m"}}
    await world.shard.create(world.provider, SCHEMAS, "v2.orders.shop.example.com", spec=later)
    await asyncio.sleep(1)
    assert not any(watch.done() for watch in watches)
    await world.shard.change(
        world.provider,
        EXPORTS,
        EXPORT,
        lambda obj: obj["spec"]["resources"][0].update(schema="v2.orders.shop.example.com"),
    )
    await world.shard.settled()
    for path, watch in zip(everywhere, watches, strict=True):
        (event,) = await asyncio.wait_for(watch, 1)
        assert event["object"]["spec"] == {"item": "tea"}
        assert [item["spec"] for item in (await world.http.get(path))["items"]] == [{"size": "m"}]
        (event,) = await world.http.watch(path, seconds=1)
        assert event["object"]["spec"] == {"size": "m"}


async def moved_on(world: ExportWorld, resource: str) -> None:
    """The export comes to another schema of the resource."""
    name = f"v2.{resource}"
    later = copy(world.shard.need(world.provider, SCHEMAS, f"v1.{resource}")["spec"])
    fields = {"spec": {"type": "object", "properties": {"size": {"type": "string", "default": "m"}}}}
    later["versions"][0]["schema"] = {"type": "object", "properties": fields}
    await world.shard.create(world.provider, SCHEMAS, name, spec=later)

    def change(export: Object) -> None:
        for entry in export["spec"]["resources"]:
            if entry["schema"] == f"v1.{resource}":
                entry["schema"] = name

    await world.shard.change(world.provider, EXPORTS, EXPORT, change)
    await world.shard.settled()


def everywhere(world: ExportWorld, path: str = ORDERS_PATH) -> tuple[Wildcard, View]:
    """All of a resource, for one request."""
    services = world.http.client._transport.app.kubernetes.services  # type: ignore[attr-defined]
    wildcard: Wildcard = services.view.__self__
    info = parse(f"/clusters/*/{path}:{world.identity}".encode(), b"watch=1", "GET")
    found = wildcard.find("*", info, False)
    assert found is not None
    return wildcard, wildcard.view("*", *found)


SCHEMA_OF = {ORDERS_PATH: "orders.shop.example.com", FLAVORS_PATH: "flavors.cloud.example.com"}


@pytest.mark.parametrize("path", [ORDERS_PATH, FLAVORS_PATH])
async def test_a_watch_ends_at_once_if_the_schema_moves_on_while_it_is_opened(world: ExportWorld, path: str) -> None:
    await world.begin(virtual=True)
    await world.consumer("one")
    _, view = everywhere(world, path)
    await moved_on(world, SCHEMA_OF[path])
    watch = await view.watch(ListOptions(resource_version=str(world.shard.caches.revision)))
    with pytest.raises(StopAsyncIteration):
        await watch.next(0)


@pytest.mark.parametrize("path", [ORDERS_PATH, FLAVORS_PATH])
async def test_a_watch_ends_when_the_schema_moves_on(world: ExportWorld, path: str) -> None:
    await world.begin(virtual=True)
    await world.consumer("one")
    _, view = everywhere(world, path)
    watch = await view.watch(ListOptions(resource_version=str(world.shard.caches.revision)))
    assert await watch.next(0) == []
    await moved_on(world, SCHEMA_OF[path])
    with pytest.raises(StopAsyncIteration):
        await watch.next(0)


async def test_however_many_watch_an_export_is_asked_for_its_schema_once(
    world: ExportWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.begin()
    await world.consumer("one")
    wildcard, view = everywhere(world)
    watches = [await view.watch(ListOptions()) for _ in range(5)]
    asked: list[str] = []
    resource = ExportsByIdentity.resource

    def asking(identities: ExportsByIdentity, serving: Serving, identity: str, key: GroupResource) -> Resource | None:
        asked.append(identity)
        return resource(identities, serving, identity, key)

    monkeypatch.setattr(ExportsByIdentity, "resource", asking)
    event: CacheEvent = CacheEvent(1, world.provider, None, None)
    wildcard._end_watches(event)
    assert asked == [world.identity]
    for watch in watches:
        watch.close()
    del watches, watch
    gc.collect()
    asked.clear()
    for _ in range(2):
        wildcard._end_watches(event)
    assert asked == []
