"""What a new server begins with (kcp-compat, "Bootstrap objects")."""

import asyncio
from typing import Any

import orjson
import pytest
from shard_world import (
    BINDINGS,
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    EXPORTS,
    LOGICAL_CLUSTERS,
    SCHEMAS,
    SECRETS,
    SHARDS,
    WORKSPACE_TYPES,
    WORKSPACES,
    Shard,
    now,
)

from kcpcache.auth.bootstrap_policy import root_objects
from kcpcache.meta.objects import Object, secret_value
from kcpcache.reconcilers.identity import identity_hash
from kcpcache.registry.caches import Caches
from kcpcache.registry.system import BOOTSTRAP_EXPORTS, SystemTypes, kcp_manifests
from kcpcache.runtime import bootstrap
from kcpcache.runtime.bootstrap import Bootstrap
from kcpcache.runtime.environment import ShardInfo
from kcpcache.runtime.shard_hash import shard_hash
from kcpcache.storage.memory import MemoryStore

INFO = ShardInfo("root", *["https://host:6443"] * 3)
EXPORT_NAMES = ["cache.kcp.io", "shards.core.kcp.io", "tenancy.kcp.io", "topology.kcp.io"]


def type_spec(shard: Shard, name: str) -> Object:
    spec: Object = shard.need("root", WORKSPACE_TYPES, name)["spec"]
    return spec


async def test_root_is_a_ready_logical_cluster_of_its_own_type(shard: Shard) -> None:
    found = shard.need("root", LOGICAL_CLUSTERS, "cluster")
    assert found["status"]["phase"] == "Ready"
    annotations = found["metadata"]["annotations"]
    assert annotations["kcp.io/path"] == "root"
    assert annotations["internal.tenancy.kcp.io/type"] == "root:root"


async def test_the_shard_has_its_label_and_three_https_urls(shard: Shard) -> None:
    found = shard.need("root", SHARDS, "root")
    assert found["metadata"]["labels"] == {"name": "root"}
    assert {key: found["spec"][key] for key in ("baseURL", "externalURL", "virtualWorkspaceURL")} == {
        "baseURL": shard.url,
        "externalURL": shard.url,
        "virtualWorkspaceURL": shard.url,
    }


async def test_the_exports_have_identities_that_are_those_of_their_secrets(shard: Shard) -> None:
    assert await shard.names("root", EXPORTS) == EXPORT_NAMES
    for name in EXPORT_NAMES:
        export = shard.need("root", EXPORTS, name)
        secret = shard.need("root", SECRETS, name, "kcp-system")
        assert export["status"]["identityHash"] == identity_hash(secret_value(secret, "key") or b"")
        assert {entry["name"] for entry in export["spec"]["resources"]} == {
            key.resource for key in BOOTSTRAP_EXPORTS[name]
        }


async def test_everything_passes_the_rules_that_clients_objects_have_to_pass(shard: Shard) -> None:
    resources = (EXPORTS, SCHEMAS, BINDINGS, WORKSPACE_TYPES, SHARDS, LOGICAL_CLUSTERS, CLUSTER_ROLES)
    checked = 0
    for resource in (*resources, CLUSTER_ROLE_BINDINGS):
        definition = shard.system.definition(resource.group_resource)
        assert definition is not None
        for entry in shard.lookup.cache(resource.group_resource).all_entries():
            obj = entry.as_version(definition.storage_api_version).object()
            assert definition.storage.schema.validate(obj) == []
            assert definition.rules.validate(obj) == []
            checked += 1
    assert checked > len(EXPORT_NAMES)


async def test_only_tenancy_and_topology_have_a_maximal_permission_policy(shard: Shard) -> None:
    limited = [
        name
        for name in EXPORT_NAMES
        if shard.need("root", EXPORTS, name)["spec"].get("maximalPermissionPolicy") is not None
    ]
    assert limited == ["tenancy.kcp.io", "topology.kcp.io"]


async def test_root_is_bound_to_what_it_uses_itself(shard: Shard) -> None:
    for name in ("tenancy.kcp.io", "topology.kcp.io", "shards.core.kcp.io"):
        assert shard.need("root", BINDINGS, name)["status"]["phase"] == "Bound"


