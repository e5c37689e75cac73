"""What a virtual resource shows may come from elsewhere one day: nobody keeps what was shown before (behaviour §5).

The provider has two CachedResources of flavors, one for each version, and points its APIExport at either of them.
"""

import orjson
import pytest
from export_world import EXPORT, FLAVORS_PATH, ExportWorld, accepted, claim, place, told
from registry_objects import projected_view, stored_copies
from shard_http import Http
from shard_world import (
    BINDINGS,
    CACHED_RESOURCES,
    CRDS,
    EXPORTS,
    FLAVORS,
    SCHEMAS,
    SECRETS,
    SLICES,
    Shard,
    crd_spec,
    schema_spec,
    virtual_entry,
)

from kcpcache.registry.view import ListOptions, Watch
from kcpcache.virtual.continuity import ContinuousView, Origin
from kcpcache.virtual.projection import ProjectedView

FLAVORS_OF = f"/clusters/{{}}/{FLAVORS_PATH}"
GOLD = {"matchLabels": {"tier": "gold"}}


async def provider(shard: Shard, export: str = "cloud") -> str:
    """Both versions are cached: of v1 everything, of v2 what is gold. The export points at v1's."""
    cluster = await shard.workspace("provider")
    await shard.create(cluster, CRDS, "flavors.cloud.example.com", spec=crd_spec(versions=("v1", "v2")))
    await shard.create(cluster, SCHEMAS, "v1.flavors.cloud.example.com", spec=schema_spec(("v1", "v2")))
    await shard.cache_flavors(cluster)
    await shard.cache_flavors(cluster, "gold", version="v2", labelSelector=GOLD)
    await shard.settled()
    await shard.export_flavors(cluster, export)
    await shard.flavor(cluster, "tin")
    await shard.flavor(cluster, "gold", tier="gold")
    await shard.settled()
    return cluster


async def point(shard: Shard, cluster: str, cached: str, export: str = "cloud") -> None:
    """Let the export show the objects of another CachedResource."""
    entry = virtual_entry(shard.status(cluster, cached)["identityHash"], cached)
    await shard.change(cluster, EXPORTS, export, lambda obj: obj["spec"].update(resources=[entry]))


async def consumer(shard: Shard, at: str, name: str = "consumer", export: str = "cloud") -> str:
    cluster = await shard.workspace(name)
    await shard.bind(cluster, at, export, export)
    await shard.settled()
    return cluster


async def listed(http: Http, path: str, query: str = "") -> tuple[list[str], str]:
    """The names in a list, and its resourceVersion."""
    found = await http.get(f"{path}{query}")
    return [item["metadata"]["name"] for item in found["items"]], found["metadata"]["resourceVersion"]


async def resumed(http: Http, path: str, at: str) -> list[tuple[str, str]] | int:
    """What a watch from ``at`` tells at once, or the code with which it is refused."""
    answer = await http.request("GET", f"{path}?watch=true&timeoutSeconds=1&resourceVersion={at}")
    if answer.status_code != 200:
        return answer.status_code
    events = [orjson.loads(line) for line in answer.content.splitlines()]
    return [(event["type"], place(event["object"])[1]) for event in events]


async def test_watches_of_a_consumer_end_when_the_export_shows_others_objects(shard: Shard, http: Http) -> None:
    at = await provider(shard)
    path = FLAVORS_OF.format(await consumer(shard, at))
    before, revision = await listed(http, path)
    assert before == ["gold", "tin"]
    watch = http.watch(path, seconds=500, resourceVersion=revision)
    await shard.settled(1)
    await shard.label(at, FLAVORS, "tin", new="yes")
    await shard.settled(1)
    assert not watch.done()
    await point(shard, at, "gold")
    await shard.settled(1)
    assert [(event["type"], place(event["object"])[1]) for event in watch.result()] == [("MODIFIED", "tin")]


