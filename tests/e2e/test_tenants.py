"""Tenants beside each other: two providers of one group-resource, two consumers, and users who may not look."""

from collections.abc import Iterator

import httpx
import pytest
from cloud_co import CPU, EXAMPLE, GROUP, MEM, bind_catalogue, share_catalogue
from real_kubectl import Kubectl, kubectl_binary
from real_server import Server, eventually, start_server

RED, BLUE, RED_CUSTOMER, BLUE_CUSTOMER = "root:red", "root:blue", "root:red-customer", "root:blue-customer"
USERS = 'alice-token,alice,u-1,"buyers"\nbob-token,bob,u-2\n'
NO_CREDENTIALS = None
ALICE_READS = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: alice-enters}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: 'system:kcp:workspace:access'}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: alice}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reads-memflavors}
rules: [{apiGroups: [cloud.example.com], resources: [memflavors], verbs: [get, list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: alice-reads-memflavors}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reads-memflavors}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: alice}]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    kubectl_binary()
    folder = tmp_path_factory.mktemp("server")
    tokens = folder / "tokens.csv"
    tokens.write_text(USERS)
    with start_server(folder / "root", "--token-auth-file", tokens) as server:
        yield server


@pytest.fixture(scope="module")
def hashes(kubectl: Kubectl) -> dict[str, dict[str, str]]:
    """Both catalogues, which differ in what is blue's own: each CachedResource's identity hash by provider."""
    kubectl.workspaces("red", "blue", "red-customer", "blue-customer")
    found = {provider: share_catalogue(kubectl, provider) for provider in (RED, BLUE)}
    kubectl(BLUE, "delete", "cpuflavor", "cpu-large")
    kubectl(BLUE, "delete", "memflavor", "mem-large")
    kubectl(BLUE, "patch", "cpuflavor", "cpu-small", "--type=merge", "-p", '{"spec":{"cores":3}}')
    bind_catalogue(kubectl, RED_CUSTOMER, RED)
    bind_catalogue(kubectl, BLUE_CUSTOMER, BLUE)
    eventually(lambda: kubectl.names(BLUE_CUSTOMER, "memflavors") == ["mem-medium"])
    return found


def test_two_providers_of_one_group_resource_have_identities_of_their_own(hashes: dict[str, dict[str, str]]):
    assert len({found for provider in (RED, BLUE) for found in hashes[provider].values()}) == 4


def test_each_customer_sees_only_what_its_own_provider_shares(hashes: dict[str, dict[str, str]], kubectl: Kubectl):
    def cores(workspace: str) -> dict[str, int]:
        items = kubectl.json(workspace, "cpuflavors")["items"]
        return {item["metadata"]["name"]: item["spec"]["cores"] for item in items}

    red, blue = {"cpu-large": 32, "cpu-medium": 8, "cpu-small": 2}, {"cpu-medium": 8, "cpu-small": 3}
    eventually(lambda: cores(BLUE_CUSTOMER) == blue)
    assert cores(RED_CUSTOMER) == red
    assert kubectl.names(RED_CUSTOMER, "memflavors") == ["mem-large", "mem-medium"]
    assert kubectl.names(BLUE_CUSTOMER, "memflavors") == ["mem-medium"]
    assert "NotFound" in kubectl.refused(BLUE_CUSTOMER, "get", "cpuflavor", "cpu-large")
    for provider, counts in ((RED, (3, 2)), (BLUE, (2, 1))):
        found = [kubectl.json(provider, "cachedresource", name)["status"]["resourceCounts"] for name in (CPU, MEM)]
        assert found == [{"local": count, "cache": count} for count in counts]


