import msgspec
import pytest
from rbac_world import (
    World,
    cluster_role,
    cluster_role_binding,
    path_rule,
    role,
    role_binding,
    rule,
    subject,
)

from kcpcache.auth import rbac as rbac_module
from kcpcache.auth.attributes import Attributes
from kcpcache.auth.rbac import Rbac
from kcpcache.auth.user import User

ALICE = User("alice", groups=("devs", "system:authenticated"))
READ = [rule(["get"], [""], ["configmaps"])]
EVERYTHING = [rule(["*"], ["*"], ["*"]), path_rule(["*"], ["*"])]
ROBOT = "system:serviceaccount:default:robot"
ALICE_HERSELF = subject("User", "alice")


def robot(home):
    groups = ("system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated")
    return User(ROBOT, groups=groups, extra={"authentication.kcp.io/cluster-name": (home,)})


def get(cluster="ws", namespace="default", name="x", verb="get", user=ALICE):
    return Attributes(
        user=user, verb=verb, cluster=cluster, resource="configmaps", version="v1", namespace=namespace, name=name
    )


def allowed(world, user=ALICE, **kwargs):
    return Rbac(world).allows(user, get(**kwargs)).allowed


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        (subject("User", "alice"), True),
        (subject("User", "bob"), False),
        (subject("Group", "devs"), True),
        (subject("Group", "alice"), False),
        (subject("User", "devs"), False),
        (subject("User", "alice") | {"apiGroup": "rbac.authorization.k8s.io"}, True),
        (subject("ServiceAccount", "alice", "default"), False),
    ],
)
def test_a_cluster_role_binding_gives_the_role_to_its_subjects(who, expected):
    world = World().add("ws", cluster_role("reader", READ), cluster_role_binding("b", "reader", [who]))
    assert allowed(world) is expected


def test_a_role_binding_counts_in_its_namespace_only():
    binding = role_binding("default", "b", "reader", [subject("User", "alice")])
    world = World().add("ws", cluster_role("reader", READ), binding)
    assert allowed(world, namespace="default")
    assert not allowed(world, namespace="other")
    assert not allowed(world, namespace="")


def test_a_role_is_found_in_the_bindings_namespace_only():
    binding = role_binding("default", "b", "reader", [subject("User", "alice")], kind="Role")
    assert allowed(World().add("ws", role("default", "reader", READ), binding))
    assert not allowed(World().add("ws", role("other", "reader", READ), binding))
    assert not allowed(World().add("ws", cluster_role("reader", READ), binding))


def test_nothing_crosses_from_one_workspace_to_another():  # P11
    binding = cluster_role_binding("b", "reader", [subject("User", "alice")])
    world = World().add("a", cluster_role("reader", READ), binding)
    assert allowed(world, cluster="a")
    assert not allowed(world, cluster="b")


def test_a_workspace_can_refer_to_cluster_roles_of_system_admin_but_not_of_another_workspace():  # P11
    binding = cluster_role_binding("b", "reader", [subject("User", "alice")])
    assert allowed(World().add("system:admin", cluster_role("reader", READ)).add("ws", binding))
    assert not allowed(World().add("root", cluster_role("reader", READ)).add("ws", binding))


def test_a_workspaces_own_cluster_role_goes_before_that_of_system_admin():
    world = World().add("system:admin", cluster_role("reader", EVERYTHING))
    world.add("ws", cluster_role("reader", READ), cluster_role_binding("b", "reader", [subject("User", "alice")]))
    assert allowed(world)
    assert not allowed(world, verb="delete")


def test_a_binding_in_system_admin_counts_everywhere_with_its_own_role():  # P11
    binding = cluster_role_binding("b", "reader", [subject("User", "alice")])
    world = World().add("system:admin", cluster_role("reader", READ), binding)
    world.add("ws", cluster_role("reader", EVERYTHING))
    assert allowed(world)
    assert not allowed(world, verb="delete"), "a tenant must not widen what system:admin gives"


def test_a_service_account_is_a_subject_in_its_own_workspace_only():  # P11
    binding = cluster_role_binding("b", "reader", [subject("ServiceAccount", "robot", "default")])
    world = World()
    for cluster in ("a", "b"):
        world.add(cluster, cluster_role("reader", READ), binding)
    assert allowed(world, robot("a"), cluster="a")
    assert not allowed(world, robot("a"), cluster="b")


