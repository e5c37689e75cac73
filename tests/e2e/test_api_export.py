"""The provider's side of the product document's story: a controller that serves all consumers through one URL."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cloud_co import GROUP, bind_catalogue, share_catalogue
from kubernetes_asyncio import client, watch
from kubernetes_asyncio.client.exceptions import ApiException
from real_kubectl import Kubectl, kubectl_binary
from real_server import Server, eventually, start_server

PROVIDER, ALPHA, BETA = "root:provider", "root:alpha", "root:beta"
EXPORT = "compute.cloud.example.com"
TOKENS = "controller-token,compute-controller,u-1\nbob-token,bob,u-2\n"
INSTANCES = ("cloud.example.com", "v1", "instances")
MAY_USE_CONTENT = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: compute-content}
rules:
- {apiGroups: [apis.kcp.io], resources: [apiexports/content], resourceNames: [compute.cloud.example.com], verbs: ['*']}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: compute-content}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: compute-content}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: compute-controller}]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    kubectl_binary()
    folder = tmp_path_factory.mktemp("server")
    tokens = folder / "tokens.csv"
    tokens.write_text(TOKENS)
    with start_server(folder / "root", "--token-auth-file", tokens) as server:
        yield server


@pytest.fixture(scope="module")
def url(kubectl: Kubectl) -> str:
    """Where the endpoint slice says that the export's content is; two consumers are bound."""
    kubectl.workspaces("provider", "alpha", "beta")
    share_catalogue(kubectl, PROVIDER)
    for consumer in (ALPHA, BETA):
        bind_catalogue(kubectl, consumer, PROVIDER)
    (endpoint,) = eventually(lambda: endpoints(kubectl))
    return str(endpoint["url"])


def endpoints(kubectl: Kubectl) -> list[dict[str, str]]:
    return kubectl.json(PROVIDER, "apiexportendpointslice", EXPORT)["status"].get("endpoints", [])


def cluster_of(kubectl: Kubectl, workspace: str) -> str:
    return str(kubectl.json("root", "workspace", workspace.removeprefix("root:"))["spec"]["cluster"])


def order(kubectl: Kubectl, workspace: str, name: str, flavor: str) -> None:
    spec = {"cpuFlavor": flavor, "memFlavor": "mem-medium", "image": "debian-13"}
    manifest = {"apiVersion": "cloud.example.com/v1", "kind": "Instance", "metadata": {"name": name}, "spec": spec}
    kubectl.create(workspace, {**manifest, "metadata": {"name": name, "namespace": "default"}})


def test_the_published_url_is_the_shards_and_is_closed_until_content_is_granted(
    server: Server, kubectl: Kubectl, url: str
):
    assert url.startswith(f"{kubectl.json('root', 'shard', 'root')['spec']['virtualWorkspaceURL']}/services/apiexport/")
    assert url == f"{server.url}/services/apiexport/{cluster_of(kubectl, PROVIDER)}/{EXPORT}"
    everywhere = f"{url}/clusters/*{GROUP}/instances"
    with server.client(token="controller-token") as http:
        assert http.get(everywhere).status_code == httpx.codes.FORBIDDEN
        kubectl(PROVIDER, "apply", "-f", "-", stdin=MAY_USE_CONTENT)
        assert http.get(everywhere).status_code == httpx.codes.OK
        assert http.get(f"{server.url}/clusters/{ALPHA}{GROUP}/instances").status_code == httpx.codes.FORBIDDEN
    with server.client(token="bob-token") as http:
        assert http.get(everywhere).status_code == httpx.codes.FORBIDDEN


