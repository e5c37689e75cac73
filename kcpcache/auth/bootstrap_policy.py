"""The RBAC objects that are there from the start: in ``system:admin``, in ``root``, and in each new workspace.

From kcp-compat "Bootstrap objects"; the roles named as in kube carry kube's rules for what is served here.
"""

from collections.abc import Iterable, Sequence

from kcpcache.auth.authorize import ACCESS_PATH, ACCESS_VERB
from kcpcache.auth.subjects import BINDING_PREFIX, global_name
from kcpcache.auth.user import AUTHENTICATED, SYSTEM_KCP_ADMIN, SYSTEM_MASTERS, UNAUTHENTICATED, User
from kcpcache.meta.objects import Object
from kcpcache.reconcilers.cluster_role import aggregated_rules

WORKSPACE_ACCESS_ROLE = "system:kcp:workspace:access"
CLUSTER_ADMIN_ROLE = "cluster-admin"
MONITORING = "system:monitoring"
"""A ClusterRole, and the group that has it in ``root``, as in kube: who may read ``/metrics``."""
WORKSPACE_ADMIN_BINDING = "workspace-admin"

_API_VERSION = "rbac.authorization.k8s.io/v1"
_RBAC = "rbac.authorization.k8s.io"
_READ = ("get", "list", "watch")
_WRITE = ("create", "update", "patch", "delete", "deletecollection")
_USABLE_TYPES = ("universal", "organization", "team")
_TENANCY, _TOPOLOGY = "tenancy.kcp.io", "topology.kcp.io"
_CONTENT = ("configmaps", "events", "serviceaccounts")
_LIMITS = ("limitranges", "resourcequotas", "resourcequotas/status", "namespaces", "namespaces/status")
_AGGREGATE_TO = "rbac.authorization.k8s.io/aggregate-to-"
_PUBLIC_PATHS = ("/healthz", "/livez", "/readyz", "/version", "/version/")
_DISCOVERY_PATHS = tuple(sorted(("/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", *_PUBLIC_PATHS)))

_MONITORING_PATHS = ("/healthz", "/livez", "/metrics", "/readyz")


def system_admin_objects() -> list[Object]:
    """The ClusterRoles that every workspace can refer to, and the bindings that count in every workspace."""
    own_reviews = ("selfsubjectaccessreviews", "selfsubjectrulesreviews")
    everybody = [group_subject(AUTHENTICATED)]
    public = "system:public-info-viewer"
    objects = [
        cluster_role(CLUSTER_ADMIN_ROLE, [rule(["*"], ["*"], ["*"]), path_rule(["*"], ["*"])]),
        *_user_roles(),
        cluster_role("system:discovery", [path_rule(["get"], _DISCOVERY_PATHS)]),
        cluster_role(public, [path_rule(["get"], _PUBLIC_PATHS)]),
        cluster_role(
            "system:basic-user",
            [
                rule(["create"], ["authorization.k8s.io"], own_reviews),
                rule(["create"], ["authentication.k8s.io"], ["selfsubjectreviews"]),
            ],
        ),
        cluster_role(MONITORING, [path_rule(["get"], _MONITORING_PATHS)]),
        cluster_role(WORKSPACE_ACCESS_ROLE, [path_rule([ACCESS_VERB], [ACCESS_PATH])]),
        cluster_role_binding(CLUSTER_ADMIN_ROLE, CLUSTER_ADMIN_ROLE, [group_subject(SYSTEM_MASTERS)]),
        cluster_role_binding(SYSTEM_KCP_ADMIN, CLUSTER_ADMIN_ROLE, [group_subject(SYSTEM_KCP_ADMIN)]),
        cluster_role_binding("system:discovery", "system:discovery", everybody),
        cluster_role_binding("system:basic-user", "system:basic-user", everybody),
        cluster_role_binding(public, public, [*everybody, group_subject(UNAUTHENTICATED)]),
    ]
    for obj in objects:
        obj["metadata"].setdefault("labels", {})["kubernetes.io/bootstrapping"] = "rbac-defaults"
    return objects