async def test_the_five_workspace_types_say_what_kcps_say(shard: Shard) -> None:
    assert await shard.names("root", WORKSPACE_TYPES) == ["home", "organization", "root", "team", "universal"]
    universal, organization = {"name": "universal", "path": "root"}, {"name": "organization", "path": "root"}
    for name in ("home", "organization", "root", "team"):
        assert type_spec(shard, name)["extend"]["with"] == [universal]
    found = type_spec(shard, "universal")
    assert found["initializer"] is True
    assert [binding["export"] for binding in found["defaultAPIBindings"]] == ["tenancy.kcp.io", "topology.kcp.io"]
    assert found["limitAllowedChildren"]["types"] == [universal]
    assert type_spec(shard, "root")["defaultChildWorkspaceType"] == organization
    for name in ("organization", "team", "home", "universal"):
        assert type_spec(shard, name)["defaultChildWorkspaceType"] == universal
    assert [found["name"] for found in type_spec(shard, "organization")["limitAllowedParents"]["types"]] == ["root"]
    assert {found["name"] for found in type_spec(shard, "team")["limitAllowedParents"]["types"]} == {
        "organization",
        "team",
    }
    assert type_spec(shard, "home")["limitAllowedParents"]["none"] is True


async def test_the_policy_of_root_and_of_system_admin_is_there(shard: Shard) -> None:
    for obj in root_objects():
        kinds = {"ClusterRole": CLUSTER_ROLES, "ClusterRoleBinding": CLUSTER_ROLE_BINDINGS}
        assert shard.get("root", kinds[obj["kind"]], obj["metadata"]["name"]) is not None
    access = shard.need("system:admin", CLUSTER_ROLES, "system:kcp:workspace:access")
    assert access["rules"] == [{"nonResourceURLs": ["/"], "verbs": ["access"]}]
    admin = shard.need("system:admin", CLUSTER_ROLE_BINDINGS, "system:kcp:admin")
    assert (admin["roleRef"]["name"], admin["subjects"][0]["name"]) == ("cluster-admin", "system:kcp:admin")


async def test_a_second_start_writes_nothing(shard: Shard) -> None:
    before = await shard.store.revision()
    for _ in range(2):
        await shard.restart()
        await shard.settled()
    assert await shard.store.revision() == before


