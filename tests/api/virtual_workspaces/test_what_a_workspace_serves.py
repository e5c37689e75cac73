"""What each workspace serves and stores, and how kcp's types look (behaviour §3.4, §6, §8), over HTTP."""

from typing import Any

import pytest
from service_world import ADMIN, MASTER, ServiceWorld
from shard_world import BINDINGS, SCHEMAS, schema_spec

BUILT_IN = {
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "events.k8s.io",
    "rbac.authorization.k8s.io",
}
OF_KCP = {"apis.kcp.io", "cache.kcp.io", "core.kcp.io"}
BOUND = {"tenancy.kcp.io", "topology.kcp.io"}
WORKSPACES = "apis/tenancy.kcp.io/v1alpha1/workspaces"
MERGE = {"content-type": "application/merge-patch+json"}
TABLE = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}


@pytest.fixture
async def work(world: ServiceWorld) -> str:
    """The URL of a workspace."""
    return f"/clusters/{await world.shard.workspace('work')}"


async def resources(world: ServiceWorld, url: str) -> set[str]:
    return {resource["name"] for resource in (await world.get(url))["resources"] if "/" not in resource["name"]}


async def test_a_workspace_serves_the_built_in_groups_and_kcps(world: ServiceWorld, work: str) -> None:
    assert {group["name"] for group in (await world.get(f"{work}/apis"))["groups"]} == BUILT_IN | OF_KCP | BOUND
    assert await resources(world, f"{work}/apis/core.kcp.io/v1alpha1") == {"logicalclusters"}
    assert await resources(world, f"{work}/apis/cache.kcp.io/v1alpha1") == {
        "cachedresources",
        "cachedresourceendpointslices",
    }
    assert {"namespaces", "configmaps", "secrets", "serviceaccounts", "events", "resourcequotas", "limitranges"} <= (
        await resources(world, f"{work}/api/v1")
    )


async def test_tenancy_and_topology_are_there_by_bindings_to_root(world: ServiceWorld, work: str) -> None:
    cluster = work.removeprefix("/clusters/")
    for binding in await world.shard.objects(cluster, BINDINGS):
        await world.shard.delete(cluster, BINDINGS, binding["metadata"]["name"])
    await world.shard.settled()
    assert {group["name"] for group in (await world.get(f"{work}/apis"))["groups"]} == BUILT_IN | OF_KCP
    assert (await world.refused("GET", f"{work}/{WORKSPACES}"))[0] == 404


async def test_a_type_that_names_no_default_child_has_universal_as_in_kcp(world: ServiceWorld, work: str) -> None:
    """The schema says so, kcp's and ours: ``kubectl ws create`` needs no type below a workspace of type universal."""
    response = await world.request("POST", f"{work}/{WORKSPACES}", ADMIN, json={"metadata": {"name": "child"}})
    assert response.status_code == 201, response.text
    assert response.json()["spec"]["type"] == {"name": "universal", "path": "root"}


async def test_the_newer_version_of_exports_and_bindings_is_preferred(world: ServiceWorld, work: str) -> None:
    found = await world.get(f"{work}/apis/apis.kcp.io")
    assert [version["version"] for version in found["versions"]] == ["v1alpha2", "v1alpha1"]
    assert found["preferredVersion"]["version"] == "v1alpha2"
    for version in ("v1alpha1", "v1alpha2"):
        assert {"apiexports", "apibindings"} <= await resources(world, f"{work}/apis/apis.kcp.io/{version}")


async def test_a_resource_is_stored_where_an_export_does_not_say(world: ServiceWorld, work: str) -> None:
    cluster = work.removeprefix("/clusters/")
    await world.shard.create(cluster, SCHEMAS, "v1.flavors.cloud.example.com", spec=schema_spec())
    entry = {"group": "cloud.example.com", "name": "flavors", "schema": "v1.flavors.cloud.example.com"}
    made = {"metadata": {"name": "cloud"}, "spec": {"resources": [entry]}}
    url = f"{work}/apis/apis.kcp.io/v1alpha2/apiexports"
    virtual = {"identityHash": "a", "reference": {"apiGroup": "b", "kind": "A", "name": "a"}}
    for storage in ({}, {"crd": {}, "virtual": virtual}):
        wrong = {**made, "spec": {"resources": [{**entry, "storage": storage}]}}
        assert (await world.refused("POST", url, json=wrong))[0] == 422, storage
    response = await world.request("POST", url, json=made)
    assert response.json()["spec"]["resources"] == [{**entry, "storage": {"crd": {}}}]


