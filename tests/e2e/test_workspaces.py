"""Workspaces as kcp's kubectl plugins use them (kcp-compat, "What kcp's kubectl plugins call"), each call by hand."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from cloud_co import CPU, bind_catalogue, share_catalogue
from real_kubectl import Kubectl, kubectl_binary
from real_server import Server, eventually, start_server

TENANCY = "/apis/tenancy.kcp.io/v1alpha1"
BINDINGS = "/apis/apis.kcp.io/v1alpha2/apibindings"
LOGICAL_CLUSTERS = "/apis/core.kcp.io/v1alpha1/logicalclusters"
USERS = "alice-token,alice,u-1\nbob-token,bob,u-2\n"
UNIVERSAL = {"name": "universal", "path": "root"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    kubectl_binary()
    folder = tmp_path_factory.mktemp("server")
    tokens = folder / "tokens.csv"
    tokens.write_text(USERS)
    with start_server(folder / "root", "--token-auth-file", tokens) as server:
        yield server


@pytest.fixture
def admin(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


@pytest.fixture
def alice(kubectl: Kubectl) -> Kubectl:
    return kubectl.as_user("--token=alice-token")


def workspace(name: str, /, **kind: str) -> dict[str, Any]:
    spec = {"type": kind} if kind else {}
    return {"apiVersion": "tenancy.kcp.io/v1alpha1", "kind": "Workspace", "metadata": {"name": name}, "spec": spec}


def create_workspace(client: httpx.Client, parent: str, name: str, /, **kind: str) -> dict[str, Any]:
    """``ws create``: the POST's answer is used, then GET until the phase is Ready."""
    url = f"/clusters/{parent}{TENANCY}/workspaces"
    answer = client.post(url, json=workspace(name, **kind))
    assert answer.status_code == httpx.codes.CREATED, answer.text
    assert answer.json()["spec"]["type"].keys() == {"name", "path"}

    def ready() -> Any:
        found = client.get(f"{url}/{name}").json()
        return found if found.get("status", {}).get("phase") == "Ready" else None

    return dict(eventually(ready))


def raw(kubectl: Kubectl, server: Server, path: str) -> Any:
    # Since 1.35, kubectl puts the path of its server's address before it.
    return json.loads(kubectl("root", "get", "--raw", path, f"--server={server.url}"))


# -- ws create, ws use, ws tree


def test_ws_create_gets_the_type_at_once_and_a_workspace_that_becomes_ready(server: Server, admin: httpx.Client):
    found = create_workspace(admin, "root", "created")
    assert found["spec"]["type"] == {"name": "organization", "path": "root"}
    assert found["spec"]["URL"] == f"{server.url}/clusters/root:created"
    assert found["metadata"]["labels"]["tenancy.kcp.io/phase"] == "Ready"
    conditions = {condition["type"]: condition["status"] for condition in found["status"]["conditions"]}
    assert conditions["WorkspaceScheduled"] == "True"
    inside = admin.get(f"/clusters/{found['spec']['cluster']}{LOGICAL_CLUSTERS}/cluster").json()
    by_path = admin.get(f"/clusters/root:created{LOGICAL_CLUSTERS}/cluster").json()
    assert inside == by_path
    assert inside["status"]["URL"] == f"{server.url}/clusters/{found['spec']['cluster']}"


def test_ws_use_finds_groups_the_workspace_in_its_parent_and_its_bindings(admin: httpx.Client, kubectl: Kubectl):
    create_workspace(admin, "root", "entered")
    groups = {group["name"] for group in admin.get("/clusters/root:entered/apis").json()["groups"]}
    assert {"apis.kcp.io", "core.kcp.io", "tenancy.kcp.io", "topology.kcp.io"} <= groups
    assert admin.get(f"/clusters/root{TENANCY}/workspaces/entered").is_success
    bindings = admin.get(f"/clusters/root:entered{BINDINGS}").json()["items"]
    assert {item["spec"]["reference"]["export"]["name"] for item in bindings} == {"tenancy.kcp.io", "topology.kcp.io"}
    assert kubectl.names("root:entered", "namespaces") == ["default"]


def test_ws_use_is_denied_to_who_may_not_enter(admin: httpx.Client, alice: Kubectl):
    create_workspace(admin, "root", "closed")
    assert "orbidden" in alice.refused("root:closed", "api-resources")
    assert "orbidden" in alice.refused("root:no-such", "api-resources")


def test_ws_tree_finds_every_workspace_with_a_url(admin: httpx.Client):
    create_workspace(admin, "root", "tree")
    create_workspace(admin, "root:tree", "left")
    create_workspace(admin, "root:tree", "right")
    create_workspace(admin, "root:tree:left", "leaf", **UNIVERSAL)

    def tree(path: str) -> dict[str, Any]:
        items = admin.get(f"/clusters/{path}{TENANCY}/workspaces").json()["items"]
        assert all(item["spec"]["URL"].endswith(f"/clusters/{path}:{item['metadata']['name']}") for item in items)
        return {item["metadata"]["name"]: tree(f"{path}:{item['metadata']['name']}") for item in items}

    assert tree("root:tree") == {"left": {"leaf": {}}, "right": {}}


