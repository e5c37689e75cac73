"""``/services/cache``: what the cache store holds, over REST, for system:masters only (issue: embedded cache store)."""

import asyncio
from typing import Any

import pytest
from service_world import ADMIN, MASTER, ServiceWorld
from shard_world import CACHED_RESOURCES, FLAVORS

ALL = "/services/cache/shards/*/clusters/*"
GROUP = "/apis/cloud.example.com/v1"


async def catalogue(world: ServiceWorld, *names: str, provider: str = "provider") -> tuple[str, str]:
    """A provider with flavors in the cache: the URL of its copies, and their identity."""
    cluster = await world.shard.provider(provider)
    for name in names:
        await world.shard.flavor(cluster, name)
    await world.shard.settled()
    identity = world.shard.status(cluster)["identityHash"]
    return f"/services/cache/shards/root/clusters/{cluster}{GROUP}/flavors:{identity}", identity


def cluster_in(url: str) -> str:
    return url.split("/")[6]


async def test_copies_are_shown_whole_with_the_annotations_that_only_copies_have(world: ServiceWorld) -> None:
    url, _ = await catalogue(world, "small")
    found = await world.get(f"{url}/small")
    original = (await world.shard.objects(cluster_in(url), FLAVORS))[0]
    annotations = found["metadata"]["annotations"]
    assert (found["kind"], found["spec"], found["metadata"]["uid"]) == (
        "Flavor",
        {"cpu": 1},
        original["metadata"]["uid"],
    )
    assert annotations["kcp.io/shard"] == "root"
    assert annotations["kcp.io/cluster"] == cluster_in(url)
    assert annotations["cache.kcp.io/original-resource-version"] == original["metadata"]["resourceVersion"]
    assert annotations["cache.kcp.io/original-resource-UID"] == original["metadata"]["uid"]
    assert (await world.get(url))["items"] == [found]


@pytest.mark.parametrize("shard", ["root", "*"])
@pytest.mark.parametrize("identified", [True, False])
async def test_shard_and_cluster_and_identity_can_be_left_open(
    world: ServiceWorld, shard: str, identified: bool
) -> None:
    url, identity = await catalogue(world, "small", "large")
    await catalogue(world, "tiny", provider="other")
    resource = f"flavors:{identity}" if identified else "flavors"
    everywhere = f"/services/cache/shards/{shard}/clusters/*{GROUP}/{resource}"
    expected = {"small", "large"} if identified else {"small", "large", "tiny"}
    assert set(await world.names(everywhere)) == expected
    here = f"/services/cache/shards/{shard}/clusters/{cluster_in(url)}{GROUP}/{resource}"
    assert await world.names(here) == ["large", "small"]
    by_path = f"/services/cache/shards/{shard}/clusters/root:provider{GROUP}/{resource}"
    assert await world.names(by_path) == ["large", "small"]


async def test_a_list_over_several_identities_comes_in_pages_of_one_snapshot(world: ServiceWorld) -> None:
    await catalogue(world, "a", "b", "c")
    url, _ = await catalogue(world, "d", "e", provider="other")
    whole = await world.names(f"{ALL}{GROUP}/flavors")
    assert sorted(whole) == ["a", "b", "c", "d", "e"]
    first = await world.get(f"{ALL}{GROUP}/flavors", limit="2")
    await world.shard.flavor(cluster_in(url), "aa")
    await world.shard.settled()
    names = [item["metadata"]["name"] for item in first["items"]]
    while token := first["metadata"].get("continue"):
        first = await world.get(f"{ALL}{GROUP}/flavors", **{"limit": "2", "continue": token})
        names += [item["metadata"]["name"] for item in first["items"]]
    assert names == whole


async def test_a_watch_hears_of_copies_and_of_identities_that_come_later(world: ServiceWorld) -> None:
    url, _ = await catalogue(world, "small")
    before = (await world.get(f"{ALL}{GROUP}/flavors"))["metadata"]["resourceVersion"]
    cluster = cluster_in(url)

    async def meanwhile() -> None:
        await world.shard.flavor(cluster, "large")
        await world.shard.delete(cluster, FLAVORS, "small")
        other, _ = await catalogue(world, provider="other")
        await world.shard.flavor(cluster_in(other), "tiny")

    writing = asyncio.create_task(meanwhile())
    events = await world.events(f"{ALL}{GROUP}/flavors", before, 1000)
    await writing
    assert [(kind, obj["metadata"]["name"]) for kind, obj in events] == [
        ("ADDED", "large"),
        ("DELETED", "small"),
        ("ADDED", "tiny"),
    ]
    replayed = await world.events(f"{ALL}{GROUP}/flavors", before, 5)
    assert [(kind, obj["metadata"]["name"]) for kind, obj in replayed] == [
        (kind, obj["metadata"]["name"]) for kind, obj in events
    ]


