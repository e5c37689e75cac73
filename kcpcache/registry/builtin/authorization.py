"""Types of ``authorization.k8s.io/v1``: questions about permissions."""

from functools import partial

from kcpcache.registry.builtin.meta import (
    FIELD_SELECTOR_REQUIREMENT,
    LABEL_SELECTOR_REQUIREMENT,
    object_type,
)
from kcpcache.registry.builtin.types import ListOf, MapOf, Scalar, package, row

_auth = package("io.k8s.api.authorization.v1")
_object = partial(object_type, "io.k8s.api.authorization.v1", "authorization.k8s.io/v1")
_S, _B = Scalar.STRING, Scalar.BOOL

RESOURCE_ATTRIBUTES = _auth(
    "ResourceAttributes",
    "A request for a resource.",
    row("namespace", 1, _S, "Namespace; empty means all, or cluster-scoped."),
    row("verb", 2, _S, "Verb; '*' means all."),
    row("group", 3, _S, "API group; '*' means all."),
    row("version", 4, _S, "API version; '*' means all."),
    row("resource", 5, _S, "Resource; '*' means all."),
    row("subresource", 6, _S, "Subresource; empty means none."),
    row("name", 7, _S, "Name of the object; empty means all."),
    row(
        "fieldSelector",
        8,
        _auth(
            "FieldSelectorAttributes",
            "A field selector, as text or as conditions.",
            row("rawSelector", 1, _S, "The selector as in a URL."),
            row("requirements", 2, ListOf(FIELD_SELECTOR_REQUIREMENT), "The selector as conditions."),
        ),
        "Limits the request to objects with such fields.",
        pointer=True,
    ),
    row(
        "labelSelector",
        9,
        _auth(
            "LabelSelectorAttributes",
            "A label selector, as text or as conditions.",
            row("rawSelector", 1, _S, "The selector as in a URL."),
            row("requirements", 2, ListOf(LABEL_SELECTOR_REQUIREMENT), "The selector as conditions."),
        ),
        "Limits the request to objects with such labels.",
        pointer=True,
    ),
)

NON_RESOURCE_ATTRIBUTES = _auth(
    "NonResourceAttributes",
    "A request for a path.",
    row("path", 1, _S, "URL path."),
    row("verb", 2, _S, "HTTP method in lower case."),
)

_RESOURCE = row("resourceAttributes", 1, RESOURCE_ATTRIBUTES, "Asks about a resource.", pointer=True)
_PATH = row("nonResourceAttributes", 2, NON_RESOURCE_ATTRIBUTES, "Asks about a path.", pointer=True)

SUBJECT_ACCESS_REVIEW_SPEC = _auth(
    "SubjectAccessReviewSpec",
    "Who wants to do what; either about a resource or about a path.",
    _RESOURCE,
    _PATH,
    row("user", 3, _S, "User to ask about."),
    row("groups", 4, ListOf(_S), "Groups to ask about."),
    row("extra", 5, MapOf(Scalar.STRING_ITEMS), "Further attributes of the user."),
    row("uid", 6, _S, "UID of the user."),
)

SUBJECT_ACCESS_REVIEW_STATUS = _auth(
    "SubjectAccessReviewStatus",
    "The answer.",
    row("allowed", 1, _B, "Whether it is allowed.", required=True),
    row("denied", 4, _B, "Whether it is forbidden, whatever others say."),
    row("reason", 2, _S, "Why."),
    row("evaluationError", 3, _S, "What went wrong while deciding."),
)

_STATUS = row("status", 3, SUBJECT_ACCESS_REVIEW_STATUS, "The answer; set by the server.")

SUBJECT_ACCESS_REVIEW = _object(
    "SubjectAccessReview",
    "Asks whether a user may do something.",
    row("spec", 2, SUBJECT_ACCESS_REVIEW_SPEC, "The question.", required=True),
    _STATUS,
)

LOCAL_SUBJECT_ACCESS_REVIEW = _object(
    "LocalSubjectAccessReview",
    "Asks whether a user may do something in a namespace.",
    row("spec", 2, SUBJECT_ACCESS_REVIEW_SPEC, "The question, about the same namespace.", required=True),
    _STATUS,
)

SELF_SUBJECT_ACCESS_REVIEW = _object(
    "SelfSubjectAccessReview",
    "Asks whether the caller may do something.",
    row(
        "spec",
        2,
        _auth(
            "SelfSubjectAccessReviewSpec",
            "What the caller wants to do; either about a resource or about a path.",
            _RESOURCE,
            _PATH,
        ),
        "The question.",
        required=True,
    ),
    _STATUS,
)

RESOURCE_RULE = _auth(
    "ResourceRule",
    "Verbs that the caller may use on resources.",
    row("verbs", 1, ListOf(_S), "Verbs; '*' means all.", required=True),
    row("apiGroups", 2, ListOf(_S), "API groups; '*' means all."),
    row("resources", 3, ListOf(_S), "Resources; '*' means all."),
    row("resourceNames", 4, ListOf(_S), "Only these names; empty means all."),
)

NON_RESOURCE_RULE = _auth(
    "NonResourceRule",
    "Verbs that the caller may use on paths.",
    row("verbs", 1, ListOf(_S), "Verbs; '*' means all.", required=True),
    row("nonResourceURLs", 2, ListOf(_S), "Paths; '*' at the end matches any rest."),
)

SELF_SUBJECT_RULES_REVIEW = _object(
    "SelfSubjectRulesReview",
    "Asks for all that the caller may do in a namespace.",
    row(
        "spec",
        2,
        _auth("SelfSubjectRulesReviewSpec", "The question.", row("namespace", 1, _S, "Namespace.")),
        "The question.",
        required=True,
    ),
    row(
        "status",
        3,
        _auth(
            "SubjectRulesReviewStatus",
            "The caller's rules.",
            row("resourceRules", 1, ListOf(RESOURCE_RULE), "Rules about resources.", required=True),
            row("nonResourceRules", 2, ListOf(NON_RESOURCE_RULE), "Rules about paths.", required=True),
            row("incomplete", 3, _B, "Whether rules may be missing.", required=True),
            row("evaluationError", 4, _S, "What went wrong while collecting."),
        ),
        "The answer; set by the server.",
    ),
)
