"""Workspaces from creation to their end, and what is bound in them, with every controller running."""

import asyncio

import pytest
from shard_world import (
    BINDINGS,
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    CONFIG_MAPS,
    CRDS,
    EXPORTS,
    FLAVORS,
    LOGICAL_CLUSTERS,
    NAMESPACES,
    SCHEMAS,
    WORKSPACE_TYPES,
    WORKSPACES,
    Shard,
    crd_spec,
    schema_spec,
)

from kcpcache.meta.errors import ForbiddenError
from kcpcache.meta.objects import Object
from kcpcache.reconcilers.plan import Target
from kcpcache.registry.view import NO_ADMISSION, DeleteOptions, WriteOptions

CRD = "flavors.cloud.example.com"
STORED = {
    "group": "cloud.example.com",
    "name": "flavors",
    "schema": "v1.flavors.cloud.example.com",
    "storage": {"crd": {}},
}


async def exporter(shard: Shard, name: str = "exporter") -> str:
    cluster = await shard.workspace(name)
    await shard.create(cluster, SCHEMAS, "v1.flavors.cloud.example.com", spec=schema_spec())
    await shard.create(cluster, EXPORTS, "cloud", spec={"resources": [STORED]})
    await shard.settled()
    return cluster


def condition(obj: Object, kind: str) -> tuple[str, str]:
    found = next((c for c in obj["status"]["conditions"] if c["type"] == kind), {})
    return found.get("status", ""), found.get("reason", "")


def let_go(obj: Object) -> None:
    obj["metadata"].pop("finalizers", None)


async def test_a_new_workspace_becomes_ready_with_url_annotations_label_and_finalizer(shard: Shard) -> None:
    cluster = await shard.workspace("work")
    found = shard.need("root", WORKSPACES, "work")
    assert found["spec"]["URL"] == f"{shard.url}/clusters/root:work"
    assert found["status"]["phase"] == "Ready"
    assert condition(found, "WorkspaceScheduled") == ("True", "")
    meta = found["metadata"]
    assert meta["annotations"]["internal.tenancy.kcp.io/cluster"] == cluster
    assert meta["annotations"]["internal.tenancy.kcp.io/shard"] == "1pfxsevk"
    assert meta["annotations"]["core.kcp.io/shard"] == "root"
    assert meta["labels"]["tenancy.kcp.io/phase"] == "Ready"
    assert meta["finalizers"] == ["core.kcp.io/logicalcluster"]
    inside = shard.need(cluster, LOGICAL_CLUSTERS, "cluster")
    assert inside["status"]["URL"] == f"{shard.url}/clusters/{cluster}"
    assert inside["metadata"]["annotations"]["kcp.io/path"] == "root:work"
    assert shard.clusters.resolve("root:work") == cluster


async def test_it_begins_with_namespace_default_its_owners_binding_and_the_default_bindings(shard: Shard) -> None:
    cluster = await shard.workspace("work")
    assert shard.get(cluster, NAMESPACES, "default") is not None
    binding = shard.need(cluster, CLUSTER_ROLE_BINDINGS, "workspace-admin")
    assert [subject["name"] for subject in binding["subjects"]] == ["alice"]
    assert binding["roleRef"]["name"] == "cluster-admin"
    bound = await shard.objects(cluster, BINDINGS)
    assert {obj["spec"]["reference"]["export"]["name"] for obj in bound} == {"tenancy.kcp.io", "topology.kcp.io"}
    assert {obj["status"]["phase"] for obj in bound} == {"Bound"}
    for obj in bound:
        export, _, suffix = obj["metadata"]["name"].rpartition("-")
        assert export == obj["spec"]["reference"]["export"]["name"]
        assert len(suffix) == 5


async def test_workspaces_nest_and_their_urls_say_so(shard: Shard) -> None:
    await shard.workspace("org")
    await shard.workspace("team", parent="root:org")
    leaf = await shard.workspace("leaf", parent="root:org:team")
    assert shard.clusters.resolve("root:org:team:leaf") == leaf
    team = shard.clusters.resolve("root:org:team")
    assert team is not None
    assert shard.need(team, WORKSPACES, "leaf")["spec"]["URL"].endswith("/clusters/root:org:team:leaf")