def test_a_watch_of_one_customer_hears_nothing_of_the_other_provider(
    hashes: dict[str, dict[str, str]], server: Server, kubectl: Kubectl
):
    path = f"/clusters/{BLUE_CUSTOMER}{GROUP}/cpuflavors"
    with server.client() as http:
        version = http.get(path).json()["metadata"]["resourceVersion"]
    with server.watch(path, version) as watch:
        for provider, cores in ((RED, 5), (BLUE, 6)):
            patch = f'{{"spec":{{"cores":{cores}}}}}'
            kubectl(provider, "patch", "cpuflavor", "cpu-medium", "--type=merge", "-p", patch)
        event, obj, _ = watch.next()
    assert (event, obj["metadata"]["name"], obj["spec"]["cores"]) == ("MODIFIED", "cpu-medium", 6)


def test_an_instance_of_one_customer_is_not_there_for_the_other(hashes: dict[str, dict[str, str]], kubectl: Kubectl):
    kubectl(RED_CUSTOMER, "create", "-f", EXAMPLE / "consumer" / "02-web-instance.yaml")
    assert kubectl.names(RED_CUSTOMER, "instances") == ["web"]
    assert kubectl.names(BLUE_CUSTOMER, "instances") == []


def test_a_stranger_who_names_the_public_hash_exports_nothing(hashes: dict[str, dict[str, str]], kubectl: Kubectl):
    """Behaviour §4: the hash alone proves nothing; the slice must be the exporter's own."""
    kubectl.workspaces("stranger", "gullible")
    schema = kubectl.json(RED, "apiresourceschema", "v250801.cpuflavors.cloud.example.com")
    copied = {"apiVersion": schema["apiVersion"], "kind": schema["kind"], "spec": schema["spec"]}
    copied["metadata"] = {"name": schema["metadata"]["name"]}
    virtual = {
        "reference": {"apiGroup": "cache.kcp.io", "kind": "CachedResourceEndpointSlice", "name": CPU},
        "identityHash": hashes[RED][CPU],
    }
    resource = {"group": "cloud.example.com", "name": "cpuflavors", "schema": schema["metadata"]["name"]}
    export = {
        "apiVersion": "apis.kcp.io/v1alpha2",
        "kind": "APIExport",
        "metadata": {"name": "compute.cloud.example.com"},
        "spec": {"resources": [{**resource, "storage": {"virtual": virtual}}]},
    }
    slice_ = {
        "apiVersion": "cache.kcp.io/v1alpha1",
        "kind": "CachedResourceEndpointSlice",
        "metadata": {"name": CPU},
        "spec": {"cachedResource": {"name": CPU}},
    }
    kubectl.create("root:stranger", copied, slice_, export)
    bind_catalogue(kubectl, "root:gullible", "root:stranger")
    assert "compute.cloud.example.com" in kubectl.refused("root:gullible", "get", "cpuflavors.cloud.example.com")


@pytest.mark.parametrize("workspace", [RED, RED_CUSTOMER])
def test_a_user_without_rights_sees_nothing_of_a_workspace(
    workspace: str, hashes: dict[str, dict[str, str]], server: Server, kubectl: Kubectl
):
    bob = kubectl.as_user("--token=bob-token")
    assert "orbidden" in bob.refused(workspace, "api-resources")
    assert "orbidden" in bob.refused(workspace, "get", "cpuflavors.v1.cloud.example.com")
    with server.client(token="bob-token") as http:
        for path in (f"{GROUP}/cpuflavors", f"{GROUP}/cpuflavors/cpu-small", "/api/v1/secrets", "/apis", "/openapi/v3"):
            response = http.get(f"/clusters/{workspace}{path}")
            assert (response.status_code, response.json()["kind"]) == (httpx.codes.FORBIDDEN, "Status"), path
        for path in (f"{GROUP}/cpuflavors", "/api/v1/namespaces"):
            response = http.get(f"/clusters/{workspace}{path}", params={"watch": "1"})
            assert response.status_code == httpx.codes.FORBIDDEN


