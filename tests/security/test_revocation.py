"""What is taken back is gone with the next request, also on a connection on which the same was just answered.

Decisions, tokens, and whole answers to repeated GETs are remembered: nothing of that may outlive what it rests on.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from server_process import WireHttp, server_process
from tenant_world import make_administrator, make_workspace, share_flavors
from tenants import ORG, PROVIDER, phase_is
from wire import Wire, handshake, request

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOKENS = 'root-token,root,u-0,"system:masters"\nalice-token,alice,u-1,team\n'
RBAC = "/apis/rbac.authorization.k8s.io/v1"
NAMESPACE = "/api/v1/namespaces/default"
MAPS = f"{NAMESPACE}/configmaps"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def root(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[WireHttp]:
    """Everybody's master, on a server with a provider whose flavors can be bound."""
    async with server_process(tmp_path_factory.mktemp("server"), TOKENS) as nobody:
        root = nobody.as_user("root-token")
        for path in (ORG, PROVIDER):
            await make_workspace(root, path)
        await share_flavors(root)
        yield root


@asynccontextmanager
async def repeating(root: WireHttp, target: str, token: str) -> AsyncIterator[Wire]:
    """A connection on which one GET has been answered, and again, as shortcuts do."""
    async with root.connections.another() as wire:
        for _ in range(5):
            wire.send(request("GET", target, token))
            answer = await wire.answer()
            assert answer.status == 200, answer
        yield wire


async def status(wire: Wire, target: str, token: str) -> int:
    wire.send(request("GET", target, token))
    return (await wire.answer()).status


async def with_map(root: WireHttp, name: str) -> str:
    """The base of a new workspace that alice administers, with a configmap ``a``."""
    path = f"{ORG}:{name}"
    await make_workspace(root, path)
    await make_administrator(root, path, "alice")
    await root.must("POST", f"/clusters/{path}{MAPS}", {"metadata": {"name": "a"}})
    return f"/clusters/{path}"