async def test_a_workspace_of_an_unknown_type_says_why_and_is_scheduled_once_the_type_is_there(shard: Shard) -> None:
    kind = {"name": "special", "path": "root"}
    await shard.create("root", WORKSPACES, "work", spec={"type": kind})
    await shard.settled()
    found = shard.need("root", WORKSPACES, "work")
    assert found["status"]["phase"] == "Scheduling"
    assert condition(found, "WorkspaceScheduled") == ("False", "Unschedulable")
    await shard.create("root", WORKSPACE_TYPES, "special", spec={})
    await shard.settled()
    assert shard.need("root", WORKSPACES, "work")["status"]["phase"] == "Ready"


async def test_a_workspace_waits_for_its_types_initializer(shard: Shard) -> None:
    await shard.create("root", WORKSPACE_TYPES, "special", spec={"initializer": True})
    cluster = await shard.workspace("work", type={"name": "special", "path": "root"})
    assert shard.need("root", WORKSPACES, "work")["status"]["phase"] == "Initializing"
    assert shard.need(cluster, LOGICAL_CLUSTERS, "cluster")["status"]["initializers"] == ["root:special"]

    def initialized(obj: Object) -> None:
        obj["status"]["initializers"] = []

    await shard.change(cluster, LOGICAL_CLUSTERS, "cluster", initialized, subresource="status")
    await shard.settled()
    found = shard.need("root", WORKSPACES, "work")
    assert found["status"]["phase"] == "Ready"
    assert found["metadata"]["labels"]["tenancy.kcp.io/phase"] == "Ready"


@pytest.mark.parametrize("export", ["lost", "cloud"], ids=["there is no export", "its names are taken"])
async def test_default_bindings_that_cannot_be_bound_hold_a_workspace_which_says_what_it_still_waits_for(
    shard: Shard, export: str
) -> None:
    provider = await exporter(shard)
    twice = [STORED, {**STORED, "schema": "v1.missing.cloud.example.com", "name": "missing"}]
    await shard.change(provider, EXPORTS, "cloud", lambda obj: obj["spec"].update(resources=twice))
    bindings = [{"path": "root:exporter", "export": export}]
    extend = {"with": [{"name": "universal", "path": "root"}]}
    await shard.create("root", WORKSPACE_TYPES, "special", spec={"defaultAPIBindings": bindings, "extend": extend})
    cluster = await shard.workspace("work", type={"name": "special", "path": "root"})
    found = shard.need(cluster, LOGICAL_CLUSTERS, "cluster")
    assert found["status"]["initializers"] == ["system:apibindings"]
    assert found["status"]["phase"] == "Initializing"
    assert condition(found, "APIBindingsInitialized")[0] == "False"
    assert shard.need("root", WORKSPACES, "work")["status"]["initializers"] == ["system:apibindings"]


async def test_a_binding_that_went_before_it_was_decided_on_does_not_keep_a_workspace_from_being_ready(
    shard: Shard,
) -> None:
    bindings = [{"path": "root:exporter", "export": "cloud"}]
    extend = {"with": [{"name": "universal", "path": "root"}]}
    await shard.create("root", WORKSPACE_TYPES, "special", spec={"defaultAPIBindings": bindings, "extend": extend})
    cluster = await shard.workspace("work", type={"name": "special", "path": "root"})
    assert shard.need("root", WORKSPACES, "work")["status"]["phase"] == "Initializing"
    going = {
        "name": "going",
        "uid": "u",
        "finalizers": ["example.com/held"],
        "deletionTimestamp": "2026-01-01T00:00:00Z",
    }
    obj = {"apiVersion": "apis.kcp.io/v1alpha2", "kind": "APIBinding", "metadata": going, "spec": {}}
    await shard.put_copy(f"/registry/apis.kcp.io/apibindings/{cluster}/going", obj)
    await exporter(shard)
    await shard.settled()
    assert shard.need("root", WORKSPACES, "work")["status"]["phase"] == "Ready"


async def test_what_the_owner_deletes_after_the_start_is_not_made_again(shard: Shard) -> None:
    cluster = await shard.workspace("work")
    await shard.delete(cluster, CLUSTER_ROLE_BINDINGS, "workspace-admin")
    await shard.restart()
    await shard.settled()
    assert shard.get(cluster, CLUSTER_ROLE_BINDINGS, "workspace-admin") is None


