import pytest
from rbac_world import path_rule, rule

from kcpcache.auth.attributes import Attributes
from kcpcache.auth.rules import Rule
from kcpcache.auth.user import ANONYMOUS


def of_resource(verb, group, resource, subresource="", name=""):
    return Attributes(
        user=ANONYMOUS, verb=verb, cluster="c", group=group, resource=resource, subresource=subresource, name=name
    )


RESOURCE_CASES = [
    (rule(["get"], [""], ["pods"]), ("get", "", "pods"), True),
    (rule(["get"], [""], ["pods"]), ("list", "", "pods"), False),
    (rule(["get"], [""], ["pods"]), ("get", "apps", "pods"), False),
    (rule(["get"], [""], ["pods"]), ("get", "", "pods", "log"), False),
    (rule(["get"], [""], ["pods/log"]), ("get", "", "pods", "log"), True),
    (rule(["get"], [""], ["pods/log"]), ("get", "", "pods"), False),
    (rule(["get"], ["*"], ["*/scale"]), ("get", "apps", "deployments", "scale"), True),
    (rule(["get"], ["*"], ["*/scale"]), ("get", "apps", "deployments"), False),
    (rule(["get"], ["*"], ["*/scale"]), ("get", "apps", "deployments", "status"), False),
    (rule(["get"], [""], ["pods/*"]), ("get", "", "pods", "log"), False),
    (rule(["*"], ["*"], ["*"]), ("anything", "any.group", "things", "sub", "n"), True),
    (rule(["get"], [""], ["*"]), ("get", "", "pods", "log"), True),
    (rule(["get"], [""], ["pods"]), ("*", "", "pods"), False),
    (rule(["get"], [""], ["pods"], ["a", "b"]), ("get", "", "pods", "", "b"), True),
    (rule(["get"], [""], ["pods"], ["a", "b"]), ("get", "", "pods", "", "c"), False),
    (rule(["list"], [""], ["pods"], ["a"]), ("list", "", "pods"), False),
    (rule(["*"], ["*"], ["*"], ["a"]), ("get", "", "pods", "", "b"), False),
    (path_rule(["*"], ["*"]), ("get", "", "pods"), False),
    ({"verbs": ["get"]}, ("get", "", "pods"), False),
    ({"verbs": None, "apiGroups": None, "resources": None}, ("get", "", "pods"), False),
]


@pytest.mark.parametrize(("source", "request_", "allowed"), RESOURCE_CASES)
def test_a_rule_allows_the_resources_that_it_names(source, request_, allowed):
    attributes = of_resource(*request_)
    assert Rule(source).allows(attributes, attributes.name) is allowed


@pytest.mark.parametrize(
    ("urls", "path", "allowed"),
    [
        (["/"], "/", True),
        (["/"], "/x", False),
        (["*"], "/x", True),
        (["/metrics"], "/metrics", True),
        (["/metrics"], "/metrics/x", False),
        (["/apis/*"], "/apis/x/v1", True),
        (["/apis/*"], "/apis/", True),
        (["/apis/*"], "/apis", False),
        (["/a**"], "/ab", True),
        (["/a*b"], "/axb", False),
        ([], "/", False),
    ],
)
def test_a_rule_allows_the_paths_that_it_names(urls, path, allowed):
    attributes = Attributes(user=ANONYMOUS, verb="get", cluster="c", path=path, is_resource=False)
    assert Rule(path_rule(["get"], urls)).allows(attributes, "") is allowed
    assert not Rule(path_rule(["put"], urls)).allows(attributes, "")


def test_a_rule_for_all_resources_allows_no_path():
    attributes = Attributes(user=ANONYMOUS, verb="get", cluster="c", path="/", is_resource=False)
    assert not Rule(rule(["*"], ["*"], ["*"])).allows(attributes, "")
