"""The initializing virtual workspace (behaviour §8): who may prepare a workspace, and what he can do in it."""

import asyncio
from typing import Any

import httpx
import pytest
from service_world import ADMIN, MASTER, ServiceWorld
from shard_world import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, CONFIG_MAPS, LOGICAL_CLUSTERS, WORKSPACE_TYPES, WORKSPACES

SERVICE = "/services/initializingworkspaces/root:special"
CLUSTERS = "/apis/core.kcp.io/v1alpha1/logicalclusters"
SPECIAL = {"name": "special", "path": "root"}
MERGE = {"content-type": "application/merge-patch+json"}


@pytest.fixture
async def waiting(world: ServiceWorld) -> str:
    """A workspace ``work`` of alice's that waits for ``root:special``; user ``preparer`` may initialize."""
    shard = world.shard
    extend = {"with": [{"name": "universal", "path": "root"}]}
    await shard.create("root", WORKSPACE_TYPES, "special", spec={"initializer": True, "extend": extend})
    rules = [
        {"verbs": ["initialize"], "apiGroups": ["tenancy.kcp.io"], "resources": ["workspacetypes"],
         "resourceNames": ["special"]}
    ]  # fmt: skip
    await shard.create("root", CLUSTER_ROLES, "prepare", rules=rules)
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "prepare"}
    subjects = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "preparer"}]
    await shard.create("root", CLUSTER_ROLE_BINDINGS, "prepare", roleRef=role, subjects=subjects)
    await shard.workspace("other")
    return await shard.workspace("work", type=SPECIAL)


def removed(obj: dict[str, Any]) -> dict[str, Any]:
    return {"status": {"initializers": [i for i in obj["status"]["initializers"] if i != "root:special"]}}


async def test_the_published_url_is_where_it_is(world: ServiceWorld, waiting: str) -> None:
    found = world.shard.need("root", WORKSPACE_TYPES, "special")
    assert found["status"]["virtualWorkspaces"] == [{"url": f"{world.shard.url}{SERVICE}"}]
    assert await world.names(f"{SERVICE}/clusters/*{CLUSTERS}", "preparer") == ["cluster"]


async def test_over_all_clusters_it_lists_exactly_those_that_wait(world: ServiceWorld, waiting: str) -> None:
    found = await world.get(f"{SERVICE}/clusters/*{CLUSTERS}", "preparer", limit="1")
    assert [item["metadata"]["annotations"]["kcp.io/cluster"] for item in found["items"]] == [waiting]
    assert "remainingItemCount" not in found["metadata"]
    assert found["items"][0]["status"]["initializers"] == ["root:special"]
    assert await world.names(f"{SERVICE}/clusters/*{CLUSTERS}", "preparer", labelSelector="no=such") == []


async def test_a_watch_hears_of_those_that_come_and_go(world: ServiceWorld, waiting: str) -> None:
    url = f"{SERVICE}/clusters/*{CLUSTERS}"
    version = (await world.get(url, "preparer"))["metadata"]["resourceVersion"]

    async def meanwhile() -> None:
        later = await world.shard.workspace("later", type=SPECIAL)
        await world.request(
            "PATCH", f"{SERVICE}/clusters/{later}{CLUSTERS}/cluster/status", "preparer", headers=MERGE,
            json={"status": {"initializers": []}},
        )  # fmt: skip

    writing = asyncio.create_task(meanwhile())
    events = await world.events(url, version, 500, user="preparer")
    await writing
    kinds = [kind for kind, _ in events]
    assert (kinds[0], kinds[-1]) == ("ADDED", "DELETED")
    assert set(kinds[1:-1]) <= {"MODIFIED"}
    assert {obj["metadata"]["annotations"]["kcp.io/path"] for _, obj in events} == {"root:later"}


@pytest.mark.parametrize("how", ["patch", "update"])
async def test_taking_the_initializer_out_finishes_the_workspace(world: ServiceWorld, waiting: str, how: str) -> None:
    url = f"{SERVICE}/clusters/root:work{CLUSTERS}/cluster"
    found = await world.get(url, "preparer")
    if how == "patch":
        answer = await world.request("PATCH", f"{url}/status", "preparer", json=removed(found), headers=MERGE)
    else:
        answer = await world.request(
            "PUT", f"{url}/status", "preparer", json={**found, "status": {**found["status"], "initializers": []}}
        )
    assert answer.is_success, answer.text
    assert "initializers" not in answer.json()["status"] or not answer.json()["status"]["initializers"]
    await world.shard.settled()
    assert world.shard.need("root", WORKSPACES, "work")["status"]["phase"] == "Ready"
    assert (await world.refused("GET", url, "preparer"))[0] == httpx.codes.FORBIDDEN
    assert await world.names(f"{SERVICE}/clusters/*{CLUSTERS}", "preparer") == []


