"""``~`` in root: everybody's own workspace (behaviour §8)."""

import asyncio

import httpx
import pytest
from service_world import ADMIN, ServiceWorld
from shard_world import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, LOGICAL_CLUSTERS, NAMESPACES, WORKSPACES

from kcpcache.api.home_workspaces import home_cluster_name
from kcpcache.auth.attributes import Attributes
from kcpcache.auth.user import SCOPES_EXTRA, User
from kcpcache.meta.errors import ForbiddenError

HOME = "/clusters/root/apis/tenancy.kcp.io/v1alpha1/workspaces/~"


async def home_of(world: ServiceWorld, user: str) -> dict[str, object]:
    """The home, made and ready."""
    assert (await world.request("GET", HOME, user)).status_code in {200, 429}
    await world.shard.settled()
    return await world.get(HOME, user)


async def test_a_home_is_made_when_it_is_asked_for_and_shown_once_it_is_ready(world: ServiceWorld) -> None:
    first = await world.request("GET", HOME, "alice")
    assert first.status_code == httpx.codes.TOO_MANY_REQUESTS
    assert int(first.headers["retry-after"]) >= 1
    assert first.json()["reason"] == "TooManyRequests"
    await world.shard.settled()
    home = await world.get(HOME, "alice")
    cluster = home_cluster_name("alice")
    assert (home["kind"], home["metadata"]["name"]) == ("Workspace", "~")
    assert home["spec"] == {
        "URL": f"{world.shard.url}/clusters/user:alice",
        "cluster": cluster,
        "type": {"name": "home", "path": "root"},
    }
    assert home["status"]["phase"] == "Ready"
    assert home["metadata"]["labels"] == {"tenancy.kcp.io/phase": "Ready"}
    assert home["metadata"]["annotations"]["kcp.io/cluster"] == "root"


async def test_asking_again_makes_no_second_home(world: ServiceWorld) -> None:
    await world.request("GET", HOME, "alice")
    await world.request("GET", HOME, "alice")
    home = await home_of(world, "alice")
    assert await home_of(world, "alice") == home
    assert len([name for name in world.shard.clusters.names() if world.shard.clusters.path(name) == "user:alice"]) == 1


async def test_the_home_is_its_owners_to_do_everything_in(world: ServiceWorld) -> None:
    await home_of(world, "alice")
    cluster = home_cluster_name("alice")
    assert world.shard.get(cluster, NAMESPACES, "default") is not None
    binding = world.shard.need(cluster, CLUSTER_ROLE_BINDINGS, "workspace-admin")
    assert [subject["name"] for subject in binding["subjects"]] == ["alice"]
    for base in ("/clusters/user:alice", f"/clusters/{cluster}"):
        config_maps = f"{base}/api/v1/namespaces/default/configmaps"
        assert (await world.request("GET", config_maps, "alice")).status_code == httpx.codes.OK
        assert (await world.refused("GET", config_maps, "bob"))[0] == httpx.codes.FORBIDDEN
    child = {"metadata": {"name": "project"}}
    created = await world.request(
        "POST", "/clusters/user:alice/apis/tenancy.kcp.io/v1alpha1/workspaces", "alice", json=child
    )
    assert created.status_code == httpx.codes.CREATED, created.text
    assert created.json()["spec"]["type"] == {"name": "universal", "path": "root"}
    await world.shard.settled()
    assert world.shard.clusters.resolve("user:alice:project") is not None


async def test_two_users_have_two_homes(world: ServiceWorld) -> None:
    one, other = await home_of(world, "alice"), await home_of(world, ADMIN)
    assert one["spec"]["cluster"] != other["spec"]["cluster"]


