"""The controller behind RBAC: aggregated ClusterRoles follow the roles that they gather."""

from kcpcache.reconcilers import cluster_role
from kcpcache.reconcilers.cluster_role import CLUSTER_ROLES
from kcpcache.reconcilers.plan import Plan
from kcpcache.registry.caches import CacheEvent
from kcpcache.runtime.controller import Controller
from kcpcache.runtime.environment import Environment
from kcpcache.runtime.indexes import Name


class AuthorizationControllers:
    """The controller and what wakes it. ``controllers`` are run by the owner."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._gathering: Controller[Name] = Controller("cluster-role-aggregation", self._plan, env.apply)
        self.controllers = (self._gathering,)
        self._aggregated: dict[str, set[str]] = {}
        env.on_event(CLUSTER_ROLES.group, CLUSTER_ROLES.resource, self._changed)
        for entry in env.cache(CLUSTER_ROLES.group, CLUSTER_ROLES.resource).all_entries():
            self._changed(CacheEvent(entry.revision, entry.cluster, entry, None))

    def _plan(self, key: Name) -> Plan:
        lookup, (cluster, name) = self._env.lookup, key
        role = lookup.get(CLUSTER_ROLES, cluster, name)
        return cluster_role.reconcile(cluster_role.State(role, lookup.list(CLUSTER_ROLES, cluster)))

    def _changed(self, event: CacheEvent) -> None:
        """Any role may be one that others gather."""
        known = self._aggregated.setdefault(event.cluster, set())
        if event.previous is not None:
            known.discard(event.previous.name)
        if event.entry is not None and cluster_role.is_aggregated(self._env.lookup.decode(event.entry)):
            known.add(event.entry.name)
        if not known:
            del self._aggregated[event.cluster]
        for name in known:
            self._gathering.add((event.cluster, name))
