import re

import pytest
from plan_world import LATER, NOW, World, pure

from kcpcache.meta.names import GroupVersionResource
from kcpcache.reconcilers import api_binding, default_api_bindings, logical_cluster, workspace
from kcpcache.reconcilers.api_binding import API_BINDINGS
from kcpcache.reconcilers.default_api_bindings import INITIALIZER, DefaultBinding, State, binding_name
from kcpcache.reconcilers.garbage import WAIT, Remnant
from kcpcache.reconcilers.logical_cluster import LOGICAL_CLUSTERS
from kcpcache.reconcilers.plan import NOTHING, Create, Target, UpdateStatus
from kcpcache.reconcilers.workspace import CLUSTER_NAME_ANNOTATION, WORKSPACES, Shard

AT = Target(LOGICAL_CLUSTERS, "abc", "cluster")
CLAIM = {"group": "", "resource": "configmaps", "verbs": ["get"]}
TENANCY = DefaultBinding("root", "tenancy.kcp.io", ())
CLOUD = DefaultBinding("root:org", "cloud", (CLAIM,))


@pytest.fixture
def world():
    world = World()
    status = {"phase": "Initializing", "initializers": ["root:universal", INITIALIZER]}
    world.put(AT, {"spec": {"initializers": ["root:universal", INITIALIZER]}, "status": status})
    return world


def look(world, *defaults, now=NOW, unresolved=False):
    existing = tuple(world.get(at) for at in world.objects if at.resource == API_BINDINGS)
    return pure(default_api_bindings.reconcile, State(world.get(AT), now, None if unresolved else defaults, existing))


def bind(world):
    for at in list(world.objects):
        if at.resource == API_BINDINGS:
            world.put(at, world.objects[at] | {"status": {"phase": "Bound"}})


def condition(world):
    found = next(c for c in world.get(AT)["status"]["conditions"] if c["type"] == "APIBindingsInitialized")
    return found["status"], found.get("reason")


def test_a_logical_cluster_that_is_gone_needs_nothing():
    assert default_api_bindings.reconcile(State(None, NOW)) == NOTHING


def test_without_the_initializer_there_is_nothing_to_do(world):
    world.objects[AT]["status"]["initializers"] = ["root:universal"]
    assert look(world, TENANCY) == NOTHING
    del world.objects[AT]["status"]
    assert look(world, TENANCY) == NOTHING


def test_bindings_are_made_and_waited_for(world):
    plan = look(world, TENANCY, CLOUD)
    assert [type(change) for change in plan.changes] == [Create, Create, UpdateStatus]
    assert plan.requeue_after is None
    world.apply(plan)
    assert condition(world) == ("False", "WaitingOnAPIBindings")
    assert look(world, TENANCY, CLOUD, now=LATER) == NOTHING
    assert INITIALIZER in world.get(AT)["status"]["initializers"]


def test_a_binding_accepts_all_claims_of_its_export(world):
    world.apply(look(world, CLOUD))
    binding = world.get(Target(API_BINDINGS, "abc", binding_name("abc", "root:org", "cloud")))
    assert binding["apiVersion"] == "apis.kcp.io/v1alpha2"
    assert binding["spec"] == {
        "reference": {"export": {"path": "root:org", "name": "cloud"}},
        "permissionClaims": [CLAIM | {"selector": {"matchAll": True}, "state": "Accepted"}],
    }


def test_when_all_are_bound_the_initializer_goes_from_the_status_only(world):
    world.settle(lambda: look(world, TENANCY, CLOUD))
    bind(world)
    world.settle(lambda: look(world, TENANCY, CLOUD))
    found = world.get(AT)
    assert found["status"]["initializers"] == ["root:universal"]
    assert found["spec"]["initializers"] == ["root:universal", INITIALIZER]
    assert condition(world) == ("True", None)
    assert look(world, TENANCY, CLOUD, now=LATER) == NOTHING


def test_the_last_initializer_leaves_no_empty_list(world):
    world.objects[AT]["status"]["initializers"] = [INITIALIZER]
    world.settle(lambda: look(world))
    assert "initializers" not in world.get(AT)["status"]


