"""The Replication virtual workspace, over HTTP (behaviour §5)."""

import asyncio

import pytest
from shard_http import Http, rule
from shard_world import (
    BINDINGS,
    CACHED_RESOURCES,
    CRDS,
    EXPORTS,
    FLAVORS,
    SCHEMAS,
    Shard,
    crd_spec,
    schema_spec,
    virtual_entry,
)

from kcpcache.meta.objects import Object

RESOURCE = "apis/cloud.example.com/v1/flavors"
INTERNAL = {"kcp.io/shard", "cache.kcp.io/original-resource-version", "cache.kcp.io/original-resource-UID"}


class Story:
    """One provider of flavors ``a``, ``b``, ``c`` and two consumers."""

    def __init__(self, shard: Shard, http: Http) -> None:
        self.shard, self.http = shard, http

    async def begin(self) -> None:
        shard = self.shard
        self.provider = await shard.provider()
        self.one, self.two = sorted([await shard.workspace("one"), await shard.workspace("two")])
        for name in "abc":
            await shard.flavor(self.provider, name, tier="gold" if name == "a" else "tin")
        for consumer in (self.one, self.two):
            await shard.bind(consumer, self.provider)
        await shard.settled()

    def url(self, cluster: str = "*", rest: str = RESOURCE, *, identity: str = "", name: str = "flavors") -> str:
        at = f"{name}:{identity}" if identity else name
        return f"/services/replication/{self.provider}/{at}/clusters/{cluster}/{rest}"

    @property
    def identity(self) -> str:
        return str(self.shard.need(self.provider, EXPORTS, "cloud")["status"]["identityHash"])

    async def allow(self, user: str, *verbs: str, names: tuple[str, ...] = ()) -> None:
        wanted = rule("apis.kcp.io", "apiexports/content", *verbs, names=names)
        await self.http.grant(self.provider, user, [wanted], f"content-{user}")

    async def seen(self, cluster: str = "*", query: str = "", **where: str) -> list[tuple[str, str]]:
        listed = await self.http.get(self.url(cluster, **where) + query)
        return [place(item) for item in listed["items"]]


def place(obj: Object) -> tuple[str, str]:
    return obj["metadata"]["annotations"]["kcp.io/cluster"], obj["metadata"]["name"]


def told(events: list[Object]) -> list[tuple[str, str, str]]:
    return [(event["type"], *place(event["object"])) for event in events if event["type"] != "BOOKMARK"]


def after(events: list[Object]) -> set[tuple[str, str]]:
    """What a client has that started with nothing."""
    held: set[tuple[str, str]] = set()
    for kind, *where in told(events):
        if kind == "DELETED":
            held.discard((where[0], where[1]))
        else:
            held.add((where[0], where[1]))
    return held


@pytest.fixture
async def story(shard: Shard, http: Http) -> Story:
    found = Story(shard, http)
    await found.begin()
    return found


# -- who may


async def test_one_copy_of_each_object_for_each_consumer(story: Story) -> None:
    wanted = [(cluster, name) for cluster in (story.one, story.two) for name in "abc"]
    assert await story.seen() == wanted
    assert await story.seen(identity=story.identity) == wanted
    assert await story.seen(story.two) == wanted[3:]
    assert await story.seen(story.two, identity=story.identity) == wanted[3:]
    assert (
        await story.seen("root:one" if story.shard.clusters.resolve("root:one") == story.one else "root:two")
        == wanted[:3]
    )