async def test_whoever_resumes_from_before_that_lists_anew(shard: Shard, http: Http) -> None:
    at = await provider(shard)
    path = FLAVORS_OF.format(await consumer(shard, at))
    _, before = await listed(http, path)
    await point(shard, at, "gold")
    assert await resumed(http, path, before) == 410
    shown, after = await listed(http, path)
    assert shown == ["gold"]
    await shard.label(at, FLAVORS, "gold", tier="gold", new="yes")
    await shard.settled()
    assert await resumed(http, path, after) == [("MODIFIED", "gold")]
    await point(shard, at, "flavors")
    await shard.settled()
    assert await resumed(http, path, after) == 410
    # Then it came from where it comes from now.
    assert await resumed(http, path, before) == [("MODIFIED", "gold")]


async def test_a_watch_ends_at_once_if_the_objects_move_while_it_is_opened() -> None:
    async with stored_copies("a") as copies:
        shown = ["here"]

        class Slow(ProjectedView):
            async def watch(self, options: ListOptions) -> Watch:
                watch = await super().watch(options)
                shown.append("elsewhere")
                return watch

        async def then(_revision: int) -> str:
            return shown[0]

        inner = projected_view(copies, of=Slow)
        view = ContinuousView(inner, Origin(lambda: shown[-1], then, lambda _watch: None))
        watch = await view.watch(ListOptions(resource_version=str(copies.caches.revision)))
        with pytest.raises(StopAsyncIteration):
            await watch.next(0)


async def test_a_page_of_what_was_shown_before_is_410(shard: Shard, http: Http) -> None:
    at = await provider(shard)
    path = FLAVORS_OF.format(await consumer(shard, at))
    page = await http.get(f"{path}?limit=1")
    await point(shard, at, "gold")
    await shard.settled()
    assert (await http.refused("GET", f"{path}?limit=1&continue={page['metadata']['continue']}"))[0] == 410
    exact = f"resourceVersion={page['metadata']['resourceVersion']}&resourceVersionMatch=Exact"
    assert (await http.refused("GET", f"{path}?{exact}"))[0] == 410


async def test_a_watch_resumes_over_an_unbinding_and_a_new_binding_to_the_same_export(shard: Shard, http: Http) -> None:
    at = await provider(shard)
    cluster = await consumer(shard, at)
    path = FLAVORS_OF.format(cluster)
    _, before = await listed(http, path)
    await shard.delete(cluster, BINDINGS, "cloud")
    await shard.settled()
    await shard.delete(at, FLAVORS, "tin")
    await shard.bind(cluster, at)
    await shard.settled()
    assert await resumed(http, path, before) == [("DELETED", "tin")]


async def test_a_binding_to_another_export_is_another_thing(shard: Shard, http: Http) -> None:
    at = await provider(shard)
    await shard.export_flavors(at, "second", "flavors")
    await point(shard, at, "gold", "second")
    cluster = await consumer(shard, at)
    path = FLAVORS_OF.format(cluster)
    _, before = await listed(http, path)
    await shard.delete(cluster, BINDINGS, "cloud")
    await shard.settled()
    unbound = str(shard.caches.revision)
    await shard.bind(cluster, at, "second", "second")
    await shard.settled()
    for revision in (before, unbound):
        assert await resumed(http, path, revision) == 410
    assert (await listed(http, path))[0] == ["gold"]


async def test_an_objects_own_version_may_be_older_than_the_binding_that_shows_it(shard: Shard, http: Http) -> None:
    at = await provider(shard)
    path = FLAVORS_OF.format(await consumer(shard, at))
    items = (await http.request("GET", path)).json()["items"]
    for item in items:
        assert await resumed(http, path, item["metadata"]["resourceVersion"]) != 410
    oldest = min(int(item["metadata"]["resourceVersion"]) for item in items)
    assert await resumed(http, path, str(oldest - 1)) == 410


async def test_a_broken_reference_ends_watches_and_is_told_to_who_comes_back(shard: Shard, http: Http) -> None:
    at = await provider(shard)
    path = FLAVORS_OF.format(await consumer(shard, at))
    _, before = await listed(http, path)
    watch = http.watch(path, seconds=500)
    await shard.settled(1)
    await shard.delete(at, CACHED_RESOURCES, "flavors")
    await shard.settled(1)
    assert sorted(kind for kind, *_ in told(watch.result())) == ["ADDED", "ADDED", "DELETED", "DELETED"]
    assert (await http.refused("GET", f"{path}?watch=true&resourceVersion={before}"))[0] == 503


