"""``defaultAPIBindingLifecycle: Maintain`` on a WorkspaceType, with all controllers running (behaviour §8)."""

import pytest
from shard_world import BINDINGS, EXPORTS, SCHEMAS, WORKSPACE_TYPES, WORKSPACES, Shard, schema_spec

SCHEMA = "v1.flavors.cloud.example.com"
STORED = {"group": "cloud.example.com", "name": "flavors", "schema": SCHEMA, "storage": {"crd": {}}}
READ = {"group": "", "resource": "configmaps", "verbs": ["get"]}
TYPE = {"name": "cloudy", "path": "root"}


async def cloudy(shard: Shard, lifecycle: str) -> str:
    """A workspace of a type that binds ``root:provider:cloud`` by default."""
    provider = await shard.workspace("provider")
    await shard.create(provider, SCHEMAS, SCHEMA, spec=schema_spec())
    await shard.create(provider, EXPORTS, "cloud", spec={"resources": [STORED], "permissionClaims": [READ]})
    spec = {
        "extend": {"with": [{"name": "universal", "path": "root"}]},
        "defaultAPIBindings": [{"path": "root:provider", "export": "cloud"}],
        "defaultAPIBindingLifecycle": lifecycle,
    }
    await shard.create("root", WORKSPACE_TYPES, "cloudy", spec=spec)
    return await shard.workspace("work", type=TYPE)


def default_binding(names: list[str]) -> str | None:
    return next((name for name in names if name.startswith("cloud-")), None)


@pytest.mark.parametrize(("lifecycle", "comes_back"), [("Maintain", True), ("InitializeOnly", False)])
async def test_a_deleted_default_binding_comes_back_where_it_is_maintained(
    shard: Shard, lifecycle: str, comes_back: bool
) -> None:
    cluster = await cloudy(shard, lifecycle)
    name = default_binding(await shard.names(cluster, BINDINGS))
    assert name is not None
    await shard.delete(cluster, BINDINGS, name)
    await shard.settled()
    assert (default_binding(await shard.names(cluster, BINDINGS)) == name) is comes_back
    tenancy = next(found for found in await shard.names(cluster, BINDINGS) if found.startswith("tenancy"))
    await shard.delete(cluster, BINDINGS, tenancy)
    await shard.settled()
    assert tenancy not in await shard.names(cluster, BINDINGS), "universal does not maintain its own"


async def test_new_claims_of_the_export_are_accepted(shard: Shard) -> None:
    cluster = await cloudy(shard, "Maintain")
    name = default_binding(await shard.names(cluster, BINDINGS)) or ""
    provider = shard.clusters.resolve("root:provider") or ""
    secrets = {"group": "", "resource": "secrets", "verbs": ["list"]}
    await shard.change(provider, EXPORTS, "cloud", lambda o: o["spec"].update(permissionClaims=[READ, secrets]))
    await shard.settled()
    found = shard.need(cluster, BINDINGS, name)
    claims = {claim["resource"]: claim["state"] for claim in found["spec"]["permissionClaims"]}
    assert claims == {"configmaps": "Accepted", "secrets": "Accepted"}
    assert [claim["resource"] for claim in found["status"]["appliedPermissionClaims"]] == ["configmaps", "secrets"]


async def test_a_type_that_begins_to_maintain_reaches_workspaces_that_are_there(shard: Shard) -> None:
    cluster = await cloudy(shard, "InitializeOnly")
    name = default_binding(await shard.names(cluster, BINDINGS)) or ""
    await shard.delete(cluster, BINDINGS, name)
    await shard.settled()
    await shard.change(
        "root", WORKSPACE_TYPES, "cloudy", lambda o: o["spec"].update(defaultAPIBindingLifecycle="Maintain")
    )
    await shard.settled()
    assert default_binding(await shard.names(cluster, BINDINGS)) == name


async def test_a_workspace_that_goes_gets_no_bindings_back(shard: Shard) -> None:
    cluster = await cloudy(shard, "Maintain")
    await shard.delete("root", WORKSPACES, "work")
    await shard.settled()
    assert not await shard.keys(f"/{cluster}/")


async def test_a_maintained_binding_waits_for_its_export(shard: Shard) -> None:
    cluster = await cloudy(shard, "Maintain")
    provider = shard.clusters.resolve("root:provider") or ""
    name = default_binding(await shard.names(cluster, BINDINGS)) or ""
    await shard.delete(provider, EXPORTS, "cloud")
    await shard.delete(cluster, BINDINGS, name)
    await shard.settled()
    assert default_binding(await shard.names(cluster, BINDINGS)) is None
    await shard.create(provider, EXPORTS, "cloud", spec={"resources": [STORED]})
    await shard.settled()
    assert default_binding(await shard.names(cluster, BINDINGS)) == name