async def test_an_object_is_the_original_in_the_consumers_workspace_at_the_cache_stores_revision(story: Story) -> None:
    original = await story.http.get(f"/clusters/{story.provider}/{RESOURCE}/a")
    [key] = [key for key in await story.shard.keys("/a", "/cache/") if key.endswith("/a")]  # clusters may begin with it
    entry = (await story.shard.store.get(key)).entry
    assert entry is not None
    for path in (story.url(story.one) + "/a", f"/clusters/{story.one}/{RESOURCE}/a"):
        found = await story.http.get(path)
        assert found["metadata"].pop("resourceVersion") == str(entry.revision)
        assert found["metadata"]["annotations"].pop("kcp.io/cluster") == story.one
        assert not INTERNAL & set(found["metadata"]["annotations"])
        assert not found["metadata"].pop("annotations")
        assert found["metadata"] == {
            key: value for key, value in original["metadata"].items() if key not in {"resourceVersion", "annotations"}
        }
        assert found["spec"] == original["spec"]


async def test_without_apiexports_content_nothing_is_shown(story: Story) -> None:
    for path in (story.url(), story.url(story.one), story.url(story.one) + "/a", story.url(identity=story.identity)):
        code, message = await story.http.refused("GET", path, user="bob")
        assert code == 403
        assert "flavors" in message


async def test_apiexports_content_with_the_verb_is_enough_and_counts_at_once(story: Story) -> None:
    await story.allow("bob", "list", "watch")
    assert len((await story.http.get(story.url(), user="bob"))["items"]) == 6
    assert (await story.http.refused("GET", story.url(story.one) + "/a", user="bob"))[0] == 403
    await story.allow("carol", "*", names=("other",))
    assert (await story.http.refused("GET", story.url(), user="carol"))[0] == 403
    await story.allow("dave", "get", names=("cloud",))
    assert (await story.http.get(story.url(story.one) + "/a", user="dave"))["metadata"]["name"] == "a"
    assert (await story.http.refused("GET", story.url(), user="dave"))[0] == 403


async def test_an_unknown_identity_opens_nothing(story: Story) -> None:
    await story.allow("bob", "*")
    for user, code in (("bob", 403), ("master", 403)):
        assert (await story.http.refused("GET", story.url(identity="0" * 64), user=user))[0] == code


@pytest.mark.parametrize("where", ["a stranger", "the provider itself", "nobody's"])
async def test_a_workspace_that_has_not_bound_the_export_is_refused(story: Story, where: str) -> None:
    stranger = await story.shard.workspace("stranger")
    cluster = {"a stranger": stranger, "the provider itself": story.provider, "nobody's": "unknown"}[where]
    code, message = await story.http.refused("GET", story.url(cluster))
    assert code == 403
    assert "is not bound to an APIExport that exports it" in message


async def test_what_does_not_exist_is_told_to_masters_only(story: Story) -> None:
    assert (await story.http.refused("GET", story.url(name="unknown")))[0] == 404
    assert (await story.http.refused("GET", story.url(name="unknown"), user="bob"))[0] == 403
    assert (await story.http.refused("GET", "/services/replication/nowhere/flavors/clusters/*/" + RESOURCE))[0] == 404


@pytest.mark.parametrize(
    ("method", "rest"),
    [("POST", ""), ("PUT", "/a"), ("PATCH", "/a"), ("DELETE", "/a"), ("DELETE", "")],
)
async def test_writes_are_405_for_readers_and_403_for_others_and_change_nothing(
    story: Story, method: str, rest: str
) -> None:
    await story.allow("reader", "get", "list", "watch")
    before = await story.shard.store.revision()
    body = {"apiVersion": "cloud.example.com/v1", "kind": "Flavor", "metadata": {"name": "a"}, "spec": {"cpu": 99}}
    for cluster in (story.one, "*"):
        code, message = await story.http.refused(method, story.url(cluster) + rest, body, user="reader")
        assert code == 405, message
        assert (await story.http.refused(method, story.url(cluster) + rest, body, user="bob"))[0] == 403
    assert await story.shard.store.revision() == before


async def test_get_over_all_consumers_is_refused(story: Story) -> None:
    assert (await story.http.refused("GET", story.url() + "/a"))[0] == 405


