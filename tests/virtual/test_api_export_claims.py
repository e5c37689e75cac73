"""Permission claims, through the APIExport virtual workspace (behaviour §6, §7)."""

from export_world import (
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
from shard_world import BINDINGS, CONFIG_MAPS, EXPORTS, FLAVORS

from kcpcache.meta.objects import Object

MINE = "apis/shop.example.com/v1/namespaces/default/orders"
MAPS = "api/v1/namespaces/default/configmaps"


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


async def test_a_claim_on_patch_changes_what_is_there_and_creates_nothing(world: ExportWorld) -> None:
    await world.begin(claim("configmaps", "get", "patch"))
    one = await world.consumer("one", accepted("configmaps", "*"))
    await world.config_map(one, "a")
    path = world.url(one, MAPS)
    changed = await world.http.request("PATCH", f"{path}/a", {"data": {"k": "v"}})
    assert changed.json()["data"] == {"k": "v"}
    assert (await world.http.refused("PUT", f"{path}/a", changed.json()))[0] == 403
    assert (await world.http.refused("PATCH", f"{path}/b", {"data": {}}))[0] == 404
    applied = {"content-type": "application/apply-patch+yaml", "x-user": "master"}
    body = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b"}}'
    answer = await world.http.client.patch(f"{path}/b?fieldManager=m", content=body, headers=applied)
    assert answer.status_code == 403


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


async def test_a_claim_on_roles_lets_the_provider_hand_on_nothing_that_it_does_not_hold_there(
    world: ExportWorld,
) -> None:
    """Else a consumer that accepts a claim on bindings would have given away the whole workspace."""
    group = "rbac.authorization.k8s.io"
    resources = ("clusterroles", "clusterrolebindings")
    await world.begin(*(claim(resource, "*", group=group) for resource in resources))
    one = await world.consumer("one", *(accepted(resource, "*", group=group) for resource in resources))
    await world.allow("bob", "*")
    roles, bindings = (world.url(one, f"apis/{group}/v1/{resource}") for resource in resources)
    role = {"metadata": {"name": "r"}, "rules": [rule("", "secrets", "get")]}
    subject = {"kind": "User", "apiGroup": group, "name": "bob"}
    reference = {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"}
    binding = {"metadata": {"name": "b"}, "roleRef": reference, "subjects": [subject]}
    for path, obj in ((roles, role), (bindings, binding)):
        code, message = await world.http.refused("POST", path, obj, user="bob")
        assert (code, "permissions not currently held" in message) == (403, True)
    assert (await world.http.request("POST", roles, {**role, "rules": []}, user="bob")).status_code == 201
    assert (await world.http.request("POST", bindings, binding)).status_code == 201