@pytest.mark.parametrize("crash", [False, True], ids=["at once", "with a crash in the middle"])
async def test_deleting_a_workspace_leaves_no_key_in_either_store(shard: Shard, crash: bool) -> None:
    provider, consumer = await shard.provider(), await shard.workspace("consumer")
    for index in range(250):
        await shard.flavor(provider, f"f{index}")
    await shard.create(provider, CONFIG_MAPS, "settings", namespace="default")
    await shard.bind(consumer, provider)
    child = await shard.workspace("child", parent="root:provider")
    await shard.settled()
    for name in ("provider", "consumer"):
        await shard.delete("root", WORKSPACES, name)
    if crash:
        for _ in range(40):
            await asyncio.sleep(0)
        await shard.restart()
    await shard.settled()
    for cluster in (provider, consumer, child):
        assert await shard.keys(f"/{cluster}/") == []
        assert shard.clusters.state(cluster) == "missing"
    assert await shard.names("root", WORKSPACES) == []
    assert await shard.keys("", "/cache/") == []


async def test_that_a_workspace_is_being_deleted_is_said_by_its_label_from_the_first_moment(shard: Shard) -> None:
    cluster = await shard.workspace("work")
    for where, resource, name in (("root", WORKSPACES, "work"), (cluster, LOGICAL_CLUSTERS, "cluster")):
        view = shard.env.apply.view(Target(resource, where, name))
        deleted = (await view.delete("", name, DeleteOptions(), NO_ADMISSION)).item.object()
        assert deleted["metadata"]["labels"]["tenancy.kcp.io/phase"] == "Deleting"
        assert deleted["metadata"]["deletionTimestamp"]


async def test_what_holds_a_workspaces_end_up_is_told_after_a_while_and_so_is_what_is_left_of_it(shard: Shard) -> None:
    cluster = await shard.workspace("work")
    for name in ("a", "b"):
        hold = ["example.com/hold"]
        await shard.create(cluster, CONFIG_MAPS, name, namespace="default", finalizers=hold)
    await shard.delete("root", WORKSPACES, "work")
    for left in (2, 1):
        await shard.settled()
        for where, resource, name in (("root", WORKSPACES, "work"), (cluster, LOGICAL_CLUSTERS, "cluster")):
            conditions = shard.need(where, resource, name)["status"]["conditions"]
            text = next(each["message"] for each in conditions if each["type"] == "WorkspaceContentDeleted")
            assert f"configmaps. has {left} resource instances" in text
            assert f"example.com/hold in {left} resource instances" in text
        await shard.change(cluster, CONFIG_MAPS, "ab"[left - 1], let_go, namespace="default")
    await shard.settled()
    assert shard.get("root", WORKSPACES, "work") is None


@pytest.mark.parametrize("first", ["universal", "nothing"], ids=["with bindings", "emptied before that is noted"])
async def test_a_workspace_that_nothing_holds_goes_without_waiting(shard: Shard, first: str) -> None:
    await shard.create("root", WORKSPACE_TYPES, "nothing", spec={})
    cluster = await shard.workspace("work", type={"name": first, "path": "root"})
    if first == "nothing":
        await shard.delete(cluster, CLUSTER_ROLE_BINDINGS, "workspace-admin")
        await shard.delete(cluster, NAMESPACES, "default")
        await shard.settled()
    await shard.delete("root", WORKSPACES, "work")
    await shard.settled(0.5)
    assert shard.get("root", WORKSPACES, "work") is None


async def test_what_is_created_while_a_workspace_empties_itself_goes_too(shard: Shard) -> None:
    cluster = await shard.workspace("work")
    await shard.create(cluster, CONFIG_MAPS, "held", namespace="default", finalizers=["example.com/hold"])
    await shard.delete("root", WORKSPACES, "work")
    await shard.settled(0.5)
    await shard.create(cluster, CLUSTER_ROLES, "late", rules=[])
    await shard.settled()
    assert shard.get(cluster, CLUSTER_ROLES, "late") is None
    await shard.change(cluster, CONFIG_MAPS, "held", let_go, namespace="default")
    await shard.settled()
    assert shard.get("root", WORKSPACES, "work") is None


async def test_a_workspaces_end_waits_for_finalizers_in_it(shard: Shard) -> None:
    cluster = await shard.workspace("work")
    await shard.create(cluster, CONFIG_MAPS, "held", namespace="default", finalizers=["example.com/hold"])
    await shard.delete("root", WORKSPACES, "work")
    await shard.settled()
    found = shard.need("root", WORKSPACES, "work")
    assert found["metadata"]["labels"]["tenancy.kcp.io/phase"] == "Deleting"
    assert condition(found, "WorkspaceContentDeleted") == ("False", "SomeResourcesRemain")
    await shard.change(
        cluster, CONFIG_MAPS, "held", lambda obj: obj["metadata"].update(finalizers=[]), namespace="default"
    )
    await shard.settled()
    assert shard.get("root", WORKSPACES, "work") is None
    assert await shard.keys(f"/{cluster}/") == []


