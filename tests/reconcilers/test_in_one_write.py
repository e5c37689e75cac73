"""Several reconcilers of one object are one writer: what they want of its status is written once."""

from datetime import timedelta

from kcpcache.meta.names import GroupVersionResource
from kcpcache.reconcilers.in_one_write import begun, in_one_write, with_next_status
from kcpcache.reconcilers.plan import NOTHING, Create, Plan, Target, Update, UpdateStatus

THINGS = GroupVersionResource("example.com", "v1", "things")
AT, OTHER = Target(THINGS, "abc", "a"), Target(THINGS, "abc", "other")


def thing(**status):
    return {"metadata": {"name": "a", "resourceVersion": "5"}, "status": status}


def sets(key, *, after=""):
    """A reconciler that writes one field of the status, once another is there."""

    def decide(obj):
        if key in obj["status"] or (after and after not in obj["status"]):
            return NOTHING
        return Plan((UpdateStatus(AT, {**obj, "status": {**obj["status"], key: True}}),))

    return decide


def test_each_decides_on_what_those_before_it_made_of_the_object():
    plan = in_one_write(AT, thing(), [sets("one"), sets("two", after="one")])
    assert plan == Plan((UpdateStatus(AT, thing(one=True, two=True)),))


def test_they_are_asked_until_none_changes_anything():
    plan = in_one_write(AT, thing(), [sets("last", after="second"), sets("second", after="first"), sets("first")])
    assert plan.changes == (UpdateStatus(AT, thing(first=True, second=True, last=True)),)


def test_the_write_is_on_the_resource_version_that_was_decided_on():
    (change,) = in_one_write(AT, thing(), [sets("one"), sets("two")]).changes
    assert change.object["metadata"]["resourceVersion"] == "5"


def test_where_none_wants_anything_nothing_is_planned():
    assert in_one_write(AT, thing(one=True), [sets("one")]) == NOTHING


def test_other_objects_come_first_and_each_once():
    def creates(obj):
        return Plan((Create(OTHER, {"metadata": {"name": "other"}}), *sets("made")(obj).changes))

    changes = in_one_write(AT, thing(), [creates, sets("late", after="made")]).changes
    assert [type(change) for change in changes] == [Create, UpdateStatus]


def test_what_changes_more_than_the_status_is_a_write_of_its_own():
    def finalizer(obj):
        return NOTHING if "finalizers" in obj["metadata"] else Plan((Update(AT, obj),))

    assert in_one_write(AT, thing(), [finalizer, sets("one")]).changes == (Update(AT, thing()),)
    assert in_one_write(AT, thing(), [sets("one"), finalizer]).changes == (UpdateStatus(AT, thing(one=True)),)


def test_it_is_looked_at_again_when_the_earliest_asks_for_it():
    def waits(seconds):
        return lambda _obj: Plan(requeue_after=timedelta(seconds=seconds))

    assert in_one_write(AT, thing(), [waits(3), waits(2)]).requeue_after == timedelta(seconds=2)

    def waits_until_done(obj):
        return NOTHING if "one" in obj["status"] else Plan(requeue_after=timedelta(seconds=1))

    assert in_one_write(AT, thing(), [waits_until_done, sets("one")]).requeue_after is None


def test_those_that_never_agree_end_all_the_same():
    def flips(obj):
        return Plan((UpdateStatus(AT, {**obj, "status": {"on": not obj["status"].get("on")}}),))

    assert len(in_one_write(AT, thing(), [flips]).changes) <= 1


def test_an_update_takes_the_status_along_that_would_be_written_next():
    update = Update(AT, thing())
    assert with_next_status(update, sets("one")) == Update(AT, thing(one=True), status=True)
    assert with_next_status(update, lambda _obj: NOTHING) is update


def test_an_update_stays_alone_where_something_else_would_have_to_come_before_the_status():
    update = Update(AT, thing())

    def creates(obj):
        return Plan((Create(OTHER, {}), *sets("made")(obj).changes))

    assert with_next_status(update, creates) is update
    assert with_next_status(update, lambda obj: Plan((UpdateStatus(OTHER, obj),))) is update


def test_an_object_can_be_created_with_its_first_status_and_its_labels():
    new = Create(AT, {"metadata": {"name": "a"}, "spec": {"x": 1}})

    def first(obj):
        labelled = {**obj, "metadata": {**obj["metadata"], "labels": {"phase": "New"}}}
        status = Plan((Create(OTHER, {}), UpdateStatus(AT, {**labelled, "status": {"phase": "New"}})))
        return NOTHING if obj.get("status") else status

    read = {"metadata": {"name": "a", "annotations": {"kcp.io/cluster": "abc"}}, "spec": {"x": 1}}
    made = begun(new, read, [first])
    assert made.target == AT
    assert made.object == {
        "metadata": {"name": "a", "labels": {"phase": "New"}},
        "spec": {"x": 1},
        "status": {"phase": "New"},
    }
    assert new.object == {"metadata": {"name": "a"}, "spec": {"x": 1}}
    assert begun(new, read, [lambda _obj: NOTHING]) is new
