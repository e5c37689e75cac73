import pytest
from plan_world import World, pure

from kcpcache.reconcilers import bound_schema
from kcpcache.reconcilers.api_binding import API_RESOURCE_SCHEMAS, BOUND_SCHEMAS_CLUSTER
from kcpcache.reconcilers.bound_schema import State
from kcpcache.reconcilers.plan import NOTHING, Delete, Target

AT = Target(API_RESOURCE_SCHEMAS, BOUND_SCHEMAS_CLUSTER, "6f1c")


@pytest.fixture
def world():
    world = World()
    world.put(AT, {"spec": {"group": "example.com"}})
    return world


def test_a_copy_that_is_neither_bound_nor_has_its_original_goes(world):
    plan = pure(bound_schema.reconcile, State(world.get(AT), original=False, bound=False))
    assert plan.changes == (Delete(AT, world.get(AT)["metadata"]["resourceVersion"]),)
    world.apply(plan)
    assert world.get(AT) is None


@pytest.mark.parametrize(("original", "bound"), [(True, True), (True, False), (False, True)])
def test_a_copy_that_is_bound_or_may_yet_be_bound_stays(world, original, bound):
    assert pure(bound_schema.reconcile, State(world.get(AT), original, bound)) == NOTHING


def test_a_copy_that_is_gone_needs_nothing():
    assert pure(bound_schema.reconcile, State(None, original=False, bound=False)) == NOTHING
