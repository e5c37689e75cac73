"""Everything that decides, against a slow and obvious reading of the rules, in small random worlds."""

from itertools import product
from random import Random

import pytest
from rbac_world import World, cluster_role, cluster_role_binding, role, role_binding, subject

from kcpcache.auth.attributes import Attributes
from kcpcache.auth.authorize import Authorizer
from kcpcache.auth.rbac import Rbac
from kcpcache.auth.review import (
    review_local_subject_access,
    review_self_subject_access,
    review_self_subject_rules,
    review_subject_access,
)
from kcpcache.auth.rules import Rule
from kcpcache.auth.user import ANONYMOUS, User
from kcpcache.meta.names import GroupResource
from kcpcache.reconcilers.cluster_role import aggregated_rules

WORLDS, WORLDS_AT_ONCE = 2000, 250
ADMIN, CLUSTERS, NAMESPACES, NAMES = "system:admin", ["system:admin", "a", "b", "gone"], ["n1", "n2"], ["x", "y"]
ROLES, PEOPLE, TEAMS, BOUND = ["r1", "r2", "sum"], ["ann", "bob"], ["t1", "t2"], "apis.kcp.io:binding:"
SERVED = {GroupResource(group, name): ("log",) for group in ("", "g") for name in ("pods", "nodes")}
KINDS = ["pods", "nodes"]
ENTRY = {"verbs": ["access"], "nonResourceURLs": ["/"]}
HOME, SCOPES = "authentication.kcp.io/cluster-name", "authentication.kcp.io/scopes"


def account(name, home, **more):
    extra = {HOME: (home,), **more}
    return User(f"system:serviceaccount:n1:{name}", groups=("t1", "system:authenticated"), extra=extra)


USERS = [
    User("ann", groups=("system:authenticated",)),
    User("ann", groups=("t1", "t2"), extra={SCOPES: ("cluster:a,cluster:b", "cluster:b")}),
    User("bob", groups=("t2", "system:authenticated")),
    User("bob", groups=("system:masters",)),
    User("bob", groups=("system:masters",), extra={SCOPES: ("cluster:a",)}),
    account("ann", "a"),
    account("ann", ADMIN),
    account("bob", "b", **{SCOPES: ("cluster:b",)}),
    ANONYMOUS,
]


# -- random worlds


def some(random, values, least=1):
    return random.sample(values, random.randint(least, 2))


def random_rule(random):
    if random.random() < 0.2:
        paths = ["/", "/p/*", "/p", "*"]
        return {"verbs": some(random, ["get", "list", "*"]), "nonResourceURLs": some(random, paths)}
    return {
        "verbs": some(random, ["get", "list", "*"]),
        "apiGroups": some(random, ["", "g", "*"]),
        "resources": some(random, ["pods", "nodes", "pods/log", "*/log", "*"]),
        "resourceNames": some(random, NAMES, 0) if random.random() < 0.3 else [],
    }


def random_subject(random):
    kind, prefix = random.choice(["User", "Group", "ServiceAccount"]), random.choice(["", "", BOUND])
    if kind == "ServiceAccount":
        return subject(kind, random.choice(PEOPLE), random.choice([*NAMESPACES, None]))
    accounts = ["system:serviceaccount:n1:ann", "system:kcp:serviceaccount:a:n1:ann"]
    names = (
        [*PEOPLE, *accounts]
        if kind == "User"
        else [*TEAMS, "system:authenticated", "system:unauthenticated", "system:cluster:a", "system:cluster:b"]
    )
    return subject(kind, prefix + random.choice(names))


def random_objects(random):
    for number in range(random.randint(1, 4)):
        name, space = random.choice(ROLES), random.choice(NAMESPACES)
        rules = [random_rule(random) for _ in range(random.randint(1, 3))]
        subjects = [random_subject(random) for _ in range(random.randint(1, 4))]
        if random.random() < 0.7:
            labels = {"in-sum": random.choice(["yes", "no"])}
            yield {**cluster_role(name, rules), "metadata": {"name": name, "labels": labels}}
        if random.random() < 0.4:
            yield role(space, name, rules)
        if random.random() < 0.5:
            yield role_binding(space, f"b{number}", name, subjects, random.choice(["Role", "ClusterRole"]))
        else:
            yield cluster_role_binding(f"b{number}", name, subjects)
    if random.random() < 0.8:
        yield cluster_role("entry", [ENTRY])
        yield cluster_role_binding("entry", "entry", [subject("Group", "system:authenticated"), random_subject(random)])


def world_of(random):
    """Random objects, among them an aggregated role, whose rules are written as its controller writes them."""
    return World({cluster: objects_of(random) for cluster in CLUSTERS})


def objects_of(random):
    found = list(random_objects(random))
    everything = {"clusterRoleSelectors": [{"matchLabels": {"in-sum": "yes"}}]}
    gathering = {**cluster_role("sum", []), "aggregationRule": everything}
    roles = [each for each in found if each["kind"] == "ClusterRole" and each["metadata"]["name"] != "sum"]
    gathered = {**gathering, "rules": aggregated_rules(gathering, roles)}
    return [*(each for each in found if each["kind"] != "ClusterRole"), *roles, gathered]


