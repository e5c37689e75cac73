"""The APIExport virtual workspace, over HTTP (behaviour §7)."""

from collections.abc import AsyncIterator

import pytest
from export_world import (
    BINDINGS_PATH,
    EXPORT,
    FLAVORS_PATH,
    MAPS_PATH,
    PUBLIC,
    ExportWorld,
    accepted,
    claim,
    place,
    told,
)
from shard_http import rule
from shard_world import BINDINGS, CONFIG_MAPS, EXPORTS, FLAVORS, SCHEMAS, Shard

from kcpcache.meta.objects import Object

MINE = "apis/shop.example.com/v1/namespaces/default/orders"
MAPS = "api/v1/namespaces/default/configmaps"


@pytest.fixture
async def world(shard: Shard) -> AsyncIterator[ExportWorld]:
    found = ExportWorld(shard)
    async with found.http.client:
        yield found


# -- who may


async def test_content_in_the_providers_workspace_is_needed_and_counts_at_once(world: ExportWorld) -> None:
    await world.begin()
    one = await world.consumer("one")
    await world.order(one, "a")
    for path in (
        world.url(),
        world.url(one),
        world.url(one, MINE) + "/a",
        world.url("*", "apis"),
        world.url(one, "api"),
    ):
        code, message = await world.http.refused("GET", path, user="bob")
        assert (code, "apiexports/content" in message) == (403, True)
    await world.allow("bob", "list", "get")
    assert [place(item) for item in (await world.http.get(world.url(), user="bob"))["items"]] == [(one, "a")]
    assert (await world.http.get(world.url(one, MINE) + "/a", user="bob"))["metadata"]["name"] == "a"
    assert (await world.http.refused("DELETE", world.url(one, MINE) + "/a", user="bob"))[0] == 403
    assert (await world.http.refused("GET", f"/clusters/{one}/{MINE}/a", user="bob"))[0] == 403


async def test_what_does_not_exist_is_told_to_masters_only(world: ExportWorld) -> None:
    await world.begin()
    for path in (world.url().replace(f"/{EXPORT}/", "/other/"), world.url().replace(world.provider, "nowhere")):
        assert (await world.http.refused("GET", path))[0] == 404
        assert (await world.http.refused("GET", path, user="bob"))[0] == 403


async def test_only_workspaces_that_are_bound_are_seen(world: ExportWorld) -> None:
    await world.begin()
    one, two = await world.consumer("one"), await world.consumer("two")
    stranger = await world.shard.workspace("stranger")
    await world.order(one, "a")
    await world.order(two, "b")
    assert sorted(await world.seen()) == sorted([(one, "a"), (two, "b")])
    assert await world.seen(one) == [(one, "a")]
    assert await world.seen("root:one") == [(one, "a")]
    for cluster in (stranger, world.provider, "nowhere", "root:nowhere"):
        code, message = await world.http.refused("GET", world.url(cluster))
        assert (code, "has no APIBinding" in message) == (403, True)


# -- what is served


async def names(world: ExportWorld, cluster: str, group_version: str) -> dict[str, set[str]]:
    listed = await world.http.get(world.url(cluster, group_version))
    return {resource["name"]: set(resource["verbs"]) for resource in listed["resources"]}


