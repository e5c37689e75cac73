import base64

import pytest
from odd_certificates import of_a_version_that_is_not_there
from plan_world import LATER, NOW, World, pure

from kcpcache.meta.names import GroupVersionResource
from kcpcache.reconcilers import crd, garbage
from kcpcache.reconcilers.crd import CRDS, FINALIZER, State, TakenNames, join_taken, taken_by
from kcpcache.reconcilers.garbage import Remnant
from kcpcache.reconcilers.plan import NOTHING, Delete, Target, Update, UpdateStatus

AT = Target(CRDS, "abc", "foos.example.com")
FOOS = GroupVersionResource("example.com", "v1", "foos")
NAMES = {"plural": "foos", "singular": "foo", "shortNames": ["fo"], "kind": "Foo", "listKind": "FooList"}


def a_crd(group="example.com", annotations=None, versions=("v1",), **names):
    return {
        "metadata": {"annotations": annotations or {}},
        "spec": {
            "group": group,
            "names": NAMES | names,
            "versions": [{"name": name, "storage": name == versions[-1]} for name in versions],
        },
    }


NOBODY = TakenNames()


def settled(world, now=NOW, taken=NOBODY, remaining=()):
    world.settle(lambda: pure(crd.reconcile, State(world.get(AT), now, taken, remaining)))
    return world.get(AT)


def condition(obj, kind):
    return next((c for c in obj["status"]["conditions"] if c["type"] == kind), None)


@pytest.fixture
def world():
    world = World()
    world.put(AT, a_crd())
    return world


def test_a_crd_that_is_gone_needs_nothing():
    assert crd.reconcile(State(None, NOW)) == NOTHING


def test_the_finalizer_is_there_before_the_crd_is_established(world):
    first, second = world.settle(lambda: pure(crd.reconcile, State(world.get(AT), NOW)))
    assert isinstance(first.changes[0], Update)
    assert first.changes[0].object["metadata"]["finalizers"] == [FINALIZER]
    assert isinstance(second.changes[0], UpdateStatus)


def test_free_names_are_accepted_and_the_crd_is_established(world):
    status = settled(world)["status"]
    assert status["acceptedNames"] == NAMES
    assert status["storedVersions"] == ["v1"]
    assert status["conditions"] == [
        {
            "type": "NamesAccepted",
            "status": "True",
            "lastTransitionTime": NOW,
            "reason": "NoConflicts",
            "message": "no conflicts found",
        },
        {
            "type": "Established",
            "status": "True",
            "lastTransitionTime": NOW,
            "reason": "InitialNamesAccepted",
            "message": "the initial names have been accepted",
        },
    ]


def test_a_second_pass_plans_nothing_even_later(world):
    settled(world)
    assert pure(crd.reconcile, State(world.get(AT), LATER)) == NOTHING


@pytest.mark.parametrize(
    ("taken", "reason", "message"),
    [
        (TakenNames({"foos": "x"}), "PluralConflict", '"foos" is already in use'),
        (TakenNames({"foo": "x"}), "SingularConflict", '"foo" is already in use'),
        (TakenNames({"fo": "x"}), "ShortNamesConflict", '"fo" is already in use'),
        (TakenNames({}, {"Foo": "x"}), "KindConflict", '"Foo" is already in use'),
        (TakenNames({}, {"FooList": "x"}), "ListKindConflict", '"FooList" is already in use'),
        (TakenNames({"fo": "x", "foos": "x"}), "ShortNamesConflict", '"fo" is already in use'),
    ],
)
def test_a_name_in_use_is_refused_and_the_crd_is_not_established(world, taken, reason, message):
    obj = settled(world, taken=taken)
    accepted = condition(obj, "NamesAccepted")
    assert (accepted["status"], accepted["reason"], accepted["message"]) == ("False", reason, message)
    assert condition(obj, "Established")["reason"] == "NotAccepted"
    assert condition(obj, "Established")["status"] == "False"


@pytest.mark.parametrize(
    "bundle",
    ["Cg==", base64.b64encode(of_a_version_that_is_not_there()).decode()],
    ids=["empty", "of a version that is not there"],
)
def test_a_conversion_whose_certificate_is_yet_to_come_is_not_established(world, bundle):
    obj = a_crd()
    webhook = {"clientConfig": {"url": "https://a.example", "caBundle": bundle}}
    world.put(AT, obj | {"spec": obj["spec"] | {"conversion": {"strategy": "Webhook", "webhook": webhook}}})
    established = condition(settled(world), "Established")
    assert (established["status"], established["reason"]) == ("False", "InvalidCABundle")
    webhook["clientConfig"].pop("caBundle")
    world.put(AT, world.get(AT) | {"spec": obj["spec"] | {"conversion": {"strategy": "Webhook", "webhook": webhook}}})
    assert condition(settled(world), "Established")["status"] == "True"


def test_without_any_name_the_required_ones_are_empty(world):
    taken = join_taken([taken_by(NAMES, "CustomResourceDefinition others.example.com")])
    assert settled(world, taken=taken)["status"]["acceptedNames"] == {"plural": "", "kind": ""}


def test_several_short_names_in_use_are_all_named(world):
    world.put(AT, a_crd(shortNames=["a", "b", "c"]))
    message = condition(settled(world, taken=TakenNames({"a": "x", "c": "x"})), "NamesAccepted")["message"]
    assert message == '["a" is already in use, "c" is already in use]'