class Facts:
    """Which workspaces are there, and whose policies limit the resources of group ``g``."""

    def __init__(self, random):
        self.limits = {(cluster, name): random.choice([None, None, "a", "b"]) for cluster in CLUSTERS for name in KINDS}

    def state(self, cluster):
        return {"gone": "missing", ADMIN: "system"}.get(cluster, "ready")

    def required_groups(self, _cluster):
        return ()

    def provider(self, cluster, group, resource):
        return self.limits.get((cluster, resource)) if group == "g" else None

    def served(self, _cluster):
        return SERVED


def random_question(random, user):
    cluster, verb = random.choice(CLUSTERS), random.choice(["get", "list", "update"])
    if random.random() < 0.25:
        path = random.choice(["/", "/p", "/p/q", "/healthz", "/livez/ping", "/healthy"])
        return Attributes(user=user, verb=verb, cluster=cluster, path=path, is_resource=False)
    return Attributes(
        user=user,
        verb=verb,
        cluster=cluster,
        group=random.choice(["", "g"]),
        resource=random.choice(["pods", "nodes"]),
        subresource=random.choice(["", "", "log"]),
        namespace=random.choice(["", "n1", "n2"]),
        name=random.choice(["", "x", "z"]),
    )


# -- the oracle


def oracle(world, facts, a):
    if "system:masters" in a.user.groups and SCOPES not in a.user.extra:
        return True
    if not a.is_resource and a.verb == "get" and a.path.split("/")[1] in {"healthz", "livez", "readyz", "version"}:
        return True
    names, groups, is_global, local = seen(a.user, a.cluster)
    who, enter = (
        (names, groups, is_global, local),
        Attributes(user=a.user, verb="access", cluster="", path="/", is_resource=False),
    )
    at_home = local is not None and a.user.extra.get(HOME) == (a.cluster,)
    if facts.state(a.cluster) != "ready" or not (at_home or granted(world, a.cluster, enter, *who)):
        return False
    provider = facts.provider(a.cluster, a.group, a.resource) if a.is_resource else None
    limited_as, limited_groups = names[-1], groups
    if SCOPES in a.user.extra and f"system:cluster:{provider}" not in scopes_of(a.user):
        limited_as, limited_groups = "system:anonymous", seen(a.user, "out of all scopes")[1]
    bound = [BOUND + limited_as], [BOUND + group for group in limited_groups], [BOUND + limited_as], None
    return granted(world, a.cluster, a, *who) and (provider is None or granted(world, provider, a, *bound))


def seen(user, cluster):
    """Names, groups, names that system:admin knows too, and the account if it lives in the cluster."""
    known = "system:authenticated" if "system:authenticated" in user.groups else "system:unauthenticated"
    shared = scopes_of(user)
    if SCOPES in user.extra and f"system:cluster:{cluster}" not in shared:
        return ["system:anonymous"], [known, *shared], ["system:anonymous"], None
    if HOME not in user.extra:
        return [user.name], list(user.groups), [user.name], None
    (home,), (space, name) = user.extra[HOME], user.name.split(":")[2:]
    alias = f"system:kcp:serviceaccount:{home}:{space}:{name}"
    if home == cluster:
        return [user.name, alias], list(user.groups), [alias], (space, name)
    return [alias], [known, f"system:cluster:{home}"], [alias], None


def scopes_of(user):
    scopes = [scope.replace("cluster:", "system:cluster:").split(",") for scope in user.extra.get(SCOPES, ())]
    return [each for each in scopes[0] if all(each in scope for scope in scopes)] if scopes else []


def granted(world, cluster, a, names, groups, global_names, local):
    found = [] if cluster == ADMIN else [(ADMIN, each, "") for each in world.cluster_role_bindings(ADMIN)]
    found += [(cluster, each, "") for each in world.cluster_role_bindings(cluster)]
    found += [(cluster, each, a.namespace) for each in world.role_bindings(cluster, a.namespace)]
    for at, binding, space in found:
        ref, foreign = binding["roleRef"], at != cluster
        known = {"User": global_names if foreign else names, "Group": groups}
        for who in binding["subjects"]:
            is_account = local is not None and not foreign and local == (who.get("namespace") or space, who["name"])
            if is_account if who["kind"] == "ServiceAccount" else who["name"] in known[who["kind"]]:
                shared = world.cluster_role(at, ref["name"]) or world.cluster_role(ADMIN, ref["name"])
                given = world.role(at, space, ref["name"]) if ref["kind"] == "Role" else shared
                if given and any(matches(rule, a) for rule in rules_in(world, given)):
                    return True
    return False


def rules_in(world, given):
    """What is in a role, and in those that it gathers, wherever the role is."""
    if "aggregationRule" not in given:
        return given["rules"]
    (at,) = (cluster for cluster, objects in world.objects.items() if any(each is given for each in objects))
    labels = [(each, each["metadata"].get("labels", {})) for each in world.cluster_roles(at)]
    return [rule for each, found in labels if found.get("in-sum") == "yes" for rule in each["rules"]]


