"""Where authorization finds its facts: RBAC objects, workspace states and permission policies, out of the caches."""

from collections.abc import Iterable, Mapping

from kcpcache.auth.authorize import WorkspaceState
from kcpcache.auth.rbac import Rbac
from kcpcache.meta.names import GroupResource, GroupVersionResource
from kcpcache.meta.objects import Object, nested
from kcpcache.registry.caches import CacheEvent
from kcpcache.registry.lookup import Lookup
from kcpcache.registry.serving import Serving

_GROUP = "rbac.authorization.k8s.io"
ROLES, ROLE_BINDINGS, CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS = (
    GroupVersionResource(_GROUP, "v1", plural)
    for plural in ("roles", "rolebindings", "clusterroles", "clusterrolebindings")
)
API_EXPORTS = GroupVersionResource("apis.kcp.io", "v1alpha2", "apiexports")


class CachedRbac:
    """RBAC objects (see ``rbac.RbacSource``)."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def keep_current(self, rbac: Rbac) -> None:
        """From now on tell ``rbac`` of every change."""

        def changed(event: CacheEvent) -> None:
            rbac.invalidate(event.cluster)

        for resource in (ROLES, ROLE_BINDINGS, CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS):
            self._lookup.cache(resource.group_resource).listeners.append(changed)

    def cluster_roles(self, cluster: str) -> Iterable[Object]:
        """All ClusterRoles of the logical cluster."""
        return self._lookup.list(CLUSTER_ROLES, cluster)

    def cluster_role_bindings(self, cluster: str) -> Iterable[Object]:
        """All ClusterRoleBindings of the logical cluster."""
        return self._lookup.list(CLUSTER_ROLE_BINDINGS, cluster)

    def role_bindings(self, cluster: str, namespace: str) -> Iterable[Object]:
        """All RoleBindings of the namespace."""
        return self._lookup.list(ROLE_BINDINGS, cluster, namespace)

    def role(self, cluster: str, namespace: str, name: str) -> Object | None:
        """One Role, or None."""
        return self._lookup.get(ROLES, cluster, name, namespace)

    def cluster_role(self, cluster: str, name: str) -> Object | None:
        """One ClusterRole, or None."""
        return self._lookup.get(CLUSTER_ROLES, cluster, name)


class CachedGate:
    """The states of logical clusters (see ``authorize.WorkspaceGate``)."""

    def __init__(self, lookup: Lookup) -> None:
        self._clusters = lookup.clusters

    def state(self, cluster: str) -> WorkspaceState:
        """What the LogicalCluster says."""
        return self._clusters.state(cluster)

    def required_groups(self, cluster: str) -> tuple[frozenset[str], ...]:
        """What the LogicalCluster's annotation says."""
        found = self._clusters.get(cluster)
        return found.required_groups if found is not None else ()


class CachedPolicies:
    """Maximal permission policies (see ``authorize.MaximalPermissionPolicy``)."""

    def __init__(self, lookup: Lookup, serving: Serving) -> None:
        self._lookup, self._serving = lookup, serving

    def provider(self, cluster: str, group: str, resource: str) -> str | None:
        """The logical cluster of the APIExport that limits the resource."""
        found = self._serving.snapshot(cluster).resources.get(GroupResource(group, resource))
        if found is None or found.bound is None:
            return None
        export = self._lookup.get(API_EXPORTS, found.bound.cluster, found.bound.export)
        if export is not None and nested(export, "spec", "maximalPermissionPolicy", "local") is None:
            return None
        return found.bound.cluster  # an export that is gone cannot lift its limit

    def served(self, cluster: str) -> Mapping[GroupResource, Iterable[str]]:
        """What the logical cluster's catalog has, with the subresources of all versions."""
        return {
            key: {name for version in found.definition.versions for name in version.subresources}
            for key, found in self._serving.snapshot(cluster).resources.items()
        }
