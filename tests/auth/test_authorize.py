import pytest
from rbac_world import World, cluster_role, cluster_role_binding, path_rule, role_binding, rule, subject

from kcpcache.auth.attributes import Attributes, Decision, bind_attributes, content_attributes
from kcpcache.auth.authorize import PUBLIC_RULE, Authorizer, forbid
from kcpcache.auth.rbac import Rbac
from kcpcache.auth.user import ANONYMOUS, User

ALICE = User("alice", groups=("system:authenticated",))
MASTER = User("shard-admin", groups=("system:masters", "system:authenticated"))
READ = cluster_role("reader", [rule(["get"], ["g"], ["things"])])
ENTER = cluster_role("enter", [path_rule(["access"], ["/"])])
ROBOT = "system:serviceaccount:default:robot"


def robot(home):
    return User(ROBOT, groups=("system:authenticated",), extra={"authentication.kcp.io/cluster-name": (home,)})


def bound(role, *subjects):
    return cluster_role_binding(f"b-{role}", role, subjects or [subject("User", "alice")])


class Gate:
    def __init__(self, **states):
        self.states, self.required = states, ()

    def state(self, cluster):
        return self.states.get(cluster, "missing")

    def required_groups(self, _cluster):
        return self.required


class Policies:
    """Resource ``things`` of group ``g`` is bound in ``ws`` from an export of ``provider`` that has a policy."""

    def provider(self, cluster, group, resource):
        return "provider" if (cluster, group, resource) == ("ws", "g", "things") else None


def authorizer(world, policies=None, **states):
    return Authorizer(Rbac(world), Gate(**({"ws": "ready", "provider": "ready"} | states)), policies)


def get(user=ALICE, cluster="ws", group="g", name="x", **more):
    return Attributes(user=user, verb="get", cluster=cluster, group=group, resource="things", name=name, **more)


def path(where, user=ALICE, cluster="ws", verb="get"):
    return Attributes(user=user, verb=verb, cluster=cluster, path=where, is_resource=False)


ENTERED = World().add("ws", READ, ENTER, bound("reader"), bound("enter"))


@pytest.mark.parametrize("cluster", ["ws", "*", "gone"])
def test_system_masters_may_do_everything_everywhere(cluster):
    decide = authorizer(World()).authorize
    assert decide(get(MASTER, cluster)).allowed
    assert decide(path("/metrics", MASTER, cluster)).allowed


@pytest.mark.parametrize("user", [ALICE, User("boss", groups=("system:kcp:admin",))])
def test_nobody_else_sees_all_workspaces_at_once(user):
    everything = cluster_role("all", [rule(["*"], ["*"], ["*"]), path_rule(["*"], ["*"])])
    given = bound("all", subject("User", "alice"), subject("Group", "system:kcp:admin"))
    decide = authorizer(World().add("system:admin", everything, given).add("*", everything, given), **{"*": "ready"})
    assert decide.authorize(get(user)).allowed
    assert not decide.authorize(get(user, "*")).allowed
    assert not decide.authorize_reference(get(user, "*")).allowed


@pytest.mark.parametrize("where", ["/healthz", "/livez", "/readyz", "/version", "/readyz/etcd", "/version/"])
@pytest.mark.parametrize("verb", ["get", "head"])
def test_everybody_may_ask_how_the_server_is(where, verb):
    assert authorizer(World()).authorize(path(where, ANONYMOUS, verb=verb)).allowed


@pytest.mark.parametrize(
    "attributes",
    [
        path("/", ANONYMOUS),
        path("", ANONYMOUS),
        path("/metrics", ANONYMOUS),
        path("/healthzz", ANONYMOUS),
        path("/versions", ANONYMOUS),
        path("/x/healthz", ANONYMOUS),
        path("/healthz", ANONYMOUS, verb="post"),
        path("/api", ANONYMOUS),
        get(ANONYMOUS),
        get(ANONYMOUS, "missing"),
    ],
)
def test_anonymous_users_may_nothing_else(attributes):
    assert not authorizer(World()).authorize(attributes).allowed


@pytest.mark.parametrize(
    ("state", "allowed"),
    [
        ("initializing", True),
        ("ready", True),
        ("missing", False),
        ("scheduling", False),
        ("unavailable", False),
        ("system", False),
        ("deleting", False),
    ],
)
def test_a_workspace_lets_users_in_while_it_is_initializing_or_ready(state, allowed):
    decide = authorizer(ENTERED, ws=state)
    assert decide.authorize(get()).allowed is allowed
    assert decide.authorize_reference(get()).allowed is allowed
    assert decide.authorize(get(MASTER)).allowed


