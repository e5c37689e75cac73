"""Fields of versions that a webhook converts, through an APIExport's virtual workspace: as in a plain workspace."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from export_world import (
    EXPORT,
    ORDERS,
    PUBLIC,
    ExportWorld,
    SplittingWebhook,
    accepted,
    claim,
    converted_orders_schema,
)
from shard_world import BINDINGS, EXPORTS

from kcpcache.meta.objects import Object

V1, V2 = "apis/shop.example.com/v1/orders", "apis/shop.example.com/v2/orders"
V2_INSIDE = "apis/shop.example.com/v2/namespaces/default/orders"
TEA = "spec.good=tea"


@pytest.fixture
async def webhook(world: ExportWorld) -> SplittingWebhook:
    """That of the orders of an export, which is there."""
    found = world.shard.webhook = SplittingWebhook()
    await world.begin(spec=converted_orders_schema())
    return found


@pytest.fixture(params=["one", "*"])
def scope(request: pytest.FixtureRequest) -> str:
    """One consumer's workspace, or all of them."""
    return str(request.param)


async def consumers(world: ExportWorld, *names: str) -> list[str]:
    return [await world.consumer(name) for name in names]


def at(scope: str, cluster: str) -> str:
    return "*" if scope == "*" else cluster


def counts(events: Sequence[Object]) -> list[tuple[str, str, str]]:
    """Type, name and count of all events but bookmarks."""
    found = [(event["type"], event["object"]) for event in events if event["type"] != "BOOKMARK"]
    return [(kind, obj["metadata"]["name"], obj["spec"]["count"]) for kind, obj in found]


async def test_a_list_is_selected_by_the_fields_of_the_version_that_is_asked_for(
    world: ExportWorld, webhook: SplittingWebhook, scope: str
) -> None:
    one, two = await consumers(world, "one", "two")
    await world.order(one, "a", "tea:1")
    await world.order(one, "b", "rum:1")
    await world.order(two, "c", "tea:2")
    where, others = at(scope, one), [(two, "c")] if scope == "*" else []
    assert await world.seen(where, V1, "?fieldSelector=spec.item=tea:1") == [(one, "a")]
    assert webhook.asked == []
    assert sorted(await world.seen(where, V2, f"?fieldSelector={TEA}")) == sorted([(one, "a"), *others])
    assert sorted(await world.seen(where, V2, "?fieldSelector=spec.good!=tea")) == [(one, "b")]
    assert await world.seen(where, V2, "?fieldSelector=spec.good=tea,spec.count=3") == []
    assert await world.seen(where, V2, "?fieldSelector=metadata.name=b,spec.good=rum") == [(one, "b")]
    (found,) = (await world.http.get(world.url(where, V2) + "?fieldSelector=spec.good=rum"))["items"]
    assert (found["apiVersion"], found["spec"]) == ("shop.example.com/v2", {"good": "rum", "count": "1"})


async def test_a_field_of_another_version_cannot_be_selected_by(
    world: ExportWorld, webhook: SplittingWebhook, scope: str
) -> None:
    (one,) = await consumers(world, "one")
    for path, field in ((V2, "spec.item"), (V1, "spec.good"), (V2, "spec.odd")):
        for more in ("", "&watch=true"):
            refused = await world.http.refused(
                "GET", world.url(at(scope, one), path) + f"?fieldSelector={field}=a{more}"
            )
            assert refused == (400, f"field label not supported: {field}")


async def test_only_objects_with_the_right_labels_are_asked_about(
    world: ExportWorld, webhook: SplittingWebhook, scope: str
) -> None:
    (one,) = await consumers(world, "one")
    await world.order(one, "a", "tea:1")
    await world.order(one, "b", "tea:1", labels={"tier": "gold"})
    query = f"?fieldSelector={TEA}&labelSelector=tier=gold"
    assert await world.seen(at(scope, one), V2, query) == [(one, "b")]
    assert webhook.asked == ["b"]