@pytest.mark.parametrize(
    "status",
    [
        {"initializers": ["root:special", "root:more"]},
        {"initializers": ["root:more"]},
        {"phase": "Ready"},
        {"initializers": [], "URL": "https://elsewhere"},
        {"initializers": [], "phase": "Ready"},
    ],
)
async def test_nothing_else_in_the_status_can_be_changed(
    world: ServiceWorld, waiting: str, status: dict[str, Any]
) -> None:
    before = world.shard.need(waiting, LOGICAL_CLUSTERS, "cluster")["status"]
    url = f"{SERVICE}/clusters/{waiting}{CLUSTERS}/cluster/status"
    code, message = await world.refused("PATCH", url, "preparer", json={"status": status}, headers=MERGE)
    assert (code, "only removing initializer root:special" in message) == (httpx.codes.FORBIDDEN, True)
    await world.shard.settled()
    assert world.shard.need(waiting, LOGICAL_CLUSTERS, "cluster")["status"] == before


async def test_an_administrator_takes_an_initializer_off_where_nobody_serves_it_and_the_owner_does_not(
    world: ServiceWorld, waiting: str
) -> None:
    url = f"/clusters/{waiting}{CLUSTERS}/cluster"
    status = world.shard.need(waiting, LOGICAL_CLUSTERS, "cluster")["status"]
    done = {"status": {"initializers": []}}
    code, message = await world.refused("PATCH", f"{url}/status", "alice", json=done, headers=MERGE)
    assert (code, "initializers go through the virtual workspace" in message) == (403, True)
    for more in ({"phase": "Ready"}, {"URL": "https://elsewhere"}, {"initializers": ["root:special", "root:more"]}):
        wrong = {"status": {**done["status"], **more}}
        code, _ = await world.refused("PATCH", f"{url}/status", ADMIN, json=wrong, headers=MERGE)
        assert code in {403, 422}, more  # 422: initializers do not come back, whoever writes them
    assert world.shard.need(waiting, LOGICAL_CLUSTERS, "cluster")["status"] == status
    answer = await world.request("PATCH", f"{url}/status", ADMIN, json=done, headers=MERGE)
    assert answer.is_success, answer.text
    await world.shard.settled()
    assert world.shard.need("root", WORKSPACES, "work")["status"]["phase"] == "Ready"


async def test_of_the_logical_cluster_nothing_but_the_status_can_be_written(world: ServiceWorld, waiting: str) -> None:
    url = f"{SERVICE}/clusters/{waiting}{CLUSTERS}"
    label = {"metadata": {"labels": {"a": "b"}}}
    for method, path, body in (
        ("PATCH", f"{url}/cluster", label),
        ("DELETE", f"{url}/cluster", None),
        ("POST", url, {"metadata": {"name": "second"}}),
    ):
        headers = MERGE if method == "PATCH" else {}
        assert (await world.refused(method, path, "preparer", json=body, headers=headers))[0] == 405, method


async def test_in_the_workspace_he_acts_as_its_owner(world: ServiceWorld, waiting: str) -> None:
    base = f"{SERVICE}/clusters/{waiting}"
    config_map = {"metadata": {"name": "prepared"}, "data": {"by": "preparer"}}
    created = await world.request("POST", f"{base}/api/v1/namespaces/default/configmaps", "preparer", json=config_map)
    assert created.status_code == httpx.codes.CREATED, created.text
    assert world.shard.get(waiting, CONFIG_MAPS, "prepared", "default") is not None
    groups = {group["name"] for group in (await world.get(f"{base}/apis", "preparer"))["groups"]}
    assert {"apis.kcp.io", "rbac.authorization.k8s.io"} <= groups
    assert (await world.refused("GET", f"/clusters/{waiting}/api/v1/namespaces", "preparer"))[0] == 403


async def test_what_the_owner_may_not_do_he_may_not_do_either(world: ServiceWorld, waiting: str) -> None:
    """The owner is ``alice``, who may not bind to what she has no right on."""
    binding = {"metadata": {"name": "x"}, "spec": {"reference": {"export": {"path": "root", "name": "cache.kcp.io"}}}}
    url = f"{SERVICE}/clusters/{waiting}/apis/apis.kcp.io/v1alpha2/apibindings"
    code, message = await world.refused("POST", url, "preparer", json=binding)
    assert (code, "no permission to bind" in message) == (httpx.codes.FORBIDDEN, True)


async def test_a_master_who_owns_a_workspace_does_not_hand_over_his_power(world: ServiceWorld, waiting: str) -> None:
    spec = {"type": SPECIAL}
    created = await world.request(
        "POST", "/clusters/root/apis/tenancy.kcp.io/v1alpha1/workspaces", MASTER,
        json={"metadata": {"name": "masters"}, "spec": spec},
    )  # fmt: skip
    assert created.is_success, created.text
    await world.shard.settled()
    base = f"{SERVICE}/clusters/root:masters"
    assert (await world.request("GET", f"{base}/api/v1/secrets", "preparer")).is_success
    binding = {"metadata": {"name": "x"}, "spec": {"reference": {"export": {"path": "root", "name": "cache.kcp.io"}}}}
    code, _ = await world.refused("POST", f"{base}/apis/apis.kcp.io/v1alpha2/apibindings", "preparer", json=binding)
    assert code == httpx.codes.FORBIDDEN


