from cache_objects import an_export, meta
from plan_world import LATER, NOW, World, pure

from kcpcache.meta import conditions
from kcpcache.reconcilers import api_export_endpoint_slice as reconciler
from kcpcache.reconcilers.api_export_endpoint_slice import API_EXPORT_ENDPOINT_SLICES, State
from kcpcache.reconcilers.cached_resource_endpoint_slice import Shard
from kcpcache.reconcilers.plan import NOTHING, Plan, Target

SLICE = Target(API_EXPORT_ENDPOINT_SLICES, "provider", "cloud")
URL = "https://shard:6443/services/apiexport/provider/cloud"


def shard(consumers=1):
    return Shard({"region": "eu"}, "https://shard:6443", consumers)


class Workspace:
    def __init__(self, partition=None, **state):
        self.world = World()
        spec = {"export": {"name": "cloud", "path": "root:provider"}} | ({"partition": partition} if partition else {})
        self.world.put(SLICE, {"metadata": meta("cloud"), "spec": spec})
        self.state = {"export": an_export(), "partition": None, "shards": (shard(),), "now": NOW} | state

    def decide(self):
        return pure(reconciler.reconcile, State(self.world.get(SLICE), **self.state))

    def settle(self, **changes):
        self.state |= changes
        assert len(self.world.settle(self.decide)) <= 1
        return self.world.get(SLICE)["status"]

    def condition(self, kind):
        found = conditions.get(self.world.get(SLICE), kind)
        return found["status"], found.get("reason")


def test_the_url_is_listed_once_a_consumer_is_bound_and_goes_with_the_last_one():
    workspace = Workspace(shards=(shard(0),))
    assert workspace.settle() == {
        "conditions": [
            {"type": "APIExportValid", "status": "True", "lastTransitionTime": NOW},
            {"type": "PartitionValid", "status": "True", "lastTransitionTime": NOW},
        ]
    }
    assert workspace.settle(shards=(shard(1),))["endpoints"] == [{"url": URL}]
    assert "endpoints" not in workspace.settle(shards=(shard(0),))


def test_when_nothing_changed_nothing_is_written_whatever_the_time():
    workspace = Workspace()
    workspace.settle()
    workspace.state["now"] = LATER
    assert workspace.decide() == Plan()


def test_a_missing_export_clears_the_endpoints_and_heals():
    workspace = Workspace()
    workspace.settle()
    assert "endpoints" not in workspace.settle(export=None)
    assert workspace.condition("APIExportValid") == ("False", "APIExportNotFound")
    assert "'cloud'" in conditions.get(workspace.world.get(SLICE), "APIExportValid")["message"]
    assert workspace.settle(export=an_export())["endpoints"] == [{"url": URL}]


def test_a_partition_limits_the_shards_and_a_missing_one_clears_all():
    workspace = Workspace(partition="us")
    assert "endpoints" not in workspace.settle()
    assert workspace.condition("PartitionValid") == ("False", "PartitionInvalidReference")
    us = {"metadata": meta("us"), "spec": {"selector": {"matchLabels": {"region": "us"}}}}
    status = workspace.settle(partition=us)
    assert status["shardSelector"] == "region=us"
    assert "endpoints" not in status


def test_a_slice_that_is_gone_or_going_is_left_alone():
    assert pure(reconciler.reconcile, State(None, None, None, (), NOW)) is NOTHING
    workspace = Workspace()
    workspace.world.objects[SLICE]["metadata"]["deletionTimestamp"] = NOW
    assert workspace.decide() is NOTHING