@pytest.mark.parametrize(
    "who",
    [subject("User", ROBOT), subject("Group", "system:serviceaccounts"), subject("ServiceAccount", "robot", "default")],
)
def test_a_foreign_service_account_has_neither_name_nor_groups_of_its_home(who):  # P11
    world = World().add("b", cluster_role("reader", READ), cluster_role_binding("b", "reader", [who]))
    assert allowed(world, robot("b"), cluster="b")
    assert not allowed(world, robot("a"), cluster="b")


def test_a_foreign_service_account_can_be_bound_by_its_global_name():
    who = subject("User", "system:kcp:serviceaccount:a:default:robot")
    world = World().add("b", cluster_role("reader", READ), cluster_role_binding("b", "reader", [who]))
    assert allowed(world, robot("a"), cluster="b")
    assert not allowed(world, robot("b"), cluster="b")


@pytest.mark.parametrize("who", [subject("User", ROBOT), subject("ServiceAccount", "robot", "default")])
def test_an_account_that_system_admin_binds_is_not_its_namesake_in_a_workspace(who):  # P11
    world = World().add("system:admin", cluster_role("reader", READ), cluster_role_binding("b", "reader", [who]))
    assert allowed(world, robot("system:admin"), cluster="system:admin")
    assert not allowed(world, robot("ws"), cluster="ws")
    assert not allowed(world, User(ROBOT), cluster="ws")


def test_a_service_account_subject_without_namespace_is_of_the_bindings_namespace():
    who = [subject("ServiceAccount", "robot")]
    inside = role_binding("default", "b", "reader", who)
    assert allowed(World().add("ws", cluster_role("reader", READ), inside), robot("ws"))
    nowhere = cluster_role_binding("b", "reader", who)
    assert not allowed(World().add("ws", cluster_role("reader", READ), nowhere), robot("ws"))


def test_the_reason_says_which_binding_allowed_it():
    world = World().add(
        "ws", cluster_role("reader", READ), cluster_role_binding("b", "reader", [subject("Group", "devs")])
    )
    reason = Rbac(world).allows(ALICE, get()).reason
    assert reason == 'RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "reader" to Group "devs"'
    binding = role_binding("default", "rb", "reader", [subject("ServiceAccount", "robot")])
    reason = Rbac(World().add("ws", cluster_role("reader", READ), binding)).allows(robot("ws"), get()).reason
    assert reason == (
        'RBAC: allowed by RoleBinding "rb/default" of ClusterRole "reader" to ServiceAccount "robot/default"'
    )


def test_a_denial_says_which_role_of_the_users_bindings_is_missing():
    world = World().add("ws", cluster_role_binding("b", "gone", [subject("User", "alice")]))
    assert Rbac(world).allows(ALICE, get()).reason == 'RBAC: clusterrole.rbac.authorization.k8s.io "gone" not found'
    assert Rbac(world).allows(User("bob"), get()).reason == ""


def test_decisions_are_made_once_until_something_changes():
    world = World().add("ws", cluster_role("reader", READ))
    rbac = Rbac(world)
    assert not rbac.allows(ALICE, get()).allowed
    world.add("ws", cluster_role_binding("b", "reader", [subject("User", "alice")]))
    assert not rbac.allows(ALICE, get()).allowed, "nobody said that it changed"
    rbac.invalidate("other")
    assert not rbac.allows(ALICE, get()).allowed
    rbac.invalidate("ws")
    assert rbac.allows(ALICE, get()).allowed
    reads = world.reads
    assert rbac.allows(ALICE, get()).allowed
    assert world.reads == reads


def test_a_change_in_system_admin_is_one_in_every_workspace():
    world = World().add("ws", cluster_role_binding("b", "reader", [subject("User", "alice")]))
    rbac = Rbac(world)
    assert not rbac.allows(ALICE, get()).allowed
    world.add("system:admin", cluster_role("reader", READ))
    rbac.invalidate("system:admin")
    assert rbac.allows(ALICE, get()).allowed


def test_a_right_to_all_names_is_remembered_once_for_all_names():
    world = World().add(
        "ws", cluster_role("reader", READ), cluster_role_binding("b", "reader", [subject("User", "alice")])
    )
    rbac = Rbac(world)
    for number in range(100):
        assert rbac.allows(ALICE, get(name=f"object-{number}")).allowed
    assert rbac._decisions == 1