async def test_a_watch_goes_on_while_a_slice_is_deleted_and_made_again(shard: Shard, http: Http) -> None:
    at = await provider(shard)
    path = FLAVORS_OF.format(await consumer(shard, at))
    _, before = await listed(http, path)
    await shard.delete(at, SLICES, "flavors")
    await shard.settled()
    await shard.delete(at, FLAVORS, "tin")
    await shard.settled()
    assert await resumed(http, path, before) == [("DELETED", "tin")]


@pytest.mark.parametrize("cluster", ["*", "one"])
async def test_in_the_exports_virtual_workspace_it_is_the_same(shard: Shard, cluster: str) -> None:
    world = ExportWorld(shard)
    world.provider = await provider(shard, EXPORT)
    one = await world.consumer("one")
    path = world.url("*" if cluster == "*" else one, FLAVORS_PATH)
    _, before = await listed(world.http, path)
    page = await world.http.get(f"{path}?limit=1")
    watch = world.http.watch(path, seconds=500, resourceVersion=before)
    await shard.settled(1)
    await point(shard, world.provider, "gold", EXPORT)
    await shard.settled(1)
    assert watch.done()
    assert await resumed(world.http, path, before) == 410
    assert (await world.http.refused("GET", f"{path}?continue={page['metadata']['continue']}"))[0] == 410
    shown, after = await listed(world.http, path)
    assert shown == ["gold"]
    await shard.delete(world.provider, FLAVORS, "gold")
    await shard.settled()
    assert await resumed(world.http, path, after) == [("DELETED", "gold")]


async def test_what_a_masters_list_over_all_workspaces_shows_may_move_too(shard: Shard) -> None:
    world = ExportWorld(shard)
    world.provider = await provider(shard, EXPORT)
    await world.consumer("one")
    path = f"/clusters/*/{FLAVORS_PATH}:{world.identity}"
    _, before = await listed(world.http, path)
    await point(shard, world.provider, "gold", EXPORT)
    assert await resumed(world.http, path, before) == 410
    await shard.settled()
    assert (await listed(world.http, path))[0] == ["gold"]


async def test_another_selector_of_an_accepted_claim_shows_other_objects_in_a_workspace(shard: Shard) -> None:
    world, other = ExportWorld(shard), ExportWorld(shard)
    world.provider, other.provider = await provider(shard, EXPORT), await shard.workspace("watcher")
    more = {"group": "cloud.example.com", "identity": world.identity}
    await shard.create(other.provider, EXPORTS, EXPORT, spec={"permissionClaims": [claim("flavors", "*", **more)]})
    await shard.settled()
    one = await world.consumer("one")
    await other.bind(one, accepted("flavors", "*", selector=GOLD, **more), name="watched")
    await shard.settled()
    path = other.url(one, FLAVORS_PATH)
    shown, before = await listed(other.http, path)
    assert shown == ["gold"]
    tin = {"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}
    await shard.change(one, BINDINGS, "watched", lambda obj: obj["spec"].update(permissionClaims=[]))
    await shard.settled()
    claims = [accepted("flavors", "*", selector=tin, **more)]
    await shard.change(one, BINDINGS, "watched", lambda obj: obj["spec"].update(permissionClaims=claims))
    await shard.settled()
    assert await resumed(other.http, path, before) == 410
    shown, after = await listed(other.http, path)
    assert shown == ["tin"]
    await shard.delete(world.provider, FLAVORS, "tin")
    await shard.settled()
    assert await resumed(other.http, path, after) == [("DELETED", "tin")]


async def test_another_cached_resource_of_the_name_is_another_source(shard: Shard, http: Http) -> None:
    """In the Replication virtual workspace, whose URL does not say which of them it was."""
    at = await provider(shard)
    await consumer(shard, at)
    path = f"/services/replication/{at}/flavors/clusters/*/{FLAVORS_PATH}"
    _, before = await listed(http, path)
    await shard.delete(at, CACHED_RESOURCES, "flavors")
    await shard.delete(at, SECRETS, "flavors", namespace="kcp-system")
    await shard.settled()
    await shard.cache_flavors(at)
    await shard.settled()
    await point(shard, at, "flavors")
    await shard.settled()
    assert await resumed(http, path, before) == 410
