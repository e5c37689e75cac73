import pytest
from plan_world import NOW, World, pure

from kcpcache.meta.names import GroupVersionResource
from kcpcache.reconcilers import garbage
from kcpcache.reconcilers.garbage import FOREGROUND, ORPHAN, Dependent, State
from kcpcache.reconcilers.plan import NOTHING, Delete, Target

THINGS = GroupVersionResource("example.com", "v1", "things")


def target(name):
    return Target(THINGS, "abc", name)


class Heap(World):
    """Things that own each other, collected until nothing moves."""

    def thing(self, name, *owners, finalizers=(), block=True):
        references = [
            {"uid": f"uid-{owner}", "name": owner, "kind": "Thing", "apiVersion": "v1", "blockOwnerDeletion": block}
            for owner in owners
        ]
        meta = {"uid": f"uid-{name}", "finalizers": list(finalizers), "ownerReferences": references}
        self.put(target(name), {"metadata": {k: v for k, v in meta.items() if v}})

    def begin(self, name, policy):
        """Delete as a user does, with a propagation policy."""
        obj = self.objects[target(name)]
        finalizer = {"Foreground": [FOREGROUND], "Orphan": [ORPHAN], "Background": []}[policy]
        kept = obj["metadata"].get("finalizers", [])
        obj["metadata"]["finalizers"] = [*kept, *(f for f in finalizer if f not in kept)]
        self.delete(target(name))

    def apply(self, plan):
        for change in plan.changes:
            if isinstance(change, Delete) and change.target in self.objects:
                assert change.resource_version == self.get(change.target)["metadata"]["resourceVersion"]
                self.begin(change.target.name, change.propagation_policy)
            else:
                super().apply(garbage.Plan((change,)))

    def status_of(self, uid):
        owner = next((o for o in self.objects.values() if o["metadata"]["uid"] == uid), None)
        if owner is None:
            return "absent"
        meta = owner["metadata"]
        waiting = "deletionTimestamp" in meta and FOREGROUND in meta.get("finalizers", ())
        return "foreground" if waiting else "present"

    def state(self, at):
        obj = self.get(at)
        meta = (obj or {}).get("metadata", {})
        owners = tuple(self.status_of(ref["uid"]) for ref in meta.get("ownerReferences", ()))
        dependents = tuple(
            Dependent(other, self.get(other))
            for other, found in self.objects.items()
            if any(ref["uid"] == meta.get("uid") for ref in found["metadata"].get("ownerReferences", ()))
        )
        return State(at, obj, owners, dependents)

    def collect(self):
        """Look at everything until nothing is planned; the names that are left."""
        for _ in range(20):
            plans = []
            for at in list(self.objects):
                plan = pure(garbage.reconcile, self.state(at))
                self.apply(plan)
                plans.append(plan)
            if not any(plan.changes for plan in plans):
                return sorted(at.name for at in self.objects)
        raise AssertionError("does not settle")


@pytest.fixture
def heap():
    return Heap()


def test_an_object_without_owners_stays(heap):
    heap.thing("a")
    assert garbage.reconcile(heap.state(target("a"))) == NOTHING


def test_an_object_that_is_gone_needs_nothing():
    assert garbage.reconcile(State(target("a"), None)) == NOTHING


def test_an_object_goes_when_its_owner_is_gone_and_so_do_its_own_dependents(heap):
    heap.thing("child", "gone")
    heap.thing("grandchild", "child")
    assert heap.collect() == []


def test_an_orphan_is_deleted_in_the_background_at_the_version_that_was_seen(heap):
    heap.thing("child", "gone")
    (change,) = garbage.reconcile(heap.state(target("child"))).changes
    assert change == Delete(target("child"), heap.get(target("child"))["metadata"]["resourceVersion"], "Background")


def test_an_object_with_one_owner_left_stays_and_forgets_the_others(heap):
    heap.thing("owner")
    heap.thing("child", "gone", "owner")
    assert heap.collect() == ["child", "owner"]
    assert [ref["name"] for ref in heap.get(target("child"))["metadata"]["ownerReferences"]] == ["owner"]


def test_owners_that_are_all_there_change_nothing(heap):
    heap.thing("a")
    heap.thing("child", "a")
    assert garbage.reconcile(heap.state(target("child"))) == NOTHING