def test_a_right_to_some_names_is_not_one_to_others_even_when_remembered():
    rules = [rule(["get"], [""], ["configmaps"], ["mine"])]
    world = World().add("ws", cluster_role("r", rules), cluster_role_binding("b", "r", [subject("User", "alice")]))
    rbac = Rbac(world)
    for _ in range(2):
        assert rbac.allows(ALICE, get(name="mine")).allowed
        assert not rbac.allows(ALICE, get(name="yours")).allowed
        assert not rbac.allows(ALICE, get(name="")).allowed


@pytest.mark.parametrize(("limit", "value"), [("_DECISIONS", 20), ("_DECISIONS_PER_CLUSTER", 5)])
def test_the_memory_of_decisions_is_bounded_and_its_count_true(monkeypatch, limit, value):
    monkeypatch.setattr(rbac_module, limit, value)
    rbac = Rbac(World())
    for number in range(200):
        rbac.allows(ALICE, get(cluster=f"c{number % 10}", namespace=f"n{number}"))
        if number % 17 == 0:
            rbac.invalidate(f"c{number % 10}")
        held = [len(policy.decisions) for policy in rbac._policies.values()]
        assert sum(held) == rbac._decisions
        assert sum(held) <= rbac_module._DECISIONS
        assert max(held, default=0) <= rbac_module._DECISIONS_PER_CLUSTER


@pytest.mark.parametrize("what", ["user", "group", "extra", "verb", "resource", "name", "namespace", "path"])
def test_what_was_asked_with_megabytes_is_not_remembered(what):
    """Reviews ask with whatever the client likes, and impersonation with whomever."""
    rbac = Rbac(World().add("ws", cluster_role("r", READ), cluster_role_binding("b", "r", [subject("Group", "g")])))
    for number in range(20):
        long = f"{number}{'x' * 100_000}"
        whole = {"user": User(long), "group": User("a", groups=("g", long)), "extra": User("a", extra={long: ("b",)})}
        asked = get() if what in whole else msgspec.structs.replace(get(), **{what: long})
        rbac.allows(whole.get(what, ALICE), asked)
    kept = [len(repr(key)) for policy in rbac._policies.values() for key in policy.decisions]
    assert sum(kept) < 10_000


def test_namespaces_that_have_no_bindings_are_not_remembered():
    rbac = Rbac(World())
    for number in range(10):
        rbac.allows(ALICE, get(namespace=f"n{number}"))
    assert rbac._policies["ws"].namespaces == {}


def test_the_rules_of_a_user_are_those_of_all_its_bindings_each_once():
    everywhere, here, there = ([rule([verb], [""], ["configmaps"])] for verb in ("get", "list", "watch"))
    world = World().add(
        "system:admin",
        cluster_role("basic", everywhere),
        cluster_role_binding("b", "basic", [subject("Group", "devs")]),
    )
    world.add("ws", cluster_role("here", here), role("other", "there", there))
    world.add("ws", cluster_role_binding("b", "here", [subject("Group", "devs"), subject("User", "alice")]))
    world.add("ws", role_binding("other", "b", "there", [subject("User", "alice")], kind="Role"))
    rbac = Rbac(world)

    def held(*who):
        return [rule.source for rule in rbac.rules_held(*who)]

    assert held(ALICE, "ws") == [*everywhere, *here]
    assert held(ALICE, "ws", "other") == [*everywhere, *here, *there]
    assert held(User("bob"), "ws", "other") == []


def test_a_policys_user_is_looked_up_in_the_providers_cluster():
    who = subject("User", "apis.kcp.io:binding:alice")
    world = World().add("provider", cluster_role("reader", READ), cluster_role_binding("b", "reader", [who]))
    rbac = Rbac(world)
    assert rbac.allows(User("apis.kcp.io:binding:alice"), get(cluster="consumer"), "provider").allowed
    assert not rbac.allows(User("apis.kcp.io:binding:alice"), get(cluster="consumer")).allowed


@pytest.mark.parametrize("first", [True, False])
def test_a_path_and_a_resource_never_share_a_decision(first):
    world = World().add(
        "ws", cluster_role("r", [path_rule(["get"], ["*"])]), cluster_role_binding("b", "r", [ALICE_HERSELF])
    )
    rbac = Rbac(world)
    for is_resource in (first, not first):
        attributes = Attributes(user=ALICE, verb="get", cluster="ws", path="/x", is_resource=is_resource)
        assert rbac.allows(ALICE, attributes).allowed is not is_resource