# -- ws ~


def test_ws_home_is_made_on_demand_and_is_ones_own(server: Server, alice: Kubectl, kubectl: Kubectl):
    home = raw(alice, server, f"/clusters/root{TENANCY}/workspaces/~")
    assert home["spec"]["URL"] == f"{server.url}/clusters/user:alice"
    assert alice.json("root", "workspace", "~")["status"]["phase"] == "Ready"
    alice("user:alice", "create", "configmap", "mine")
    alice.create("user:alice", workspace("project"))
    alice("user:alice", "wait", "--for=jsonpath={.status.phase}=Ready", "--timeout=20s", "workspace/project")
    alice("user:alice:project", "create", "configmap", "nested")
    assert "orbidden" in kubectl.as_user("--token=bob-token").refused("user:alice", "get", "configmaps")
    with server.client(token="bob-token") as bob:
        url = f"/clusters/root{TENANCY}/workspaces/~"
        first = bob.get(url)
        assert first.status_code == httpx.codes.TOO_MANY_REQUESTS
        assert int(first.headers["retry-after"]) > 0
        assert eventually(lambda: (found := bob.get(url)).is_success and found).json()["spec"]["URL"].endswith(":bob")


# -- kcp bind apiexport, kcp claims get apibinding


def test_bind_and_claims_get(server: Server, admin: httpx.Client, kubectl: Kubectl):
    for name in ("provider", "consumer"):
        create_workspace(admin, "root", name, **UNIVERSAL)
    share_catalogue(kubectl, "root:provider")
    claim = {"group": "", "resource": "configmaps", "verbs": ["get", "list"]}
    patch = json.dumps({"spec": {"permissionClaims": [claim]}})
    kubectl("root:provider", "patch", "apiexport", "compute.cloud.example.com", "--type=merge", "-p", patch)
    resources = raw(kubectl, server, "/clusters/root:consumer/apis")["groups"]
    preferred = {group["name"]: group["preferredVersion"]["version"] for group in resources}
    assert preferred["apis.kcp.io"] in {"v1alpha1", "v1alpha2"}
    accepted = {"group": "", "resource": "configmaps", "verbs": ["*"], "state": "Accepted"}
    binding = {
        "apiVersion": "apis.kcp.io/v1alpha2",
        "kind": "APIBinding",
        "metadata": {"name": "compute"},
        "spec": {
            "reference": {"export": {"path": "root:provider", "name": "compute.cloud.example.com"}},
            "permissionClaims": [{**accepted, "selector": {"matchAll": True}}],
        },
    }
    url = f"/clusters/root:consumer{BINDINGS}"
    assert admin.post(url, json=binding).status_code == httpx.codes.CREATED
    kubectl("root:consumer", "wait", "--for=jsonpath={.status.phase}=Bound", "apibinding/compute", "--timeout=30s")
    bound = admin.get(f"{url}/compute").json()
    assert [c["verbs"] for c in bound["status"]["exportPermissionClaims"]] == [["get", "list"]]
    assert [c["verbs"] for c in bound["status"]["appliedPermissionClaims"]] == [["get", "list"]]
    listed = kubectl.json("root:consumer", "apibindings")["items"]
    assert [c["resource"] for o in listed for c in o["spec"].get("permissionClaims", ())] == ["configmaps"]
    eventually(lambda: len(kubectl.names("root:consumer", "cpuflavors")) == 3)


# -- the cache server


def test_shard_admin_reads_the_cache_and_what_is_tampered_with_there_is_repaired(server: Server, kubectl: Kubectl):
    kubectl.workspaces("cached", "caching")
    identity = share_catalogue(kubectl, "root:cached")[CPU]
    bind_catalogue(kubectl, "root:caching", "root:cached")
    url = f"/services/cache/shards/root/clusters/root:cached/apis/cloud.example.com/v1/cpuflavors:{identity}"
    everywhere = "/services/cache/shards/*/clusters/*"
    with server.client("shard-admin") as http:
        found = http.get(url).json()
        assert [item["metadata"]["name"] for item in found["items"]] == ["cpu-large", "cpu-medium", "cpu-small"]
        assert {item["metadata"]["annotations"]["kcp.io/shard"] for item in found["items"]} == {"root"}
        before = http.get(f"{url}/cpu-small").json()["spec"]
        with server.watch(url, found["metadata"]["resourceVersion"], user="shard-admin") as watch:
            merge = {"content-type": "application/merge-patch+json"}
            assert http.patch(f"{url}/cpu-small", json={"spec": {"cores": 99}}, headers=merge).is_success
            assert http.delete(f"{url}/cpu-large").is_success
            heard = [watch.next()[:2] for _ in range(4)]
        assert sorted((kind, obj["metadata"]["name"]) for kind, obj in heard) == [
            ("ADDED", "cpu-large"),
            ("DELETED", "cpu-large"),
            ("MODIFIED", "cpu-small"),
            ("MODIFIED", "cpu-small"),
        ]
        assert http.get(f"{url}/cpu-small").json()["spec"] == before
        for path in ("core.kcp.io/v1alpha1/shards", "apis.kcp.io/v1alpha2/apiexports"):
            assert http.get(f"{everywhere}/apis/{path}").json()["items"], path
    assert kubectl.names("root:caching", "cpuflavors") == ["cpu-large", "cpu-medium", "cpu-small"]
    with server.client() as admin, server.client(user=None) as nobody:
        for path in (url, f"{everywhere}/apis/core.kcp.io/v1alpha1/shards", f"{everywhere}/apis"):
            assert admin.get(path).status_code == httpx.codes.FORBIDDEN
            assert nobody.get(path).status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}