async def test_discovery_and_openapi_are_of_exactly_what_is_served(world: ExportWorld) -> None:
    await world.begin(claim("configmaps", "get", "list"), claim("secrets", "*"), virtual=True)
    one = await world.consumer("one", accepted("configmaps", "*"))
    groups = await world.http.get(world.url(one, "apis"))
    served = {group["name"] for group in groups["groups"]}
    assert served == {"apis.kcp.io", "cloud.example.com", "shop.example.com"}
    assert await names(world, one, "api/v1") == {"configmaps": {"get", "list"}}
    assert await names(world, one, "apis/cloud.example.com/v1") == {"flavors": {"get", "list", "watch"}}
    orders = await names(world, one, "apis/shop.example.com/v1")
    assert set(orders) == {"orders", "orders/status"}
    assert "create" in orders["orders"]
    for version in ("v1alpha1", "v1alpha2"):
        found = await names(world, one, f"apis/apis.kcp.io/{version}")
        assert found["apibindings"] == {"get", "list", "watch"}
    everywhere = await names(world, "*", "api/v1")
    assert everywhere == {"configmaps": {"list"}, "secrets": {"list", "watch"}}
    assert await names(world, "*", "apis/shop.example.com/v1") == {"orders": {"list", "watch"}}
    for cluster in ("*", one):
        paths = (await world.http.get(world.url(cluster, "openapi/v3")))["paths"]
        assert set(paths) == {
            "api/v1",
            "apis/apis.kcp.io/v1alpha1",
            "apis/apis.kcp.io/v1alpha2",
            "apis/cloud.example.com/v1",
            "apis/shop.example.com/v1",
        }
        document = await world.http.get(world.url(cluster, "openapi/v3/api/v1"))
        assert not [path for path in document["paths"] if "pods" in path]


async def test_all_served_versions_of_the_current_schema_are_there(world: ExportWorld) -> None:
    await world.begin(versions=("v1", "v2"))
    one = await world.consumer("one")
    await world.order(one, "a")
    for cluster in ("*", one):
        listed = await world.http.get(world.url(cluster, "apis/shop.example.com/v2/orders"))
        assert (listed["apiVersion"], listed["items"][0]["apiVersion"]) == ("shop.example.com/v2",) * 2


async def test_a_resource_that_is_exported_no_more_is_gone_and_its_watches_end(world: ExportWorld) -> None:
    await world.begin()
    one = await world.consumer("one")
    await world.order(one, "a")
    watches = [world.http.watch(world.url(cluster), seconds=500) for cluster in ("*", one)]
    await world.shard.settled(1)
    await world.shard.change(world.provider, EXPORTS, EXPORT, lambda obj: obj["spec"].update(resources=[]))
    await world.shard.settled(1)
    assert all(watch.done() for watch in watches)
    assert (await world.http.refused("GET", world.url()))[0] == 404
    assert (await world.http.refused("GET", world.url(one)))[0] == 404
    assert await world.http.get(f"/clusters/{one}/{MINE}/a")


async def test_without_its_schema_a_resource_is_not_served(world: ExportWorld) -> None:
    await world.begin()
    await world.shard.delete(world.provider, SCHEMAS, "v1.orders.shop.example.com")
    assert (await world.http.refused("GET", world.url()))[0] == 404


# -- APIBindings


async def test_the_apibindings_to_the_export_are_always_seen_and_never_written(world: ExportWorld) -> None:
    await world.begin()
    one, two = await world.consumer("one"), await world.consumer("two")
    for cluster, wanted in (("*", sorted([(one, EXPORT), (two, EXPORT)])), (one, [(one, EXPORT)])):
        assert sorted(await world.seen(cluster, BINDINGS_PATH)) == wanted
    old = await world.http.get(world.url("*", BINDINGS_PATH.replace("v1alpha2", "v1alpha1")))
    assert {item["apiVersion"] for item in old["items"]} == {"apis.kcp.io/v1alpha1"}
    assert (await world.http.get(world.url(one, f"{BINDINGS_PATH}/{EXPORT}")))["metadata"]["name"] == EXPORT
    assert (await world.http.refused("GET", world.url(one, f"{BINDINGS_PATH}/tenancy.kcp.io")))[0] == 404
    for method, rest in (("DELETE", f"/{EXPORT}"), ("PATCH", f"/{EXPORT}"), ("DELETE", "")):
        assert (await world.http.refused(method, world.url(one, BINDINGS_PATH) + rest, {}))[0] in {403, 405}
    assert (await world.http.refused("POST", world.url(one, BINDINGS_PATH), {"metadata": {"name": "x"}}))[0] in {
        403,
        405,
    }


