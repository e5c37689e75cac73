import pytest
from cache_objects import a_cached_resource, a_slice, meta
from plan_world import LATER, NOW, World, pure

from kcpcache.meta import conditions
from kcpcache.meta.selectors import label_selector_of, parse_label_selector
from kcpcache.meta.virtual_resources import ENDPOINT_SLICES
from kcpcache.reconcilers import cached_resource_endpoint_slice as reconciler
from kcpcache.reconcilers.cached_resource_endpoint_slice import Shard, State
from kcpcache.reconcilers.plan import NOTHING, Plan, Target, UpdateStatus

SLICE = Target(ENDPOINT_SLICES, "provider", "flavors-v1")
URL = "https://shard:6443/services/replication/provider/flavors-v1"


def shard(consumers=1, url="https://shard:6443", **labels):
    return Shard(labels or {"region": "eu"}, url, consumers)


def a_partition(selector):
    return {"metadata": meta("eu"), "spec": {"selector": selector}}


class Workspace:
    def __init__(self, endpoint_slice, **state):
        self.world = World()
        self.world.put(SLICE, endpoint_slice)
        self.state = {
            "cached_resource": a_cached_resource(),
            "reference_allowed": False,
            "partition": None,
            "shards": (shard(),),
            "now": NOW,
        } | state

    def decide(self):
        return pure(reconciler.reconcile, State(self.world.get(SLICE), **self.state))

    def settle(self, **changes):
        self.state |= changes
        plans = self.world.settle(self.decide)
        assert len(plans) <= 1
        assert all(isinstance(change, UpdateStatus) for plan in plans for change in plan.changes)
        return self.world.get(SLICE)["status"]

    def condition(self, kind):
        found = conditions.get(self.world.get(SLICE), kind)
        return found["status"], found.get("reason")


def test_a_slice_whose_resource_is_consumed_lists_the_shards_url():
    assert Workspace(a_slice()).settle() == {
        "conditions": [
            {"type": "PartitionValid", "status": "True", "lastTransitionTime": NOW},
            {"type": "ResourceValid", "status": "True", "lastTransitionTime": NOW},
        ],
        "endpoints": [{"url": URL}],
    }


def test_the_url_is_listed_only_while_there_is_a_consumer():
    workspace = Workspace(a_slice(), shards=(shard(0),))
    assert "endpoints" not in workspace.settle()
    assert workspace.settle(shards=(shard(3),))["endpoints"] == [{"url": URL}]
    assert "endpoints" not in workspace.settle(shards=(shard(0),))


def test_when_nothing_changed_nothing_is_written_whatever_the_time():
    workspace = Workspace(a_slice())
    workspace.settle()
    workspace.state["now"] = LATER
    assert workspace.decide() == Plan()


def test_a_missing_cached_resource_clears_the_endpoints_and_heals():
    workspace = Workspace(a_slice(path="root:provider"))
    workspace.settle()
    assert "endpoints" not in workspace.settle(cached_resource=None)
    assert workspace.condition("ResourceValid") == ("False", "CachedResourceNotFound")
    assert "root:provider" in conditions.get(workspace.world.get(SLICE), "ResourceValid")["message"]
    assert workspace.settle(cached_resource=a_cached_resource())["endpoints"] == [{"url": URL}]


def test_a_slice_that_is_gone_or_going_is_left_alone():
    assert pure(reconciler.reconcile, State(None, None, False, None, (), NOW)) is NOTHING
    going = a_slice()
    going["metadata"]["deletionTimestamp"] = NOW
    assert Workspace(going).decide() is NOTHING


def test_with_nothing_else_there_it_still_says_what_is_wrong():
    workspace = Workspace(a_slice(partition="eu"), cached_resource=None, shards=())
    workspace.settle()
    assert workspace.condition("ResourceValid") == ("False", "CachedResourceNotFound")
    assert workspace.condition("PartitionValid") == ("False", "PartitionInvalidReference")