async def test_cached_resources_are_printed_with_their_counts_on_demand(world: ServiceWorld) -> None:
    cluster = await world.shard.provider()
    await world.shard.flavor(cluster, "small")
    await world.shard.settled()
    url = f"/clusters/{cluster}/apis/cache.kcp.io/v1alpha1/cachedresources"
    table = (await world.request("GET", url, headers=TABLE)).json()
    shown = [column["name"].upper() for column in table["columnDefinitions"] if not column["priority"]]
    assert shown == ["NAME", "RESOURCE", "AGE"]
    wide = [column["name"].upper() for column in table["columnDefinitions"] if column["priority"]]
    assert wide == ["PHASE", "LOCAL", "CACHE"]
    cells = dict(zip((c["name"].upper() for c in table["columnDefinitions"]), table["rows"][0]["cells"], strict=True))
    del cells["AGE"]
    assert cells == {"NAME": "flavors", "RESOURCE": "flavors", "PHASE": "Ready", "LOCAL": 1, "CACHE": 1}


# -- what its users add


def ingresses(**fields: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": fields}}}
    return {
        "metadata": {
            "name": "ingresses.networking.k8s.io",
            "annotations": {"api-approved.kubernetes.io": "https://github.com/kubernetes/kubernetes/pull/91395"},
        },
        "spec": {
            "group": "networking.k8s.io",
            "scope": "Namespaced",
            "names": {"plural": "ingresses", "singular": "ingress", "kind": "Ingress", "listKind": "IngressList"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }


async def test_types_of_kubernetes_that_are_not_built_in_are_not_there_until_a_user_adds_them(
    world: ServiceWorld, work: str
) -> None:
    url = f"{work}/apis/networking.k8s.io/v1/namespaces/default/ingresses"
    for missing in (url, f"{work}/api/v1/namespaces/default/pods", f"{work}/apis/apps/v1/deployments"):
        assert (await world.refused("GET", missing))[0] == 404
    crds = f"{work}/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    assert (await world.request("POST", crds, json=ingresses(host={"type": "string"}))).status_code == 201
    await world.shard.settled(1)
    ingress = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "a"}}
    made = await world.request("POST", url, json={**ingress, "spec": {"host": "example.com"}})
    assert (made.status_code, made.json()["spec"]) == (201, {"host": "example.com"})


async def test_discovery_and_openapi_follow_a_definition_within_a_second_and_in_its_workspace_only(
    world: ServiceWorld, work: str
) -> None:
    async def documents(url: str) -> dict[str, str]:
        found = (await world.get(f"{url}/openapi/v3"))["paths"]
        return {name: item["serverRelativeURL"] for name, item in found.items()}

    other = f"/clusters/{await world.shard.workspace('other')}"
    crds = f"{work}/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    one = f"{crds}/ingresses.networking.k8s.io"
    mine = "apis/networking.k8s.io/v1"
    before = await documents(work)
    assert before == await documents(other)
    assert (await world.request("POST", crds, json=ingresses())).status_code == 201
    await world.shard.settled(1)
    added = await documents(work)
    assert await resources(world, f"{work}/{mine}") == {"ingresses"}
    assert {name for name in added if added[name] != before.get(name)} >= {mine}
    assert added["api/v1"] == before["api/v1"], "what has not changed may be kept"

    live = await world.get(one)
    changed = {**live, "spec": {**live["spec"], "versions": ingresses(host={"type": "string"})["spec"]["versions"]}}
    assert (await world.request("PUT", one, json=changed)).status_code == 200
    await world.shard.settled(1)
    again = await documents(work)
    assert {name for name in again if again[name] != added[name]} == {mine}
    assert "host" in str(await world.get(f"{work}/openapi/v3/{mine}"))

    assert (await world.request("DELETE", one)).status_code == 200
    await world.shard.settled(1)
    assert await documents(work) == before == await documents(other)
    assert (await world.refused("GET", f"{work}/{mine}"))[0] == 404


# -- kcp.io/cluster


async def test_the_cluster_is_added_on_read_and_is_never_a_change(world: ServiceWorld, work: str) -> None:
    cluster, maps = work.removeprefix("/clusters/"), f"{work}/api/v1/namespaces/default/configmaps"
    forged = {"kcp.io/cluster": "elsewhere", "mine": "1"}
    response = await world.request("POST", maps, json={"metadata": {"name": "a", "annotations": forged}})
    made = response.json()
    assert made["metadata"]["annotations"] == {"kcp.io/cluster": cluster, "mine": "1"}
    [key] = [
        key for key in await world.shard.keys(f"/{cluster}/") if key.endswith("/configmaps/" + cluster + "/default/a")
    ]
    entry = (await world.shard.store.get(key)).entry
    assert entry is not None
    assert b"elsewhere" not in entry.value
    assert cluster.encode() not in entry.value
    assert "kcp.io/cluster" not in str(made["metadata"]["managedFields"])
    version = made["metadata"]["resourceVersion"]
    for given in ({"kcp.io/cluster": "other", "mine": "1"}, {"mine": "1"}):
        changed = {**made, "metadata": {**made["metadata"], "annotations": given}}
        put = (await world.request("PUT", f"{maps}/a", json=changed)).json()
        patch = {"metadata": {"annotations": {"kcp.io/cluster": given.get("kcp.io/cluster")}}}
        patched = (await world.request("PATCH", f"{maps}/a", json=patch, headers=MERGE)).json()
        for found in (put, patched):
            assert found["metadata"]["resourceVersion"] == version
            assert found["metadata"]["annotations"]["kcp.io/cluster"] == cluster
    apply = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "annotations": forged}}
    applied = await world.request(
        "PATCH", f"{maps}/a?fieldManager=me", json=apply, headers={"content-type": "application/apply-patch+yaml"}
    )
    assert applied.json()["metadata"]["annotations"]["kcp.io/cluster"] == cluster
    assert "kcp.io/cluster" not in str(applied.json()["metadata"]["managedFields"])