async def test_discovery_shows_one_resource_with_three_verbs(story: Story) -> None:
    for cluster in ("*", story.one):
        groups = await story.http.get(story.url(cluster, "apis"))
        assert [group["name"] for group in groups["groups"]] == ["cloud.example.com"]
        listed = await story.http.get(story.url(cluster, "apis/cloud.example.com/v1"))
        assert [(r["name"], r["kind"], r["namespaced"]) for r in listed["resources"]] == [("flavors", "Flavor", False)]
        assert set(listed["resources"][0]["verbs"]) == {"get", "list", "watch"}
        assert (await story.http.refused("GET", story.url(cluster, "api/v1/configmaps")))[0] == 404
        assert (await story.http.refused("GET", story.url(cluster, "apis/apps/v1/deployments")))[0] == 404
        assert (await story.http.refused("GET", story.url(cluster, "apis/cloud.example.com/v2/flavors")))[0] == 404


# -- schemas


async def export_with(story: Story, schema: str) -> None:
    def edit(obj: Object) -> None:
        obj["spec"]["resources"][0]["schema"] = schema

    await story.shard.change(story.provider, EXPORTS, "cloud", edit)
    await story.shard.settled()


async def test_a_missing_schema_is_404_and_says_which(story: Story) -> None:
    await story.shard.delete(story.provider, SCHEMAS, "v1.flavors.cloud.example.com")
    await story.shard.settled()
    for cluster in ("*", story.one):
        code, message = await story.http.refused("GET", story.url(cluster))
        assert code == 404
        assert 'APIResourceSchema "v1.flavors.cloud.example.com" of APIExport "cloud"' in message
        assert "does not exist" in message


async def test_a_schema_without_the_version_is_404_and_says_which(story: Story) -> None:
    await story.shard.create(
        story.provider, SCHEMAS, "v2.flavors.cloud.example.com", spec=schema_spec(versions=("v2",))
    )
    await export_with(story, "v2.flavors.cloud.example.com")
    for cluster in ("*", story.one):
        code, message = await story.http.refused("GET", story.url(cluster))
        assert code == 404
        assert '"v2.flavors.cloud.example.com"' in message
        assert "does not serve v1" in message


# -- lists


async def test_selectors_choose_within_every_consumer(story: Story) -> None:
    assert await story.seen(query="?labelSelector=tier%3Dgold") == [(story.one, "a"), (story.two, "a")]
    assert await story.seen(query="?fieldSelector=metadata.name%3Db") == [(story.one, "b"), (story.two, "b")]
    assert await story.seen(query="?labelSelector=tier%3Dnone") == []
    assert (await story.http.refused("GET", story.url() + "?fieldSelector=spec.cpu%3D1"))[0] == 400


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6, 7])
async def test_pages_are_of_one_snapshot_while_writes_go_on(story: Story, limit: int) -> None:
    wanted = await story.seen()
    found: list[tuple[str, str]] = []
    token, revisions, number = "", set(), 0
    while True:
        page = await story.http.get(story.url() + f"?limit={limit}&continue={token}")
        assert len(page["items"]) <= limit
        found += [place(item) for item in page["items"]]
        revisions.add(page["metadata"]["resourceVersion"])
        token = page["metadata"].get("continue", "")
        if not token:
            break
        assert page["metadata"]["remainingItemCount"] == len(wanted) - len(found)
        number += 1
        await story.shard.flavor(story.provider, f"aa{number}")
        await story.shard.settled()
        if number == 1:
            await story.shard.delete(story.provider, FLAVORS, "c")
            await story.shard.delete(story.two, BINDINGS, "cloud")
            third = await story.shard.workspace("three")
            await story.shard.bind(third, story.provider)
            await story.shard.settled()
    assert found == wanted
    assert len(revisions) == 1


