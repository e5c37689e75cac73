"""In which forms and for whom cached objects are shown, in both places where they are (behaviour §2, §5), over HTTP."""

from typing import Any

import orjson
import pytest
from export_world import FLAVORS_PATH, ExportWorld
from shard_http import Http, rule
from shard_world import EXPORTS, Shard

FLAVORS_RULE = rule("cloud.example.com", "flavors", "get", "list", "watch")
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
METADATA = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"


@pytest.fixture
async def places(shard: Shard, http: Http) -> dict[str, str]:
    """URLs of the flavors ``a``, ``b``, ``c``: of all consumers, of one, and in that one's workspace."""
    provider = await shard.provider()
    for name in "abc":
        await shard.flavor(provider, name, tier="gold" if name == "a" else "tin")
    for name in ("one", "two"):
        await shard.bind(await shard.workspace(name), provider)
    await shard.settled()
    base = f"/services/replication/{provider}/flavors/clusters"
    one = str(shard.clusters.resolve("root:one"))
    return {
        "all": f"{base}/*/{FLAVORS_PATH}",
        "one": f"{base}/{one}/{FLAVORS_PATH}",
        "consumer": f"/clusters/{one}/{FLAVORS_PATH}",
        "provider": provider,
        "cluster": one,
    }


@pytest.fixture(params=["all", "one", "consumer"])
def at(request: pytest.FixtureRequest, places: dict[str, str]) -> str:
    return places[request.param]


async def formed(http: Http, url: str, accept: str) -> Any:
    response = await http.client.get(url, headers={"x-user": "master", "accept": accept})
    assert response.status_code == 200, response.text
    return response.json()


async def test_tables_and_metadata_are_of_the_same_objects(http: Http, places: dict[str, str], at: str) -> None:
    names = [item["metadata"]["name"] for item in (await http.get(at))["items"]]
    assert names == list("abc") * (2 if at == places["all"] else 1)
    table, metadata = await formed(http, at, TABLE), await formed(http, at, METADATA)
    assert table["kind"] == "Table"
    assert [row["cells"][0] for row in table["rows"]] == names
    assert [item["metadata"]["name"] for item in metadata["items"]] == names
    assert all("spec" not in item for item in metadata["items"])


async def test_selectors_and_pages_choose_among_them(http: Http, places: dict[str, str], at: str) -> None:
    times = 2 if at == places["all"] else 1

    async def names(query: str) -> list[str]:
        return [item["metadata"]["name"] for item in (await http.get(f"{at}?{query}"))["items"]]

    assert await names("labelSelector=tier%3Dgold") == ["a"] * times
    assert await names("labelSelector=tier+in+(tin),!old") == ["b", "c"] * times
    assert await names("fieldSelector=metadata.name%3Db") == ["b"] * times
    assert await names("fieldSelector=metadata.name!%3Db") == ["a", "c"] * times
    first = await http.get(f"{at}?limit=2")
    rest = await http.get(f"{at}?limit=9&continue={first['metadata']['continue']}")
    assert [item["metadata"]["name"] for page in (first, rest) for item in page["items"]] == list("abc") * times
    assert first["metadata"]["resourceVersion"] == rest["metadata"]["resourceVersion"]
    version = first["metadata"]["resourceVersion"]
    for match in ("Exact", "NotOlderThan"):
        assert len(await names(f"resourceVersion={version}&resourceVersionMatch={match}")) == 3 * times


async def test_a_watch_ends_in_time_and_says_how_far_it_is(http: Http, at: str, places: dict[str, str]) -> None:
    query = "watch=1&timeoutSeconds=3&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
    response = await http.request("GET", f"{at}?{query}")
    events = [orjson.loads(line) for line in response.content.splitlines()]
    count = 6 if at == places["all"] else 3
    assert [event["type"] for event in events[: count + 1]] == ["ADDED"] * count + ["BOOKMARK"]
    assert events[count]["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"] == "true"
    assert {event["type"] for event in events[count + 1 :]} <= {"BOOKMARK"}


async def test_the_openapi_documents_are_of_the_one_resource(http: Http, places: dict[str, str]) -> None:
    base = places["one"].removesuffix(FLAVORS_PATH)
    index = await http.get(f"{base}openapi/v3")
    assert "apis/cloud.example.com/v1" in index["paths"]
    document = await http.get(f"{base}openapi/v3/apis/cloud.example.com/v1")
    resources = {path.split("/v1/")[1].split("/")[0] for path in document["paths"] if "/v1/" in path}
    assert resources - {"watch"} == {"flavors"}
    assert {group["name"] for group in (await http.get(f"{base}apis"))["groups"]} == {"cloud.example.com"}


async def test_in_its_workspace_a_consumers_rbac_decides_and_nothing_else(
    shard: Shard, http: Http, places: dict[str, str]
) -> None:
    own = places["consumer"]
    assert (await http.refused("GET", own, user="bob"))[0] == 403
    await http.grant(places["cluster"], "bob", [FLAVORS_RULE])
    assert len((await http.get(own, user="bob"))["items"]) == 3
    assert (await http.get(f"{own}/a", user="bob"))["metadata"]["name"] == "a"
    for elsewhere in (places["one"], places["all"], f"/clusters/{places['provider']}/{FLAVORS_PATH}"):
        assert (await http.refused("GET", elsewhere, user="bob"))[0] == 403
    await http.grant(
        places["provider"], "carol", [FLAVORS_RULE, rule("apis.kcp.io", "apiexports/content", "*")], "carols"
    )
    assert (await http.refused("GET", own, user="carol"))[0] == 403


async def test_the_exports_policy_limits_what_a_consumer_sees_of_virtual_resources(
    shard: Shard, http: Http, places: dict[str, str]
) -> None:
    own, provider = places["consumer"], places["provider"]
    await http.grant(places["cluster"], "bob", [FLAVORS_RULE])
    policy = {"maximalPermissionPolicy": {"local": {}}}
    await shard.change(provider, EXPORTS, "cloud", lambda obj: obj["spec"].update(policy))
    code, message = await http.refused("GET", own, user="bob")
    assert (code, "access not permitted by maximal permission policy" in message) == (403, True)
    await http.grant(provider, "apis.kcp.io:binding:bob", [rule("cloud.example.com", "flavors", "list")], "policy")
    assert len((await http.get(own, user="bob"))["items"]) == 3
    assert (await http.refused("GET", f"{own}/a", user="bob"))[0] == 403


async def test_provider_and_consumer_may_be_named_by_path_in_a_service_url(shard: Shard) -> None:
    world = ExportWorld(shard)
    async with world.http.client:
        await world.begin(virtual=True)
        one = await world.consumer("one")
        await shard.flavor(world.provider, "small")
        await world.order(one, "tea")
        await shard.settled()
        for provider in (world.provider, "root:provider"):
            for cluster in (one, "root:one"):
                for url in (
                    f"/services/apiexport/{provider}/shop/clusters/{cluster}/apis/shop.example.com/v1/orders",
                    f"/services/replication/{provider}/flavors:{world.identity}/clusters/{cluster}/{FLAVORS_PATH}",
                ):
                    [item] = (await world.http.get(url))["items"]
                    assert item["metadata"]["annotations"]["kcp.io/cluster"] == one
                    assert item["metadata"]["name"] in {"tea", "small"}
