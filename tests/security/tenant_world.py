"""One provider and two tenants on a server in this process."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from server_in_process import Http, server_in_process
from tenants import (
    ORG,
    PROVIDER,
    UNIVERSAL,
    Resource,
    Tenant,
    crd_spec,
    fill,
    is_established,
    phase_is,
    schema_spec,
    virtual_storage,
)

TOKENS = 'admin-token,root,u-0,"system:masters"\nmallory-token,mallory,u-1\nvictor-token,victor,u-2\n'


class Serve(Protocol):
    """Runs a server, asked as nobody, for users with these tokens."""

    def __call__(self, folder: Path, tokens: str, /) -> AbstractAsyncContextManager[Http]: ...


@dataclass
class World:
    """``alpha`` is the attacker, ``bravo`` what it is after, ``nobody`` like bravo in all but being there."""

    admin: Http
    anonymous: Http
    alpha: Tenant
    bravo: Tenant
    nobody: Tenant
    resources: list[Resource]


@asynccontextmanager
async def tenant_world(folder: Path, serve: Serve = server_in_process) -> AsyncIterator[World]:
    """Mallory administers alpha, victor bravo, and neither anything else."""
    async with serve(folder, TOKENS) as nobody:
        admin, mallory, victor = (nobody.as_user(f"{name}-token") for name in ("admin", "mallory", "victor"))
        for path in (ORG, PROVIDER):
            await make_workspace(admin, path)
        await share_flavors(admin)
        alpha, bravo = Tenant("alpha", "q7alpha", mallory), Tenant("bravo", "z9bravo", victor)
        for tenant, user in ((alpha, "mallory"), (bravo, "victor")):
            tenant.cluster = await make_workspace(admin, tenant.path)
            tenant.secrets.add(tenant.cluster)
            await make_administrator(admin, tenant.path, user)
        await fill(admin, alpha)
        resources = await fill(admin, bravo)
        bravo.secrets -= alpha.secrets  # what both have is the provider's
        like_bravo = Tenant("brave", "z9brave", victor, cluster="".join(reversed(bravo.cluster)))
        yield World(admin, nobody, alpha, bravo, like_bravo, resources)


async def make_workspace(admin: Http, path: str) -> str:
    """A workspace; its logical cluster once it is ready."""
    parent, _, name = path.rpartition(":")
    collection = f"/clusters/{parent}/apis/tenancy.kcp.io/v1alpha1/workspaces"
    await admin.must("POST", collection, {"metadata": {"name": name}, "spec": {"type": UNIVERSAL}})
    found = await admin.until(f"{collection}/{name}", phase_is("Ready"))
    return str(found["spec"]["cluster"])


async def make_administrator(admin: Http, path: str, user: str) -> None:
    group = "rbac.authorization.k8s.io"
    binding: dict[str, Any] = {
        "metadata": {"name": "administrator"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
    }
    await admin.must("POST", f"/clusters/{path}/apis/{group}/v1/clusterrolebindings", binding)


async def share_flavors(admin: Http) -> None:
    """The provider's flavors are virtual, its instances each consumer's own; everybody may bind both."""
    base, group = f"/clusters/{PROVIDER}", "cloud.example.com"
    crds = f"{base}/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    name = f"flavors.{group}"
    await admin.must("POST", crds, {"metadata": {"name": name}, "spec": crd_spec(group, "flavors")})
    await admin.until(f"{crds}/{name}", is_established)
    await admin.until(f"{base}/apis/{group}/v1/flavors", bool)
    small = {"apiVersion": f"{group}/v1", "kind": "Flavor", "metadata": {"name": "small"}}
    await admin.must("POST", f"{base}/apis/{group}/v1/flavors", small)
    cached = f"{base}/apis/cache.kcp.io/v1alpha1/cachedresources"
    spec = {"group": group, "version": "v1", "resource": "flavors"}
    await admin.must("POST", cached, {"metadata": {"name": "flavors"}, "spec": spec})
    found = await admin.until(f"{cached}/flavors", phase_is("Ready"))
    identity_hash = found["status"]["identityHash"]
    schemas = f"{base}/apis/apis.kcp.io/v1alpha1/apiresourceschemas"
    entries = []
    for plural, storage in (("flavors", virtual_storage(identity_hash, "flavors")), ("instances", {"crd": {}})):
        name = f"v1.{plural}.{group}"
        await admin.must("POST", schemas, {"metadata": {"name": name}, "spec": schema_spec(group, plural)})
        entries.append({"group": group, "name": plural, "schema": name, "storage": storage})
    export = {"metadata": {"name": "cloud"}, "spec": {"resources": entries}}
    await admin.must("POST", f"{base}/apis/apis.kcp.io/v1alpha2/apiexports", export)
