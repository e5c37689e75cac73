import pytest
from plan_world import LATER, NOW, World, pure

from kcpcache.meta.names import GroupVersionResource
from kcpcache.reconcilers import garbage, logical_cluster
from kcpcache.reconcilers.garbage import Remnant
from kcpcache.reconcilers.logical_cluster import FINALIZER, LOGICAL_CLUSTERS, PHASE_LABEL, State
from kcpcache.reconcilers.plan import NOTHING, Create, Delete, Target, Update, UpdateStatus

AT = Target(LOGICAL_CLUSTERS, "abc", "cluster")
NAMESPACE = Target(GroupVersionResource("", "v1", "namespaces"), "abc", "default")
DEFAULT = Create(NAMESPACE, {"metadata": {"name": "default"}})
OWNER = {"resource": "workspaces"}


def a_world(*initializers, **spec):
    world = World()
    world.put(AT, {"metadata": {"finalizers": [FINALIZER]}, "spec": {"initializers": list(initializers)} | spec})
    return world


def look(world, now=NOW, remaining=(), bootstrap=(DEFAULT,)):
    missing = tuple(create for create in bootstrap if create.target not in world.objects)
    return pure(logical_cluster.reconcile, State(world.get(AT), now, "https://host:6443/", missing, remaining))


def settled(world, **more):
    world.settle(lambda: look(world, **more))
    return world.get(AT)


def condition(obj, kind):
    found = next((c for c in obj["status"]["conditions"] if c["type"] == kind), {})
    return found.get("status"), found.get("reason")


def test_a_logical_cluster_that_is_gone_needs_nothing():
    assert logical_cluster.reconcile(State(None, NOW)) == NOTHING


def test_without_initializers_it_becomes_ready_with_what_a_workspace_begins_with():
    world = a_world()
    obj = settled(world)
    assert obj["status"]["phase"] == "Ready"
    assert obj["status"]["URL"] == "https://host:6443/clusters/abc"
    assert obj["metadata"]["labels"] == {PHASE_LABEL: "Ready"}
    assert condition(obj, "WorkspaceInitialized") == ("True", None)
    assert NAMESPACE in world.objects


def test_a_second_pass_plans_nothing_even_later():
    world = a_world("root:special")
    settled(world)
    assert look(world, LATER) == NOTHING
    del world.objects[AT]["status"]["initializers"]
    settled(world)
    assert look(world, LATER) == NOTHING


def test_the_finalizer_comes_first():
    world = a_world()
    del world.objects[AT]["metadata"]["finalizers"]
    (change,) = look(world).changes
    assert isinstance(change, Update)
    assert change.object["metadata"]["finalizers"] == [FINALIZER]


def test_it_is_initializing_until_the_last_initializer_has_gone_from_the_status():
    world = a_world("root:special", "system:apibindings")
    obj = settled(world)
    assert obj["status"]["phase"] == "Initializing"
    assert obj["status"]["initializers"] == ["root:special", "system:apibindings"]
    assert obj["metadata"]["labels"][PHASE_LABEL] == "Initializing"
    assert condition(obj, "WorkspaceInitialized") == ("False", "InitializerExists")
    world.objects[AT]["status"]["initializers"] = ["root:special"]
    assert settled(world)["status"]["phase"] == "Initializing"
    world.objects[AT]["status"]["initializers"] = []
    assert settled(world)["status"]["phase"] == "Ready"


def test_the_universal_initializer_goes_once_the_first_objects_are_there():
    world = a_world("root:universal", "root:special", owner=OWNER)
    assert settled(world)["status"]["initializers"] == ["root:universal", "root:special"]
    world.put(NAMESPACE, DEFAULT.object)
    obj = settled(world)
    assert obj["status"]["initializers"] == ["root:special"]
    assert obj["spec"]["initializers"] == ["root:universal", "root:special"]


def test_what_a_workspace_begins_with_is_the_workspaces_to_create_but_waited_for():
    world = a_world(owner=OWNER)
    assert settled(world)["status"]["phase"] == "Initializing"
    assert NAMESPACE not in world.objects
    world.put(NAMESPACE, DEFAULT.object)
    assert settled(world)["status"]["phase"] == "Ready"


def test_what_a_user_deletes_later_is_not_made_again():
    world = a_world()
    settled(world)
    world.delete(NAMESPACE)
    assert look(world) == NOTHING


def test_an_initializer_that_is_put_back_later_does_not_undo_ready():
    world = a_world("root:special")
    settled(world)
    world.objects[AT]["status"]["initializers"] = []
    settled(world)
    world.objects[AT]["status"]["initializers"] = ["root:special"]
    assert settled(world)["status"]["phase"] == "Ready"


def test_a_new_external_url_is_taken_over():
    world = a_world()
    settled(world)
    plan = pure(logical_cluster.reconcile, State(world.get(AT), NOW, "https://new"))
    assert plan.changes[0].object["status"]["URL"] == "https://new/clusters/abc"


@pytest.fixture
def deleted():
    world = a_world()
    settled(world)
    world.delete(AT)
    return world


CONFIG_MAP = Target(GroupVersionResource("", "v1", "configmaps"), "abc", "a", "default")


def test_on_deletion_everything_in_it_goes_first(deleted):
    plan = look(deleted, remaining=(Remnant(CONFIG_MAP, "5"),))
    assert [type(change) for change in plan.changes] == [Delete, UpdateStatus]
    assert plan.changes[0] == Delete(CONFIG_MAP, "5")
    assert plan.requeue_after == garbage.NEXT_BATCH
    deleted.apply(plan)
    obj = deleted.get(AT)
    assert condition(obj, "WorkspaceContentDeleted") == ("False", "SomeResourcesRemain")


def test_while_finalizers_hold_the_content_it_waits_and_says_so(deleted):
    held = (Remnant(CONFIG_MAP, "6", deleting=True, finalizers=("example.com/hold",)),)
    obj = settled(deleted, remaining=held)
    message = next(c["message"] for c in obj["status"]["conditions"] if c["type"] == "WorkspaceContentDeleted")
    assert "configmaps. has 1 resource instances" in message
    assert "example.com/hold in 1 resource instances" in message
    assert obj["metadata"]["labels"][PHASE_LABEL] == "Deleting"
    waiting = look(deleted, LATER, remaining=held)
    assert (waiting.changes, waiting.requeue_after) == ((), garbage.WAIT)


def test_the_finalizer_goes_only_after_the_status_says_that_deletion_is_under_way(deleted):
    first = look(deleted)
    assert [type(change) for change in first.changes] == [UpdateStatus]
    deleted.apply(first)
    deleted.apply(look(deleted))
    assert deleted.get(AT) is None


def test_it_goes_even_if_it_was_never_ready():
    world = a_world("root:special")
    world.delete(AT)
    assert settled(world) is None


def test_in_deletion_finalizers_of_others_are_left_alone(deleted):
    deleted.objects[AT]["metadata"]["finalizers"].append("example.com/hold")
    assert settled(deleted)["metadata"]["finalizers"] == ["example.com/hold"]
    assert look(deleted) == NOTHING


@pytest.mark.parametrize(
    ("initializers", "message"),
    [((), "Bootstrap objects are still missing"), (("a:b", "c:d"), "Initializers still exist: [a:b c:d]")],
)
def test_what_is_waited_for_is_named(initializers, message):
    obj = settled(a_world(*initializers, owner=OWNER))
    assert [c["message"] for c in obj["status"]["conditions"]] == [message]