async def test_pages_are_full_and_go_on_at_the_revision_that_they_began_at(
    world: ExportWorld, webhook: SplittingWebhook, scope: str
) -> None:
    (one,) = await consumers(world, "one")
    for index in range(7):
        await world.order(one, f"n{index}", f"{('tea', 'rum')[index % 2]}:1")
    url, token, pages, revisions = world.url(at(scope, one), V2) + f"?fieldSelector={TEA}&limit=2", "", [], set()
    while True:
        listed = await world.http.get(url + f"&continue={token}" * bool(token))
        pages.append([item["metadata"]["name"] for item in listed["items"]])
        revisions.add(listed["metadata"]["resourceVersion"])
        token = listed["metadata"].get("continue", "")
        if not token:
            break
        assert "remainingItemCount" not in listed["metadata"]
        await world.reorder(one, "n6", "rum:1")  # what comes later changes no page
        await world.order(one, f"m{len(pages)}", "tea:1")
    assert (pages, len(revisions)) == ([["n0", "n2"], ["n4", "n6"]], 1)
    exact = f"&resourceVersion={revisions.pop()}&resourceVersionMatch=Exact"
    assert [name for _, name in await world.seen(at(scope, one), V2, f"?fieldSelector={TEA}{exact}")] == [
        "n0", "n2", "n4", "n6"
    ]  # fmt: skip


async def test_watchers_are_told_what_begins_and_what_stops_to_match(
    world: ExportWorld, webhook: SplittingWebhook, scope: str
) -> None:
    (one,) = await consumers(world, "one")
    await world.order(one, "a", "tea:1")
    await world.order(one, "b", "rum:1")
    url, then = world.url(at(scope, one), V2), world.shard.caches.revision
    watch = world.http.watch(url, fieldSelector=TEA, sendInitialEvents="true", resourceVersionMatch="NotOlderThan",
                             allowWatchBookmarks="true")  # fmt: skip
    await asyncio.sleep(1)
    for name, item in (("b", "tea:2"), ("b", "tea:3"), ("a", "rum:1"), ("a", "rum:2")):
        await world.reorder(one, name, item)
    await world.shard.delete(one, ORDERS, "b", namespace="default")
    events = await watch
    expected = [("ADDED", "b", "2"), ("MODIFIED", "b", "3"), ("DELETED", "a", "1"), ("DELETED", "b", "3")]
    assert counts(events) == [("ADDED", "a", "1"), *expected]
    assert events[1]["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"] == "true"
    assert {event["object"]["apiVersion"] for event in events} == {"shop.example.com/v2"}
    resumed = await world.http.watch(url, fieldSelector=TEA, resourceVersion=str(then))
    assert resumed == [event for event in events if event["type"] != "BOOKMARK"][1:]
    revisions = [int(event["object"]["metadata"]["resourceVersion"]) for event in resumed]
    assert revisions == sorted(set(revisions))
    last = await world.http.watch(url, fieldSelector=TEA, resourceVersion=str(revisions[1]))
    assert counts(last) == expected[2:]


@pytest.fixture
async def claiming(world: ExportWorld, webhook: SplittingWebhook) -> AsyncIterator[ExportWorld]:
    """An export that claims the other one's orders."""
    found = ExportWorld(world.shard)
    async with found.http.client:
        found.provider = await world.shard.workspace("claiming")
        orders = claim("orders", "*", group=ORDERS.group, identity=world.identity)
        await world.shard.create(found.provider, EXPORTS, EXPORT, spec={"permissionClaims": [orders]})
        await world.shard.settled()
        yield found


def accepted_orders(world: ExportWorld) -> Object:
    """Those with a label."""
    return accepted("orders", "*", group=ORDERS.group, identity=world.identity, selector=PUBLIC)