def test_one_that_is_not_bound_holds_the_workspace(world):
    world.settle(lambda: look(world, TENANCY))
    bind(world)
    world.settle(lambda: look(world, TENANCY, CLOUD))
    assert condition(world) == ("False", "WaitingOnAPIBindings")


def test_a_binding_that_is_there_under_another_name_counts(world):
    reference = {"reference": {"export": {"path": "root", "name": "tenancy.kcp.io"}}}
    world.put(Target(API_BINDINGS, "abc", "mine"), {"spec": reference, "status": {"phase": "Bound"}})
    world.settle(lambda: look(world, TENANCY))
    assert condition(world) == ("True", None)
    assert len(world.objects) == 2


def test_a_missing_export_is_named_and_looked_for_again_while_the_others_bind(world):
    plan = look(world, TENANCY, DefaultBinding("root:org", "lost", None))
    assert isinstance(plan.changes[0], Create)
    world.apply(plan)
    assert condition(world) == ("False", "APIBindingErrors")
    assert "root:org:lost" in str(world.get(AT)["status"]["conditions"])
    assert look(world, TENANCY, DefaultBinding("root:org", "lost", None)).requeue_after == WAIT


def test_a_type_that_cannot_be_resolved_holds_the_workspace(world):
    world.settle(lambda: look(world, unresolved=True))
    assert condition(world) == ("False", "WorkspaceTypesInvalid")
    assert look(world, unresolved=True).requeue_after == WAIT


def test_a_logical_cluster_in_deletion_gets_no_bindings(world):
    world.objects[AT]["metadata"]["finalizers"] = ["core.kcp.io/logicalcluster"]
    world.delete(AT)
    assert look(world, TENANCY) == NOTHING


@pytest.mark.parametrize(("export", "prefix"), [("tenancy.kcp.io", "tenancy.kcp.io"), ("a" * 253, "a" * 247)])
def test_a_binding_is_named_after_its_export_with_five_characters(export, prefix):
    assert re.fullmatch(rf"{prefix}-[0-9a-z]{{5}}", binding_name("abc", "root", export))


def test_the_five_characters_depend_on_workspace_and_export_and_on_nothing_else():
    names = {binding_name(*key) for key in [("a", "root", "x"), ("b", "root", "x"), ("a", "root:b", "x")]}
    assert len(names) == 3
    assert binding_name("a", "root", "x") in names


TEAM = Target(WORKSPACES, "root", "team")
EXPORT = {
    "metadata": {"name": "cloud", "annotations": {"kcp.io/cluster": "provider"}},
    "spec": {"resources": [], "permissionClaims": [CLAIM]},
    "status": {"identityHash": "hash"},
}


def look_at_all(world):
    """One pass of every reconciler that a workspace's life depends on; the first plan that changes something."""
    team, obj = world.get(TEAM), world.get(AT)
    named = bool(team and CLUSTER_NAME_ANNOTATION in team["metadata"]["annotations"])
    default = Create(Target(GroupVersionResource("", "v1", "namespaces"), "abc", "default"), {"metadata": {}})
    missing = (default,) if named and default.target not in world.objects else ()
    initializers, shard = ("root:universal", INITIALIZER), Shard("root", "1pfxsevk", "https://host")
    deleting = bool(obj and "deletionTimestamp" in obj["metadata"])
    content = [at for at in world.objects if at.cluster == "abc" and at != AT] if deleting else []
    remaining = tuple(
        Remnant(at, meta["resourceVersion"], "deletionTimestamp" in meta, tuple(meta.get("finalizers", ())))
        for at in content
        if (meta := world.get(at)["metadata"])
    )
    yield workspace.reconcile(workspace.State(team, NOW, "root", "abc", shard, obj, initializers, missing))
    yield logical_cluster.reconcile(logical_cluster.State(obj, NOW, "https://host", missing, remaining))
    yield look(world, CLOUD)
    for at in [at for at in world.objects if at.resource == API_BINDINGS]:
        yield api_binding.reconcile(api_binding.State(world.get(at), "root:team", NOW, EXPORT))


def live(world):
    world.settle(lambda: next((plan for plan in look_at_all(world) if plan.changes), NOTHING), limit=40)