async def test_a_page_of_a_compacted_snapshot_is_410(story: Story) -> None:
    page = await story.http.get(story.url() + "?limit=2")
    await story.shard.flavor(story.provider, "new")
    await story.shard.settled()
    await story.shard.store.compact(await story.shard.store.revision())
    code, _ = await story.http.refused("GET", story.url() + f"?limit=2&continue={page['metadata']['continue']}")
    assert code == 410


async def test_a_list_of_an_exact_revision_shows_that_moments_consumers_and_objects(story: Story) -> None:
    before = await story.http.get(story.url())
    await story.shard.delete(story.provider, FLAVORS, "a")
    await story.shard.delete(story.one, BINDINGS, "cloud")
    await story.shard.settled()
    assert await story.seen() == [(story.two, "b"), (story.two, "c")]
    at = before["metadata"]["resourceVersion"]
    again = await story.http.get(story.url() + f"?resourceVersion={at}&resourceVersionMatch=Exact")
    assert again["items"] == before["items"]
    assert again["metadata"]["resourceVersion"] == at


@pytest.mark.parametrize("query", ["?resourceVersion=99999999", "?resourceVersion=99999999&resourceVersionMatch=Exact"])
async def test_a_revision_of_the_future_is_no_server_error(story: Story, query: str) -> None:
    code, message = await story.http.refused("GET", story.url() + query)
    assert code == 504
    assert "Too large resource version" in message


async def test_without_consumers_the_list_is_empty_and_a_watch_stays_idle(story: Story) -> None:
    for cluster in (story.one, story.two):
        await story.shard.delete(cluster, BINDINGS, "cloud")
    await story.shard.settled()
    assert await story.seen() == []
    assert told(await story.http.watch(story.url(), seconds=3)) == []


# -- watches


async def test_a_watch_tells_of_changes_once_per_consumer(story: Story) -> None:
    listed = await story.http.get(story.url())
    watching = story.http.watch(story.url(), resourceVersion=listed["metadata"]["resourceVersion"])
    await asyncio.sleep(1)
    await story.shard.flavor(story.provider, "d")
    await asyncio.sleep(1)
    await story.shard.label(story.provider, FLAVORS, "d", tier="gold")
    await asyncio.sleep(1)
    await story.shard.delete(story.provider, FLAVORS, "d")
    events = await watching
    assert told(events) == [
        (kind, cluster, "d") for kind in ("ADDED", "MODIFIED", "DELETED") for cluster in (story.one, story.two)
    ]
    revisions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert revisions == sorted(revisions)
    assert revisions[0] > int(listed["metadata"]["resourceVersion"])


async def test_entering_a_selector_is_added_and_leaving_it_is_deleted(story: Story) -> None:
    at = (await story.http.get(story.url()))["metadata"]["resourceVersion"]
    watching = story.http.watch(story.url(), resourceVersion=at, labelSelector="tier=gold")
    await asyncio.sleep(1)
    await story.shard.label(story.provider, FLAVORS, "b", tier="gold")
    await asyncio.sleep(1)
    await story.shard.label(story.provider, FLAVORS, "b", tier="tin")
    assert told(await watching) == [
        (kind, cluster, "b") for kind in ("ADDED", "DELETED") for cluster in (story.one, story.two)
    ]


async def test_binding_and_unbinding_are_batches_that_end_with_a_bookmark_at_the_records_revision(story: Story) -> None:
    three = await story.shard.workspace("three")
    listed = await story.http.get(story.url())
    known = {place(item): item["metadata"]["resourceVersion"] for item in listed["items"]}
    at = listed["metadata"]["resourceVersion"]
    watching = story.http.watch(story.url(), seconds=10, resourceVersion=at, allowWatchBookmarks="true")
    await asyncio.sleep(1)
    await story.shard.bind(three, story.provider)
    await asyncio.sleep(2)
    [key] = await story.shard.keys(f"/{three}_cloud_flavors", "/cache/")
    record = (await story.shard.store.get(key)).entry
    assert record is not None
    await story.shard.delete(three, BINDINGS, "cloud")
    events = (await watching)[:8]  # then comes the one that ends the watch
    kinds = [event["type"] for event in events]
    assert kinds == ["ADDED", "ADDED", "ADDED", "BOOKMARK", "DELETED", "DELETED", "DELETED", "BOOKMARK"]
    bookmarks = [int(event["object"]["metadata"]["resourceVersion"]) for event in events if event["type"] == "BOOKMARK"]
    assert bookmarks[0] == record.revision < bookmarks[1]
    for event in events:
        if event["type"] != "BOOKMARK":
            assert event["object"]["metadata"]["resourceVersion"] == known[story.one, place(event["object"])[1]]
            assert place(event["object"])[0] == three


