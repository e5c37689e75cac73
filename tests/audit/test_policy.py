"""Which rule of an audit policy a request meets, and which policies are refused."""

import pytest

from kcpcache.audit.policy import Level, PolicyError, Ruling, parse_policy
from kcpcache.auth.attributes import Attributes
from kcpcache.auth.user import User

ALICE = User("alice", groups=("developers", "system:authenticated"))


def policy(*rules, **more):
    import yaml

    document = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": list(rules), **more}
    return parse_policy(yaml.safe_dump(document).encode())


def asks(verb="get", resource="pods", **more):
    return Attributes(user=ALICE, verb=verb, cluster="ws", version="v1", resource=resource, **more)


def path(path, verb="get"):
    return Attributes(user=ALICE, verb=verb, cluster="ws", path=path, is_resource=False)


def resources(*names, group="", **more):
    return {"resources": [{"group": group, "resources": list(names), **more}]}


@pytest.mark.parametrize(
    ("rule", "attributes", "fits"),
    [
        ({}, asks(), True),
        ({}, path("/version"), True),
        ({"users": ["alice"]}, asks(), True),
        ({"users": ["bob"]}, asks(), False),
        ({"userGroups": ["admins", "developers"]}, asks(), True),
        ({"userGroups": ["admins"]}, asks(), False),
        ({"users": ["alice"], "userGroups": ["admins"]}, asks(), False),
        ({"verbs": ["get", "list"]}, asks(), True),
        ({"verbs": ["create"]}, asks(), False),
        ({"verbs": None}, asks(), True),
        ({"namespaces": ["one"]}, asks(namespace="one"), True),
        ({"namespaces": ["one"]}, asks(namespace="two"), False),
        ({"namespaces": [""]}, asks(resource="nodes"), True),
        ({"namespaces": [""]}, path("/version"), False),
        (resources("pods"), asks(), True),
        (resources("pods"), asks(subresource="log"), False),
        (resources("pods"), asks(group="apps"), False),
        (resources("pods"), path("/api/v1/pods"), False),
        (resources("pods/log"), asks(subresource="log"), True),
        (resources("pods/log"), asks(), False),
        (resources("pods/*"), asks(subresource="log"), True),
        (resources("pods/*"), asks(), True),
        (resources("pods/*"), asks(resource="nodes"), False),
        (resources("*/scale"), asks(resource="deployments", subresource="scale"), True),
        (resources("*/scale"), asks(resource="deployments"), False),
        (resources("*"), asks(subresource="log"), True),
        (resources(), asks(), True),
        (resources(group="apps"), asks(), False),
        (resources("pods", resourceNames=["a"]), asks(name="a"), True),
        (resources("pods", resourceNames=["a"]), asks(name="b"), False),
        (resources("pods", resourceNames=["a"]), asks("list"), False),
        ({"nonResourceURLs": ["/version"]}, path("/version"), True),
        ({"nonResourceURLs": ["/version"]}, path("/version/x"), False),
        ({"nonResourceURLs": ["/healthz*"]}, path("/healthz/ping"), True),
        ({"nonResourceURLs": ["*"]}, path("/"), True),
        ({"nonResourceURLs": ["*"]}, asks(), False),
    ],
)
def test_a_rule_fits_as_in_kube(rule, attributes, fits):
    found = policy({"level": "Metadata", **rule}).ruling(attributes)
    assert found.level == (Level.METADATA if fits else Level.NONE)


def test_the_first_rule_that_fits_decides():
    found = policy({"level": "None", "verbs": ["get"]}, {"level": "Request", "verbs": ["get", "list"]})
    assert found.ruling(asks("get")).level is Level.NONE
    assert found.ruling(asks("list")).level is Level.REQUEST
    assert found.ruling(asks("watch")) == Ruling(Level.NONE)


def test_stages_are_omitted_by_policy_and_rule_together_and_a_rule_has_the_last_word_on_managed_fields():
    first = {"level": "Request", "verbs": ["get"], "omitStages": ["Panic"], "omitManagedFields": False}
    found = policy(first, {"level": "Metadata"}, omitStages=["RequestReceived"], omitManagedFields=True)
    assert found.ruling(asks()) == Ruling(Level.REQUEST, frozenset({"Panic", "RequestReceived"}), False)
    assert found.ruling(asks("list")) == Ruling(Level.METADATA, frozenset({"RequestReceived"}), True)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("rules: [", "is not YAML"),
        ("hello", "Expected `object`"),
        ("{apiVersion: audit.k8s.io/v1, kind: Policy, rules: []}", "0 rules"),
        ("{apiVersion: v1, kind: Policy, rules: [{level: None}]}", "wanted is audit.k8s.io/v1"),
        ("{apiVersion: audit.k8s.io/v1, kind: Event, rules: [{level: None}]}", "kind Event"),
        ("{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{}]}", "`level`"),
        ("{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: All}]}", "All"),
        ("{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: None, ressources: []}]}", "ressources"),
        ("{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: None, users: alice}]}", "rules"),
        ("{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: None, omitStages: [Late]}]}", "Late"),
    ],
)
def test_what_is_no_policy_is_one_clear_line(text, complaint):
    with pytest.raises(PolicyError, match=complaint) as caught:
        parse_policy(text.encode())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ({"nonResourceURLs": ["/a"], **resources("pods")}, "both regular resources and non-resource URLs"),
        ({"nonResourceURLs": ["/a"], "namespaces": ["a"]}, "both regular resources and non-resource URLs"),
        ({"nonResourceURLs": ["a"]}, "must begin with a '/'"),
        ({"nonResourceURLs": ["/a*b"]}, "must be the final character"),
        (resources(resourceNames=["a"]), "requires at least one resource"),
        (resources("roles", group="rbac.authorization.k8s.io/v1"), "Invalid value"),
    ],
)
def test_what_kube_refuses_is_refused(rule, complaint):
    with pytest.raises(PolicyError, match=complaint):
        policy({"level": "Metadata", **rule})