def matches(rule, a):
    def has(key, *values):
        return any(value in rule.get(key, ()) for value in values)

    if not has("verbs", a.verb, "*"):
        return False
    if not a.is_resource:
        urls = rule.get("nonResourceURLs", [])
        return any(a.path == url or (url[-1] == "*" and a.path.startswith(url[:-1])) for url in urls)
    wanted = [f"{a.resource}/{a.subresource}", f"*/{a.subresource}"] if a.subresource else [a.resource]
    named = not rule.get("resourceNames") or a.name in rule["resourceNames"]
    return named and has("apiGroups", a.group, "*") and has("resources", "*", *wanted)


# -- whoever else decides


def review_of(a):
    """What a SubjectAccessReview asks in place of the request."""
    asked = {"verb": a.verb, "path": a.path}
    if a.is_resource:
        names = ("verb", "group", "resource", "subresource", "namespace", "name")
        asked = {name: getattr(a, name) for name in names}
    extra = {key: list(values) for key, values in a.user.extra.items()}
    kind = "resourceAttributes" if a.is_resource else "nonResourceAttributes"
    spec = {"user": a.user.name, "groups": list(a.user.groups), "extra": extra, kind: asked}
    return {"metadata": {"namespace": a.namespace}, "spec": spec}


def answers(authorizer, facts, a):
    """What each way to ask says."""
    review = review_of(a)
    own = {**review, "spec": {key: asked for key, asked in review["spec"].items() if key.endswith("Attributes")}}
    yield "authorizer", authorizer.authorize(a).allowed
    yield "once more", authorizer.authorize(a).allowed
    yield "subject access", review_subject_access(review, a.cluster, authorizer)["status"]["allowed"]
    yield "self subject access", review_self_subject_access(own, a.user, a.cluster, authorizer)["status"]["allowed"]
    if a.is_resource and a.namespace:
        yield "local", review_local_subject_access(review, a.cluster, authorizer)["status"]["allowed"]
    if a.namespace or not a.is_resource:
        yield "rules", allowed_by(rules_of(authorizer, a.user, a.cluster, a.namespace or "n1"), a)


def rules_of(authorizer, user, cluster, namespace):
    return review_self_subject_rules({"spec": {"namespace": namespace}}, user, cluster, authorizer)["status"]


def allowed_by(status, a):
    rules = status["resourceRules" if a.is_resource else "nonResourceRules"]
    return any(Rule(rule).allows(a, a.name) for rule in rules)


@pytest.mark.parametrize("first", range(0, WORLDS, WORLDS_AT_ONCE))
def test_authorizer_and_every_review_decide_as_the_oracle(first):
    yes = 0
    for number in range(first, first + WORLDS_AT_ONCE):
        random = Random(number)
        world, facts = world_of(random), Facts(random)
        rbac = Rbac(world)
        authorizer = Authorizer(rbac, facts, facts)
        for turn in range(2):
            for _ in range(2):
                for a in [random_question(random, user) for user in USERS]:
                    expected = oracle(world, facts, a)
                    yes += expected
                    for way, answer in answers(authorizer, facts, a):
                        assert answer is expected, f"world {number}, {way}: {a}"
            if turn == 0:  # nothing that was decided before the change is believed after it
                changed = random.choice(CLUSTERS)
                world.objects[changed] = objects_of(random)
                rbac.invalidate(changed)
    assert 0.1 < yes / (WORLDS_AT_ONCE * 4 * len(USERS)) < 0.9


def every_question(user, cluster, namespace):
    """Of one user in one place, also about what is not served: a group, a resource, a subresource, a verb, a name."""
    for group, resource, below, verb, name in product(
        ["", "g", "unknown"], [*KINDS, "unknown"], ["", "log", "unknown"], ["get", "list", "unknown"], ["", *NAMES, "z"]
    ):
        yield Attributes(
            user=user,
            verb=verb,
            cluster=cluster,
            group=group,
            resource=resource,
            subresource=below,
            namespace=namespace,
            name=name,
        )


def test_rules_promise_nothing_too_much_and_lack_nothing_but_of_what_is_not_served():
    lacking = 0
    for number in range(WORLDS):
        random = Random(number)
        world, facts = world_of(random), Facts(random)
        authorizer = Authorizer(Rbac(world), facts, facts)
        user, cluster, namespace = random.choice(USERS), random.choice(["a", "b"]), random.choice(NAMESPACES)
        status = rules_of(authorizer, user, cluster, namespace)
        assert status["incomplete"] is False
        for a in every_question(user, cluster, namespace):
            allowed, told = authorizer.authorize(a).allowed, allowed_by(status, a)
            assert allowed or not told, f"world {number}: {a}"
            if allowed and not told:
                served = a.subresource in {"", "log"} and GroupResource(a.group, a.resource) in SERVED
                assert not served, f"world {number}: {a}"
                lacking += 1
    assert lacking