async def test_selectors_tables_and_metadata_work_as_on_any_resource(world: ServiceWorld) -> None:
    url, _ = await catalogue(world)
    cluster = cluster_in(url)
    await world.shard.flavor(cluster, "small", tier="low")
    await world.shard.flavor(cluster, "large", tier="high")
    await world.shard.settled()
    assert await world.names(url, labelSelector="tier=low") == ["small"]
    assert await world.names(url, fieldSelector="metadata.name=large") == ["large"]
    table = await world.request("GET", url, headers={"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"})
    assert [row["cells"][0] for row in table.json()["rows"]] == ["large", "small"]


async def test_the_kcp_types_are_served_with_the_annotations_of_copies(world: ServiceWorld) -> None:
    url, _ = await catalogue(world)
    cluster = cluster_in(url)
    found = await world.get(f"{ALL}/apis/apis.kcp.io/v1alpha2/apiexports")
    mine = next(item for item in found["items"] if item["metadata"]["name"] == "cloud")
    assert mine["metadata"]["annotations"]["kcp.io/cluster"] == cluster
    assert {item["metadata"]["annotations"]["kcp.io/shard"] for item in found["items"]} == {"root"}
    for path in (
        "/apis/apis.kcp.io/v1alpha1/apiresourceschemas",
        "/apis/apis.kcp.io/v1alpha1/apiexports",
        "/apis/cache.kcp.io/v1alpha1/cachedresources",
        "/apis/cache.kcp.io/v1alpha1/cachedresourceendpointslices",
        "/apis/core.kcp.io/v1alpha1/logicalclusters",
        "/apis/core.kcp.io/v1alpha1/shards",
        "/apis/tenancy.kcp.io/v1alpha1/workspacetypes",
    ):
        assert await world.names(f"{ALL}{path}"), path
    one = await world.get(f"/services/cache/shards/root/clusters/{cluster}/apis/apis.kcp.io/v1alpha2/apiexports/cloud")
    annotations = one["metadata"]["annotations"]
    assert annotations["kcp.io/shard"] == "root"
    assert annotations["cache.kcp.io/original-resource-version"] == one["metadata"]["resourceVersion"]
    assert annotations["cache.kcp.io/original-resource-UID"] == one["metadata"]["uid"]
    stored = world.shard.need(cluster, CACHED_RESOURCES, "flavors")
    assert "kcp.io/shard" not in stored["metadata"]["annotations"]


@pytest.mark.parametrize("verb", ["POST", "PUT", "PATCH", "DELETE", "DELETE all"])
async def test_the_kcp_types_cannot_be_written_there_and_the_answer_says_where_they_can(
    world: ServiceWorld, verb: str
) -> None:
    url, _ = await catalogue(world)
    method, everything = verb.split(maxsplit=1)[0], verb in {"POST", "DELETE all"}
    exports = f"/clusters/{cluster_in(url)}/apis/apis.kcp.io/v1alpha2/apiexports"
    found = await world.get(f"{exports}/cloud")
    before = await world.shard.store.revision()
    at = f"/services/cache/shards/root{exports}" + ("" if everything else "/cloud")
    headers = {"content-type": "application/merge-patch+json"} if method == "PATCH" else {}
    body = {**found, "metadata": {"name": "other"}} if method == "POST" else {**found, "spec": {}}
    more = {} if method == "DELETE" else {"headers": headers, "json": body}
    code, message = await world.refused(method, at, **more)
    assert code == 405
    assert f"keeps no copies of them: they are at {exports}" in message
    assert await world.shard.store.revision() == before


async def test_discovery_lists_the_kcp_types_and_what_there_are_copies_of(world: ServiceWorld) -> None:
    await catalogue(world, "small")
    found = await world.get(f"{ALL}{GROUP}")
    assert [resource["name"] for resource in found["resources"]] == ["flavors"]
    groups = {group["name"] for group in (await world.get(f"{ALL}/apis"))["groups"]}
    assert groups >= {"apis.kcp.io", "cache.kcp.io", "cloud.example.com", "core.kcp.io"}