def test_kubectl_works_against_all_consumers_and_against_one(kubectl: Kubectl, url: str):
    order(kubectl, ALPHA, "kubectl-a", "cpu-small")
    order(kubectl, BETA, "kubectl-b", "cpu-large")
    everywhere, alpha = f"--server={url}/clusters/*", f"--server={url}/clusters/{cluster_of(kubectl, ALPHA)}"
    listed = kubectl("root", "get", "instances", "-A", everywhere)
    shown = {tuple(line.split()[:3]) for line in listed.splitlines()[1:]}
    assert shown == {("default", "kubectl-a", "cpu-small"), ("default", "kubectl-b", "cpu-large")}
    assert kubectl.names("root", "instances", alpha) == ["kubectl-a"]
    resources = set(kubectl("root", "api-resources", "-o", "name", alpha).split())
    assert resources == {f"{name}.cloud.example.com" for name in ("cpuflavors", "instances", "memflavors")} | {
        "apibindings.apis.kcp.io"
    }
    assert "Name of a CPUFlavor." in kubectl("root", "explain", "instance.spec.cpuFlavor", alpha)
    assert len(kubectl.names("root", "cpuflavors", everywhere)) == 6
    assert "MethodNotAllowed" in kubectl.refused("root", "delete", "cpuflavor", "cpu-small", alpha)
    bindings = kubectl.json("root", "apibindings.v1alpha1.apis.kcp.io", everywhere)["items"]
    ready = {
        binding["metadata"]["annotations"]["kcp.io/cluster"]
        for binding in bindings
        for condition in binding["status"]["conditions"]
        if (condition["type"], condition["status"]) == ("Ready", "True")
    }
    assert ready == {cluster_of(kubectl, ALPHA), cluster_of(kubectl, BETA)}
    kubectl("root", "annotate", "instance", "kubectl-a", "seen-by=provider", alpha)
    assert kubectl.json(ALPHA, "instance", "kubectl-a")["metadata"]["annotations"]["seen-by"] == "provider"
    for workspace, name in ((ALPHA, "kubectl-a"), (BETA, "kubectl-b")):
        kubectl("root", "delete", "instance", name, f"--server={url}/clusters/{cluster_of(kubectl, workspace)}")
        assert kubectl.names(workspace, "instances") == []


class Controller:
    """Runs the instances of all consumers: as many addresses as the flavor that an instance refers to has cores."""

    def __init__(self, url: str, ca: Path, token: str) -> None:
        self._url, self._ca, self._token = url, ca, token
        self.running: set[tuple[str, str]] = set()

    def _api(self, cluster: str) -> client.CustomObjectsApi:
        configuration = client.Configuration(host=f"{self._url}/clusters/{cluster}")
        configuration.ssl_ca_cert = str(self._ca)
        configuration.api_key = {"BearerToken": f"Bearer {self._token}"}
        return client.CustomObjectsApi(client.ApiClient(configuration))

    @contextlib.asynccontextmanager
    async def _cluster(self, name: str) -> AsyncIterator[client.CustomObjectsApi]:
        api = self._api(name)
        async with api.api_client:
            yield api

    async def run(self) -> None:
        async with self._cluster("*") as everywhere:
            listed = await everywhere.list_cluster_custom_object(*INSTANCES)
            for instance in listed["items"]:
                await self._reconcile(instance)
            version = listed["metadata"]["resourceVersion"]
            async with watch.Watch() as events:
                stream = events.stream(everywhere.list_cluster_custom_object, *INSTANCES, resource_version=version)
                async for event in stream:
                    await self._handle(event["type"], event["object"])

    async def _handle(self, kind: str, instance: dict[str, Any]) -> None:
        if kind == "DELETED":
            self.running.discard(key_of(instance))
        else:
            await self._reconcile(instance)

    async def _reconcile(self, instance: dict[str, Any]) -> None:
        cluster, name = key_of(instance)
        async with self._cluster(cluster) as api:
            status = await self._status(api, instance["spec"]["cpuFlavor"])
            if instance.get("status") != status:
                namespace = instance["metadata"]["namespace"]
                group, version, plural = INSTANCES
                written = {**instance, "status": status}
                with contextlib.suppress(ApiException):  # changed or deleted meanwhile: the watch tells of it
                    await api.replace_namespaced_custom_object_status(group, version, namespace, plural, name, written)
        if status["phase"] == "Running":
            self.running.add((cluster, name))

    async def _status(self, api: client.CustomObjectsApi, flavor: str) -> dict[str, str]:
        try:
            found = await api.get_cluster_custom_object("cloud.example.com", "v1", "cpuflavors", flavor)
        except ApiException as error:
            assert error.status == httpx.codes.NOT_FOUND  # noqa: PT017 -- anything else is a bug of the server's
            return {"phase": "Pending"}
        return {"phase": "Running", "address": f"{found['spec']['cores']}.cores.example.com"}


def key_of(obj: dict[str, Any]) -> tuple[str, str]:
    return obj["metadata"]["annotations"]["kcp.io/cluster"], obj["metadata"]["name"]


def status_of(kubectl: Kubectl, workspace: str, name: str) -> dict[str, str]:
    return kubectl.json(workspace, "instance", name).get("status") or {}