def test_rights_in_a_workspace_count_for_nothing_without_access_to_it():
    decision = authorizer(World().add("ws", READ, bound("reader"))).authorize(get())
    assert decision == Decision(False, "access denied")


def test_access_alone_gives_no_rights():
    assert authorizer(World().add("ws", ENTER, bound("enter"))).authorize(get()) == Decision(False)


def test_access_and_a_right_are_enough():
    assert authorizer(ENTERED).authorize(get()).allowed


def test_access_to_one_workspace_is_none_to_another():  # P11
    world = World().add("a", ENTER, bound("enter")).add("b", READ, bound("reader"))
    assert not authorizer(world, a="ready", b="ready").authorize(get(cluster="b")).allowed


def test_a_service_account_has_access_to_its_own_workspace():
    mine = role_binding("default", "b", "reader", [subject("ServiceAccount", "robot")])
    decide = authorizer(World().add("ws", READ, mine))
    assert decide.authorize(get(robot("ws"), namespace="default")).allowed


@pytest.mark.parametrize("user", [robot("other"), User(ROBOT)])
def test_a_service_account_of_elsewhere_or_of_nowhere_has_not(user):  # P11
    mine = role_binding("default", "b", "reader", [subject("ServiceAccount", "robot")])
    decide = authorizer(World().add("ws", READ, mine))
    assert decide.authorize(get(user, namespace="default")) == Decision(False, "access denied")


def test_binding_needs_no_access_to_the_providers_workspace():
    binder = cluster_role("binder", [rule(["bind"], ["apis.kcp.io"], ["apiexports"], ["export"])])
    decide = authorizer(World().add("provider", binder, bound("binder")))
    wanted = bind_attributes(ALICE, "provider", "export")
    assert decide.authorize_reference(wanted).allowed
    assert not decide.authorize(wanted).allowed
    assert not decide.authorize_reference(bind_attributes(ALICE, "provider", "other")).allowed
    assert decide.authorize_reference(bind_attributes(MASTER, "gone", "export")).allowed


def test_an_exports_content_is_a_right_of_its_own():
    content = cluster_role("content", [rule(["list"], ["apis.kcp.io"], ["apiexports/content"], ["export"])])
    decide = authorizer(World().add("provider", content, bound("content"))).authorize_reference
    assert decide(content_attributes(ALICE, "list", "provider", "export")).allowed
    assert not decide(content_attributes(ALICE, "watch", "provider", "export")).allowed
    assert not decide(content_attributes(ALICE, "list", "provider", "other")).allowed


@pytest.mark.parametrize(
    ("who", "allowed"),
    [
        (subject("User", "apis.kcp.io:binding:alice"), True),
        (subject("Group", "apis.kcp.io:binding:system:authenticated"), True),
        (subject("User", "alice"), False),
        (subject("Group", "system:authenticated"), False),
    ],
)
def test_a_bound_resource_is_used_only_as_far_as_the_exports_policy_goes(who, allowed):
    world = World({**ENTERED.objects}).add("provider", READ, bound("reader", who))
    decision = authorizer(world, Policies()).authorize(get())
    assert decision.allowed is allowed
    assert allowed or decision.reason == "access not permitted by maximal permission policy"


def test_a_policy_gives_nothing_that_the_consumers_rbac_does_not():
    world = World().add("ws", ENTER, bound("enter"))
    world.add("provider", READ, bound("reader", subject("User", "apis.kcp.io:binding:alice")))
    assert authorizer(world, Policies()).authorize(get()) == Decision(False)


def test_a_policy_limits_nothing_but_the_bound_resource_and_never_system_masters():
    world = World().add("ws", cluster_role("all", [rule(["*"], ["*"], ["*"]), path_rule(["*"], ["*"])]), bound("all"))
    decide = authorizer(world, Policies()).authorize
    assert not decide(get()).allowed
    assert decide(get(group="other")).allowed
    assert decide(path("/apis")).allowed
    assert decide(get(MASTER)).allowed


def test_two_consumers_accounts_of_one_name_are_two_to_a_policy():  # P11
    world, everything = World(), cluster_role("all", [rule(["*"], ["*"], ["*"])])
    for cluster in ("ws", "other"):
        world.add(cluster, everything, bound("all", subject("ServiceAccount", "robot", "default")))
    named = subject("User", "apis.kcp.io:binding:system:kcp:serviceaccount:ws:default:robot")
    world.add("provider", READ, bound("reader", named))

    class Everywhere:
        def provider(self, *_):
            return "provider"

    decide = authorizer(world, Everywhere(), other="ready").authorize
    assert decide(get(robot("ws"))).allowed
    assert not decide(get(robot("other"), "other")).allowed


