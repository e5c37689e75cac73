import re

import pytest
from plan_world import LATER, NOW, World, pure

from kcpcache.reconcilers import default_api_bindings
from kcpcache.reconcilers.api_binding import API_BINDINGS
from kcpcache.reconcilers.default_api_bindings import INITIALIZER, DefaultBinding, State, binding_name
from kcpcache.reconcilers.garbage import WAIT
from kcpcache.reconcilers.logical_cluster import LOGICAL_CLUSTERS
from kcpcache.reconcilers.plan import NOTHING, Create, Target, UpdateStatus

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