async def test_a_watch_of_apibindings_hears_of_consumers_that_come_and_go(world: ExportWorld) -> None:
    await world.begin()
    listed = await world.http.get(world.url("*", BINDINGS_PATH))
    version = listed["metadata"]["resourceVersion"]
    watch = world.http.watch(world.url("*", BINDINGS_PATH), seconds=1000, resourceVersion=version)
    one = await world.consumer("one")
    await world.shard.delete(one, BINDINGS, EXPORT)
    await world.shard.settled()
    seen = told(await watch)
    assert seen[0] == ("ADDED", one, EXPORT)
    assert seen[-1] == ("DELETED", one, EXPORT)
    assert {name for _, _, name in seen} == {EXPORT}


async def test_a_claim_on_apibindings_shows_the_others_too(world: ExportWorld) -> None:
    await world.begin(claim("apibindings", "get", "list", group="apis.kcp.io"))
    one = await world.consumer("one", accepted("apibindings", "*", group="apis.kcp.io"))
    two = await world.consumer("two")
    found = sorted(await world.seen("*", BINDINGS_PATH))
    assert [name for cluster, name in found if cluster == two] == [EXPORT]
    others = [name for cluster, name in found if cluster == one and name != EXPORT]
    assert any(name.startswith("tenancy.kcp.io") for name in others)
    other = f"{BINDINGS_PATH}/{others[0]}"
    assert (await world.http.get(world.url(one, other)))["metadata"]["name"] == others[0]
    assert (await world.http.refused("DELETE", world.url(one, other)))[0] == 403
    assert (await world.http.refused("GET", world.url(two, other)))[0] == 404


# -- a consumer's objects


async def test_the_provider_works_on_a_consumers_objects(world: ExportWorld) -> None:
    await world.begin()
    one = await world.consumer("one")
    await world.allow("bob", "*")
    orders = world.url(one, MINE)
    made = await world.http.request("POST", orders, {"metadata": {"name": "a"}, "spec": {"item": "tea"}}, user="bob")
    assert made.status_code == 201, made.text
    assert made.json()["metadata"]["annotations"]["kcp.io/cluster"] == one
    written = await world.http.request("PATCH", orders + "/a/status", {"status": {"phase": "Sent"}}, user="bob")
    assert written.json()["status"] == {"phase": "Sent"}
    written = await world.http.request("PUT", orders + "/a", {**written.json(), "spec": {"item": "milk"}}, user="bob")
    assert written.json()["spec"] == {"item": "milk"}
    assert (await world.http.get(f"/clusters/{one}/{MINE}/a"))["status"] == {"phase": "Sent"}
    assert (await world.http.refused("POST", orders, {"metadata": {"name": "A"}}, user="bob"))[0] == 422
    assert (await world.http.refused("POST", orders, {"metadata": {"name": "a"}}, user="bob"))[0] == 409
    elsewhere = orders.replace("/default/", "/missing/")
    assert (await world.http.refused("POST", elsewhere, {"metadata": {"name": "a"}}, user="bob"))[0] == 404
    assert (await world.http.request("DELETE", orders + "/a", user="bob")).status_code == 200
    await world.order(one, "b")
    assert (await world.http.request("DELETE", orders, user="bob")).status_code == 200
    assert await world.seen() == []


async def test_over_all_consumers_there_is_only_list_and_watch(world: ExportWorld) -> None:
    await world.begin()
    one = await world.consumer("one")
    await world.order(one, "a")
    for method, rest in (("GET", "/a"), ("DELETE", "/a"), ("PUT", "/a"), ("PATCH", "/a"), ("DELETE", ""), ("POST", "")):
        body = None if method in {"GET", "DELETE"} else {"metadata": {"name": "a"}}
        code, message = await world.http.refused(method, world.url("*", MINE) + rest, body)
        assert (code, "list and watch" in message) == (405, True)