def test_orphaning_frees_the_dependents_before_the_owner_goes(heap):
    heap.thing("owner")
    heap.thing("child", "owner")
    heap.begin("owner", "Orphan")
    first = garbage.reconcile(heap.state(target("owner")))
    assert [change.target.name for change in first.changes] == ["child"]
    assert first.requeue_after == garbage.NEXT_BATCH
    assert heap.collect() == ["child"]
    assert "ownerReferences" not in heap.get(target("child"))["metadata"]


def test_an_orphaned_dependent_keeps_its_other_owner(heap):
    heap.thing("owner")
    heap.thing("other")
    heap.thing("child", "owner", "other")
    heap.begin("owner", "Orphan")
    assert heap.collect() == ["child", "other"]
    assert [ref["name"] for ref in heap.get(target("child"))["metadata"]["ownerReferences"]] == ["other"]


def test_in_the_foreground_the_owner_waits_for_dependents_that_block_it(heap):
    heap.thing("owner")
    heap.thing("child", "owner", finalizers=["example.com/hold"])
    heap.begin("owner", "Foreground")
    assert heap.collect() == ["child", "owner"]
    held = heap.objects[target("child")]
    held["metadata"].pop("finalizers")
    heap.delete(target("child"))
    assert heap.collect() == []


def test_in_the_foreground_dependents_of_dependents_go_first(heap):
    heap.thing("owner")
    heap.thing("child", "owner")
    heap.thing("grandchild", "child", finalizers=["example.com/hold"])
    heap.begin("owner", "Foreground")
    assert heap.collect() == ["child", "grandchild", "owner"]
    assert FOREGROUND in heap.get(target("child"))["metadata"]["finalizers"]


def test_in_the_foreground_a_dependent_that_does_not_block_is_not_waited_for(heap):
    heap.thing("owner")
    heap.thing("child", "owner", finalizers=["example.com/hold"], block=False)
    heap.begin("owner", "Foreground")
    assert heap.collect() == ["child"]


def test_a_dependent_with_another_owner_survives_the_foreground_deletion_of_one(heap):
    heap.thing("owner")
    heap.thing("other")
    heap.thing("child", "owner", "other")
    heap.begin("owner", "Foreground")
    assert heap.collect() == ["child", "other"]


def test_a_circle_of_owners_is_taken_apart(heap):
    heap.thing("a", "b")
    heap.thing("b", "a")
    heap.begin("a", "Foreground")
    assert heap.collect() == []


def test_finalizers_of_others_are_left_alone(heap):
    heap.thing("owner", finalizers=["example.com/hold"])
    heap.begin("owner", "Foreground")
    assert heap.collect() == ["owner"]
    assert heap.get(target("owner"))["metadata"]["finalizers"] == ["example.com/hold"]


def test_a_policy_chosen_before_is_kept_when_the_owner_goes(heap):
    heap.thing("child", "gone", finalizers=[ORPHAN])
    heap.thing("grandchild", "child")
    assert heap.collect() == ["grandchild"]


def test_an_object_in_deletion_is_not_deleted_again(heap):
    heap.thing("child", "gone", finalizers=["example.com/hold"])
    heap.delete(target("child"))
    assert heap.get(target("child"))["metadata"]["deletionTimestamp"] == NOW
    assert garbage.reconcile(heap.state(target("child"))) == NOTHING


def test_a_dependent_that_is_going_anyway_does_not_make_a_circle(heap):
    heap.thing("owner")
    heap.thing("child", "owner")
    heap.thing("grandchild", "child", finalizers=["example.com/hold"])
    heap.delete(target("grandchild"))
    heap.begin("owner", "Foreground")
    assert heap.collect() == ["child", "grandchild", "owner"]
    assert heap.get(target("child"))["metadata"]["ownerReferences"][0]["blockOwnerDeletion"] is True


def test_only_owners_that_wait_are_freed_from_a_circle(heap):
    heap.thing("a", "b")
    heap.thing("b", "a", "gone")
    heap.begin("a", "Foreground")
    (change,) = garbage.reconcile(heap.state(target("b"))).changes
    blocking = [ref["blockOwnerDeletion"] for ref in change.object["metadata"]["ownerReferences"]]
    assert blocking == [False, True]