def test_a_change_of_access_counts_at_once():
    world = World().add("ws", READ, bound("reader"), ENTER)
    rbac = Rbac(world)
    decide = Authorizer(rbac, Gate(ws="ready"))
    assert not decide.authorize(get()).allowed
    world.add("ws", bound("enter"))
    rbac.invalidate("ws")
    assert decide.authorize(get()).allowed


def test_rules_are_told_only_to_those_with_access():
    def rules(decide, user=ALICE, cluster="ws"):
        found = decide.rules_for(user, cluster, "default")
        assert found.complete
        return found.rules

    assert rules(authorizer(ENTERED)) == [*READ["rules"], *ENTER["rules"], PUBLIC_RULE]
    assert rules(authorizer(World().add("ws", READ, bound("reader")))) == [PUBLIC_RULE]
    assert rules(authorizer(ENTERED, ws="deleting")) == [PUBLIC_RULE]
    assert rules(authorizer(World()), MASTER, "gone")[0]["verbs"] == ["*"]


@pytest.mark.parametrize(
    ("attributes", "reason", "text"),
    [
        (
            get(User("al"), name="y"),
            "",
            'things.g "y" is forbidden: User "al" cannot get resource "things" in API group "g" at the cluster scope',
        ),
        (
            get(namespace="ns", name=""),
            "",
            'things.g is forbidden: User "alice" cannot get resource "things" in API group "g" in the namespace "ns"',
        ),
        (
            get(group="", subresource="log", namespace="ns"),
            "access denied",
            (
                'things "x" is forbidden: User "alice" cannot get resource "things/log" in API group "" '
                'in the namespace "ns": access denied'
            ),
        ),
        (path("/x"), "", 'forbidden: User "alice" cannot get path "/x"'),
        (path('/"', User('a"b')), "why", 'forbidden: User "a\\"b" cannot get path "/\\"": why'),
    ],
)
def test_a_refusal_speaks_as_kube_apiserver_does(attributes, reason, text):
    error = forbid(attributes, Decision(False, reason))
    assert (error.code, error.message) == (403, text)


def test_a_refusal_names_the_resource_in_its_details():
    details = forbid(get(), Decision(False)).status()["details"]
    assert details == {"name": "x", "group": "g", "kind": "things"}


def test_a_policy_sees_an_accounts_groups_in_its_home_only():  # P11
    access = subject("User", "system:kcp:serviceaccount:ws:default:robot")
    everything = cluster_role("all", [rule(["*"], ["*"], ["*"]), path_rule(["*"], ["*"])])
    world = World().add("ws", everything, bound("all", access)).add("other", everything, bound("all", access))
    world.add("provider", READ, bound("reader", subject("Group", "apis.kcp.io:binding:robots")))

    class Everywhere:
        def provider(self, *_):
            return "provider"

    decide = authorizer(world, Everywhere(), other="ready").authorize
    user = User(ROBOT, groups=("robots", "system:authenticated"), extra=robot("ws").extra)
    assert decide(get(user)).allowed
    assert not decide(get(user, "other")).allowed


@pytest.mark.parametrize(
    ("groups", "allowed"),
    [
        (("a", "b"), True),
        (("c", "x"), True),
        (("a",), False),
        (("b", "x"), False),
        ((), False),
        (("system:kcp:admin",), True),
    ],
)
def test_a_workspace_that_requires_groups_lets_nobody_else_in(groups, allowed):
    gate = Gate(ws="ready")
    gate.required = (frozenset({"a", "b"}), frozenset({"c"}))
    decide = Authorizer(Rbac(ENTERED), gate)
    alice = User("alice", groups=groups)
    decision = decide.authorize(get(alice))
    assert (decision.allowed, decision.reason == "access denied") == (allowed, not allowed)
    assert (decide.rules_for(alice, "ws", "ns").rules != [PUBLIC_RULE]) is allowed
    assert decide.authorize(get(MASTER)).allowed
    assert decide.authorize_reference(get(alice)).allowed  # what is used from outside is not entered
    scoped = User("alice", groups=groups, extra={"authentication.kcp.io/scopes": ("cluster:other",)})
    assert not decide.authorize(get(scoped)).allowed


def test_accounts_of_a_workspace_need_none_of_the_groups_that_it_requires():
    gate = Gate(ws="ready")
    gate.required = (frozenset({"a"}),)
    world = World().add("ws", READ, bound("reader", subject("ServiceAccount", "robot", "default")))
    assert Authorizer(Rbac(world), gate).authorize(get(robot("ws"))).allowed