async def test_a_first_start_waits_for_few_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked for while others wait for the disk is written with them."""
    store, waiting, waits = MemoryStore(), 0, 0
    create = store.create

    async def slowly(key: str, value: bytes) -> Any:
        nonlocal waiting, waits
        waits += not waiting
        waiting += 1
        for _ in range(100):
            await asyncio.sleep(0)
        waiting -= 1
        return await create(key, value)

    monkeypatch.setattr(store, "create", slowly)
    caches = Caches(store)
    await caches.start()
    await Bootstrap(caches, SystemTypes(cached_apis=True), INFO, now, cached_apis=True).run()
    assert await store.revision() > 50
    assert waits <= 6
    await caches.close()


async def test_a_shard_behind_a_proxy_publishes_the_proxys_address_and_says_where_it_is_itself() -> None:
    caches = Caches(MemoryStore())
    await caches.start()
    behind = ShardInfo("root", "https://host:6443", "https://proxy", "https://proxy")
    await Bootstrap(caches, SystemTypes(cached_apis=True), behind, now, cached_apis=True).run()
    (entry,) = (await caches.store.list("/registry/core.kcp.io/shards")).entries
    addresses = {"externalURL": "https://proxy", "virtualWorkspaceURL": "https://proxy"}
    assert orjson.loads(entry.value)["spec"] == {"baseURL": "https://host:6443"} | addresses
    await caches.close()


async def test_a_server_that_moved_renews_the_shards_urls_and_those_of_workspaces(shard: Shard) -> None:
    await shard.workspace("work")
    shard.url = "https://elsewhere:443"
    await shard.restart()
    await shard.settled()
    assert shard.need("root", SHARDS, "root")["spec"]["externalURL"] == shard.url
    assert shard.need("root", WORKSPACES, "work")["spec"]["URL"] == f"{shard.url}/clusters/root:work"


async def test_a_newer_version_of_a_type_is_exported_and_reaches_its_bindings(
    shard: Shard, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = await shard.workspace("work")
    real = bootstrap._schema

    def newer(key: Any) -> Object:
        schema = real(key)
        if key.resource != "partitions":
            return schema
        names = {**schema["spec"]["names"], "shortNames": ["part"]}
        return {
            "metadata": {"name": f"v2-{key.resource}.{key.resource}.{key.group}"},
            "spec": {**schema["spec"], "names": names},
        }

    monkeypatch.setattr(bootstrap, "_schema", newer)
    await shard.restart()
    await shard.settled()
    resources = shard.need("root", EXPORTS, "topology.kcp.io")["spec"]["resources"]
    assert "v2-partitions.partitions.topology.kcp.io" in {entry["schema"] for entry in resources}
    found = shard.serving.snapshot(work).find("topology.kcp.io", "v1alpha1", "partitions")
    assert found is not None
    assert found[0].definition.short_names == ("part",)
    before = await shard.store.revision()
    await shard.restart()
    await shard.settled()
    assert await shard.store.revision() == before


async def test_what_an_administrator_changed_stays(shard: Shard) -> None:
    role = "system:kcp:workspace:access"
    await shard.change("system:admin", CLUSTER_ROLES, role, lambda obj: obj.update(rules=[]))
    await shard.change("root", WORKSPACE_TYPES, "team", lambda obj: obj["metadata"].update(labels={"mine": "yes"}))
    await shard.restart()
    assert not shard.need("system:admin", CLUSTER_ROLES, role).get("rules")
    assert shard.need("root", WORKSPACE_TYPES, "team")["metadata"]["labels"] == {"mine": "yes"}


async def test_what_is_missing_is_made_again(shard: Shard) -> None:
    await shard.delete("root", WORKSPACE_TYPES, "team")
    await shard.delete(
        "root", SCHEMAS, shard.need("root", EXPORTS, "topology.kcp.io")["spec"]["resources"][0]["schema"]
    )
    await shard.restart()
    await shard.settled()
    assert shard.get("root", WORKSPACE_TYPES, "team") is not None
    assert shard.need("root", BINDINGS, "topology.kcp.io")["status"]["phase"] == "Bound"


@pytest.mark.parametrize("lost", ["secret", "key", "another key"])
async def test_losing_the_secret_of_an_export_does_not_lose_the_workspaces(shard: Shard, lost: str) -> None:
    await shard.workspace("work")
    recorded = shard.need("root", EXPORTS, "tenancy.kcp.io")["status"]["identityHash"]
    if lost == "secret":
        await shard.delete("root", SECRETS, "tenancy.kcp.io", namespace="kcp-system")
    else:
        data = {"key": "b3RoZXI="} if lost == "another key" else {}
        await shard.change("root", SECRETS, "tenancy.kcp.io", lambda obj: obj.update(data=data), namespace="kcp-system")
    await shard.restart()
    await shard.settled()
    assert shard.get("root", WORKSPACES, "work") is not None
    assert await shard.workspace("another")
    assert await shard.names("root", WORKSPACES) == ["another", "work"]
    assert shard.need("root", EXPORTS, "tenancy.kcp.io")["status"]["identityHash"] == recorded


@pytest.mark.parametrize("crash_after", range(1, 40, 3))
async def test_a_start_that_was_interrupted_is_completed_by_the_next(crash_after: int) -> None:
    class DyingStore(MemoryStore):
        left = crash_after

        async def create(self, key: str, value: bytes) -> Any:
            self.left -= 1
            if self.left < 0:
                await asyncio.Event().wait()  # the process is gone
            return await super().create(key, value)

    store = DyingStore()
    caches = Caches(store)
    await caches.start()
    clock = now
    first = asyncio.create_task(Bootstrap(caches, SystemTypes(cached_apis=True), INFO, clock, cached_apis=True).run())
    await asyncio.sleep(10)
    first.cancel()
    await caches.close()
    store.left = 10**9
    shard = Shard(store)
    await shard.start()
    await shard.settled()
    assert shard.need("root", LOGICAL_CLUSTERS, "cluster")["status"]["phase"] == "Ready"
    assert await shard.names("root", EXPORTS) == EXPORT_NAMES
    await shard.stop()


async def test_without_the_feature_gate_the_cache_api_is_neither_exported_nor_known() -> None:
    caches = Caches(MemoryStore())
    await caches.start()
    system = SystemTypes(cached_apis=False)
    await Bootstrap(caches, system, INFO, now, cached_apis=False).run()
    keys = [entry.key for entry in (await caches.store.list("/registry/apis.kcp.io/apiexports/")).entries]
    assert [key.rpartition("/")[2] for key in keys] == EXPORT_NAMES[1:]
    await caches.close()


def test_every_kcp_type_that_is_bound_has_a_manifest() -> None:
    assert {key for keys in BOOTSTRAP_EXPORTS.values() for key in keys} <= set(kcp_manifests())


@pytest.mark.parametrize(("name", "hashed"), [("root", "1pfxsevk")])
def test_a_shards_hash_is_the_one_that_kcp_writes(name: str, hashed: str) -> None:
    assert shard_hash(name) == hashed


def test_hashes_of_shards_are_short_lower_case_and_different() -> None:
    hashes = {shard_hash(f"shard-{index}") for index in range(500)}
    assert len(hashes) == 500
    assert all(len(found) == 8 and found.isalnum() and found == found.lower() for found in hashes)