async def test_of_a_claimed_resource_only_what_was_accepted_is_selected_from(
    world: ExportWorld, webhook: SplittingWebhook, claiming: ExportWorld, scope: str
) -> None:
    (one,) = await consumers(world, "one")
    await claiming.bind(one, accepted_orders(world), name="claiming")
    await world.shard.settled()
    for name, item, labels in (("a", "tea:1", {}), ("b", "tea:2", {"shop": "yes"}), ("c", "rum:1", {"shop": "yes"})):
        await world.order(one, name, item, labels=labels)
    url, then = claiming.url(at(scope, one), V2), str(world.shard.caches.revision)
    assert await claiming.seen(at(scope, one), V2, f"?fieldSelector={TEA}") == [(one, "b")]
    assert sorted(webhook.asked) == ["b", "c"]
    watch = claiming.http.watch(url, fieldSelector=TEA, resourceVersion=then)
    await asyncio.sleep(1)
    await world.shard.label(one, ORDERS, "a", namespace="default", shop="yes")
    await world.shard.label(one, ORDERS, "b", namespace="default")
    await world.reorder(one, "c", "tea:3")
    expected = [("ADDED", "a", "1"), ("DELETED", "b", "2"), ("ADDED", "c", "3")]
    assert counts(await watch) == expected
    assert counts(await claiming.http.watch(url, fieldSelector=TEA, resourceVersion=then)) == expected


async def test_of_what_a_workspace_accepts_and_takes_back_what_matches_comes_and_goes(
    world: ExportWorld, claiming: ExportWorld
) -> None:
    (one,) = await consumers(world, "one")
    await claiming.bind(one, accepted_orders(world), name="claiming")
    await world.shard.settled()
    for name, item in (("a", "tea:1"), ("b", "rum:1"), ("c", "tea:2")):
        await world.order(one, name, item, labels={"shop": "yes"})
    url, then = claiming.url("*", V2), str(world.shard.caches.revision)
    exact = f"?fieldSelector={TEA}&resourceVersionMatch=Exact&resourceVersion={then}"
    watch = claiming.http.watch(url, seconds=400, fieldSelector=TEA, resourceVersion=then)
    await asyncio.sleep(1)
    for claims in ([], [accepted_orders(world)]):
        await world.shard.change(
            one, BINDINGS, "claiming", lambda obj, now=claims: obj["spec"].update(permissionClaims=now)
        )
        await world.shard.settled()
        assert await claiming.seen("*", V2, exact) == [(one, "a"), (one, "c")]
    batches = [("DELETED", "a", "1"), ("DELETED", "c", "2"), ("ADDED", "a", "1"), ("ADDED", "c", "2")]
    assert counts(await watch) == batches
    assert counts(await claiming.http.watch(url, fieldSelector=TEA, resourceVersion=then)) == batches


async def test_a_collection_is_deleted_by_the_fields_of_its_version(
    world: ExportWorld, webhook: SplittingWebhook
) -> None:
    (one,) = await consumers(world, "one")
    for name, item in (("a", "tea:1"), ("b", "rum:1"), ("c", "tea:2")):
        await world.order(one, name, item)
    response = await world.http.request("DELETE", world.url(one, V2_INSIDE) + f"?fieldSelector={TEA}")
    assert response.status_code == 200
    assert await world.seen(one, V2) == [(one, "b")]


async def test_a_webhook_that_fails_fails_what_needs_it(
    world: ExportWorld, webhook: SplittingWebhook, scope: str
) -> None:
    (one,) = await consumers(world, "one")
    await world.order(one, "a", "tea:1")
    webhook.failing = True
    where = at(scope, one)
    code, message = await world.http.refused("GET", world.url(where, V2) + f"?fieldSelector={TEA}")
    assert (code, message) == (500, "the webhook is out of order")
    (event,) = await world.http.watch(world.url(where, V2), fieldSelector=TEA)
    assert (event["type"], event["object"]["code"]) == ("ERROR", 500)
    assert await world.seen(where, V1, "?fieldSelector=spec.item=tea:1") == [(one, "a")]