async def test_resuming_in_the_middle_of_a_batch_repeats_it(story: Story) -> None:
    three = await story.shard.workspace("three")
    await story.shard.bind(three, story.provider)
    await story.shard.settled()
    first = next(item for item in (await story.http.get(story.url(three)))["items"])
    events = await story.http.watch(
        story.url(), seconds=2, resourceVersion=first["metadata"]["resourceVersion"], allowWatchBookmarks="true"
    )
    assert {name for kind, cluster, name in told(events) if (kind, cluster) == ("ADDED", three)} == {"a", "b", "c"}


async def test_resuming_between_two_consumers_events_of_one_change_repeats_the_change(story: Story) -> None:
    at = (await story.http.get(story.url()))["metadata"]["resourceVersion"]
    await story.shard.label(story.provider, FLAVORS, "b", tier="new")
    await story.shard.delete(story.provider, FLAVORS, "c")
    await story.shard.settled()
    changes = await story.http.watch(story.url(), seconds=2, resourceVersion=at)
    assert len(changes) == 4
    for index, (kind, name) in enumerate((("MODIFIED", "b"), ("DELETED", "c"))):
        last = changes[2 * index]["object"]["metadata"]["resourceVersion"]
        again = await story.http.watch(story.url(), seconds=2, resourceVersion=last)
        assert (kind, story.two, name) in told(again)


async def test_with_one_consumer_nothing_is_told_twice(story: Story) -> None:
    await story.shard.delete(story.two, BINDINGS, "cloud")
    await story.shard.settled()
    at = (await story.http.get(story.url()))["metadata"]["resourceVersion"]
    await story.shard.label(story.provider, FLAVORS, "b", tier="new")
    await story.shard.settled()
    [change] = await story.http.watch(story.url(), seconds=2, resourceVersion=at)
    last = change["object"]["metadata"]["resourceVersion"]
    assert await story.http.watch(story.url(), seconds=2, resourceVersion=last) == []


async def test_initial_events_end_with_their_bookmark(story: Story) -> None:
    events = await story.http.watch(
        story.url(),
        seconds=2,
        sendInitialEvents="true",
        resourceVersionMatch="NotOlderThan",
        allowWatchBookmarks="true",
    )
    assert [event["type"] for event in events[:7]] == ["ADDED"] * 6 + ["BOOKMARK"]
    assert events[6]["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"] == "true"
    assert after(events) == set(await story.seen())


async def test_a_compacted_revision_is_410_at_the_watch(story: Story) -> None:
    at = int((await story.http.get(story.url()))["metadata"]["resourceVersion"])
    for index in range(3):
        await story.shard.flavor(story.provider, f"new{index}")
    await story.shard.settled()
    await story.shard.store.compact(await story.shard.store.revision())
    await story.shard.restart()
    http = Http(story.shard)
    response = await http.request("GET", story.url() + f"?watch=true&timeoutSeconds=1&resourceVersion={at}")
    assert response.json()["code"] == 410