def test_a_user_sees_what_a_role_of_the_workspace_opens_and_no_more(
    hashes: dict[str, dict[str, str]], kubectl: Kubectl
):
    alice = kubectl.as_user("--token=alice-token")
    assert "orbidden" in alice.refused(RED_CUSTOMER, "get", "memflavors.cloud.example.com")
    kubectl(RED_CUSTOMER, "apply", "-f", "-", stdin=ALICE_READS)
    eventually(lambda: alice.run(RED_CUSTOMER, "get", "memflavors.v1.cloud.example.com").code == 0)
    assert alice.names(RED_CUSTOMER, "memflavors") == ["mem-large", "mem-medium"]
    assert "orbidden" in alice.refused(RED_CUSTOMER, "get", "cpuflavors")
    assert "orbidden" in alice.refused(RED, "get", "memflavors.v1.cloud.example.com")
    assert "orbidden" in alice.refused(BLUE_CUSTOMER, "get", "memflavors.v1.cloud.example.com")
    assert alice("root:red-customer", "auth", "can-i", "list", "memflavors").strip() == "yes"


def test_a_user_without_the_verb_bind_cannot_bind_and_cannot_tell_whether_the_export_exists(
    hashes: dict[str, dict[str, str]], server: Server
):
    """Behaviour §6: a missing export and a missing permission give the same answer."""
    workspace = {
        "apiVersion": "tenancy.kcp.io/v1alpha1",
        "kind": "Workspace",
        "metadata": {"name": "bobs"},
        "spec": {"type": {"name": "universal", "path": "root"}},
    }
    rights = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "bob-admin"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "bob"}],
    }
    bindings, in_root = (
        "/clusters/root:bobs/apis/apis.kcp.io/v1alpha2/apibindings",
        "/clusters/root/apis/tenancy.kcp.io",
    )
    with server.client() as admin, server.client(token="bob-token") as bob:
        assert admin.post(f"{in_root}/v1alpha1/workspaces", json=workspace).is_success
        ready = f"{in_root}/v1alpha1/workspaces/bobs"
        eventually(lambda: admin.get(ready).json()["status"].get("phase") == "Ready")
        roles = "/clusters/root:bobs/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
        assert admin.post(roles, json=rights).is_success
        eventually(lambda: bob.get(bindings).is_success)
        answers = {}
        for name in ("compute.cloud.example.com", "no-such-export"):
            reference = {"export": {"path": RED, "name": name}}
            binding = {"apiVersion": "apis.kcp.io/v1alpha2", "kind": "APIBinding", "metadata": {"name": "b"}}
            response = bob.post(bindings, json={**binding, "spec": {"reference": reference}})
            answers[name] = (response.status_code, response.json()["message"].replace(name, "EXPORT"))
    assert answers["compute.cloud.example.com"] == answers["no-such-export"]
    assert answers["no-such-export"][0] == httpx.codes.FORBIDDEN
    assert f"no permission to bind to export {RED}:EXPORT" in answers["no-such-export"][1]


def test_without_credentials_there_is_only_health_and_version(hashes: dict[str, dict[str, str]], server: Server):
    workspace = f"/clusters/{RED_CUSTOMER}"
    closed = ["/", "/api", "/apis", "/openapi/v2", "/openapi/v3", "/api/v1/namespaces", "/clusters/*/api/v1/secrets"]
    closed += [f"{workspace}{path}" for path in ("/", "/apis", GROUP, f"{GROUP}/cpuflavors", "/openapi/v3", "/no-such")]
    with server.client(NO_CREDENTIALS) as http:
        for path in ("/healthz", "/livez", "/readyz"):
            assert (http.get(path).status_code, http.get(path).text) == (httpx.codes.OK, "ok")
        assert http.get("/version").json()["gitVersion"].startswith("v1.")
        refused = {path: http.get(path).status_code for path in closed}
        assert http.get("/api/v1/namespaces", headers={"Authorization": "Bearer made-up"}).status_code == 401
    assert {path: code for path, code in refused.items() if code not in {401, 403}} == {}