@pytest.mark.parametrize("user", [None, ADMIN, "alice"])
async def test_nobody_but_system_masters_gets_in(world: ServiceWorld, user: str | None) -> None:
    url, _ = await catalogue(world, "small")
    for method, path in (
        ("GET", url),
        ("GET", f"{url}?watch=1"),
        ("GET", f"{url}/small"),
        ("GET", f"{ALL}/apis"),
        ("GET", f"{ALL}/apis/core.kcp.io/v1alpha1/shards"),
        ("DELETE", f"{url}/small"),
        ("DELETE", url),
        ("PUT", f"{url}/small"),
        ("PATCH", f"{url}/small"),
        ("POST", url),
        ("GET", f"{ALL}/version"),
    ):
        code, _ = await world.refused(method, path, user)
        assert code in {401, 403}, path


async def test_consumer_records_are_served_to_nobody(world: ServiceWorld) -> None:
    url, identity = await catalogue(world, "small")
    consumer = await world.shard.workspace("consumer")
    await world.shard.bind(consumer, cluster_in(url))
    await world.shard.settled()
    assert await world.shard.keys("/consumers:", "/cache/")
    for resource in ("consumers", f"consumers:{identity}"):
        for method, cluster in (("GET", "*"), ("POST", cluster_in(url))):
            path = f"/services/cache/shards/root/clusters/{cluster}/apis/cache.kcp.io/v1alpha1/{resource}"
            assert (await world.refused(method, path, json={"metadata": {"name": "x"}}))[0] == 404


# -- writing, and what replication does about it


async def test_a_copy_that_is_changed_is_repaired(world: ServiceWorld) -> None:
    url, _ = await catalogue(world, "small")
    patch = {"spec": {"cpu": 666}}
    merge = {"content-type": "application/merge-patch+json"}
    response = await world.request("PATCH", f"{url}/small", json=patch, headers=merge)
    assert (response.status_code, response.json()["spec"]["cpu"]) == (200, 666)
    await world.shard.settled()
    assert (await world.get(f"{url}/small"))["spec"] == {"cpu": 1}


async def test_a_copy_that_is_replaced_is_repaired_and_one_that_is_deleted_comes_back(world: ServiceWorld) -> None:
    url, _ = await catalogue(world, "large", "small")
    found = await world.get(f"{url}/small")
    found["metadata"]["labels"] = {"tampered": "yes"}
    written = await world.request("PUT", f"{url}/small", json=found)
    assert written.json()["metadata"]["labels"] == {"tampered": "yes"}
    assert (await world.request("DELETE", f"{url}/large")).status_code == 200
    await world.shard.settled()
    assert await world.names(url) == ["large", "small"]
    assert "labels" not in (await world.get(f"{url}/small"))["metadata"]


async def test_a_copy_without_an_original_is_removed(world: ServiceWorld) -> None:
    url, _ = await catalogue(world, "small")
    forged = {"kind": "Flavor", "metadata": {"name": "forged"}, "spec": {"cpu": 0}}
    response = await world.request("POST", url, json=forged)
    assert response.status_code == 201, response.text
    assert response.json()["metadata"]["annotations"]["kcp.io/shard"] == "root"
    await world.shard.settled()
    assert await world.names(url) == ["small"]


async def test_all_copies_deleted_at_once_come_back(world: ServiceWorld) -> None:
    url, _ = await catalogue(world, "a", "b")
    response = await world.request("DELETE", url)
    assert [item["metadata"]["name"] for item in response.json()["items"]] == ["a", "b"]
    await world.shard.settled()
    assert await world.names(url) == ["a", "b"]


async def test_a_dry_run_writes_nothing(world: ServiceWorld) -> None:
    url, _ = await catalogue(world, "small")
    before = (await world.get(f"{url}/small"))["metadata"]["resourceVersion"]
    forged = {"kind": "Flavor", "metadata": {"name": "forged"}}
    assert (await world.request("POST", f"{url}?dryRun=All", json=forged)).status_code == 201
    assert (await world.request("DELETE", f"{url}/small?dryRun=All")).status_code == 200
    assert await world.names(url) == ["small"]
    assert (await world.get(f"{url}/small"))["metadata"]["resourceVersion"] == before


async def test_an_old_resource_version_or_another_uid_is_a_conflict(world: ServiceWorld) -> None:
    url, _ = await catalogue(world, "small")
    found = await world.get(f"{url}/small")
    found["metadata"]["resourceVersion"] = "1"
    assert (await world.refused("PUT", f"{url}/small", json=found))[0] == 409
    precondition = {"preconditions": {"uid": "another"}}
    assert (await world.refused("DELETE", f"{url}/small", json=precondition))[0] == 409