def test_a_name_that_becomes_free_is_accepted(world):
    settled(world, taken=TakenNames({"foos": "x"}))
    obj = settled(world, now=LATER)
    assert condition(obj, "NamesAccepted")["lastTransitionTime"] == LATER
    assert condition(obj, "Established")["status"] == "True"


def test_an_established_crd_stays_established_and_keeps_its_old_name_when_a_new_one_is_in_use(world):
    settled(world)
    world.put(AT, world.objects[AT] | {"spec": a_crd(kind="Bar")["spec"]})
    obj = settled(world, taken=TakenNames({}, {"Bar": "x"}))
    assert obj["status"]["acceptedNames"]["kind"] == "Foo"
    assert condition(obj, "NamesAccepted")["reason"] == "KindConflict"
    assert condition(obj, "Established")["status"] == "True"


def test_names_that_are_ours_already_do_not_conflict(world):
    settled(world)
    assert crd.reconcile(State(world.get(AT), NOW, taken_by(NAMES, "late"))) == NOTHING


def test_dropped_short_names_and_categories_leave_the_accepted_ones(world):
    world.put(AT, a_crd(categories=["all"]))
    assert settled(world)["status"]["acceptedNames"]["categories"] == ["all"]
    world.put(AT, world.objects[AT] | {"spec": a_crd(shortNames=[])["spec"]})
    accepted = settled(world)["status"]["acceptedNames"]
    assert "shortNames" not in accepted
    assert "categories" not in accepted


def test_a_new_storage_version_joins_the_stored_ones(world):
    settled(world)
    world.put(AT, world.objects[AT] | {"spec": a_crd(versions=("v1", "v2"))["spec"]})
    assert settled(world)["status"]["storedVersions"] == ["v1", "v2"]


@pytest.mark.parametrize(
    ("annotation", "status", "reason"),
    [
        ("", "False", "MissingAnnotation"),
        ("https://github.com/kubernetes/enhancements/pull/1", "True", "ApprovedAnnotation"),
        ("unapproved, experimental", "False", "UnapprovedAnnotation"),
        ("yes", "False", "InvalidAnnotation"),
    ],
)
@pytest.mark.parametrize("group", ["k8s.io", "apps.k8s.io", "x.kubernetes.io"])
def test_groups_of_kubernetes_need_an_approval(group, annotation, status, reason):
    world = World()
    world.put(AT, a_crd(group, {"api-approved.kubernetes.io": annotation} if annotation else {}))
    found = condition(settled(world), "KubernetesAPIApprovalPolicyConformant")
    assert (found["status"], found["reason"]) == (status, reason)


@pytest.mark.parametrize("group", ["example.com", "myk8s.io"])
def test_other_groups_have_no_such_condition(group):
    world = World()
    world.put(AT, a_crd(group))
    assert condition(settled(world), "KubernetesAPIApprovalPolicyConformant") is None


def test_on_deletion_the_instances_go_first(world):
    settled(world)
    world.delete(AT)
    fresh = Remnant(Target(FOOS, "abc", "a", "default"), "5")
    held = Remnant(Target(FOOS, "abc", "b", "default"), "6", deleting=True, finalizers=("example.com/hold",))
    plan = pure(crd.reconcile, State(world.get(AT), NOW, remaining=(fresh, held)))
    assert plan.changes[0] == Delete(fresh.target, "5")
    assert [type(change) for change in plan.changes] == [Delete, UpdateStatus]
    assert plan.requeue_after == garbage.NEXT_BATCH
    world.apply(plan)
    terminating = condition(world.get(AT), "Terminating")
    assert (terminating["status"], terminating["reason"]) == ("True", "InstanceDeletionInProgress")
    assert condition(world.get(AT), "Established")["status"] == "True"
    waiting = pure(crd.reconcile, State(world.get(AT), LATER, remaining=(held,)))
    assert waiting.changes == ()
    assert waiting.requeue_after == garbage.WAIT


def test_without_instances_the_crd_goes(world):
    settled(world)
    world.delete(AT)
    assert settled(world) is None


def test_a_crd_whose_names_were_never_accepted_goes_too(world):
    settled(world, taken=TakenNames({"foos": "x"}))
    world.delete(AT)
    assert settled(world) is None


def test_a_crd_that_others_hold_says_that_its_instances_are_gone(world):
    settled(world)
    world.objects[AT]["metadata"]["finalizers"].append("example.com/hold")
    world.delete(AT)
    obj = settled(world)
    assert obj["metadata"]["finalizers"] == ["example.com/hold"]
    assert condition(obj, "Terminating")["reason"] == "InstanceDeletionCompleted"


def test_join_taken_lets_the_first_keep_a_name():
    joined = join_taken([TakenNames({"a": "first"}, {"A": "first"}), TakenNames({"a": "second", "b": "second"})])
    assert joined == TakenNames({"a": "first", "b": "second"}, {"A": "first"})


def test_finalizers_of_others_stay_beside_ours(world):
    world.objects[AT]["metadata"]["finalizers"] = ["example.com/hold"]
    assert settled(world)["metadata"]["finalizers"] == ["example.com/hold", FINALIZER]
