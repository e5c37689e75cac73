from shard_world import CLUSTER_ROLES, Shard

from kcpcache.auth.bootstrap_policy import system_admin_objects
from kcpcache.meta.objects import Object

READ = {"verbs": ["get"], "apiGroups": ["example.com"], "resources": ["things"]}
GATHER = {"clusterRoleSelectors": [{"matchLabels": {"to": "sum"}}]}
TO_VIEW = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}


def rules(shard: Shard, cluster: str, name: str) -> list[Object]:
    found: list[Object] = shard.need(cluster, CLUSTER_ROLES, name)["rules"]
    return found


async def test_an_aggregated_role_follows_the_roles_of_its_workspace_and_of_no_other(shard: Shard) -> None:
    one, other = await shard.workspace("one"), await shard.workspace("other")
    for cluster in (one, other):
        await shard.create(cluster, CLUSTER_ROLES, "sum", aggregationRule=GATHER, rules=[])
    await shard.create(one, CLUSTER_ROLES, "part", labels={"to": "sum"}, rules=[READ])
    await shard.settled()
    assert (rules(shard, one, "sum"), rules(shard, other, "sum")) == ([READ], [])
    await shard.change(one, CLUSTER_ROLES, "part", lambda role: role["metadata"].pop("labels"))
    await shard.settled()
    assert rules(shard, one, "sum") == []


async def test_what_is_put_into_an_aggregated_role_by_hand_is_taken_out_again(shard: Shard) -> None:
    await shard.create("root", CLUSTER_ROLES, "sum", aggregationRule=GATHER, rules=[READ])
    await shard.settled()
    assert rules(shard, "root", "sum") == []


async def test_what_is_labelled_for_view_is_in_edit_and_admin_too(shard: Shard) -> None:
    bootstrapped = {obj["metadata"]["name"]: obj["rules"] for obj in system_admin_objects() if "rules" in obj}
    for name in ("view", "edit", "admin"):
        assert rules(shard, "system:admin", name) == bootstrapped[name]
    await shard.create("system:admin", CLUSTER_ROLES, "things", labels=TO_VIEW, rules=[READ])
    await shard.settled()
    for name in ("view", "edit", "admin"):
        assert READ in rules(shard, "system:admin", name)


async def test_aggregated_roles_are_kept_up_after_a_restart(shard: Shard) -> None:
    await shard.create("root", CLUSTER_ROLES, "sum", aggregationRule=GATHER, rules=[])
    await shard.settled()
    await shard.create("root", CLUSTER_ROLES, "part", labels={"to": "sum"}, rules=[READ])
    await shard.restart()
    await shard.settled()
    assert rules(shard, "root", "sum") == [READ]


async def test_a_role_that_gathers_no_more_is_not_looked_at_any_more(shard: Shard) -> None:
    controller = next(found for found in shard.controllers if found.name == "cluster-role-aggregation")
    await shard.create("root", CLUSTER_ROLES, "sum", aggregationRule=GATHER, rules=[])
    await shard.change("root", CLUSTER_ROLES, "sum", lambda role: role.pop("aggregationRule"))
    await shard.settled()
    before = controller.counts.reconciled
    await shard.create("root", CLUSTER_ROLES, "part", labels={"to": "sum"}, rules=[READ])
    await shard.settled()
    assert controller.counts.reconciled == before