# -- stored and validated, without effect


@pytest.mark.parametrize(
    ("path", "good", "bad"),
    [
        (
            "apis/apis.kcp.io/v1alpha1/apiconversions",
            {"metadata": {"name": "v1.flavors.cloud.example.com"},
             "spec": {"conversions": [
                 {"from": "v1", "to": "v2", "rules": [{"field": ".spec.a", "destination": ".spec.b"}]}]}},
            {"spec": {"conversions": [{"from": "v1"}]}},
        ),
        (
            "apis/tenancy.kcp.io/v1alpha1/workspaceauthenticationconfigurations",
            {"metadata": {"name": "a"},
             "spec": {"jwt": [{"issuer": {"url": "https://issuer.example.com", "audiences": ["a"]},
                               "claimMappings": {"username": {"claim": "sub", "prefix": ""}}}]}},
            {"spec": {"jwt": [{"issuer": {"audiences": "a"}}]}},
        ),
    ],
    ids=["APIConversion", "WorkspaceAuthenticationConfiguration"],
)  # fmt: skip
async def test_types_without_effect_are_stored_as_given_and_validated(
    world: ServiceWorld, work: str, path: str, good: dict[str, Any], bad: dict[str, Any]
) -> None:
    response = await world.request("POST", f"{work}/{path}", json=good)
    assert response.status_code == 201, response.text
    assert (await world.get(f"{work}/{path}/{good['metadata']['name']}"))["spec"] == good["spec"]
    code, message = await world.refused("POST", f"{work}/{path}", json={"metadata": {"name": "b"}, **bad})
    assert (code, "spec." in message) == (422, True)


async def test_a_mount_is_stored_validated_and_nothing_else(world: ServiceWorld, work: str) -> None:
    mount = {"ref": {"apiVersion": "mounts.example.com/v1", "kind": "Cluster", "name": "far"}}
    spec = {"type": {"name": "universal", "path": "root"}, "mount": mount}
    response = await world.request(
        "POST", f"{work}/{WORKSPACES}", MASTER, json={"metadata": {"name": "m"}, "spec": spec}
    )
    assert response.status_code == 201, response.text
    await world.shard.settled()
    found = await world.get(f"{work}/{WORKSPACES}/m")
    assert found["spec"]["mount"] == mount
    wrong = {**spec, "mount": {"ref": {"kind": 7}}}
    assert (await world.refused("POST", f"{work}/{WORKSPACES}", json={"metadata": {"name": "n"}, "spec": wrong}))[
        0
    ] in {
        400,
        422,
    }
