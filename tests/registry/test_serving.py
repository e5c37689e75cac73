import gc

import pytest
from registry_world import CLUSTER, CONFIG_MAPS, THINGS, crd, opened, pending, seen, thing

from kcpcache.meta.names import GroupResource, GroupVersionResource, version_order
from kcpcache.registry import definitions
from kcpcache.registry.catalog import ProjectedResource, SnapshotPool, StoredResource
from kcpcache.registry.entry import encode
from kcpcache.registry.logical_clusters import BOUND_SCHEMAS, LogicalClusters
from kcpcache.registry.lookup import Lookup
from kcpcache.registry.serving import (
    API_BINDINGS,
    API_RESOURCE_SCHEMAS,
    CRDS,
    LOGICAL_CLUSTER_OBJECTS,
    Serving,
)
from kcpcache.registry.system import SystemTypes, kcp_definitions
from kcpcache.registry.view import ListOptions
from kcpcache.virtual.views import Views

GROUP_RESOURCE = GroupResource("example.com", "things")
SECRETS = GroupVersionResource("", "v1", "secrets")


@pytest.fixture
async def world():
    async with opened() as found:
        system = SystemTypes(cached_apis=True)
        found.serving = Serving(found.caches, [CONFIG_MAPS], kcp_definitions())
        found.clusters = LogicalClusters(found.caches)
        found.lookup = Lookup(found.caches, found.clusters, system)
        found.views = Views(found.lookup, found.serving, shard="root", clock=lambda: found.now)
        yield found


async def put(world, key, obj):
    """Store, or replace, an object as a controller would; nothing of it is checked."""
    current = (await world.store.get(key)).entry
    if current is None:
        await world.store.create(key, encode(obj))
    else:
        await world.store.update(key, encode(obj), expected=current.revision)
    await world.caches.fresh()


async def drop(world, key):
    await world.store.delete(key, expected=(await world.store.get(key)).entry.revision)
    await world.caches.fresh()


async def put_crd(world, cluster=CLUSTER, *, established=True, **more):
    found = crd(**more)
    found["metadata"]["uid"] = f"{cluster}-{found['metadata']['name']}"
    found["status"] = {
        "acceptedNames": found["spec"]["names"],
        "conditions": [{"type": "Established", "status": str(established)}],
    }
    await put(world, f"{CRDS}{cluster}/{found['metadata']['name']}", found)


async def put_schema(world, uid="schema-1"):
    spec = crd()["spec"]
    versions = [{**version, "schema": version["schema"]["openAPIV3Schema"]} for version in spec["versions"]]
    schema = {
        "apiVersion": "apis.kcp.io/v1alpha1",
        "kind": "APIResourceSchema",
        "metadata": {"name": uid, "uid": uid},
        "spec": {**spec, "versions": versions},
    }
    await put(world, f"{API_RESOURCE_SCHEMAS}{BOUND_SCHEMAS}/{uid}", schema)


async def bind(world, cluster=CLUSTER, *, virtual=False, uid="schema-1", identity="id", name="b", **meta):
    bound = {
        "group": "example.com",
        "resource": "things",
        "schema": {"UID": uid, "name": "s", "identityHash": identity},
        "storageVersions": [] if virtual else ["v1"],
    }
    binding = {
        "apiVersion": "apis.kcp.io/v1alpha2",
        "kind": "APIBinding",
        "metadata": {"name": name, **meta},
        "spec": {"reference": {"export": {"path": "root:p", "name": "e"}}},
        "status": {"apiExportClusterName": "provider", "boundResources": [bound]},
    }
    await put(world, f"{API_BINDINGS}{cluster}/{name}", binding)


async def put_cluster(world, cluster=CLUSTER, path="root:ws"):
    obj = {
        "apiVersion": "core.kcp.io/v1alpha1",
        "kind": "LogicalCluster",
        "metadata": {"name": "cluster", "annotations": {"kcp.io/path": path}},
        "status": {"phase": "Ready"},
    }
    await put(world, f"{LOGICAL_CLUSTER_OBJECTS}{cluster}/cluster", obj)


def served(world, cluster=CLUSTER):
    return world.serving.snapshot(cluster).resources.get(GROUP_RESOURCE)


async def open_watch(world, resource=None):
    found = resource or served(world)
    view = world.views.view(CLUSTER, found, found.definition.versions[0])
    return await view.watch(ListOptions())


async def ended(watch):
    with pytest.raises(StopAsyncIteration):
        await pending(watch)


async def test_a_crd_is_served_while_it_is_established_and_there(world):
    await put_crd(world, established=False)
    assert served(world) is None
    await put_crd(world)
    assert isinstance(served(world), StoredResource)
    assert served(world, "elsewhere") is None
    await drop(world, f"{CRDS}{CLUSTER}/things.example.com")
    assert served(world) is None