async def test_a_consumers_watch_goes_on_while_others_are_bound_and_ends_with_its_own_binding(story: Story) -> None:
    other = await story.shard.workspace("other")
    await story.shard.create(other, EXPORTS, "unrelated", spec={})
    urls = (story.url(story.one), f"/clusters/{story.one}/{RESOURCE}")
    watches = [story.http.watch(url, seconds=500) for url in urls]
    await asyncio.sleep(1)
    await story.shard.bind(story.one, other, "unrelated", "unrelated")
    await asyncio.sleep(10)
    assert not any(watch.done() for watch in watches)
    await story.shard.delete(story.one, BINDINGS, "cloud")
    await asyncio.sleep(10)
    assert all(watch.done() for watch in watches)


async def test_the_consumer_of_an_export_made_later_appears_in_an_open_watch(story: Story) -> None:
    hashed = story.shard.status(story.provider)["identityHash"]
    at = (await story.http.get(story.url()))["metadata"]["resourceVersion"]
    three = await story.shard.workspace("three")
    watching = story.http.watch(story.url(), seconds=20, resourceVersion=at)
    await asyncio.sleep(1)
    await story.shard.create(story.provider, EXPORTS, "second", spec={"resources": [virtual_entry(hashed)]})
    await asyncio.sleep(2)
    await story.shard.bind(three, story.provider, "second", "second")
    events = await watching
    assert {where for where in after(events) if where[0] == three} == {(three, name) for name in "abc"}


async def test_an_export_of_another_identity_shows_its_own_consumers_only(story: Story) -> None:
    hashed = story.shard.status(story.provider)["identityHash"]
    await story.shard.create(story.provider, EXPORTS, "second", spec={"resources": [virtual_entry(hashed)]})
    three = await story.shard.workspace("three")
    await story.shard.settled()
    await story.shard.bind(three, story.provider, "second", "second")
    await story.shard.settled()
    second = str(story.shard.need(story.provider, EXPORTS, "second")["status"]["identityHash"])
    assert {cluster for cluster, _ in await story.seen(identity=second)} == {three}
    assert {cluster for cluster, _ in await story.seen(identity=story.identity)} == {story.one, story.two}
    assert {cluster for cluster, _ in await story.seen()} == {story.one, story.two, three}
    await story.allow("bob", "*", names=("second",))
    listed = await story.http.get(story.url(), user="bob")
    assert {place(item)[0] for item in listed["items"]} == {three}
    assert (await story.http.refused("GET", story.url(story.one), user="bob"))[0] == 403


async def test_the_watch_over_all_ends_with_the_cached_resource(story: Story) -> None:
    at = (await story.http.get(story.url()))["metadata"]["resourceVersion"]
    watching = story.http.watch(story.url(), seconds=5000, resourceVersion=at)
    await asyncio.sleep(1)
    await story.shard.delete(story.provider, CACHED_RESOURCES, "flavors")
    await asyncio.sleep(20)
    assert watching.done()
    assert {
        where for kind, *where in map(list, told(await watching)) if kind != "DELETED" for where in [tuple(where)]
    } == set()


async def test_a_strangers_export_of_the_same_public_hash_shows_nothing(story: Story) -> None:
    thief = await story.shard.workspace("thief")
    hashed = story.shard.status(story.provider)["identityHash"]
    await story.shard.create(thief, CRDS, "flavors.cloud.example.com", spec=crd_spec())
    await story.shard.cache_flavors(thief)
    await story.shard.create(thief, SCHEMAS, "v1.flavors.cloud.example.com", spec=schema_spec())
    await story.shard.create(thief, EXPORTS, "cloud", spec={"resources": [virtual_entry(hashed)]})
    victim = await story.shard.workspace("victim")
    await story.shard.settled()
    await story.shard.bind(victim, thief)
    await story.shard.settled()
    assert victim not in {cluster for cluster, _ in await story.seen()}
    assert (await story.http.refused("GET", story.url(victim)))[0] == 403
    code, message = await story.http.refused("GET", f"/clusters/{victim}/{RESOURCE}")
    assert code == 503
    assert "APIExport root:thief:cloud" in message