def test_from_its_creation_to_its_end_a_workspace_needs_nothing_but_the_reconcilers():
    world = World()
    world.put(TEAM, {"spec": {"type": {"name": "universal", "path": "root"}}})
    live(world)
    assert world.get(TEAM)["status"]["phase"] == "Ready"
    assert world.get(TEAM)["metadata"]["labels"] == {"tenancy.kcp.io/phase": "Ready"}
    assert world.get(AT)["status"]["phase"] == "Ready"
    (binding,) = [obj for at, obj in world.objects.items() if at.resource == API_BINDINGS]
    assert binding["status"]["appliedPermissionClaims"][0]["resource"] == "configmaps"
    world.delete(TEAM)
    live(world)
    assert world.objects == {}


# -- defaultAPIBindingLifecycle: Maintain


def maintain(world, *maintained):
    existing = tuple(world.get(at) for at in world.objects if at.resource == API_BINDINGS)
    return pure(default_api_bindings.reconcile, State(world.get(AT), NOW, (), existing, maintained))


@pytest.fixture
def ready(world):
    world.settle(lambda: look(world, CLOUD))
    bind(world)
    world.settle(lambda: look(world, CLOUD))
    world.objects[AT]["status"] = {"phase": "Ready"}
    return world


OURS = Target(API_BINDINGS, "abc", binding_name("abc", "root:org", "cloud"))


def claims(world):
    return world.get(OURS)["spec"].get("permissionClaims", [])


def test_a_maintained_binding_that_is_as_it_should_be_is_left_alone(ready):
    assert maintain(ready, CLOUD) == NOTHING


def test_a_maintained_binding_comes_back_and_others_do_not(ready):
    del ready.objects[OURS]
    assert maintain(ready) == NOTHING
    ready.settle(lambda: maintain(ready, CLOUD))
    assert [claim["state"] for claim in claims(ready)] == ["Accepted"]


def test_nothing_is_maintained_before_the_workspace_is_ready_nor_while_it_goes(ready):
    del ready.objects[OURS]
    ready.objects[AT]["status"] = {"phase": "Initializing"}
    assert maintain(ready, CLOUD) == NOTHING
    ready.objects[AT] = ready.objects[AT] | {"status": {"phase": "Ready"}}
    ready.objects[AT]["metadata"]["deletionTimestamp"] = NOW
    assert maintain(ready, CLOUD) == NOTHING


def test_claims_follow_the_export_and_keep_what_the_owner_decided(ready):
    rejected = {**CLAIM, "state": "Rejected", "selector": {"matchAll": True}}
    ready.put(OURS, ready.objects[OURS] | {"spec": {**ready.objects[OURS]["spec"], "permissionClaims": [rejected]}})
    secrets = {"group": "", "resource": "secrets", "verbs": ["list"]}
    more = DefaultBinding("root:org", "cloud", ({**CLAIM, "verbs": ["get", "list"]}, secrets))
    ready.settle(lambda: maintain(ready, more))
    found = {claim["resource"]: (claim["state"], claim["verbs"]) for claim in claims(ready)}
    assert found == {"configmaps": ("Rejected", ["get", "list"]), "secrets": ("Accepted", ["list"])}
    ready.settle(lambda: maintain(ready, DefaultBinding("root:org", "cloud", ())))
    assert claims(ready) == []


@pytest.mark.parametrize("path", ["root:org", "providername"])
def test_a_users_own_binding_to_the_export_counts_and_stays_as_it_is(ready, path):
    del ready.objects[OURS]
    own = Target(API_BINDINGS, "abc", "own")
    reference = {"export": {"path": path, "name": "cloud"}}
    status = {"apiExportClusterName": "providername", "phase": "Bound"}
    ready.put(own, {"spec": {"reference": reference}, "status": status})
    assert maintain(ready, DefaultBinding("root:org", "cloud", (CLAIM,), "providername")) == NOTHING


def test_while_the_export_is_missing_a_maintained_binding_waits(ready):
    del ready.objects[OURS]
    assert maintain(ready, DefaultBinding("root:org", "cloud", None)) == NOTHING


def test_a_maintained_binding_in_deletion_is_waited_for(ready):
    ready.objects[OURS]["metadata"]["finalizers"] = ["example.com/hold"]
    ready.delete(OURS)
    assert maintain(ready, DefaultBinding("root:org", "cloud", ())) == NOTHING
