"""What kcp's own clients expect to find (kcp-compat), called by hand over HTTP."""

import re

from service_world import ADMIN, MASTER, ServiceWorld
from shard_world import CACHED_RESOURCES, CLUSTER_ROLE_BINDINGS, SHARDS, WORKSPACE_TYPES, Shard

RBAC = "apis/rbac.authorization.k8s.io/v1"
APIS, CORE, TENANCY = "apis/apis.kcp.io/v1alpha2", "apis/core.kcp.io/v1alpha1", "apis/tenancy.kcp.io/v1alpha1"


async def test_a_namespaced_resource_called_clusters_works(world: ServiceWorld) -> None:
    """A segment of the path after the workspace's is no second workspace."""
    cluster = await world.shard.workspace("fleet")
    group, schema = "fleet.example.com", {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    spec = {
        "group": group,
        "scope": "Namespaced",
        "names": {"plural": "clusters", "singular": "cluster", "kind": "Cluster", "listKind": "ClusterList"},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
    }
    crds = f"/clusters/{cluster}/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    made = await world.request("POST", crds, json={"metadata": {"name": f"clusters.{group}"}, "spec": spec})
    assert made.status_code == 201, made.text
    await world.shard.settled()
    for base in (f"/clusters/{cluster}", "/clusters/root:fleet"):
        clusters = f"{base}/apis/{group}/v1/namespaces/default/clusters"
        body = {"apiVersion": f"{group}/v1", "kind": "Cluster", "metadata": {"name": "clusters"}}
        assert (await world.request("POST", clusters, json=body)).status_code == 201
        assert (await world.get(f"{clusters}/clusters"))["kind"] == "Cluster"
        assert await world.names(f"{base}/apis/{group}/v1/clusters") == ["clusters"]
        assert (await world.request("DELETE", f"{clusters}/clusters")).status_code == 200
    for path in ("/clusters/root/clusters/root/api/v1/configmaps", f"/clusters/{cluster}/clusters/root/apis"):
        assert (await world.refused("GET", path))[0] == 404


async def test_system_admin_serves_rbac_to_masters_only(world: ServiceWorld) -> None:
    base = f"/clusters/system:admin/{RBAC}"
    assert "system:kcp:workspace:access" in await world.names(f"{base}/clusterroles")
    rule = {"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"]}
    role = {"metadata": {"name": "everywhere"}, "rules": [rule]}
    assert (await world.request("POST", f"{base}/clusterroles", json=role)).status_code == 201
    for user in (ADMIN, "alice"):
        assert (await world.refused("GET", f"{base}/clusterroles", user))[0] == 403
        assert (await world.refused("POST", f"{base}/clusterroles", user, json=role))[0] == 403


async def test_subjects_may_leave_out_their_api_group(world: ServiceWorld) -> None:
    cluster = await world.shard.workspace("work")
    bindings, maps = f"/clusters/{cluster}/{RBAC}/clusterrolebindings", f"/clusters/{cluster}/api/v1/configmaps"
    assert (await world.refused("GET", maps, "bob"))[0] == 403
    binding = {
        "metadata": {"name": "bobs"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "User", "name": "bob"}],
    }
    assert (await world.request("POST", bindings, json=binding)).status_code == 201
    assert world.shard.need(cluster, CLUSTER_ROLE_BINDINGS, "bobs")["subjects"][0]["apiGroup"]
    assert await world.names(maps, "bob") == []


async def test_every_type_that_others_refer_to_says_its_path(world: ServiceWorld) -> None:
    shard: Shard = world.shard
    provider, consumer = await shard.provider(), await shard.workspace("consumer")
    await shard.create(provider, WORKSPACE_TYPES, "special", spec={})
    await shard.bind(consumer, provider)
    await shard.settled()
    for path, where in (
        (f"{provider}/{CORE}/logicalclusters/cluster", "root:provider"),
        (f"{provider}/{APIS}/apiexports/cloud", "root:provider"),
        (f"{provider}/apis/cache.kcp.io/v1alpha1/cachedresources/flavors", "root:provider"),
        (f"{provider}/{TENANCY}/workspacetypes/special", "root:provider"),
        (f"{consumer}/{APIS}/apibindings/cloud", "root:consumer"),
    ):
        annotations = (await world.get(f"/clusters/{path}"))["metadata"]["annotations"]
        assert annotations["kcp.io/path"] == where
        assert annotations["kcp.io/cluster"] == path.split("/")[0]


async def test_endpoint_urls_start_with_the_shards_virtual_workspace_url(world: ServiceWorld) -> None:
    shard = world.shard
    provider, consumer = await shard.provider(), await shard.workspace("consumer")
    await shard.bind(consumer, provider)
    await shard.settled()
    base = shard.need("root", SHARDS, "root")["spec"]["virtualWorkspaceURL"]
    slices = {
        "apis/apis.kcp.io/v1alpha1/apiexportendpointslices/cloud": f"{base}/services/apiexport/{provider}/cloud",
        "apis/cache.kcp.io/v1alpha1/cachedresourceendpointslices/flavors": (
            f"{base}/services/replication/{provider}/flavors"
        ),
    }
    for path, url in slices.items():
        found = await world.get(f"/clusters/{provider}/{path}")
        assert found["status"]["endpoints"] == [{"url": url}]


async def test_logical_cluster_names_are_lower_case_base_36(world: ServiceWorld) -> None:
    found = [await world.shard.workspace(f"work-{number}") for number in range(5)]
    assert len(set(found)) == 5
    assert all(re.fullmatch("[a-z0-9]+", name) for name in found)


async def test_a_review_says_that_access_is_missing_and_a_deleted_workspace_is_403(world: ServiceWorld) -> None:
    await world.shard.workspace("work")
    code, message = await world.refused("GET", "/clusters/root:work/api/v1/configmaps", "bob")
    assert (code, "access denied" in message) == (403, True)
    assert (await world.request("DELETE", f"/clusters/root/{TENANCY}/workspaces/work", ADMIN)).is_success
    await world.shard.settled()
    assert (await world.refused("GET", f"/clusters/root/{TENANCY}/workspaces/work", ADMIN))[0] == 404
    assert (await world.refused("GET", f"/clusters/root:work/{CORE}/logicalclusters/cluster", ADMIN))[0] == 403


async def test_published_kinds_have_the_names_of_v0_29(world: ServiceWorld) -> None:
    found = await world.get("/clusters/root/apis/cache.kcp.io/v1alpha1", MASTER)
    kinds = {resource["name"]: resource["kind"] for resource in found["resources"] if "/" not in resource["name"]}
    assert kinds == {
        CACHED_RESOURCES.resource: "CachedResource",
        "cachedresourceendpointslices": "CachedResourceEndpointSlice",
    }
    assert not any(resource["namespaced"] for resource in found["resources"])
