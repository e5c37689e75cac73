import re

import pytest
from plan_world import LATER, NOW, World, pure

from kcpcache.reconcilers import partition_set
from kcpcache.reconcilers.partition_set import PARTITION_SETS, PARTITIONS, State
from kcpcache.reconcilers.plan import NOTHING, Delete, Target

AT = Target(PARTITION_SETS, "abc", "regions")
SHARDS = (
    {"metadata": {"name": "a", "labels": {"region": "eu", "tier": "gold", "name": "a"}}},
    {"metadata": {"name": "b", "labels": {"region": "eu", "tier": "iron", "name": "b"}}},
    {"metadata": {"name": "c", "labels": {"region": "us", "tier": "gold", "name": "c"}}},
    {"metadata": {"name": "d", "labels": {"name": "d"}}},
    {"metadata": {"name": "e"}},
)


@pytest.fixture
def world():
    world = World()
    world.put(AT, {"spec": {"dimensions": ["region"]}})
    return world


def partitions(world):
    found = sorted((at for at in world.objects if at.resource == PARTITIONS), key=lambda at: at.name)
    return tuple(world.get(at) for at in found)


def look(world, shards=SHARDS, now=NOW):
    return pure(partition_set.reconcile, State(world.get(AT), shards, partitions(world), now))


def settled(world, shards=SHARDS):
    world.settle(lambda: look(world, shards))
    return sorted((p["spec"]["selector"] for p in partitions(world)), key=str)


def spec(world, **fields):
    world.put(AT, world.objects[AT] | {"spec": fields})


def ready(world, kind="PartitionsReady"):
    found = next(c for c in world.get(AT)["status"]["conditions"] if c["type"] == kind)
    return found["status"], found.get("reason", "")


def test_a_set_that_is_gone_needs_nothing():
    assert partition_set.reconcile(State(None, SHARDS, (), NOW)) == NOTHING


def test_each_value_that_a_shard_has_makes_one_partition(world):
    assert settled(world) == [{"matchLabels": {"region": "eu"}}, {"matchLabels": {"region": "us"}}]
    assert world.get(AT)["status"]["count"] == 2
    assert ready(world) == ("True", "")


def test_partitions_are_owned_by_their_set_and_named_after_it_and_the_values(world):
    settled(world)
    for found in partitions(world):
        value = found["spec"]["selector"]["matchLabels"]["region"]
        assert re.fullmatch(f"regions-{value}-[a-z0-9]{{5}}", found["metadata"]["name"])
        (owner,) = found["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["controller"]) == ("PartitionSet", "regions", True)
        assert owner["uid"] == world.get(AT)["metadata"]["uid"]


def test_long_and_odd_values_still_make_a_name(world):
    spec(world, dimensions=["zone", "rack"])
    settled(world, [{"metadata": {"name": "a", "labels": {"zone": "EU_West." + "x" * 50 + "1", "rack": "a" * 63}}}])
    (found,) = partitions(world)
    assert re.fullmatch("regions-a{50}[a-z0-9]{5}", found["metadata"]["name"])
    spec(world, dimensions=["zone"])
    settled(world, [{"metadata": {"name": "a", "labels": {"zone": "EU_West.1"}}}])
    (found,) = partitions(world)
    assert re.fullmatch("regions-eu-west-1-[a-z0-9]{5}", found["metadata"]["name"])


def test_a_set_says_whether_its_selector_can_be_used(world):
    settled(world)
    assert ready(world, "PartitionSetValid") == ("True", "")
    spec(world, dimensions=["region"], shardSelector={"matchLabels": {"region": "not valid"}})
    settled(world)
    assert ready(world, "PartitionSetValid") == ("False", "InvalidSelector")
    assert ready(world) == ("False", "ErrorGeneratingPartitions")


def test_a_second_pass_plans_nothing_even_later(world):
    settled(world)
    assert look(world, now=LATER) == NOTHING


def test_two_dimensions_make_a_partition_for_each_combination_that_occurs(world):
    spec(world, dimensions=["region", "tier"])
    assert [tuple(s["matchLabels"].values()) for s in settled(world)] == [
        ("eu", "gold"),
        ("eu", "iron"),
        ("us", "gold"),
    ]


def test_the_selector_of_shards_decides_which_take_part_and_is_part_of_each_partitions(world):
    expression = {"key": "tier", "operator": "In", "values": ["gold"]}
    spec(world, dimensions=["region"], shardSelector={"matchLabels": {"name": "a"}, "matchExpressions": [expression]})
    assert settled(world) == [{"matchLabels": {"name": "a", "region": "eu"}, "matchExpressions": [expression]}]


def test_without_dimensions_there_is_one_partition_of_all_that_are_selected(world):
    spec(world, shardSelector={"matchLabels": {"tier": "gold"}})
    assert settled(world) == [{"matchLabels": {"tier": "gold"}}]
    spec(world)
    assert settled(world) == [{}]


def test_without_shards_there_is_no_partition(world):
    settled(world)
    assert settled(world, ()) == []
    assert world.get(AT)["status"]["count"] == 0
    assert ready(world) == ("True", "")


def test_a_shard_that_moves_moves_the_partitions(world):
    settled(world)
    kept = {p["metadata"]["uid"] for p in partitions(world) if p["spec"]["selector"]["matchLabels"]["region"] == "eu"}
    moved = (*SHARDS[:2], {"metadata": {"name": "c", "labels": {"region": "asia"}}})
    assert settled(world, moved) == [{"matchLabels": {"region": "asia"}}, {"matchLabels": {"region": "eu"}}]
    assert kept <= {p["metadata"]["uid"] for p in partitions(world)}


def test_a_partition_that_was_edited_or_deleted_is_put_right(world):
    expected = settled(world)
    first, second = (Target(PARTITIONS, "abc", p["metadata"]["name"]) for p in partitions(world))
    world.put(first, world.objects[first] | {"spec": {"selector": {"matchLabels": {"region": "mars"}}}})
    del world.objects[second]
    assert settled(world) == expected


def test_partitions_of_others_are_left_alone(world):
    own = Target(PARTITIONS, "abc", "mine")
    world.put(own, {"spec": {"selector": {"matchLabels": {"x": "y"}}}})
    before = world.get(own)
    settled(world)
    spec(world, dimensions=["tier"])
    settled(world)
    assert world.get(own) == before


def test_a_partition_of_another_owner_under_the_name_is_not_taken_over_but_told_of(world):
    settled(world)
    at = Target(PARTITIONS, "abc", partitions(world)[0]["metadata"]["name"])
    world.objects[at]["metadata"]["ownerReferences"] = []
    settled(world)
    assert ready(world) == ("False", "ErrorGeneratingPartitions")
    assert world.objects[at]["metadata"]["ownerReferences"] == []


def test_a_selector_that_cannot_be_evaluated_is_told_of_and_deletes_nothing(world):
    settled(world)
    spec(world, shardSelector={"matchExpressions": [{"key": "a", "operator": "Sometimes"}]})
    plan = look(world)
    assert not [change for change in plan.changes if isinstance(change, Delete)]
    world.apply(plan)
    assert ready(world) == ("False", "ErrorGeneratingPartitions")
    assert len(partitions(world)) == 2


def test_a_set_in_deletion_is_left_alone(world):
    world.objects[AT]["metadata"]["finalizers"] = ["example.com/hold"]
    world.delete(AT)
    assert look(world) == NOTHING
