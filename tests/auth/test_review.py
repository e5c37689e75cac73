import pytest
from rbac_world import World, cluster_role, cluster_role_binding, path_rule, role_binding, rule, subject

from kcpcache.auth.authorize import PUBLIC_RULE, Authorizer
from kcpcache.auth.rbac import Rbac
from kcpcache.auth.review import (
    review_local_subject_access,
    review_self_subject,
    review_self_subject_access,
    review_self_subject_rules,
    review_subject_access,
)
from kcpcache.auth.user import User
from kcpcache.meta.errors import BadRequestError, InvalidError

ALICE = User("alice", "7", ("devs", "system:authenticated"), {"team": ("a",)})
GET_PODS = {"verb": "get", "resource": "pods", "version": "v1", "namespace": "ns", "name": "x"}
REASON = 'RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "r" to Group "devs"'
HOME = "authentication.kcp.io/cluster-name"


class Ready:
    def state(self, _):
        return "ready"

    def required_groups(self, _cluster):
        return ()


@pytest.fixture
def authorizer():
    reader = cluster_role("r", [rule(["get"], [""], ["pods"]), path_rule(["access"], ["/"])])
    robots = role_binding("ns", "robots", "r", [subject("ServiceAccount", "robot")])
    world = World().add("ws", reader, cluster_role_binding("b", "r", [subject("Group", "devs")]), robots)
    return Authorizer(Rbac(world), Ready())


def review(kind, namespace="", **spec):
    metadata = {"namespace": namespace} if namespace else {}
    return {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


def sar(**spec):
    return review("SubjectAccessReview", **spec)


def test_a_review_comes_back_as_it_was_with_a_status(authorizer):
    asked = sar(groups=["devs"], resourceAttributes=GET_PODS)
    answer = review_subject_access(asked, "ws", authorizer)
    assert answer == asked | {"status": {"allowed": True, "reason": REASON}}
    assert "status" not in asked


@pytest.mark.parametrize(
    ("spec", "status"),
    [
        ({"user": "bob", "resourceAttributes": GET_PODS}, {"allowed": False, "reason": "access denied"}),
        ({"groups": ["devs"], "resourceAttributes": GET_PODS | {"verb": "list"}}, {"allowed": False}),
        ({"groups": ["devs"], "resourceAttributes": GET_PODS | {"subresource": "log"}}, {"allowed": False}),
        ({"groups": ["devs"], "resourceAttributes": GET_PODS | {"group": "apps"}}, {"allowed": False}),
        ({"groups": ["devs"], "resourceAttributes": {}}, {"allowed": False}),
        ({"groups": ["devs"], "nonResourceAttributes": {"verb": "get", "path": "/x"}}, {"allowed": False}),
        (
            {"user": "bob", "nonResourceAttributes": {"verb": "get", "path": "/healthz"}},
            {"allowed": True, "reason": "public path"},
        ),
        (
            {"user": "bob", "groups": ["system:masters"], "resourceAttributes": GET_PODS},
            {"allowed": True, "reason": "system:masters"},
        ),
    ],
)
def test_a_review_says_what_the_user_may(authorizer, spec, status):
    assert review_subject_access(sar(**spec), "ws", authorizer)["status"] == status


@pytest.mark.parametrize(("extra", "allowed"), [({}, True), ({HOME: ["ws"]}, True), ({HOME: ["other"]}, False)])
def test_a_service_account_in_a_review_is_local_unless_its_extra_says_otherwise(authorizer, extra, allowed):
    asked = sar(user="system:serviceaccount:ns:robot", extra=extra, resourceAttributes=GET_PODS)
    assert review_subject_access(asked, "ws", authorizer)["status"]["allowed"] is allowed


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"resourceAttributes": GET_PODS}, "spec.user"),
        ({"user": "bob"}, "spec.resourceAttributes"),
        ({"user": "bob", "resourceAttributes": GET_PODS, "nonResourceAttributes": {}}, "spec.nonResourceAttributes"),
    ],
)
def test_a_review_that_asks_for_nothing_or_for_nobody_is_invalid(authorizer, spec, field):
    with pytest.raises(InvalidError) as caught:
        review_subject_access(sar(**spec), "ws", authorizer)
    assert [error.path for error in caught.value.errors] == [field]


def test_a_review_without_a_spec_is_invalid_and_no_more(authorizer):
    with pytest.raises(InvalidError):
        review_subject_access({"kind": "SubjectAccessReview", "spec": None}, "ws", authorizer)


def test_a_local_review_is_for_its_own_namespace(authorizer):
    asked = review("LocalSubjectAccessReview", "ns", groups=["devs"], resourceAttributes=GET_PODS)
    assert review_local_subject_access(asked, "ws", authorizer)["status"]["allowed"]


@pytest.mark.parametrize(
    "attributes",
    [
        {"resourceAttributes": GET_PODS | {"namespace": "other"}},
        {"resourceAttributes": {"verb": "get"}},
        {"nonResourceAttributes": {"verb": "get", "path": "/"}},
    ],
)
def test_a_local_review_for_anything_else_is_invalid(authorizer, attributes):
    asked = review("LocalSubjectAccessReview", "ns", user="bob", **attributes)
    with pytest.raises(InvalidError):
        review_local_subject_access(asked, "ws", authorizer)


def test_a_self_review_is_about_the_requester_whatever_it_says(authorizer):
    asked = review("SelfSubjectAccessReview", user="bob", groups=["x"], resourceAttributes=GET_PODS)
    assert review_self_subject_access(asked, ALICE, "ws", authorizer)["status"]["allowed"]
    assert not review_self_subject_access(asked, User("bob"), "ws", authorizer)["status"]["allowed"]


def test_a_rules_review_sorts_rules_by_their_kind(authorizer):
    asked = review("SelfSubjectRulesReview") | {"spec": {"namespace": "ns"}}
    assert review_self_subject_rules(asked, ALICE, "ws", authorizer)["status"] == {
        "resourceRules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}],
        "nonResourceRules": [{"verbs": ["access"], "nonResourceURLs": ["/"]}, PUBLIC_RULE],
        "incomplete": False,
    }


def test_a_rules_review_needs_a_namespace(authorizer):
    with pytest.raises(BadRequestError, match="no namespace"):
        review_self_subject_rules(review("SelfSubjectRulesReview"), ALICE, "ws", authorizer)


def test_a_self_subject_review_says_who_asks():
    answer = review_self_subject({"kind": "SelfSubjectReview", "metadata": {}}, ALICE)
    assert answer["status"] == {
        "userInfo": {
            "username": "alice",
            "uid": "7",
            "groups": ["devs", "system:authenticated"],
            "extra": {"team": ["a"]},
        }
    }