# -- the initializing virtual workspace


def test_an_initializer_prepares_a_workspace_through_the_url_that_its_type_publishes(
    server: Server, admin: httpx.Client, kubectl: Kubectl
):
    prepared = {
        "apiVersion": "tenancy.kcp.io/v1alpha1",
        "kind": "WorkspaceType",
        "metadata": {"name": "prepared"},
        "spec": {"initializer": True, "extend": {"with": [UNIVERSAL]}},
    }
    kubectl.create("root", prepared)
    kubectl("root", "wait", "--for=condition=VirtualWorkspaceURLsReady", "workspacetype/prepared", "--timeout=10s")
    urls = kubectl.json("root", "workspacetype", "prepared")["status"]["virtualWorkspaces"]
    service = urls[0]["url"].removeprefix(server.url)
    kubectl.create("root", workspace("fresh", name="prepared", path="root"))
    waiting = eventually(lambda: admin.get(f"{service}/clusters/*{LOGICAL_CLUSTERS}").json()["items"])
    cluster = waiting[0]["metadata"]["annotations"]["kcp.io/cluster"]
    inside = f"{service}/clusters/{cluster}"
    body = {"metadata": {"name": "prepared"}}
    maps = f"{inside}/api/v1/namespaces/default/configmaps"
    assert eventually(lambda: admin.post(maps, json=body).status_code in {201, 409})
    url = f"{inside}{LOGICAL_CLUSTERS}/cluster"
    eventually(lambda: admin.get(url).json()["status"]["initializers"] == ["root:prepared"])
    patch = {"status": {"initializers": []}}
    merge = {"content-type": "application/merge-patch+json"}
    assert admin.patch(f"{url}/status", json=patch, headers=merge).is_success
    kubectl("root", "wait", "--for=jsonpath={.status.phase}=Ready", "--timeout=20s", "workspace/fresh")
    assert "prepared" in kubectl.names("root:fresh", "configmaps")
    assert admin.get(url).status_code == httpx.codes.FORBIDDEN


# -- the end


def test_deleting_an_organization_deletes_what_is_nested_in_it(server: Server, admin: httpx.Client, kubectl: Kubectl):
    create_workspace(admin, "root", "doomed")
    create_workspace(admin, "root:doomed", "team")
    leaf = create_workspace(admin, "root:doomed:team", "leaf", **UNIVERSAL)["spec"]["cluster"]
    held = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "held", "finalizers": ["example.com/hold"]}}
    kubectl.create("root:doomed:team:leaf", held)
    kubectl("root", "delete", "workspace", "doomed", "--wait=false")
    labels = "jsonpath={.metadata.labels['tenancy\\.kcp\\.io/phase']}"
    eventually(lambda: kubectl("root", "get", "workspace", "doomed", "-o", labels) == "Deleting")
    inside = f"/clusters/{leaf}{LOGICAL_CLUSTERS}/cluster"
    eventually(lambda: "deletionTimestamp" in admin.get(inside).json()["metadata"])
    patch = ["patch", "configmap", "held", "--type=merge", "-p", '{"metadata":{"finalizers":null}}']
    kubectl("root:doomed:team:leaf", *patch)
    kubectl("root", "wait", "--for=delete", "workspace/doomed", "--timeout=30s")
    for path in ("root:doomed", "root:doomed:team", leaf):
        assert admin.get(f"/clusters/{path}{LOGICAL_CLUSTERS}/cluster").status_code == httpx.codes.FORBIDDEN
    with server.client("shard-admin") as master:
        assert master.get(f"/clusters/{leaf}/api/v1/namespaces").status_code == httpx.codes.NOT_FOUND
    assert admin.get(f"/clusters/root{TENANCY}/workspaces/doomed").status_code == httpx.codes.NOT_FOUND
