import pytest
from plan_world import LATER, NOW, World, pure

from kcpcache.meta.names import GroupVersionResource
from kcpcache.reconcilers import garbage, namespace
from kcpcache.reconcilers.garbage import Remnant
from kcpcache.reconcilers.namespace import NAMESPACES, State
from kcpcache.reconcilers.plan import NOTHING, Create, Delete, Target, Update, UpdateStatus

AT = Target(NAMESPACES, "abc", "team")
CONFIG_MAPS = GroupVersionResource("", "v1", "configmaps")


@pytest.fixture
def world():
    world = World()
    world.put(AT, {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}})
    return world


@pytest.fixture
def deleted(world):
    # This world does not know spec.finalizers: another's finalizer keeps the namespace in it.
    world.objects[AT]["metadata"] |= {"deletionTimestamp": NOW, "finalizers": ["example.com/hold"]}
    return world


def look(world, remaining=(), now=NOW, *, lacks_service_account=False):
    return pure(namespace.reconcile, State(world.get(AT), now, remaining, lacks_service_account))


def remnant(name, *, deleting=False, finalizers=()):
    return Remnant(Target(CONFIG_MAPS, "abc", name, "team"), f"rv-{name}", deleting=deleting, finalizers=finalizers)


def conditions(obj):
    return {c["type"]: (c["status"], c["reason"], c["message"]) for c in obj["status"]["conditions"]}


def test_a_namespace_that_is_gone_needs_nothing():
    assert namespace.reconcile(State(None, NOW)) == NOTHING


def test_an_active_namespace_needs_nothing(world):
    assert look(world) == NOTHING


def test_an_active_namespace_gets_its_service_account(world):
    (made,) = look(world, lacks_service_account=True).changes
    assert isinstance(made, Create)
    assert made.target == Target(GroupVersionResource("", "v1", "serviceaccounts"), "abc", "default", "team")
    assert made.object["metadata"] == {"name": "default"}


def test_a_namespace_that_is_being_deleted_gets_none(deleted):
    assert not [c for c in look(deleted, lacks_service_account=True).changes if isinstance(c, Create)]


def test_a_namespace_without_status_becomes_active(world):
    del world.objects[AT]["status"]
    world.settle(lambda: look(world))
    assert world.get(AT)["status"] == {"phase": "Active"}


def test_what_is_in_it_is_deleted_in_batches(deleted):
    held = remnant("b", deleting=True, finalizers=("example.com/hold",))
    plan = look(deleted, (remnant("a"), held))
    assert plan.changes[0] == Delete(remnant("a").target, "rv-a")
    assert [type(change) for change in plan.changes] == [Delete, UpdateStatus]
    assert plan.requeue_after == garbage.NEXT_BATCH
    deleted.apply(plan)
    found = conditions(deleted.get(AT))
    assert deleted.get(AT)["status"]["phase"] == "Terminating"
    assert found["NamespaceContentRemaining"] == (
        "True",
        "SomeResourcesRemain",
        "Some resources are remaining: configmaps. has 2 resource instances",
    )
    assert found["NamespaceFinalizersRemaining"] == (
        "True",
        "SomeFinalizersRemain",
        "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances",
    )


def test_while_finalizers_hold_the_content_nothing_is_written(deleted):
    held = remnant("b", deleting=True, finalizers=("example.com/hold",))
    deleted.settle(lambda: look(deleted, (held,)))
    waiting = look(deleted, (held,), LATER)
    assert waiting.changes == ()
    assert waiting.requeue_after == garbage.WAIT


def test_the_finalizer_goes_only_after_the_phase_says_terminating(deleted):
    first = look(deleted)
    assert [type(change) for change in first.changes] == [UpdateStatus]
    deleted.apply(first)
    (second,) = look(deleted).changes
    assert isinstance(second, Update)
    assert second.object["spec"]["finalizers"] == []


def test_a_namespace_that_others_hold_says_that_its_content_is_gone(deleted):
    deleted.settle(lambda: look(deleted, (remnant("a"),) if "Term" not in str(deleted.get(AT)) else ()))
    obj = deleted.get(AT)
    assert obj["spec"]["finalizers"] == []
    assert conditions(obj) == {
        "NamespaceDeletionDiscoveryFailure": ("False", "ResourcesDiscovered", "All resources successfully discovered"),
        "NamespaceDeletionGroupVersionParsingFailure": (
            "False",
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        "NamespaceDeletionContentFailure": (
            "False",
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
        "NamespaceContentRemaining": ("False", "ContentRemoved", "All content successfully removed"),
        "NamespaceFinalizersRemaining": (
            "False",
            "ContentHasNoFinalizers",
            "All content-preserving finalizers finished",
        ),
    }


def test_finalizers_of_others_in_the_spec_stay(deleted):
    deleted.objects[AT]["spec"]["finalizers"] = ["example.com/mine", "kubernetes"]
    deleted.settle(lambda: look(deleted))
    assert deleted.get(AT)["spec"]["finalizers"] == ["example.com/mine"]