async def test_while_its_apibinding_is_being_deleted_a_workspace_is_still_seen_for_finalizers(
    world: ExportWorld,
) -> None:
    await world.begin()
    one = await world.consumer("one")
    await world.order(one, "a", finalizers=["shop.example.com/hold"])
    await world.shard.delete(one, BINDINGS, EXPORT)
    await world.shard.settled()
    assert await world.seen() == [(one, "a")]
    code, _ = await world.http.refused("POST", world.url(one, MINE), {"metadata": {"name": "b"}})
    assert code == 405
    freed = await world.http.request("PATCH", world.url(one, MINE) + "/a", {"metadata": {"finalizers": None}})
    assert freed.status_code == 200
    await world.shard.settled()
    assert await world.seen() == []
    assert (await world.http.refused("GET", world.url(one)))[0] == 403


# -- virtual resources


async def test_virtual_resources_are_seen_once_per_consumer_and_read_only(world: ExportWorld) -> None:
    await world.begin(virtual=True)
    one, two = await world.consumer("one"), await world.consumer("two")
    await world.shard.bind(two, world.provider, name="cloud-too")
    await world.shard.flavor(world.provider, "small")
    await world.shard.settled()
    wanted = sorted([(one, "small"), (two, "small")])
    assert await world.seen("*", FLAVORS_PATH) == wanted
    assert await world.seen(one, FLAVORS_PATH) == [(one, "small")]
    for cluster in ("*", one):
        code, _ = await world.http.refused("DELETE", world.url(cluster, FLAVORS_PATH) + "/small")
        assert code == 405
    watch = world.http.watch(world.url("*", FLAVORS_PATH), seconds=1000)
    await world.shard.settled(1)
    three = await world.consumer("three")
    await world.shard.delete(one, BINDINGS, EXPORT)
    await world.shard.settled()
    seen = told(await watch)
    assert sorted(seen[:2]) == [("ADDED", *where) for where in wanted]
    assert seen[2:] == [("ADDED", three, "small"), ("DELETED", one, "small")]


# -- claims


async def test_a_claim_opens_what_the_consumer_accepted_and_its_selector_selects(world: ExportWorld) -> None:
    await world.begin(claim("configmaps", "*"))
    one = await world.consumer("one", accepted("configmaps", "*", selector=PUBLIC))
    two = await world.consumer("two", accepted("configmaps", "*"))
    three = await world.consumer("three")
    expression = {"matchExpressions": [{"key": "shop", "operator": "NotIn", "values": ["yes"]}]}
    four = await world.consumer("four", accepted("configmaps", "*", selector=expression))
    for cluster in (one, two, three, four):
        await world.config_map(cluster, "seen", shop="yes")
        await world.config_map(cluster, "other")
    wanted = [(one, "seen"), (two, "other"), (two, "seen"), (four, "other")]
    own = {"kube-root-ca.crt"}
    assert sorted(p for p in await world.seen("*", MAPS_PATH) if p[1] not in own) == sorted(wanted)
    for cluster in (one, two, four):
        found = [p for p in await world.seen(cluster, MAPS_PATH) if p[1] not in own]
        assert found == [p for p in wanted if p[0] == cluster]
    assert (await world.http.refused("GET", world.url(three, MAPS_PATH)))[0] == 403
    assert (await world.http.refused("GET", world.url(one, MAPS) + "/other"))[0] == 404
    assert (await world.http.get(world.url(one, MAPS) + "/seen"))["metadata"]["name"] == "seen"


async def test_verbs_are_those_that_both_sides_name(world: ExportWorld) -> None:
    await world.begin(claim("configmaps", "get", "list", "create"), claim("secrets", "*"))
    one = await world.consumer("one", accepted("configmaps", "*"), accepted("secrets", "get"))
    await world.config_map(one, "a")
    assert (one, "a") in await world.seen(one, MAPS_PATH)
    assert (await world.http.request("POST", world.url(one, MAPS), {"metadata": {"name": "b"}})).status_code == 201
    for path in (world.url(one, MAPS) + "/a", world.url(one, MAPS)):
        assert (await world.http.refused("DELETE", path))[0] == 403
    secrets = world.url(one, "api/v1/namespaces/default/secrets")
    assert (await world.http.refused("GET", secrets))[0] == 403
    assert (await world.http.refused("GET", secrets + "/missing"))[0] == 404
    assert await world.seen("*", "api/v1/secrets") == []
    assert (await world.http.refused("GET", world.url("*", MAPS_PATH) + "?watch=1"))[0] == 405


