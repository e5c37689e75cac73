"""Rbac against a slow and obvious reading of the rules, on small random worlds."""

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st
from rbac_world import World, cluster_role, cluster_role_binding, role, role_binding, subject

from kcpcache.auth.attributes import Attributes
from kcpcache.auth.rbac import Rbac
from kcpcache.auth.user import User

CLUSTERS, NAMESPACES, NAMES = ["system:admin", "a", "b"], ["n1", "n2"], ["x", "y"]
VERBS, GROUPS, RESOURCES = ["get", "list"], ["", "g"], ["pods", "nodes"]
ROLES, PEOPLE, TEAMS = ["r1", "r2"], ["ann", "bob"], ["t1", "t2"]


def some(values, least=1):
    return st.lists(st.sampled_from(values), min_size=least, max_size=2, unique=True)


resource_rules = st.fixed_dictionaries(
    {
        "verbs": some([*VERBS, "*"]),
        "apiGroups": some([*GROUPS, "*"]),
        "resources": some([*RESOURCES, "pods/log", "*/log", "*"]),
        "resourceNames": st.just([]) | some(NAMES, 0),
    }
)
path_rules = st.fixed_dictionaries({"verbs": some([*VERBS, "*"]), "nonResourceURLs": some(["/", "/p/*", "/p", "*"])})
rules = st.lists(resource_rules | path_rules, min_size=1, max_size=3)
subjects = st.lists(
    st.builds(subject, st.just("User"), st.sampled_from([*PEOPLE, "system:serviceaccount:n1:ann"]))
    | st.builds(subject, st.just("Group"), st.sampled_from([*TEAMS, "system:authenticated"]))
    | st.builds(subject, st.just("ServiceAccount"), st.sampled_from(PEOPLE), st.sampled_from([*NAMESPACES, None])),
    min_size=1,
    max_size=4,
)
role_names, namespaces = st.sampled_from(ROLES), st.sampled_from(NAMESPACES)
kinds = st.sampled_from(["Role", "ClusterRole"])
grants = (
    st.builds(lambda name, rules: [cluster_role(name, rules)], role_names, rules)
    | st.builds(
        lambda name, rules, who: [cluster_role(name, rules), cluster_role_binding("b", name, who)],
        role_names,
        rules,
        subjects,
    )
    | st.builds(lambda name, who: [cluster_role_binding("b", name, who)], role_names, subjects)
    | st.builds(
        lambda space, name, rules, who, kind: [role(space, name, rules), role_binding(space, "b", name, who, kind)],
        namespaces,
        role_names,
        rules,
        subjects,
        kinds,
    )
)
objects = st.lists(grants, max_size=3).map(lambda found: [each for grant in found for each in grant])
worlds = st.fixed_dictionaries(dict.fromkeys(CLUSTERS, objects)).map(World)


def account(name, home):
    extra = {"authentication.kcp.io/cluster-name": (home,)}
    return User(f"system:serviceaccount:n1:{name}", groups=("t1", "system:authenticated"), extra=extra)


USERS = [User("ann"), User("ann", groups=("t1", "t2")), User("bob", groups=("t2", "system:authenticated"))]
USERS += [account("ann", "a"), account("ann", "system:admin"), account("bob", "b")]
QUESTIONS = [
    Attributes(user=user, verb="get", cluster=cluster, resource="pods", subresource=sub, namespace=space, name=name)
    for user, cluster, sub, space, name in product(USERS, CLUSTERS, ["", "log"], ["", "n1"], ["", "x"])
]
QUESTIONS += [
    Attributes(user=user, verb="get", cluster=cluster, path=path, is_resource=False)
    for user, cluster, path in product(USERS, CLUSTERS, ["/", "/p", "/p/q"])
]


def oracle(world, a):
    home = a.user.extra.get("authentication.kcp.io/cluster-name", (a.cluster,))[0]

    def matches(who, bound_in, namespace):
        if who["kind"] == "Group":
            return who["name"] in (a.user.groups if home == a.cluster else ("system:authenticated",))
        account = a.user.name.startswith("system:serviceaccount:")
        if account and not home == a.cluster == bound_in:
            return False
        namespace = who.get("namespace") or namespace
        name = who["name"] if who["kind"] == "User" else f"system:serviceaccount:{namespace}:{who['name']}"
        return a.user.name == name

    def allows(rule):
        def has(field, *values):
            return any(value in (rule.get(field) or []) for value in values)

        if not has("verbs", a.verb, "*"):
            return False
        if not a.is_resource:
            urls = rule.get("nonResourceURLs", [])
            return any(a.path == url or (url[-1] == "*" and a.path.startswith(url[:-1])) for url in urls)
        wanted = [f"{a.resource}/{a.subresource}", f"*/{a.subresource}"] if a.subresource else [a.resource]
        named = not rule.get("resourceNames") or a.name in rule["resourceNames"]
        return named and has("apiGroups", a.group, "*") and has("resources", "*", *wanted)

    found = [("system:admin", binding, "") for binding in world.cluster_role_bindings("system:admin")]
    found += [(a.cluster, binding, "") for binding in world.cluster_role_bindings(a.cluster)]
    found += [(a.cluster, binding, a.namespace) for binding in world.role_bindings(a.cluster, a.namespace)]
    for bound_in, binding, namespace in found:
        name = binding["roleRef"]["name"]
        local = world.cluster_role(bound_in, name) or world.cluster_role("system:admin", name)
        given = world.role(bound_in, namespace, name) if binding["roleRef"]["kind"] == "Role" else local
        if any(matches(who, bound_in, namespace) for who in binding["subjects"]) and given:
            yield from (rule for rule in given["rules"] if allows(rule))


def differences(world, rbac):
    """Questions that the two answer differently."""
    return [a for a in QUESTIONS if rbac.allows(a.user, a).allowed is not any(oracle(world, a))]


@settings(deadline=None)
@given(world=worlds)
def test_rbac_decides_as_the_oracle_and_no_differently_when_asked_again(world):
    rbac = Rbac(world)
    assert differences(world, rbac) == []
    assert differences(world, rbac) == []


@settings(deadline=None)
@given(world=worlds, changed=objects, cluster=st.sampled_from(CLUSTERS))
def test_after_a_change_nothing_that_was_decided_before_is_believed(world, changed, cluster):
    rbac = Rbac(world)
    for attributes in QUESTIONS:
        rbac.allows(attributes.user, attributes)
    world.objects[cluster] = changed
    rbac.invalidate(cluster)
    assert differences(world, rbac) == []
