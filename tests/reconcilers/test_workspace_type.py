import pytest
from plan_world import LATER, NOW, World, pure

from kcpcache.reconcilers import workspace_type
from kcpcache.reconcilers.plan import NOTHING, Target
from kcpcache.reconcilers.workspace_type import WORKSPACE_TYPES, State, initializer_of

AT = Target(WORKSPACE_TYPES, "abc", "special")


@pytest.fixture
def world():
    world = World()
    world.put(AT, {"spec": {"initializer": True}})
    return world


def look(world, now=NOW, url="https://localhost:6443"):
    return pure(workspace_type.reconcile, State(world.get(AT), "root:org", now, url))


def conditions(world):
    return {c["type"]: c["status"] for c in world.get(AT)["status"]["conditions"]}


def test_a_type_that_is_gone_needs_nothing():
    assert workspace_type.reconcile(State(None, "root", NOW)) == NOTHING


def test_a_type_with_initializer_says_where_its_workspaces_are(world):
    world.settle(lambda: look(world))
    found = world.get(AT)
    assert found["metadata"]["annotations"]["kcp.io/path"] == "root:org"
    url = "https://localhost:6443/services/initializingworkspaces/abc:special"
    assert found["status"]["virtualWorkspaces"] == [{"url": url}]
    assert conditions(world) == {"Ready": "True", "VirtualWorkspaceURLsReady": "True"}


def test_a_second_pass_plans_nothing_even_later(world):
    world.settle(lambda: look(world))
    assert look(world, LATER) == NOTHING


def test_a_type_without_initializer_is_ready_without_urls(world):
    world.settle(lambda: look(world))
    world.put(AT, world.objects[AT] | {"spec": {}})
    world.settle(lambda: look(world))
    assert "virtualWorkspaces" not in world.get(AT)["status"]
    assert conditions(world)["Ready"] == "True"


def test_without_the_shards_url_a_type_with_initializer_is_not_ready(world):
    world.settle(lambda: look(world, url=""))
    assert conditions(world) == {"Ready": "False", "VirtualWorkspaceURLsReady": "False"}
    world.settle(lambda: look(world))
    assert conditions(world)["Ready"] == "True"


def test_a_type_in_deletion_is_left_alone(world):
    world.objects[AT]["metadata"]["finalizers"] = ["example.com/hold"]
    world.delete(AT)
    assert look(world) == NOTHING


def test_an_initializer_is_named_after_the_logical_cluster(world):
    assert initializer_of(world.get(AT)) == "abc:special"
