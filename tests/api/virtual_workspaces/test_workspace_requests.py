"""Workspaces over HTTP: what may be asked of them, by whom, and what is said of those that are not there (§8)."""

from typing import Any

import httpx
import pytest
from service_world import ADMIN, MASTER, ServiceWorld
from shard_world import CONFIG_MAPS, LOGICAL_CLUSTERS, SHARDS, WORKSPACE_TYPES, WORKSPACES

PATH = "/apis/tenancy.kcp.io/v1alpha1/workspaces"
MERGE = {"content-type": "application/merge-patch+json"}
UNIVERSAL = {"name": "universal", "path": "root"}


def work(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "work"}, "spec": {"type": UNIVERSAL, **spec}}


@pytest.mark.parametrize("field", ["cluster", "URL"])
async def test_where_a_workspace_is_only_the_server_says(world: ServiceWorld, field: str) -> None:
    stranger = await world.shard.workspace("stranger")
    value = stranger if field == "cluster" else "https://elsewhere/clusters/root:work"
    code, message = await world.refused("POST", f"/clusters/root{PATH}", ADMIN, json=work(**{field: value}))
    assert (code, f"spec.{field} can only be set by system privileged users" in message) == (403, True)
    await world.request("POST", f"/clusters/root{PATH}", ADMIN, json=work())
    await world.shard.settled()
    before = world.shard.need("root", WORKSPACES, "work")["spec"]
    patch = {"spec": {field: value}}
    code, _ = await world.refused("PATCH", f"/clusters/root{PATH}/work", ADMIN, json=patch, headers=MERGE)
    assert code in {403, 422}
    labels = {"metadata": {"labels": {"a": "b"}}}
    answer = await world.request("PATCH", f"/clusters/root{PATH}/work", ADMIN, json=labels, headers=MERGE)
    assert answer.is_success, answer.text
    await world.shard.settled()
    assert world.shard.need("root", WORKSPACES, "work")["spec"] == before


async def test_a_workspace_below_a_parent_without_a_type_needs_one(world: ServiceWorld) -> None:
    """``root`` is of type ``root:root``; without that type there is no default child."""
    await world.shard.delete("root", WORKSPACE_TYPES, "root")
    untyped = {"metadata": {"name": "work"}}
    code, message = await world.refused("POST", f"/clusters/root{PATH}", ADMIN, json=untyped)
    assert (code, "spec.type must be set" in message) == (403, True)


@pytest.mark.parametrize("user", ["alice", ADMIN, None])
async def test_an_unknown_workspace_is_forbidden_and_not_said_to_be_missing(
    world: ServiceWorld, user: str | None
) -> None:
    for cluster in ("root:no-such", "2vozxm5e0hmkj4vb", "user:nobody", "nonsense"):
        for path in ("/api/v1/namespaces", "/apis", PATH):
            assert (await world.refused("GET", f"/clusters/{cluster}{path}", user))[0] in {401, 403}


@pytest.mark.parametrize("named", ["by path", "by name"])
async def test_to_masters_a_deleted_workspace_is_not_there_and_not_an_empty_one(
    world: ServiceWorld, named: str
) -> None:
    gone = await world.shard.workspace("gone")
    await world.shard.delete("root", WORKSPACES, "gone")
    await world.shard.settled()
    at = "root:gone" if named == "by path" else gone
    maps = "/api/v1/namespaces/default/configmaps"
    for method, path in (
        ("GET", maps), ("GET", f"{maps}?watch=1"), ("POST", maps), ("DELETE", maps), ("GET", f"{maps}/a"),
        ("GET", "/apis/core.kcp.io/v1alpha1/logicalclusters/cluster"), ("GET", "/apis"), ("GET", "/openapi/v3"),
    ):  # fmt: skip
        body = {"json": {"metadata": {"name": "a"}}} if method == "POST" else {}
        code, message = await world.refused(method, f"/clusters/{at}{path}", MASTER, **body)
        assert (code, message) == (404, f'logicalclusters.core.kcp.io "{at}" not found'), path
        assert (await world.refused(method, f"/clusters/{at}{path}", ADMIN, **body))[0] == 403, path
    assert await world.shard.keys(f"/{gone}/") == []


@pytest.mark.parametrize(("phase", "code"), [("Unavailable", 403), ("Scheduling", 403), ("Initializing", 200)])
async def test_only_initializing_and_ready_workspaces_let_anybody_in(
    world: ServiceWorld, phase: str, code: int
) -> None:
    await world.request("POST", f"/clusters/root{PATH}", "kcp-admin", json=work())
    await world.shard.settled()
    cluster = world.shard.clusters.resolve("root:work") or ""
    url = f"/clusters/{cluster}/api/v1/namespaces"
    assert (await world.request("GET", url, ADMIN)).status_code == httpx.codes.OK
    for controller in world.shard.tasks:  # nobody shall put the phase right again
        controller.cancel()

    key = next(k for k in await world.shard.keys(f"/{cluster}/") if "/logicalclusters/" in k)
    found = world.shard.need(cluster, LOGICAL_CLUSTERS, "cluster")
    await world.shard.put_copy(key, {**found, "status": {**found["status"], "phase": phase}})
    await world.shard.caches.fresh()
    assert (await world.request("GET", url, ADMIN)).status_code == code
    assert (await world.request("GET", url, MASTER)).status_code == httpx.codes.OK