async def test_what_is_created_through_a_claim_gets_its_labels_and_must_be_selected(world: ExportWorld) -> None:
    await world.begin(claim("configmaps", "*"))
    one = await world.consumer("one", accepted("configmaps", "*", selector=PUBLIC))
    expression = {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["gold"]}]}
    two = await world.consumer("two", accepted("configmaps", "*", selector=expression))
    made = await world.http.request("POST", world.url(one, MAPS), {"metadata": {"name": "a", "labels": {"x": "y"}}})
    assert made.json()["metadata"]["labels"] == {"x": "y", "shop": "yes"}
    code, message = await world.http.refused("POST", world.url(two, MAPS), {"metadata": {"name": "a"}})
    assert (code, "labels" in message) == (403, True)
    gold = {"metadata": {"name": "a", "labels": {"tier": "gold"}}}
    assert (await world.http.request("POST", world.url(two, MAPS), gold)).status_code == 201
    patch: Object = {"metadata": {"labels": {"tier": "tin"}}}
    assert (await world.http.refused("PATCH", world.url(two, MAPS) + "/a", patch))[0] == 403


async def test_what_a_claim_does_not_select_cannot_be_touched_nor_noticed(world: ExportWorld) -> None:
    await world.begin(claim("configmaps", "*"))
    one = await world.consumer("one", accepted("configmaps", "*", selector=PUBLIC))
    await world.config_map(one, "hidden")
    await world.config_map(one, "seen", shop="yes")
    hidden = world.url(one, MAPS) + "/hidden"
    labels: Object = {"metadata": {"labels": {"shop": "yes"}}}
    assert (await world.http.refused("PATCH", hidden, labels))[0] == 404
    whole: Object = {"metadata": {"name": "hidden", "resourceVersion": "1", "labels": {"shop": "yes"}}}
    assert (await world.http.refused("PUT", hidden, whole))[0] == 404
    assert (await world.http.refused("DELETE", hidden, {"preconditions": {"uid": "another"}}))[0] == 404
    deleted = await world.http.request("DELETE", world.url(one, MAPS))
    assert [item["metadata"]["name"] for item in deleted.json()["items"]] == ["seen"]
    left = await world.shard.names(one, CONFIG_MAPS)
    assert "hidden" in left
    assert "seen" not in left


async def test_a_claim_on_another_exports_resource_goes_by_its_identity(world: ExportWorld) -> None:
    await world.begin()
    owner, identity = world.provider, world.identity
    other = ExportWorld(world.shard)
    async with other.http.client:
        other.provider = await world.shard.workspace("watcher")
        orders = claim("orders", "*", group="shop.example.com", identity=identity)
        await world.shard.create(other.provider, EXPORTS, EXPORT, spec={"permissionClaims": [orders]})
        await world.shard.settled()
        one = await world.consumer("one")
        two = await world.consumer("two")
        agreed = accepted("orders", "*", group="shop.example.com", identity=identity)
        await other.bind(one, agreed, name="watched")
        await world.shard.settled()
        await world.order(one, "a")
        await world.order(two, "b")
        assert await other.seen() == [(one, "a")]
        assert await other.seen(one) == [(one, "a")]
        assert owner != other.provider
        wrong = f"{other.url()}:{'0' * 64}"
        assert (await other.http.refused("GET", wrong))[0] == 404
        assert len((await other.http.get(f"{other.url()}:{identity}"))["items"]) == 1