async def test_it_is_no_object_of_root(world: ServiceWorld) -> None:
    await home_of(world, "alice")
    assert world.shard.get("root", WORKSPACES, "~") is None
    assert "~" not in await world.names(HOME.removesuffix("/~"), "alice")
    assert (await world.refused("DELETE", HOME, ADMIN))[0] == httpx.codes.METHOD_NOT_ALLOWED
    elsewhere = await world.shard.workspace("work")
    assert (await world.refused("GET", HOME.replace("root", elsewhere), ADMIN))[0] == httpx.codes.NOT_FOUND


async def test_its_owner_can_delete_it_and_gets_a_new_one_when_he_asks_again(world: ServiceWorld) -> None:
    old = await home_of(world, "alice")
    gone = "/clusters/user:alice/apis/core.kcp.io/v1alpha1/logicalclusters/cluster"
    assert (await world.request("DELETE", gone, "alice")).is_success
    assert (await world.request("GET", HOME, "alice")).status_code == httpx.codes.TOO_MANY_REQUESTS
    await world.shard.settled()
    assert not await world.shard.keys(f"/{home_cluster_name('alice')}/")
    assert (await home_of(world, "alice"))["metadata"]["uid"] != old["metadata"]["uid"]


async def test_nobody_without_a_name_has_a_home(world: ServiceWorld) -> None:
    assert (await world.refused("GET", HOME, None))[0] in {401, 403}
    assert not [name for name in world.shard.clusters.names() if world.shard.clusters.path(name).startswith("user:")]


@pytest.mark.parametrize("user", ["alice:project", "https://issuer#alice", "system:serviceaccount:default:default"])
async def test_a_name_that_would_be_another_workspaces_path_has_no_home(world: ServiceWorld, user: str) -> None:
    code, message = await world.refused("GET", HOME, user)
    assert code == httpx.codes.FORBIDDEN
    assert "workspace path" in message
    assert world.shard.get(home_cluster_name(user), LOGICAL_CLUSTERS, "cluster") is None


async def test_without_the_right_to_create_it_a_home_is_not_made(world: ServiceWorld) -> None:
    def only_get(role: dict[str, object]) -> None:
        role["rules"][0]["verbs"] = ["get"]  # type: ignore[index]

    await world.shard.change("root", CLUSTER_ROLES, "system:kcp:tenancy:home", only_get)
    await world.shard.settled()
    code, message = await world.refused("GET", HOME, "alice")
    assert code == httpx.codes.FORBIDDEN
    assert "create" in message


@pytest.mark.parametrize("user", ["alice@example.com", "Alice Smith", "ünal"])
async def test_the_url_of_a_home_can_be_used_whatever_the_name(world: ServiceWorld, user: str) -> None:
    headers = {"x-user": user.encode()}
    await world.http.get(HOME, headers=headers)
    await world.shard.settled()
    home = (await world.http.get(HOME, headers=headers)).json()
    url = home["spec"]["URL"].removeprefix(world.shard.url)
    assert " " not in url
    assert url.isascii()
    found = await world.http.get(f"{url}/apis/core.kcp.io/v1alpha1/logicalclusters/cluster", headers=headers)
    assert found.json()["metadata"]["annotations"]["kcp.io/path"] == f"user:{user}"


async def test_many_who_ask_at_once_get_one_home(world: ServiceWorld) -> None:
    answers = await asyncio.gather(*(world.request("GET", HOME, "alice") for _ in range(5)))
    assert {answer.status_code for answer in answers} == {429}
    await world.shard.settled()
    assert (await world.get(HOME, "alice"))["status"]["phase"] == "Ready"


async def test_credentials_for_another_workspace_are_not_the_user_in_root(world: ServiceWorld) -> None:
    scoped = User("alice", groups=("system:authenticated",), extra={SCOPES_EXTRA: ("cluster:elsewhere",)})
    attributes = Attributes(
        user=scoped,
        verb="get",
        cluster="root",
        group="tenancy.kcp.io",
        version="v1alpha1",
        resource="workspaces",
        name="~",
    )
    with pytest.raises(ForbiddenError, match="another workspace"):
        await world.homes.home(attributes)