@pytest.mark.parametrize("kind", ["User", "Group"])
async def test_what_the_owner_may_in_other_workspaces_is_not_handed_over(
    world: ServiceWorld, waiting: str, kind: str
) -> None:
    """Else whoever writes a type of workspaces would have the rights of all who use it; what all may, he may too."""
    rbac, name = "rbac.authorization.k8s.io", {"User": "alice", "Group": "system:authenticated"}[kind]
    rules = [{"verbs": ["bind"], "apiGroups": ["apis.kcp.io"], "resources": ["apiexports"]}]
    await world.shard.create("root", CLUSTER_ROLES, "bind", rules=rules)
    role = {"apiGroup": rbac, "kind": "ClusterRole", "name": "bind"}
    subjects = [{"apiGroup": rbac, "kind": kind, "name": name}]
    await world.shard.create("root", CLUSTER_ROLE_BINDINGS, "bind", roleRef=role, subjects=subjects)
    binding = {
        "metadata": {"name": "x"},
        "spec": {"reference": {"export": {"path": "root", "name": "shards.core.kcp.io"}}},
    }
    url = f"{SERVICE}/clusters/{waiting}/apis/apis.kcp.io/v1alpha2/apibindings"
    answer = await world.request("POST", url, "preparer", json=binding)
    assert ("no permission to bind" in answer.text) == (kind == "User"), answer.text


@pytest.mark.parametrize("user", ["alice", "bob", None])
@pytest.mark.parametrize(
    "path",
    [
        f"/clusters/*{CLUSTERS}",
        f"/clusters/root:work{CLUSTERS}/cluster",
        "/clusters/root:work/api/v1/secrets",
        "/clusters/root:work/apis",
        "/clusters/*/apis",
    ],
)
async def test_without_the_verb_initialize_nobody_gets_in(
    world: ServiceWorld, waiting: str, user: str | None, path: str
) -> None:
    assert (await world.refused("GET", f"{SERVICE}{path}", user))[0] in {401, 403}


@pytest.mark.parametrize("cluster", ["root", "root:other", "root:no-such"])
async def test_a_workspace_that_does_not_wait_for_it_is_closed(world: ServiceWorld, waiting: str, cluster: str) -> None:
    for path in ("/api/v1/namespaces", f"{CLUSTERS}/cluster", "/apis"):
        assert (await world.refused("GET", f"{SERVICE}/clusters/{cluster}{path}", "preparer"))[0] == 403


@pytest.mark.parametrize("initializer", ["system:apibindings", "root:universal", "root:no-such", "nonsense"])
async def test_the_right_to_one_initializer_is_none_to_another(
    world: ServiceWorld, waiting: str, initializer: str
) -> None:
    url = f"/services/initializingworkspaces/{initializer}/clusters/*{CLUSTERS}"
    assert (await world.refused("GET", url, "preparer"))[0] == httpx.codes.FORBIDDEN


async def test_over_all_clusters_there_is_nothing_but_logical_clusters(world: ServiceWorld, waiting: str) -> None:
    base = f"{SERVICE}/clusters/*"
    assert (await world.refused("GET", f"{base}/api/v1/secrets", "preparer"))[0] == httpx.codes.NOT_FOUND
    assert (await world.refused("GET", f"{base}{CLUSTERS}/cluster", "preparer"))[0] == 405
    found = await world.get(f"{base}/apis/core.kcp.io/v1alpha1", "preparer")
    verbs = {resource["name"]: resource["verbs"] for resource in found["resources"]}
    assert verbs["logicalclusters"] == ["get", "list", "patch", "update", "watch"]
    assert "shards" not in verbs


async def test_an_administrator_of_root_may_initialize(world: ServiceWorld, waiting: str) -> None:
    assert await world.names(f"{SERVICE}/clusters/*{CLUSTERS}", ADMIN) == ["cluster"]


async def test_a_watch_in_the_workspace_ends_with_the_right_to_it(world: ServiceWorld, waiting: str) -> None:
    maps = f"{SERVICE}/clusters/{waiting}/api/v1/namespaces/default/configmaps"
    version = (await world.get(maps, "preparer"))["metadata"]["resourceVersion"]

    async def meanwhile() -> None:
        await world.shard.create(waiting, CONFIG_MAPS, "before", namespace="default")
        url = f"{SERVICE}/clusters/{waiting}{CLUSTERS}/cluster/status"
        done = {"status": {"initializers": []}}
        assert (await world.request("PATCH", url, "preparer", json=done, headers=MERGE)).is_success
        await world.shard.create(waiting, CONFIG_MAPS, "after", namespace="default")

    writing = asyncio.create_task(meanwhile())
    events = await world.events(maps, version, 500, user="preparer")
    await writing
    assert [obj["metadata"]["name"] for _, obj in events] == ["before"]
