"""Rbac against a slow and obvious reading of the rules, on small random worlds."""

from hypothesis import given
from hypothesis import strategies as st
from rbac_world import World, cluster_role, cluster_role_binding, role, role_binding, subject

from kcpcache.auth.attributes import Attributes
from kcpcache.auth.rbac import Rbac
from kcpcache.auth.user import User

CLUSTERS, NAMESPACES, NAMES = ["system:admin", "a", "b"], ["n1", "n2"], ["x", "y"]
VERBS, GROUPS, RESOURCES = ["get", "list"], ["", "g"], ["pods", "nodes"]
ROLES, PEOPLE, TEAMS = ["r1", "r2"], ["ann", "bob"], ["t1", "t2"]


def some(values, most=2):
    return st.lists(st.sampled_from(values), max_size=most, unique=True)


resource_rules = st.fixed_dictionaries(
    {
        "verbs": some([*VERBS, "*"]),
        "apiGroups": some([*GROUPS, "*"]),
        "resources": some([*RESOURCES, "pods/log", "*/log", "*"]),
        "resourceNames": some(NAMES),
    }
)
path_rules = st.fixed_dictionaries({"verbs": some([*VERBS, "*"]), "nonResourceURLs": some(["/", "/p/*", "/p", "*"])})
rules = st.lists(resource_rules | path_rules, max_size=3)
subjects = st.lists(
    st.builds(subject, st.just("User"), st.sampled_from([*PEOPLE, "system:serviceaccount:n1:ann"]))
    | st.builds(subject, st.just("Group"), st.sampled_from([*TEAMS, "system:authenticated"]))
    | st.builds(subject, st.just("ServiceAccount"), st.sampled_from(PEOPLE), st.sampled_from([*NAMESPACES, None])),
    max_size=3,
)
objects = st.lists(
    st.builds(cluster_role, st.sampled_from(ROLES), rules)
    | st.builds(role, st.sampled_from(NAMESPACES), st.sampled_from(ROLES), rules)
    | st.builds(cluster_role_binding, st.just("b"), st.sampled_from(ROLES), subjects)
    | st.builds(
        role_binding,
        st.sampled_from(NAMESPACES),
        st.just("b"),
        st.sampled_from(ROLES),
        subjects,
        st.sampled_from(["Role", "ClusterRole"]),
    ),
    max_size=6,
)
worlds = st.fixed_dictionaries(dict.fromkeys(CLUSTERS, objects)).map(World)
accounts = st.builds(
    lambda name, home: User(
        f"system:serviceaccount:n1:{name}",
        groups=("t1", "system:authenticated"),
        extra={"authentication.kcp.io/cluster-name": (home,)},
    ),
    st.sampled_from(PEOPLE),
    st.sampled_from(CLUSTERS),
)
users = (
    st.builds(lambda name, groups: User(name, groups=tuple(groups)), st.sampled_from(PEOPLE), some(TEAMS)) | accounts
)
requests = st.builds(
    Attributes,
    user=users,
    verb=st.sampled_from(VERBS),
    cluster=st.sampled_from(CLUSTERS),
    group=st.sampled_from(GROUPS),
    resource=st.sampled_from(RESOURCES),
    subresource=st.sampled_from(["", "log", "scale"]),
    namespace=st.sampled_from(["", *NAMESPACES]),
    name=st.sampled_from(["", *NAMES]),
) | st.builds(
    Attributes,
    user=users,
    verb=st.sampled_from(VERBS),
    cluster=st.sampled_from(CLUSTERS),
    path=st.sampled_from(["/", "/p", "/p/q"]),
    is_resource=st.just(False),
)


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


@given(world=worlds, questions=st.lists(requests, min_size=1, max_size=8))
def test_rbac_decides_as_the_oracle_and_no_differently_when_asked_again(world, questions):
    rbac = Rbac(world)
    for attributes in [*questions, *questions]:
        assert rbac.allows(attributes.user, attributes).allowed is any(oracle(world, attributes))


@given(world=worlds, changed=objects, cluster=st.sampled_from(CLUSTERS), questions=st.lists(requests, max_size=8))
def test_after_a_change_nothing_that_was_decided_before_is_believed(world, changed, cluster, questions):
    rbac = Rbac(world)
    for attributes in questions:
        rbac.allows(attributes.user, attributes)
    world.objects[cluster] = changed
    rbac.invalidate(cluster)
    for attributes in questions:
        assert rbac.allows(attributes.user, attributes).allowed is any(oracle(world, attributes))