async def test_objects_that_outlived_their_definition_go_with_the_workspace(shard: Shard) -> None:
    cluster = await shard.workspace("work")
    await shard.create(cluster, CRDS, CRD, spec=crd_spec())
    await shard.settled()
    await shard.create(cluster, FLAVORS, "small", finalizers=["example.com/hold"])
    await shard.change(cluster, CRDS, CRD, lambda obj: obj["metadata"].update(finalizers=[]))
    await shard.wipe(f"/registry/apiextensions.k8s.io/customresourcedefinitions/{cluster}/")
    await shard.settled()
    await shard.delete("root", WORKSPACES, "work")
    await shard.settled()
    assert await shard.keys(f"/{cluster}/") == []
    assert shard.get("root", WORKSPACES, "work") is None


async def test_a_name_can_be_used_again_for_another_logical_cluster(shard: Shard) -> None:
    first = await shard.workspace("work")
    await shard.delete("root", WORKSPACES, "work")
    await shard.settled()
    second = await shard.workspace("work")
    assert first != second
    assert shard.clusters.resolve("root:work") == second


async def test_a_restart_with_workspaces_writes_nothing(shard: Shard) -> None:
    await exporter(shard)
    await shard.workspace("work")
    before = await shard.store.revision()
    await shard.restart()
    await shard.settled()
    assert await shard.store.revision() == before


# -- bindings and definitions


async def test_a_bound_resource_is_served_and_its_objects_go_with_the_binding(shard: Shard) -> None:
    provider, consumer = await exporter(shard), await shard.workspace("consumer")
    await shard.bind(consumer, provider)
    await shard.settled()
    binding = shard.need(consumer, BINDINGS, "cloud")
    assert binding["status"]["phase"] == "Bound"
    assert binding["status"]["apiExportClusterName"] == provider
    assert binding["metadata"]["finalizers"] == ["apis.kcp.io/apibinding-finalizer"]
    for kind in ("APIExportValid", "InitialBindingCompleted", "BindingUpToDate", "Ready"):
        assert condition(binding, kind)[0] == "True", kind
    for index in range(210):
        await shard.flavor(consumer, f"f{index}")
    await shard.delete(consumer, BINDINGS, "cloud")
    await shard.settled()
    assert shard.get(consumer, BINDINGS, "cloud") is None
    assert await shard.keys(f"/{consumer}/f") == []
    with pytest.raises(KeyError):
        shard.view(consumer, FLAVORS)


async def test_while_a_binding_waits_for_its_objects_nothing_new_is_created(shard: Shard) -> None:
    provider, consumer = await exporter(shard), await shard.workspace("consumer")
    await shard.bind(consumer, provider)
    await shard.settled()
    await shard.create(consumer, FLAVORS, "held", finalizers=["example.com/hold"])
    await shard.delete(consumer, BINDINGS, "cloud")
    await shard.settled()
    view = shard.view(consumer, FLAVORS)
    assert "create" not in view.definition.verbs
    new = {"metadata": {"name": "new"}}
    why = '"new" is forbidden: create not allowed while custom resource definition is terminating'
    with pytest.raises(ForbiddenError, match=why):
        await view.create("", new, WriteOptions(), NO_ADMISSION)
    with pytest.raises(ForbiddenError, match=why):
        await view.update("", "new", lambda _: new, WriteOptions(), NO_ADMISSION, create_if_missing=True)


async def test_an_approved_type_of_a_protected_group_can_be_bound(shard: Shard) -> None:
    provider, consumer = await shard.workspace("provider"), await shard.workspace("consumer")
    spec = schema_spec() | {"group": "flavors.k8s.io"}
    approved = {"api-approved.kubernetes.io": "https://example.com/review/1"}
    await shard.create(provider, SCHEMAS, "v1.flavors.flavors.k8s.io", annotations=approved, spec=spec)
    resource = {"group": "flavors.k8s.io", "name": "flavors", "schema": "v1.flavors.flavors.k8s.io"}
    await shard.create(provider, EXPORTS, "cloud", spec={"resources": [{**resource, "storage": {"crd": {}}}]})
    await shard.bind(consumer, provider)
    await shard.settled()
    assert shard.need(consumer, BINDINGS, "cloud")["status"]["phase"] == "Bound"
    assert await shard.names(consumer, FLAVORS._replace(group="flavors.k8s.io")) == []