async def test_a_claim_gives_no_more_than_the_claimed_exports_policy_allows(world: ExportWorld) -> None:
    await world.begin()
    policy = {"local": {}}
    await world.shard.change(
        world.provider, EXPORTS, EXPORT, lambda obj: obj["spec"].update(maximalPermissionPolicy=policy)
    )
    other = ExportWorld(world.shard)
    async with other.http.client:
        other.provider = await world.shard.workspace("watcher")
        orders = claim("orders", "*", group="shop.example.com", identity=world.identity)
        await world.shard.create(other.provider, EXPORTS, EXPORT, spec={"permissionClaims": [orders]})
        await other.allow("bob", "*")
        await world.shard.settled()
        one = await world.consumer("one")
        await other.bind(
            one, accepted("orders", "*", group="shop.example.com", identity=world.identity), name="watched"
        )
        await world.shard.settled()
        await world.order(one, "a")
        for cluster in ("*", one):
            code, message = await other.http.refused("GET", other.url(cluster), user="bob")
            assert (code, "maximal permission policy" in message) == (403, True)
        rules = [rule("shop.example.com", "orders", "get", "list")]
        await world.http.grant(world.provider, "apis.kcp.io:binding:bob", rules, "limit")
        for cluster in ("*", one):
            assert len((await other.http.get(other.url(cluster), user="bob"))["items"]) == 1
        assert (await other.http.refused("DELETE", other.url(one, MINE) + "/a", user="bob"))[0] == 403


async def test_a_claim_on_virtual_resources_is_read_only_in_each_workspace(world: ExportWorld) -> None:
    await world.begin(virtual=True)
    await world.shard.flavor(world.provider, "small", shop="yes")
    await world.shard.flavor(world.provider, "large")
    other = ExportWorld(world.shard)
    async with other.http.client:
        other.provider = await world.shard.workspace("watcher")
        group, identity = "cloud.example.com", world.identity
        flavors = claim("flavors", "*", group=group, identity=identity)
        await world.shard.create(other.provider, EXPORTS, EXPORT, spec={"permissionClaims": [flavors]})
        await world.shard.settled()
        one = await world.consumer("one")
        agreed = accepted("flavors", "*", group=group, identity=identity, selector=PUBLIC)
        await other.bind(one, agreed, name="watched")
        await world.shard.settled()
        assert await other.seen(one, FLAVORS_PATH) == [(one, "small")]
        assert (await other.http.refused("GET", other.url(one, FLAVORS_PATH) + "/large"))[0] == 404
        assert (await other.http.refused("DELETE", other.url(one, FLAVORS_PATH) + "/small"))[0] == 405
        watch = other.http.watch(other.url(one, FLAVORS_PATH), seconds=1000)
        await world.shard.settled(1)
        await world.shard.change(one, BINDINGS, "watched", lambda obj: obj["spec"].update(permissionClaims=[]))
        await world.shard.settled(1)
        assert told(await watch) == [("ADDED", one, "small")]
        assert (await other.http.refused("GET", other.url(one, FLAVORS_PATH)))[0] == 403