def test_p11_a_foreign_cached_resource_is_as_good_as_none_unless_the_creator_could_read_it():
    foreign = a_cached_resource(cluster="stranger")
    workspace = Workspace(a_slice(path="root:stranger"), cached_resource=foreign)
    hidden = workspace.settle()
    assert "endpoints" not in hidden
    assert workspace.condition("ResourceValid") == ("False", "CachedResourceNotFound")
    assert hidden == Workspace(a_slice(path="root:stranger"), cached_resource=None).settle()
    message = conditions.get(workspace.world.get(SLICE), "ResourceValid")["message"]
    assert "does not exist in workspace root:stranger, or the creator of this slice could not read it" in message
    allowed = workspace.settle(reference_allowed=True)
    assert allowed["endpoints"] == [{"url": "https://shard:6443/services/replication/stranger/flavors-v1"}]


@pytest.mark.parametrize(
    "selector",
    [
        {"matchLabels": {"region": "eu"}},
        {"matchExpressions": [{"key": "region", "operator": "In", "values": ["us", "eu"]}]},
        {"matchExpressions": [{"key": "other", "operator": "DoesNotExist"}]},
        {
            "matchLabels": {"region": "eu", "a": "b"},
            "matchExpressions": [
                {"key": "zone", "operator": "NotIn", "values": ["x"]},
                {"key": "region", "operator": "Exists"},
            ],
        },
    ],
)
def test_the_shard_selector_is_the_partitions_in_text(selector):
    status = Workspace(a_slice(partition="eu"), partition=a_partition(selector)).settle()
    text = status["shardSelector"]
    found = set(parse_label_selector(text).requirements)
    assert found == set(label_selector_of(selector).requirements)


def test_the_shard_selector_is_written_as_kubernetes_writes_it():
    expressions = [
        {"key": "zone", "operator": "In", "values": ["y", "x"]},
        {"key": "b", "operator": "DoesNotExist"},
        {"key": "c", "operator": "NotIn", "values": ["z"]},
    ]
    selector = {"matchLabels": {"region": "eu", "a": ""}, "matchExpressions": expressions}
    status = Workspace(a_slice(partition="eu"), partition=a_partition(selector)).settle()
    assert status["shardSelector"] == "a=,!b,c notin (z),region=eu,zone in (x,y)"


@pytest.mark.parametrize("selector", [None, {}])
def test_a_partition_without_selector_selects_every_shard_and_shows_no_text(selector):
    status = Workspace(a_slice(partition="eu"), partition=a_partition(selector)).settle()
    assert status["endpoints"] == [{"url": URL}]
    assert "shardSelector" not in status


@pytest.mark.parametrize(
    "partition",
    [
        None,
        a_partition({"matchExpressions": [{"key": "a", "operator": "Near", "values": ["x"]}]}),
        a_partition({"matchLabels": {"not a key": "x"}}),
        a_partition({"matchExpressions": [{"key": "a", "operator": "In"}]}),
    ],
)
def test_a_partition_that_cannot_be_used_clears_selector_and_endpoints(partition):
    workspace = Workspace(a_slice(partition="eu"), partition=a_partition({"matchLabels": {"region": "eu"}}))
    workspace.settle()
    status = workspace.settle(partition=partition)
    assert "endpoints" not in status
    assert "shardSelector" not in status
    assert workspace.condition("PartitionValid") == ("False", "PartitionInvalidReference")
    assert "'eu'" in conditions.get(workspace.world.get(SLICE), "PartitionValid")["message"]


def test_only_selected_shards_with_a_consumer_are_listed_once_each_in_order():
    shards = (
        shard(1, "https://b/", region="eu"),
        shard(1, "https://a", region="eu"),
        shard(2, "https://a/", region="eu"),
        shard(0, "https://idle", region="eu"),
        shard(5, "https://us", region="us"),
        shard(1, "", region="eu"),
    )
    partition = a_partition({"matchLabels": {"region": "eu"}})
    status = Workspace(a_slice(partition="eu"), partition=partition, shards=shards).settle()
    path = "/services/replication/provider/flavors-v1"
    assert status["endpoints"] == [{"url": f"https://a{path}"}, {"url": f"https://b{path}"}]