async def test_a_name_that_a_crd_has_is_not_bound_until_the_crd_goes(shard: Shard) -> None:
    provider, consumer = await exporter(shard), await shard.workspace("consumer")
    await shard.create(consumer, CRDS, CRD, spec=crd_spec())
    await shard.settled()
    await shard.bind(consumer, provider)
    await shard.settled()
    binding = shard.need(consumer, BINDINGS, "cloud")
    assert binding["status"]["phase"] == "Binding"
    assert condition(binding, "InitialBindingCompleted") == ("False", "NamingConflicts")
    assert condition(binding, "BindingUpToDate") == ("False", "NamingConflicts")
    await shard.delete(consumer, CRDS, CRD)
    await shard.settled()
    assert shard.need(consumer, BINDINGS, "cloud")["status"]["phase"] == "Bound"


async def test_of_two_bindings_of_one_resource_the_first_has_it(shard: Shard) -> None:
    one, two = await exporter(shard, "one"), await exporter(shard, "two")
    consumer = await shard.workspace("consumer")
    await shard.bind(consumer, one, "first")
    await shard.settled()
    await shard.bind(consumer, two, "second")
    await shard.settled()
    assert shard.need(consumer, BINDINGS, "first")["status"]["phase"] == "Bound"
    assert condition(shard.need(consumer, BINDINGS, "second"), "InitialBindingCompleted") == (
        "False",
        "NamingConflicts",
    )
    await shard.delete(consumer, BINDINGS, "first")
    await shard.settled()
    assert shard.need(consumer, BINDINGS, "second")["status"]["phase"] == "Bound"


async def test_a_crd_made_for_a_bound_resource_gets_no_names(shard: Shard) -> None:
    provider, consumer = await exporter(shard), await shard.workspace("consumer")
    await shard.bind(consumer, provider)
    await shard.settled()
    await shard.create(consumer, CRDS, CRD, spec=crd_spec())
    await shard.settled()
    assert condition(shard.need(consumer, CRDS, CRD), "NamesAccepted")[0] == "False"
    assert condition(shard.need(consumer, CRDS, CRD), "Established")[0] == "False"
    await shard.delete(consumer, BINDINGS, "cloud")
    await shard.settled()
    assert condition(shard.need(consumer, CRDS, CRD), "Established")[0] == "True"


async def test_a_resource_taken_out_of_an_export_stays_where_it_is_bound(shard: Shard) -> None:
    provider, old = await exporter(shard), await shard.workspace("old")
    await shard.bind(old, provider)
    await shard.settled()
    await shard.flavor(old, "small")
    await shard.change(provider, EXPORTS, "cloud", lambda obj: obj["spec"].update(resources=[]))
    new = await shard.workspace("new")
    await shard.bind(new, provider)
    await shard.settled()
    assert await shard.names(old, FLAVORS) == ["small"]
    assert condition(shard.need(old, BINDINGS, "cloud"), "BindingUpToDate")[0] == "False"
    with pytest.raises(KeyError):
        shard.view(new, FLAVORS)


async def test_deleting_the_export_leaves_what_is_bound_and_says_so(shard: Shard) -> None:
    provider, consumer = await exporter(shard), await shard.workspace("consumer")
    await shard.bind(consumer, provider)
    await shard.settled()
    await shard.flavor(consumer, "small")
    await shard.delete(provider, EXPORTS, "cloud")
    await shard.settled()
    binding = shard.need(consumer, BINDINGS, "cloud")
    assert condition(binding, "APIExportValid") == ("False", "APIExportNotFound")
    assert condition(binding, "InitialBindingCompleted")[0] == "True"
    assert await shard.names(consumer, FLAVORS) == ["small"]


async def test_a_crd_is_established_and_its_objects_go_before_it(shard: Shard) -> None:
    cluster = await shard.workspace("work")
    await shard.create(cluster, CRDS, CRD, spec=crd_spec())
    await shard.settled()
    found = shard.need(cluster, CRDS, CRD)
    assert condition(found, "Established")[0] == "True"
    assert found["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
    for index in range(450):
        await shard.flavor(cluster, f"f{index}")
    await shard.delete(cluster, CRDS, CRD)
    await shard.settled()
    assert shard.get(cluster, CRDS, CRD) is None
    assert await shard.keys(f"/flavors/{cluster}/") == []