async def test_a_claim_on_virtual_resources_shows_them_once_for_each_workspace_that_accepts_it(
    world: ExportWorld,
) -> None:
    await world.begin(virtual=True)
    for name, labels in (("large", {}), ("small", {"shop": "yes"}), ("tiny", {"shop": "yes"})):
        await world.shard.flavor(world.provider, name, **labels)
    other = ExportWorld(world.shard)
    async with other.http.client:
        other.provider = await world.shard.workspace("watcher")
        more = {"group": "cloud.example.com", "identity": world.identity}
        await world.shard.create(
            other.provider, EXPORTS, EXPORT, spec={"permissionClaims": [claim("flavors", "*", **more)]}
        )
        await world.shard.settled()
        one, two = sorted([await world.consumer("one"), await world.consumer("two")])
        await other.bind(one, accepted("flavors", "*", selector=PUBLIC, **more), name="watched")
        unbound = await world.shard.workspace("unbound")
        await other.bind(unbound, accepted("flavors", "*", **more), name="watched")
        await world.shard.settled()
        mine = [(one, "small"), (one, "tiny")]
        assert await other.seen("*", FLAVORS_PATH) == mine
        before = (await other.http.get(other.url("*", FLAVORS_PATH)))["metadata"]["resourceVersion"]
        page = await other.http.get(other.url("*", FLAVORS_PATH) + "?limit=1")
        watch = other.http.watch(other.url("*", FLAVORS_PATH), seconds=2000)
        await world.shard.settled(1)
        await other.bind(two, accepted("flavors", "*", **more), name="watched")
        await world.shard.settled()
        await world.shard.label(world.provider, FLAVORS, "small", shop="no")
        await world.shard.settled()
        await world.shard.delete(two, BINDINGS, "watched")
        await world.shard.settled()
        await world.shard.delete(one, BINDINGS, EXPORT)
        await world.shard.settled()
        rest = await other.http.get(other.url("*", FLAVORS_PATH) + f"?limit=9&continue={page['metadata']['continue']}")
        assert [place(item) for item in page["items"] + rest["items"]] == mine
        story = [
            *(("ADDED", two, name) for name in ("large", "small", "tiny")),
            ("DELETED", one, "small"),
            ("MODIFIED", two, "small"),
            *(("DELETED", two, name) for name in ("large", "small", "tiny")),
            ("DELETED", one, "tiny"),
        ]
        assert told(await watch) == [("ADDED", *where) for where in mine] + story
        resumed = await other.http.watch(other.url("*", FLAVORS_PATH), seconds=1, resourceVersion=before)
        assert told(resumed) == story
        halfway = resumed[3]["object"]["metadata"]["resourceVersion"]
        again = await other.http.watch(other.url("*", FLAVORS_PATH), seconds=1, resourceVersion=halfway)
        assert told(again) == story[3:]
        assert await other.seen("*", FLAVORS_PATH) == []


async def test_a_claim_that_is_taken_back_counts_at_once_and_turns_into_deletions(world: ExportWorld) -> None:
    await world.begin(claim("configmaps", "*"))
    one = await world.consumer("one", accepted("configmaps", "*", selector=PUBLIC))
    await world.config_map(one, "a", shop="yes")
    everywhere = world.http.watch(world.url("*", MAPS_PATH), seconds=1000, allowWatchBookmarks="true")
    here = world.http.watch(world.url(one, MAPS_PATH), seconds=1000)
    await world.shard.settled(1)
    taken_back = await world.shard.change(one, BINDINGS, EXPORT, lambda obj: obj["spec"].update(permissionClaims=[]))
    assert (await world.http.refused("GET", world.url(one, MAPS_PATH)))[0] == 403
    assert await world.seen("*", MAPS_PATH) == []
    await world.shard.settled()
    assert told(await here) == [("ADDED", one, "a"), ("DELETED", one, "a")]
    await world.answer(one, accepted("configmaps", "*", selector=PUBLIC))
    await world.shard.settled()
    events = await everywhere
    assert told(events) == [("ADDED", one, "a"), ("DELETED", one, "a"), ("ADDED", one, "a")]
    assert events[2]["type"] == "BOOKMARK"
    assert events[2]["object"]["metadata"]["resourceVersion"] == taken_back["metadata"]["resourceVersion"]
    assert len({event["object"]["metadata"]["resourceVersion"] for event in events[:2]}) == 1


async def test_a_claim_on_service_accounts_gives_no_tokens_away(world: ExportWorld) -> None:
    await world.begin(claim("serviceaccounts", "*"))
    one = await world.consumer("one", accepted("serviceaccounts", "*"))
    path = world.url(one, "api/v1/namespaces/default/serviceaccounts/default")
    code, _ = await world.http.refused("POST", path + "/token", {"spec": {}})
    assert code == 404


# -- forms


