import pytest
from plan_world import World, pure

from kcpcache.reconcilers import cluster_role
from kcpcache.reconcilers.cluster_role import CLUSTER_ROLES, MOST_RULES_BYTES, State
from kcpcache.reconcilers.plan import NOTHING, Target

READ = {"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"]}
WRITE = {"verbs": ["update"], "apiGroups": [""], "resources": ["configmaps"]}
PATHS = {"verbs": ["get"], "nonResourceURLs": ["/x"]}


def gathers(*selectors):
    return {"aggregationRule": {"clusterRoleSelectors": list(selectors)}, "rules": []}


def labelled(rules, **labels):
    return {"metadata": {"labels": labels}, "rules": rules}


@pytest.fixture
def world():
    world = World()
    put(world, "sum", gathers({"matchLabels": {"to": "sum"}}))
    return world


def put(world, name, role):
    world.put(Target(CLUSTER_ROLES, "abc", name), role)


def look(world, name):
    roles = tuple(world.get(at) for at in world.objects)
    return pure(cluster_role.reconcile, State(world.get(Target(CLUSTER_ROLES, "abc", name)), roles))


def settled(world, name="sum"):
    world.settle(lambda: look(world, name))
    return world.get(Target(CLUSTER_ROLES, "abc", name))["rules"]


def test_a_role_that_is_gone_or_has_rules_of_its_own_needs_nothing(world):
    put(world, "own", labelled([READ], to="sum"))
    assert look(world, "gone") == NOTHING
    assert look(world, "own") == NOTHING


def test_rules_come_by_name_of_their_roles_and_each_once(world):
    put(world, "b", labelled([READ, PATHS], to="sum"))
    put(world, "a", labelled([WRITE, READ], to="sum"))
    put(world, "c", labelled([PATHS], to="other"))
    assert settled(world) == [WRITE, READ, PATHS]


def test_a_role_that_any_selector_matches_is_gathered(world):
    put(world, "sum", gathers({"matchLabels": {"x": "1"}}, {"matchExpressions": [{"key": "y", "operator": "Exists"}]}))
    put(world, "a", labelled([PATHS], y="2"))
    put(world, "b", labelled([READ], x="1"))
    assert settled(world) == [READ, PATHS]


def test_a_role_never_gathers_itself_and_rules_that_nobody_gives_any_more_go(world):
    put(world, "sum", gathers({}) | {"rules": [WRITE]})
    put(world, "a", labelled([READ], x="1"))
    assert settled(world) == [READ]
    world.delete(Target(CLUSTER_ROLES, "abc", "a"))
    assert settled(world) == []


def test_roles_that_gather_each_other_come_to_rest(world):
    put(world, "one", gathers({"matchLabels": {"in": "one"}}) | labelled([], **{"in": "two"}))
    put(world, "two", gathers({"matchLabels": {"in": "two"}}) | labelled([], **{"in": "one"}))
    put(world, "seed", labelled([READ], **{"in": "one"}))
    assert (settled(world, "one"), settled(world, "two"), settled(world, "one")) == ([READ], [READ], [READ])


def test_what_would_be_too_large_is_not_written(world):
    put(world, "a", labelled([READ], to="sum"))
    settled(world)
    put(world, "b", labelled([{**WRITE, "resourceNames": ["x" * MOST_RULES_BYTES]}], to="sum"))
    assert settled(world) == [READ]