@pytest.mark.parametrize(
    ("where", "body", "code"),
    [
        ("/services/cache/shards/*/clusters/{cluster}{group}/flavors:{identity}", {}, 405),
        ("/services/cache/shards/root/clusters/*{group}/flavors:{identity}", {}, 405),
        ("/services/cache/shards/root/clusters/{cluster}{group}/flavors", {}, 400),
        ("/services/cache/shards/mars/clusters/{cluster}{group}/flavors:{identity}", {}, 403),
        ("{url}", {"metadata": {}}, 422),
        ("{url}", {"metadata": {"name": "a/b"}}, 422),
        ("{url}", {"metadata": []}, 400),
        ("{url}", {"kind": "Other"}, 400),
        ("{url}", {"metadata": {"name": "x", "resourceVersion": "7"}}, 400),
        ("{url}", {"metadata": {"name": "small"}}, 409),
        ("/services/cache/shards/root/clusters/user:a:b{group}/flavors:{identity}", {}, 400),
    ],
)
async def test_what_cannot_be_stored_is_refused(
    world: ServiceWorld, where: str, body: dict[str, Any], code: int
) -> None:
    url, identity = await catalogue(world, "small")
    path = where.format(url=url, cluster=cluster_in(url), group=GROUP, identity=identity)
    obj = {"kind": "Flavor", "metadata": {"name": "x"}, **body}
    found, message = await world.refused("POST", path, MASTER, json=obj)
    assert found == code, message


@pytest.mark.parametrize(
    ("shard", "cluster", "identity", "code"),
    [("*", "{cluster}", ":{identity}", 405), ("root", "*", ":{identity}", 405), ("*", "*", "", 405),
     ("root", "{cluster}", "", 400), ("mars", "{cluster}", ":{identity}", 403)],
)  # fmt: skip
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_no_write_leaves_open_which_copy_it_means(
    world: ServiceWorld, method: str, shard: str, cluster: str, identity: str, code: int
) -> None:
    url, hash_ = await catalogue(world, "small")
    place = f"/services/cache/shards/{shard}/clusters/{cluster}{GROUP}/flavors{identity}"
    place = place.format(cluster=cluster_in(url), identity=hash_) + ("" if method == "POST" else "/small")
    before = await world.shard.store.revision()
    headers = {"content-type": "application/merge-patch+json"} if method == "PATCH" else {}
    obj = {"kind": "Flavor", "metadata": {"name": "new" if method == "POST" else "small"}, "spec": {"cpu": 9}}
    more = {} if method == "DELETE" else {"headers": headers, "json": obj}
    assert (await world.refused(method, place, **more))[0] == code
    assert await world.shard.store.revision() == before


async def test_what_nobody_has_copies_of_is_not_found(world: ServiceWorld) -> None:
    assert (await world.refused("GET", f"{ALL}/apis/no.example.com/v1/things"))[0] == 404
    assert await world.names(f"{ALL}/apis/no.example.com/v1/things:abc") == []


async def test_the_openapi_documents_describe_what_discovery_lists(world: ServiceWorld) -> None:
    await catalogue(world, "small")
    paths = (await world.get(f"{ALL}/openapi/v3"))["paths"]
    assert {"apis/cloud.example.com/v1", "apis/apis.kcp.io/v1alpha2"} <= set(paths)
    document = await world.get(f"{ALL}/openapi/v3/apis/cloud.example.com/v1")
    assert any(path.endswith("/flavors") for path in document["paths"])


async def test_a_page_of_what_is_no_longer_known_is_expired_and_says_how_to_go_on(world: ServiceWorld) -> None:
    await catalogue(world, "a", "b", "c")
    await catalogue(world, "d", provider="other")
    first = await world.get(f"{ALL}{GROUP}/flavors", limit="3")
    url, _ = await catalogue(world, "e", provider="third")
    await world.shard.store.compact(await world.shard.store.revision())
    for cache in world.shard.caches.known():
        cache.forget(world.shard.caches.revision)
    query = {"limit": "3", "continue": first["metadata"]["continue"]}
    response = await world.request("GET", f"{ALL}{GROUP}/flavors", params=query)
    assert (response.status_code, response.json()["reason"]) == (410, "Expired")
    onward = {"limit": "9", "continue": response.json()["metadata"]["continue"]}
    rest = await world.names(f"{ALL}{GROUP}/flavors", **onward)
    seen = [item["metadata"]["name"] for item in first["items"]]
    assert set(seen) | set(rest) >= {"a", "b", "c", "d"}
    assert not set(seen) & set(rest)
    assert cluster_in(url)
