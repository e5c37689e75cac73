import pytest
from rbac_world import World, cluster_role, cluster_role_binding, path_rule, rule, subject

from kcpcache.auth.authorize import Authorizer
from kcpcache.auth.impersonate import impersonate, requested_user
from kcpcache.auth.rbac import Rbac
from kcpcache.auth.user import User
from kcpcache.meta.errors import ForbiddenError

SCOPES = "authentication.kcp.io/scopes"
BOSS = User("boss", groups=("system:authenticated",))
KCP_ADMIN = User("kcp-admin", groups=("system:kcp:admin", "system:authenticated"))
MASTER = User("shard-admin", groups=("system:masters", "system:authenticated"))


class Ready:
    def state(self, _):
        return "ready"

    def required_groups(self, _cluster):
        return ()


def authorizer(*rules):
    rules = rules or [rule(["*"], ["*"], ["*"])]
    world = World().add(
        "ws",
        cluster_role("r", [*rules, path_rule(["access"], ["/"])]),
        cluster_role_binding("b", "r", [subject("User", "boss"), subject("User", "kcp-admin")]),
    )
    return Authorizer(Rbac(world), Ready())


def may(verb_resource_name, *, group=""):
    resource, name = verb_resource_name
    return rule(["impersonate"], [group], [resource], [name])


def test_headers_ask_for_a_user_with_all_that_belongs_to_it():
    headers = [
        ("host", "x"),
        ("impersonate-user", "bob"),
        ("impersonate-uid", "7"),
        ("impersonate-group", "g1"),
        ("impersonate-group", "g2"),
        ("impersonate-group", "g1"),
        ("impersonate-extra-acme.com%2Fteam", "a"),
        ("impersonate-extra-acme.com%2fteam", "b"),
    ]
    assert requested_user(headers) == User("bob", "7", ("g1", "g2"), {"acme.com/team": ("a", "b")})


def test_no_such_header_asks_for_nobody():
    assert requested_user([("host", "x"), ("x-remote-user", "root")]) is None


@pytest.mark.parametrize("header", ["impersonate-group", "impersonate-uid", "impersonate-extra-k", "impersonate-x"])
def test_headers_without_a_user_are_refused(header):
    with pytest.raises(ForbiddenError, match="Impersonate-User"):
        requested_user([(header, "system:masters")])


def test_who_may_not_impersonate_is_told_so_in_kubes_words():
    with pytest.raises(ForbiddenError) as caught:
        impersonate(BOSS, User("bob"), "ws", authorizer(rule(["get"], [""], ["users"])))
    assert caught.value.message == (
        'users "bob" is forbidden: User "boss" cannot impersonate resource "users" in API group "" at the cluster scope'
    )


def test_each_part_of_a_user_needs_a_right():
    wanted = User("bob", "7", ("g",), {"team": ("a",)})
    rights = [
        may(("users", "bob")),
        may(("groups", "g")),
        may(("uids", "7"), group="authentication.k8s.io"),
        may(("userextras/team", "a"), group="authentication.k8s.io"),
    ]
    assert impersonate(BOSS, wanted, "ws", authorizer(*rights)).name == "bob"
    for number in range(len(rights)):
        with pytest.raises(ForbiddenError):
            impersonate(BOSS, wanted, "ws", authorizer(*rights[:number], *rights[number + 1 :]))


def test_the_user_is_authenticated_and_stays_in_the_workspace():
    user = impersonate(BOSS, User("bob", groups=("g",)), "ws", authorizer())
    assert user == User("bob", groups=("g", "system:authenticated"), extra={SCOPES: ("cluster:ws",)})


def test_a_scope_can_be_asked_for_but_not_widened():
    wanted = User("bob", extra={SCOPES: ("cluster:other",)})
    requester = User("boss", groups=("system:authenticated",), extra={SCOPES: ("cluster:ws,cluster:x",)})
    user = impersonate(requester, wanted, "ws", authorizer())
    assert user.extra[SCOPES] == ("cluster:other", "cluster:ws,cluster:x", "cluster:ws")


def test_system_masters_impersonate_anybody_without_a_scope():
    user = impersonate(MASTER, User("bob", groups=("system:masters",)), "*", authorizer())
    assert user == User("bob", groups=("system:masters", "system:authenticated"))
    assert user.is_master


@pytest.mark.parametrize(
    ("requester", "group", "allowed"),
    [
        (BOSS, "system:masters", False),
        (BOSS, "system:kcp:admin", False),
        (BOSS, "system:kcp:anything", False),
        (BOSS, "system:authenticated", True),
        (BOSS, "devs", True),
        (KCP_ADMIN, "system:masters", False),
        (KCP_ADMIN, "system:kcp:admin", True),
    ],
)
def test_an_admin_of_one_workspace_cannot_become_an_admin_of_all(requester, group, allowed):
    wanted = User("bob", groups=(group,))
    if allowed:
        assert group in impersonate(requester, wanted, "ws", authorizer()).groups
    else:
        with pytest.raises(ForbiddenError, match=group):
            impersonate(requester, wanted, "ws", authorizer())


def test_nobody_below_system_masters_impersonates_in_all_workspaces():
    with pytest.raises(ForbiddenError):
        impersonate(KCP_ADMIN, User("bob"), "*", authorizer())


@pytest.mark.parametrize(("requester", "scopes"), [(BOSS, ("cluster:ws",)), (MASTER, None)])
def test_an_impersonated_service_account_is_one_of_the_workspace(requester, scopes):
    account = User("system:serviceaccount:default:robot")
    user = impersonate(requester, account, "ws", authorizer())
    assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated")
    assert user.extra["authentication.kcp.io/cluster-name"] == ("ws",)
    assert user.extra.get(SCOPES) == scopes


def test_a_service_account_is_impersonated_by_a_right_in_its_namespace():
    account = User("system:serviceaccount:default:robot")
    assert impersonate(BOSS, account, "ws", authorizer(may(("serviceaccounts", "robot"))))
    with pytest.raises(ForbiddenError, match=r'serviceaccounts "robot" .* in the namespace "default"'):
        impersonate(BOSS, account, "ws", authorizer(may(("users", account.name))))


def test_anonymous_can_be_impersonated():
    user = impersonate(BOSS, User("system:anonymous"), "ws", authorizer())
    assert user.groups == ("system:unauthenticated",)
