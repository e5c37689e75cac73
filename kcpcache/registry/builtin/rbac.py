"""Types of ``rbac.authorization.k8s.io/v1``."""

from functools import partial

from kcpcache.registry.builtin.meta import LABEL_SELECTOR, object_type
from kcpcache.registry.builtin.types import ListOf, Scalar, package, row

_rbac = package("io.k8s.api.rbac.v1")
_object = partial(object_type, "io.k8s.api.rbac.v1", "rbac.authorization.k8s.io/v1")
_S = Scalar.STRING

POLICY_RULE = _rbac(
    "PolicyRule",
    "Allows verbs on resources or on paths.",
    row("verbs", 1, ListOf(_S), "Verbs allowed; '*' means all.", required=True),
    row("apiGroups", 2, ListOf(_S), "Groups of the resources; '' is the core group, '*' means all."),
    row("resources", 3, ListOf(_S), "Resources, as 'name' or 'name/subresource'; '*' means all."),
    row("resourceNames", 4, ListOf(_S), "Only objects of these names; empty means all."),
    row("nonResourceURLs", 5, ListOf(_S), "Paths; '*' at the end matches any rest. ClusterRoles only."),
)

SUBJECT = _rbac(
    "Subject",
    "A user, group or service account.",
    row("kind", 1, _S, "User, Group or ServiceAccount.", required=True),
    row("apiGroup", 2, _S, "Group of the kind; filled in when empty."),
    row("name", 3, _S, "Name of the subject.", required=True),
    row("namespace", 4, _S, "Namespace of a ServiceAccount; empty for the others."),
    map_type="atomic",
)

ROLE_REF = _rbac(
    "RoleRef",
    "Names the role that a binding grants.",
    row("apiGroup", 1, _S, "Group of the role."),
    row("kind", 2, _S, "Role or ClusterRole.", required=True),
    row("name", 3, _S, "Name of the role.", required=True),
    map_type="atomic",
)

AGGREGATION_RULE = _rbac(
    "AggregationRule",
    "Fills a ClusterRole with the rules of others.",
    row("clusterRoleSelectors", 1, ListOf(LABEL_SELECTOR), "ClusterRoles that match any of these."),
)

ROLE = _object(
    "Role",
    "Permissions within a namespace.",
    row("rules", 2, ListOf(POLICY_RULE), "What is allowed."),
)

CLUSTER_ROLE = _object(
    "ClusterRole",
    "Permissions in the whole workspace.",
    row("rules", 2, ListOf(POLICY_RULE), "What is allowed."),
    row("aggregationRule", 3, AGGREGATION_RULE, "Where rules are collected from.", pointer=True),
)

ROLE_BINDING = _object(
    "RoleBinding",
    "Grants a role within a namespace.",
    row("subjects", 2, ListOf(SUBJECT), "To whom."),
    row("roleRef", 3, ROLE_REF, "Which role; cannot change.", required=True),
)

CLUSTER_ROLE_BINDING = _object(
    "ClusterRoleBinding",
    "Grants a ClusterRole in the whole workspace.",
    row("subjects", 2, ListOf(SUBJECT), "To whom."),
    row("roleRef", 3, ROLE_REF, "Which role; cannot change.", required=True),
)