async def test_a_deleted_organization_takes_what_is_nested_in_it_along(world: ServiceWorld) -> None:
    shard = world.shard
    org = await shard.workspace("org", type={"name": "organization", "path": "root"})
    team = await shard.workspace("team", parent="root:org")
    leaf = await shard.workspace("leaf", parent="root:org:team")
    assert (await world.request("DELETE", f"/clusters/root{PATH}/org", ADMIN)).is_success
    await shard.settled()
    for cluster in (org, team, leaf):
        assert not await shard.keys(f"/{cluster}/")
        assert (await world.refused("GET", f"/clusters/{cluster}/apis", ADMIN))[0] == httpx.codes.FORBIDDEN
    assert (await world.refused("GET", f"/clusters/root{PATH}/org", ADMIN))[0] == httpx.codes.NOT_FOUND


async def test_nobody_takes_the_finalizer_off_before_everything_is_deleted(world: ServiceWorld) -> None:
    org = await world.shard.workspace("org", type={"name": "organization", "path": "root"})
    await world.shard.create(org, CONFIG_MAPS, "held", namespace="default", finalizers=["example.com/hold"])
    assert (await world.request("DELETE", f"/clusters/root{PATH}/org", ADMIN)).is_success
    await world.shard.settled()
    inside = f"/clusters/{org}/apis/core.kcp.io/v1alpha1/logicalclusters/cluster"
    bare = {"metadata": {"finalizers": None}}
    for url in (f"/clusters/root{PATH}/org", inside):
        code, message = await world.refused("PATCH", url, ADMIN, json=bare, headers=MERGE)
        assert (code, "core.kcp.io/logicalcluster" in message) == (403, True)
    config_map = f"/clusters/{org}/api/v1/namespaces/default/configmaps/held"
    assert (await world.request("PATCH", config_map, ADMIN, json=bare, headers=MERGE)).is_success
    await world.shard.settled()
    assert not await world.shard.keys(f"/{org}/")


async def test_a_workspace_waits_for_a_shard_that_its_selector_allows(world: ServiceWorld) -> None:
    shard = world.shard
    elsewhere = {"selector": {"matchLabels": {"region": "mars"}}}
    assert (await world.request("POST", f"/clusters/root{PATH}", ADMIN, json=work(location=elsewhere))).is_success
    await shard.settled()
    found = shard.need("root", WORKSPACES, "work")
    assert found["status"]["phase"] == "Scheduling"
    reasons = {condition["type"]: condition.get("reason") for condition in found["status"]["conditions"]}
    assert reasons["WorkspaceScheduled"] == "Unschedulable"
    await shard.change(
        "root", SHARDS, "root", lambda o: o["metadata"].update(labels={"name": "root", "region": "mars"})
    )
    await shard.settled()
    assert shard.need("root", WORKSPACES, "work")["status"]["phase"] == "Ready"


async def test_a_type_can_allow_no_children_and_what_it_extends_counts(world: ServiceWorld) -> None:
    shard = world.shard
    extend = {"with": [UNIVERSAL]}
    labels = {"additionalWorkspaceLabels": {"tier": "leaf"}}
    await shard.create(
        "root", WORKSPACE_TYPES, "childless", spec={"extend": extend, "limitAllowedChildren": {"none": True}, **labels}
    )
    await shard.create(
        "root", WORKSPACE_TYPES, "heir", spec={"extend": {"with": [{"name": "childless", "path": "root"}]}}
    )
    for kind in ("childless", "heir"):
        body = {"metadata": {"name": kind}, "spec": {"type": {"name": kind, "path": "root"}}}
        made = await world.request("POST", f"/clusters/root{PATH}", ADMIN, json=body)
        assert made.json()["metadata"]["labels"]["tier"] == "leaf"
        await shard.settled()
        cluster = shard.clusters.resolve(f"root:{kind}")
        code, message = await world.refused("POST", f"/clusters/{cluster}{PATH}", ADMIN, json=work())
        assert (code, f"root:universal is not allowed in root:{kind}" in message) == (403, True)
        bindings = f"/clusters/{cluster}/apis/apis.kcp.io/v1alpha2/apibindings"
        exports = [item["spec"]["reference"]["export"]["name"] for item in (await world.get(bindings))["items"]]
        assert sorted(exports) == ["tenancy.kcp.io", "topology.kcp.io"]


async def test_a_home_is_printed_as_a_row_of_a_table(world: ServiceWorld) -> None:
    await world.request("GET", f"/clusters/root{PATH}/~", "alice")
    await world.shard.settled()
    accept = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    table = (await world.request("GET", f"/clusters/root{PATH}/~", "alice", headers=accept)).json()
    (row,) = table["rows"]
    cells = dict(zip((column["name"] for column in table["columnDefinitions"]), row["cells"], strict=True))
    assert (cells["Name"], cells["Phase"]) == ("~", "Ready")