def _user_roles() -> list[Object]:
    """``view``, ``edit`` and ``admin``: each gathers what is labelled for it, and is gathered by the next one."""
    gathered = [
        _labelled(cluster_role(f"system:aggregate-to-{name}", rules), name)
        for name, rules in (("view", _view_rules()), ("edit", _edit_rules()), ("admin", _admin_rules()))
    ]
    for name, into in (("view", "edit"), ("edit", "admin"), ("admin", "")):
        role = cluster_role(name, [])
        role["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {_AGGREGATE_TO + name: "true"}}]}
        role["rules"] = aggregated_rules(role, gathered)
        gathered.append(_labelled(role, into) if into else role)
    return gathered


def _labelled(role: Object, into: str) -> Object:
    role["metadata"]["labels"] = {_AGGREGATE_TO + into: "true"}
    return role


def root_objects() -> list[Object]:
    """What every authenticated user may do in ``root``, and the maximal permission policies of its exports."""
    reader, home = "system:kcp:tenancy:reader", "system:kcp:tenancy:home"
    types, exports = "system:kcp:workspacetypes:use", "system:kcp:apiexports:bind"
    tenancy, topology = f"{BINDING_PREFIX}{_TENANCY}", f"{BINDING_PREFIX}{_TOPOLOGY}"
    tenancy_admin = f"{tenancy}:admin"
    everybody = [group_subject(AUTHENTICATED)]
    all_consumers = [group_subject(BINDING_PREFIX + AUTHENTICATED)]
    return [
        cluster_role(
            reader,
            [
                rule(_READ, [_TENANCY], ["workspaces", "workspacetypes"]),
                rule(_READ, ["core.kcp.io"], ["logicalclusters"]),
            ],
        ),
        cluster_role(home, [rule(["get", "create"], [_TENANCY], ["workspaces"], ["~"])]),
        cluster_role(types, [rule(["use"], [_TENANCY], ["workspacetypes"], _USABLE_TYPES)]),
        cluster_role(exports, [rule(["bind"], ["apis.kcp.io"], ["apiexports"], [_TENANCY, _TOPOLOGY])]),
        cluster_role(tenancy, _policy_rules(_TENANCY, ["workspaces", "workspacetypes"])),
        cluster_role(topology, _policy_rules(_TOPOLOGY, ["partitions", "partitionsets"])),
        cluster_role(tenancy_admin, [rule(["*"], [_TENANCY], ["*"])]),
        cluster_role_binding(WORKSPACE_ACCESS_ROLE, WORKSPACE_ACCESS_ROLE, everybody),
        *(cluster_role_binding(role, role, everybody) for role in (reader, home, types, exports)),
        *(cluster_role_binding(role, role, all_consumers) for role in (tenancy, topology)),
        cluster_role_binding(MONITORING, MONITORING, [group_subject(MONITORING)]),
        cluster_role_binding(tenancy_admin, tenancy_admin, [group_subject(BINDING_PREFIX + SYSTEM_KCP_ADMIN)]),
    ]


def workspace_admin_binding(user: User) -> Object:
    """The creator's right to all in the new workspace, access to it included (behaviour §8)."""
    subject = {"kind": "User", "apiGroup": _RBAC, "name": global_name(user)}
    return cluster_role_binding(WORKSPACE_ADMIN_BINDING, CLUSTER_ADMIN_ROLE, [subject])


def cluster_role(name: str, rules: Iterable[Object]) -> Object:
    """A ClusterRole."""
    return {
        "apiVersion": _API_VERSION,
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": list(rules),
    }


def cluster_role_binding(name: str, role: str, subjects: Iterable[Object]) -> Object:
    """A ClusterRoleBinding to the ClusterRole ``role``."""
    return {
        "apiVersion": _API_VERSION,
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": role},
        "subjects": list(subjects),
    }


def group_subject(name: str) -> Object:
    """A binding's subject: everybody in the group."""
    return {"kind": "Group", "apiGroup": _RBAC, "name": name}


def rule(verbs: Sequence[str], groups: Sequence[str], resources: Sequence[str], names: Sequence[str] = ()) -> Object:
    """A PolicyRule for resources, all objects of them or those called ``names``."""
    found: Object = {"verbs": list(verbs), "apiGroups": list(groups), "resources": list(resources)}
    return found | {"resourceNames": list(names)} if names else found


def path_rule(verbs: Sequence[str], paths: Sequence[str]) -> Object:
    """A PolicyRule for paths that are no resources."""
    return {"verbs": list(verbs), "nonResourceURLs": list(paths)}


def _policy_rules(group: str, resources: Sequence[str]) -> list[Object]:
    return [
        rule(["*"], [group], resources),
        rule(_READ, [group], [f"{resource}/status" for resource in resources]),
    ]


def _view_rules() -> list[Object]:
    return [
        rule(_READ, [""], [*_CONTENT, *_LIMITS]),
        rule(_READ, ["events.k8s.io"], ["events"]),
    ]


def _edit_rules() -> list[Object]:
    return [
        rule(_READ, [""], ["secrets"]),
        rule(_WRITE, [""], [*_CONTENT, "secrets"]),
        rule(["create"], [""], ["serviceaccounts/token"]),
        rule(["impersonate"], [""], ["serviceaccounts"]),
        rule(_WRITE, ["events.k8s.io"], ["events"]),
        rule([*_READ, *_WRITE], ["coordination.k8s.io"], ["leases"]),
    ]


def _admin_rules() -> list[Object]:
    return [
        rule([*_READ, *_WRITE], [_RBAC], ["roles", "rolebindings"]),
        rule(["create"], ["authorization.k8s.io"], ["localsubjectaccessreviews"]),
    ]
