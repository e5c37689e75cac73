"""The controllers behind admission: quotas are counted anew when objects come and go; policies get their status."""

from kcpcache.meta.objects import nested
from kcpcache.reconcilers import admission_policy, quota
from kcpcache.reconcilers.admission_policy import POLICIES
from kcpcache.reconcilers.plan import Plan
from kcpcache.reconcilers.quota import RESOURCE_QUOTAS
from kcpcache.registry.builtin.rules.quantities import canonical
from kcpcache.registry.caches import CacheEvent, ResourceCache
from kcpcache.registry.quotas import count_in, resource_counted
from kcpcache.runtime.controller import Controller
from kcpcache.runtime.environment import Environment, either
from kcpcache.storage.keys import REGISTRY


class AdmissionControllers:
    """The controllers and what wakes them. ``controllers`` are run by the owner. A key: cluster, namespace, name."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._quotas = env.cache("", "resourcequotas")
        self._counting: Controller[tuple[str, str, str]] = Controller("quota", self._plan, env.apply)
        self._policies: Controller[tuple[str, str, str]] = Controller("admission-policy", self._policy, env.apply)
        self.controllers = (self._counting, self._policies)
        env.on_event(POLICIES.group, POLICIES.resource, self._policy_changed)
        for entry in env.cache(POLICIES.group, POLICIES.resource).all_entries():
            self._policies.add((entry.cluster, "", entry.name))
        self._quotas.listeners.append(self._quota_changed)
        env.on_event("apiextensions.k8s.io", "customresourcedefinitions", self._served_changed)
        env.on_event("apis.kcp.io", "apibindings", self._served_changed)
        for entry in self._quotas.all_entries():
            self._counting.add((entry.cluster, entry.namespace, entry.name))
        env.lookup.caches.on_new_cache(self._watch)

    def _plan(self, key: tuple[str, str, str]) -> Plan:
        cluster, namespace, name = key
        found = self._env.lookup.get(RESOURCE_QUOTAS, cluster, name, namespace)
        snapshot = self._env.serving.snapshot(cluster)
        scoped = nested(found, "spec", "scopes") or nested(found, "spec", "scopeSelector")
        used: dict[str, str] = {}
        for counted in (nested(found, "spec", "hard", default=None) or {}) if found and not scoped else {}:
            resource = resource_counted(counted, snapshot)
            if resource is not None:
                definition = snapshot.resources[resource].definition
                cache = self._env.lookup.caches.of(definition.storage_prefix)
                used[counted] = canonical(count_in(cache, cluster, namespace)) or "0"
        return quota.reconcile(quota.State(found, used))

    def _policy(self, key: tuple[str, str, str]) -> Plan:
        found = self._env.lookup.get(POLICIES, key[0], key[2])
        return admission_policy.reconcile(admission_policy.State(found))

    def _policy_changed(self, event: CacheEvent) -> None:
        entry = either(event)
        self._policies.add((entry.cluster, "", entry.name))

    def _quota_changed(self, event: CacheEvent) -> None:
        entry = either(event)
        self._counting.add((entry.cluster, entry.namespace, entry.name))

    def _served_changed(self, event: CacheEvent) -> None:
        self._add(event.cluster)

    def _watch(self, cache: ResourceCache) -> None:
        if not cache.prefix.startswith(REGISTRY):
            return

        def changed(event: CacheEvent) -> None:
            """Only what comes and goes changes a count."""
            if event.cluster in self._quotas.shelves and (event.entry is None or event.previous is None):
                self._add(event.cluster, either(event).namespace)

        cache.listeners.append(changed)

    def _add(self, cluster: str, namespace: str = "") -> None:
        for entry in self._quotas.entries(cluster, namespace):
            self._counting.add((entry.cluster, entry.namespace, entry.name))