async def test_tables_metadata_and_pages_work_as_on_any_resource(world: ExportWorld) -> None:
    await world.begin()
    consumers = sorted([await world.consumer(name) for name in ("one", "two", "three")])
    for cluster in consumers:
        for name in "ab":
            await world.order(cluster, name, labels={"of": name})
    headers = {"x-user": "master", "accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    table = (await world.http.client.get(world.url(), headers=headers)).json()
    assert (table["kind"], len(table["rows"]), table["rows"][0]["cells"]) == ("Table", 6, ["a", "tea"])
    headers["accept"] = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    assert len((await world.http.client.get(world.url(), headers=headers)).json()["items"]) == 6
    assert await world.seen(query="?labelSelector=of%3Da") == [(cluster, "a") for cluster in consumers]
    wanted = [(cluster, name) for cluster in consumers for name in "ab"]
    assert (await world.http.get(world.url() + "?limit=2"))["metadata"]["remainingItemCount"] == len(wanted) - 2
    found: list[tuple[str, str]] = []
    token, versions = "", set()
    while True:
        page = await world.http.get(world.url() + f"?limit=2&continue={token}")
        found += [place(item) for item in page["items"]]
        versions.add(page["metadata"]["resourceVersion"])
        token = page["metadata"].get("continue", "")
        if not token:
            break
        await world.order(consumers[-1], f"later{len(found)}")
        await world.shard.change(consumers[0], BINDINGS, EXPORT, lambda obj: obj["metadata"].update(labels={"x": "y"}))
    assert (found, len(versions)) == (wanted, 1)


async def test_a_page_after_a_consumer_left_still_shows_what_it_had(world: ExportWorld) -> None:
    await world.begin(claim("configmaps", "*"))
    one, two = sorted([await world.consumer(n, accepted("configmaps", "*", selector=PUBLIC)) for n in ("one", "two")])
    for cluster in (one, two):
        await world.config_map(cluster, "a", shop="yes")
        await world.config_map(cluster, "hidden")
    page = await world.http.get(world.url("*", MAPS_PATH) + "?limit=1")
    assert [place(item) for item in page["items"]] == [(one, "a")]
    await world.answer(two)
    await world.answer(one)
    await world.shard.settled()
    await world.answer(one, accepted("configmaps", "*"))
    await world.shard.settled()
    rest = await world.http.get(world.url("*", MAPS_PATH) + f"?limit=5&continue={page['metadata']['continue']}")
    assert [place(item) for item in rest["items"]] == [(two, "a")]
    assert (two, "a") not in await world.seen("*", MAPS_PATH)


async def test_whoever_is_cut_off_within_a_batch_and_resumes_gets_it_again(world: ExportWorld) -> None:
    await world.begin(claim("configmaps", "*"))
    one = await world.consumer("one")
    for name in "abc":
        await world.config_map(one, name, shop="yes")
    before = (await world.http.get(world.url("*", MAPS_PATH)))["metadata"]["resourceVersion"]
    await world.answer(one, accepted("configmaps", "*", selector=PUBLIC))
    await world.shard.settled()
    bound = world.shard.need(one, BINDINGS, EXPORT)["metadata"]["resourceVersion"]
    url, more = world.url("*", MAPS_PATH), {"allowWatchBookmarks": "true"}
    batch = (await world.http.watch(url, seconds=1, resourceVersion=before, **more))[:4]
    assert told(batch) == [("ADDED", one, name) for name in "abc"]
    assert batch[3]["object"]["metadata"]["resourceVersion"] == bound
    for event in batch[:3]:
        version = event["object"]["metadata"]["resourceVersion"]
        assert (
            version
            == (await world.http.get(world.url(one, MAPS) + "/" + event["object"]["metadata"]["name"]))["metadata"][
                "resourceVersion"
            ]
        )
        again = await world.http.watch(url, seconds=1, resourceVersion=version, **more)
        assert again[:4] == batch
    assert told(await world.http.watch(url, seconds=1, resourceVersion=bound)) == []


async def test_initial_events_end_with_a_marked_bookmark(world: ExportWorld) -> None:
    await world.begin()
    one = await world.consumer("one")
    await world.order(one, "a")
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
    events = await world.http.watch(world.url(), seconds=1, **query)
    assert [event["type"] for event in events[:2]] == ["ADDED", "BOOKMARK"]
    assert events[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