async def test_versions_are_found_while_they_are_served(world):
    await put_crd(world, versions=("v1", "v1beta1"))
    snapshot = world.serving.snapshot(CLUSTER)
    assert snapshot.find("example.com", "v1beta1", "things")[1].name == "v1beta1"
    assert snapshot.find("example.com", "v2", "things") is None
    assert snapshot.find("example.com", "v1", "others") is None
    assert snapshot.groups == {"": ("v1",), "example.com": ("v1", "v1beta1")}
    await put_crd(world, versions=("v1",))
    assert world.serving.snapshot(CLUSTER).find("example.com", "v1beta1", "things") is None


async def test_what_is_being_deleted_takes_nothing_new(world):
    await put_schema(world)
    await bind(world)
    assert "create" in served(world).definition.verbs
    await bind(world, deletionTimestamp="2026-01-01T00:00:00Z")
    assert "create" not in served(world).definition.verbs
    assert "delete" in served(world).definition.verbs


async def test_bound_resources_are_stored_under_their_identity_and_virtual_ones_projected(world):
    await put_schema(world)
    await bind(world)
    assert served(world).definition.identity_hash == "id"
    assert (served(world).bound.cluster, served(world).bound.export) == ("provider", "e")
    await bind(world, virtual=True)
    assert isinstance(served(world), ProjectedResource)
    assert served(world).definition.verbs == ("get", "list", "watch")
    await drop(world, f"{API_BINDINGS}{CLUSTER}/b")
    assert served(world) is None


async def test_a_crd_comes_before_a_binding_and_built_in_types_before_both(world):
    await put_crd(world)
    await put_schema(world)
    await bind(world)
    assert served(world).bound is None
    await put_crd(world, plural="configmaps", group="")
    assert world.serving.snapshot(CLUSTER).resources["", "configmaps"].definition is CONFIG_MAPS


async def test_a_binding_is_served_once_its_schema_has_come(world):
    await bind(world)
    assert served(world) is None
    await put_schema(world)
    assert served(world) is not None


async def test_workspaces_that_serve_the_same_share_one_snapshot(world):
    empty = world.serving.snapshot("a")
    assert empty is world.serving.snapshot("b") is world.serving.snapshot("*")
    await put_schema(world)
    for cluster in ("a", "b"):
        await put_crd(world, cluster, plural="others")
        await bind(world, cluster)
    assert world.serving.snapshot("a") is world.serving.snapshot("b")
    assert world.serving.snapshot("a").hash == world.serving.snapshot("b").hash != empty.hash


async def test_a_change_of_a_crds_status_changes_no_definition(world):
    await put_crd(world)
    before = world.serving.snapshot(CLUSTER)
    await put_crd(world)
    assert world.serving.snapshot(CLUSTER) is before


async def test_a_crds_schemas_are_compiled_once_whatever_becomes_of_its_status_and_whoever_else_has_them(
    world, monkeypatch
):
    compiled = []
    compile_schema = definitions.compile_schema
    monkeypatch.setattr(
        definitions, "compile_schema", lambda *args, **more: compiled.append(0) or compile_schema(*args, **more)
    )
    await put_crd(world, established=False)
    assert served(world) is None
    assert not compiled
    await put_crd(world)
    first = served(world)
    await put_crd(world, plural="others")
    for cluster in (CLUSTER, "another"):
        await put_crd(world, cluster)
        assert served(world, cluster).definition is first.definition
    assert len(compiled) == 2


async def test_crds_that_say_the_same_in_another_order_share_their_definition(world):
    await put_crd(world)
    found = crd()
    found["metadata"]["uid"] = "another"
    names = found["spec"]["names"]
    found["spec"] = dict(reversed(found["spec"].items()))
    found["status"] = {"acceptedNames": names, "conditions": [{"type": "Established", "status": "True"}]}
    await put(world, f"{CRDS}another/{found['metadata']['name']}", found)
    assert served(world, "another").definition is served(world).definition
    await put_crd(world, "third", scope="Namespaced")
    assert served(world, "third").definition is not served(world).definition


async def test_watches_end_when_the_resource_vanishes_after_what_came_before(world):
    await put_crd(world)
    other = await open_watch(world, world.serving.snapshot(CLUSTER).resources["", "configmaps"])
    live = await open_watch(world)
    await world.create(thing())
    await drop(world, f"{CRDS}{CLUSTER}/things.example.com")
    assert seen(await live.next(0)) == [("ADDED", "a", 2)]
    await ended(live)
    assert await pending(other) == []


async def test_watches_end_when_another_resource_takes_the_name(world):
    await put_crd(world)
    live = await open_watch(world)
    await put_crd(world)
    assert await pending(live) == []
    await drop(world, f"{CRDS}{CLUSTER}/things.example.com")
    await put_schema(world)
    await bind(world)
    await ended(live)
    bound = await open_watch(world)
    await bind(world, identity="another")
    await ended(bound)