async def account_token(root: WireHttp, base: str, name: str, **spec: Any) -> str:
    """Of a new ServiceAccount that may read configmaps."""
    await root.must("POST", f"{base}{NAMESPACE}/serviceaccounts", {"metadata": {"name": name}})
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]}
    await root.must("POST", f"{base}{RBAC}/clusterroles", {"metadata": {"name": name}, "rules": [rule]})
    subject = {"kind": "ServiceAccount", "name": name, "namespace": "default"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    binding = {"metadata": {"name": name}, "roleRef": role, "subjects": [subject]}
    await root.must("POST", f"{base}{RBAC}/clusterrolebindings", binding)
    wanted = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    found = await root.must("POST", f"{base}{NAMESPACE}/serviceaccounts/{name}/token", wanted)
    return str(found["status"]["token"])


@pytest.mark.parametrize("how", ["binding", "subject", "access"])
async def test_a_right_that_is_taken_back(root: WireHttp, how: str) -> None:
    base = await with_map(root, f"right-{how}")
    binding, one = f"{base}{RBAC}/clusterrolebindings/administrator", f"{base}{MAPS}/a"
    async with repeating(root, one, "alice-token") as wire:
        if how == "subject":
            await root.must("PATCH", binding, {"subjects": []})
        elif how == "binding":
            await root.must("DELETE", binding)
        else:
            groups = {"metadata": {"annotations": {"authorization.kcp.io/required-groups": "nobody"}}}
            await root.must("PATCH", f"{base}/apis/core.kcp.io/v1alpha1/logicalclusters/cluster", groups)
        assert await status(wire, one, "alice-token") == 403
        assert await status(wire, f"{base}{MAPS}", "alice-token") == 403


async def test_a_role_that_says_less(root: WireHttp) -> None:
    base = await with_map(root, "role")
    token = await account_token(root, base, "robot")
    one, rule = f"{base}{MAPS}/a", {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}
    async with repeating(root, one, token) as wire:
        await root.must("PATCH", f"{base}{RBAC}/clusterroles/robot", {"rules": [rule]})
        assert await status(wire, one, token) == 403


@pytest.mark.parametrize("what", ["account", "secret", "namesake"])
async def test_a_token_of_an_account_that_is_gone(root: WireHttp, what: str) -> None:
    base = await with_map(root, f"token-{what}")
    await root.must("POST", f"{base}{NAMESPACE}/secrets", {"metadata": {"name": "leash"}})
    bound = {"boundObjectRef": {"kind": "Secret", "apiVersion": "v1", "name": "leash"}} if what == "secret" else {}
    token, one = await account_token(root, base, "robot", **bound), f"{base}{MAPS}/a"
    async with repeating(root, one, token) as wire, root.connections.another() as other:
        await root.must(
            "DELETE", f"{base}{NAMESPACE}/{'secrets/leash' if what == 'secret' else 'serviceaccounts/robot'}"
        )
        if what == "namesake":
            await root.must("POST", f"{base}{NAMESPACE}/serviceaccounts", {"metadata": {"name": "robot"}})
        assert await status(wire, one, token) == 401
        other.send(handshake(f"{base}{MAPS}?watch=true", token))
        assert (await other.answer()).status == 401


async def test_a_workspace_that_is_deleted_and_one_of_its_name_that_comes_after_it(root: WireHttp) -> None:
    base = await with_map(root, "gone")
    token, one = await account_token(root, base, "robot"), f"{base}{MAPS}/a"
    workspaces = f"/clusters/{ORG}/apis/tenancy.kcp.io/v1alpha1/workspaces"
    async with repeating(root, one, "alice-token") as wire, repeating(root, one, token) as robots:
        await root.must("DELETE", f"{workspaces}/gone")
        await root.until_gone(f"{workspaces}/gone")
        assert (await status(wire, one, "alice-token"), await status(robots, one, token)) == (403, 401)
        await make_workspace(root, f"{ORG}:gone")
        await root.must("POST", f"{base}{MAPS}", {"metadata": {"name": "a"}})
        assert (await status(wire, one, "alice-token"), await status(robots, one, token)) == (403, 401)


@pytest.mark.parametrize("plural", ["flavors", "instances"])
async def test_what_was_bound(root: WireHttp, plural: str) -> None:
    base = await with_map(root, f"unbind-{plural}")
    bindings, things = f"{base}/apis/apis.kcp.io/v1alpha2/apibindings", f"{base}/apis/cloud.example.com/v1/{plural}"
    reference = {"reference": {"export": {"path": PROVIDER, "name": "cloud"}}}
    await root.must("POST", bindings, {"metadata": {"name": "cloud"}, "spec": reference})
    await root.until(f"{bindings}/cloud", phase_is("Bound"))
    if plural == "instances":
        small = {"apiVersion": "cloud.example.com/v1", "kind": "Instance", "metadata": {"name": "small"}}
        await root.must("POST", things, small)
    await root.until(f"{things}/small", bool)
    async with repeating(root, f"{things}/small", "alice-token") as wire:
        await root.must("DELETE", f"{bindings}/cloud")
        await root.until_gone(f"{bindings}/cloud")
        assert await status(wire, f"{things}/small", "alice-token") == 404


async def test_what_a_policy_of_the_export_takes_back(root: WireHttp) -> None:
    base, group = await with_map(root, "policy"), "cloud.example.com"
    bindings, one = f"{base}/apis/apis.kcp.io/v1alpha2/apibindings", f"{base}/apis/{group}/v1/flavors/small"
    reference = {"reference": {"export": {"path": PROVIDER, "name": "cloud"}}}
    await root.must("POST", bindings, {"metadata": {"name": "cloud"}, "spec": reference})
    await root.until(one, bool)
    export = f"/clusters/{PROVIDER}/apis/apis.kcp.io/v1alpha2/apiexports/cloud"
    async with repeating(root, one, "alice-token") as wire:
        await root.must("PATCH", export, {"spec": {"maximalPermissionPolicy": {"local": {}}}})
        assert await status(wire, one, "alice-token") == 403
        await root.must("PATCH", export, {"spec": {"maximalPermissionPolicy": None}})
        assert await status(wire, one, "alice-token") == 200
