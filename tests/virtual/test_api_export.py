"""The APIExport virtual workspace, over HTTP (behaviour §7)."""

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
from shard_world import BINDINGS, EXPORTS, SCHEMAS

MINE = "apis/shop.example.com/v1/namespaces/default/orders"
MAPS = "api/v1/namespaces/default/configmaps"


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
            "api",
            "api/v1",
            "apis",
            "apis/apis.kcp.io/v1alpha1",
            "apis/apis.kcp.io/v1alpha2",
            "apis/cloud.example.com/v1",
            "apis/shop.example.com/v1",
            "version",
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
    order = {"apiVersion": "shop.example.com/v1", "kind": "Order", "metadata": {"name": "a"}, "spec": {"item": "tea"}}
    made = await world.http.request("POST", orders, order, user="bob")
    assert made.status_code == 201, made.text
    assert made.json()["metadata"]["annotations"]["kcp.io/cluster"] == one
    written = await world.http.request("PATCH", orders + "/a/status", {"status": {"phase": "Sent"}}, user="bob")
    assert written.json()["status"] == {"phase": "Sent"}
    written = await world.http.request("PUT", orders + "/a", {**written.json(), "spec": {"item": "milk"}}, user="bob")
    assert written.json()["spec"] == {"item": "milk"}
    assert (await world.http.get(f"/clusters/{one}/{MINE}/a"))["status"] == {"phase": "Sent"}
    assert (await world.http.refused("POST", orders, order | {"metadata": {"name": "A"}}, user="bob"))[0] == 422
    assert (await world.http.refused("POST", orders, order, user="bob"))[0] == 409
    elsewhere = orders.replace("/default/", "/missing/")
    assert (await world.http.refused("POST", elsewhere, order, user="bob"))[0] == 404
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