async def test_a_controller_gives_every_consumers_instances_their_status(
    server: Server, kubectl: Kubectl, url: str, tmp_path: Path
):
    kubectl(PROVIDER, "apply", "-f", "-", stdin=MAY_USE_CONTENT)
    ca = tmp_path / "ca.crt"
    ca.write_text(server.authority())
    order(kubectl, ALPHA, "web", "cpu-small")
    controller = Controller(url, ca, "controller-token")
    running = asyncio.create_task(controller.run())
    try:
        await asyncio.to_thread(_story, kubectl, controller)
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


def _story(kubectl: Kubectl, controller: Controller) -> None:
    """What consumers do while the controller runs."""
    small, large = ({"phase": "Running", "address": f"{cores}.cores.example.com"} for cores in (2, 32))
    eventually(lambda: status_of(kubectl, ALPHA, "web") == small)
    order(kubectl, BETA, "db", "cpu-large")
    eventually(lambda: status_of(kubectl, BETA, "db") == large)
    order(kubectl, BETA, "odd", "cpu-unknown")
    eventually(lambda: status_of(kubectl, BETA, "odd") == {"phase": "Pending"})
    kubectl.workspaces("gamma")
    bind_catalogue(kubectl, "root:gamma", PROVIDER)
    order(kubectl, "root:gamma", "late", "cpu-small")
    eventually(lambda: status_of(kubectl, "root:gamma", "late") == small)
    beta = cluster_of(kubectl, BETA)
    kubectl(BETA, "delete", "apibinding", "compute", "--timeout=20s")
    eventually(lambda: beta not in {cluster for cluster, _ in controller.running})
    assert {name for _, name in controller.running} == {"web", "late"}
    bind_catalogue(kubectl, BETA, PROVIDER)


def test_an_accepted_claim_opens_what_its_selector_selects_and_no_more(server: Server, kubectl: Kubectl, url: str):
    alpha = cluster_of(kubectl, ALPHA)
    claim = {"group": "", "resource": "configmaps", "verbs": ["get", "list", "watch", "create", "delete"]}
    kubectl(
        PROVIDER,
        "patch",
        "apiexport",
        EXPORT,
        "--type=merge",
        "-p",
        json.dumps({"spec": {"permissionClaims": [claim]}}),
    )
    maps, default = (
        f"{url}/clusters/{alpha}/api/v1/configmaps",
        f"{url}/clusters/{alpha}/api/v1/namespaces/default/configmaps",
    )
    kubectl(ALPHA, "create", "configmap", "private")
    with server.client() as http:
        assert http.get(maps).status_code == httpx.codes.FORBIDDEN
        listed = http.get(f"{url}/clusters/*/api/v1/configmaps").json()
        assert listed["items"] == []
        with server.watch(f"{url}/clusters/*/api/v1/configmaps", listed["metadata"]["resourceVersion"]) as events:
            kubectl(ALPHA, "create", "configmap", "shared")
            kubectl(ALPHA, "label", "configmap", "shared", "for=cloud-co")
            selector = {"matchLabels": {"for": "cloud-co"}}
            accepted = {**claim, "verbs": ["*"], "state": "Accepted", "selector": selector}
            patch = json.dumps({"spec": {"permissionClaims": [accepted]}})
            kubectl(ALPHA, "patch", "apibinding", "compute", "--type=merge", "-p", patch)
            assert events.names(1) == [("ADDED", "shared")]
            made = http.post(default, json={"metadata": {"name": "connection"}})
            assert made.json()["metadata"]["labels"] == {"for": "cloud-co"}
            assert events.names(1) == [("ADDED", "connection")]
            assert [item["metadata"]["name"] for item in http.get(maps).json()["items"]] == ["connection", "shared"]
            assert http.get(f"{default}/private").status_code == httpx.codes.NOT_FOUND
            assert http.delete(f"{default}/private").status_code == httpx.codes.NOT_FOUND
            assert http.patch(f"{default}/shared", json={}).status_code == httpx.codes.FORBIDDEN
            kubectl(ALPHA, "patch", "apibinding", "compute", "--type=merge", "-p", '{"spec":{"permissionClaims":[]}}')
            assert http.get(maps).status_code == httpx.codes.FORBIDDEN
            assert sorted(events.names(2)) == [("DELETED", "connection"), ("DELETED", "shared")]
    assert "connection" in kubectl.names(ALPHA, "configmaps")