async def test_a_watch_that_is_opened_while_its_resource_goes_ends_at_once(world):
    await put_crd(world)
    resource = served(world)
    await drop(world, f"{CRDS}{CLUSTER}/things.example.com")
    await ended(await open_watch(world, resource))


async def test_watches_end_with_their_workspace(world):
    await put_cluster(world)
    live = await open_watch(world, world.serving.snapshot(CLUSTER).resources["", "configmaps"])
    await drop(world, f"{LOGICAL_CLUSTER_OBJECTS}{CLUSTER}/cluster")
    await ended(live)


async def test_nothing_is_kept_of_deleted_workspaces(world):
    """P13."""
    await put_schema(world)
    for number in range(5):
        cluster = f"c{number}"
        await put_cluster(world, cluster, f"root:{cluster}")
        await put_crd(world, cluster, plural=f"n{number}s")
        await bind(world, cluster, name=f"b{number}")
        resource = served(world, cluster)
        watch = await world.views.view(cluster, resource, resource.definition.versions[0]).watch(ListOptions())
        await put(world, f"/registry/core/secrets/{cluster}/n/s", {**thing("s"), "kind": "Secret", "apiVersion": "v1"})
        assert world.lookup.get(SECRETS, cluster, "s", "n") is not None
        watch.close()
    serving = world.serving
    assert len(serving._pool) == 6
    for number in range(5):
        cluster = f"c{number}"
        await drop(world, f"/registry/core/secrets/{cluster}/n/s")
        await drop(world, f"{CRDS}{cluster}/n{number}s.example.com")
        await drop(world, f"{API_BINDINGS}{cluster}/b{number}")
        await drop(world, f"{LOGICAL_CLUSTER_OBJECTS}{cluster}/cluster")
    del resource, watch
    gc.collect()
    kept = (serving._snapshots, serving._crd_definitions, serving._shared, serving._watches, serving._incomplete)
    assert [len(one) for one in kept] == [0] * 5
    assert len(serving._schema_definitions) == 0
    assert len(serving._pool) == 1
    assert world.lookup._decoded == {}
    assert world.clusters.names() == []
    assert world.clusters._by_path == {}
    assert [cache.prefix for cache in world.caches.known() if cache.shelves or cache.ring] == [API_RESOURCE_SCHEMAS]


async def test_a_looked_up_object_is_decoded_once_per_change(world):
    secret = {**thing("s"), "kind": "Secret", "apiVersion": "v1"}
    await put(world, f"/registry/core/secrets/{CLUSTER}/n/s", secret)
    one = world.lookup.get(SECRETS, CLUSTER, "s", "n")
    assert world.lookup.get(SECRETS, CLUSTER, "s", "n") is one
    assert world.lookup.list(SECRETS, CLUSTER) == (one,)
    assert world.lookup.decode(world.lookup.entry(SECRETS, CLUSTER, "s", "n")) is one
    await put(world, f"/registry/core/secrets/{CLUSTER}/n/s", secret)
    assert world.lookup.get(SECRETS, CLUSTER, "s", "n") is not one
    assert len(world.lookup._decoded) == 1


async def test_a_logical_cluster_is_found_by_name_and_path(world):
    await put_cluster(world)
    await put_cluster(world, "child", "root:ws:child")
    for spelled in ("child", "root:ws:child", f"{CLUSTER}:child"):
        assert world.clusters.resolve(spelled) == "child"
    assert world.clusters.resolve("root:other") is None
    assert world.clusters.state(CLUSTER) == "ready"
    assert world.clusters.path(CLUSTER) == "root:ws"
    await put_cluster(world, CLUSTER, "root:moved")
    assert world.clusters.resolve("root:ws") is None
    await drop(world, f"{LOGICAL_CLUSTER_OBJECTS}{CLUSTER}/cluster")
    assert world.clusters.resolve("root:moved") is None
    assert world.clusters.state(CLUSTER) == "missing"


def test_versions_are_in_kubernetes_order():
    wanted = [
        "v10",
        "v2",
        "v1",
        "v11beta2",
        "v10beta3",
        "v3beta1",
        "v12alpha1",
        "v11alpha2",
        "foo1",
        "foo10",
        "v1gamma1",
    ]
    assert sorted(set(wanted), key=version_order) == wanted


def test_a_snapshot_that_nobody_uses_goes():
    pool = SnapshotPool()
    one = pool.intern([StoredResource(THINGS)])
    assert pool.intern([StoredResource(THINGS)]) is one
    assert len(pool) == 1
    del one
    gc.collect()
    assert len(pool) == 0
