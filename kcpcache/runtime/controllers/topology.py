"""The controller of PartitionSets: shards, and the Partitions that the sets own, wake it."""

from kcpcache.meta.names import GroupVersionResource
from kcpcache.reconcilers import partition_set
from kcpcache.reconcilers.partition_set import PARTITION_SETS, PARTITIONS
from kcpcache.reconcilers.plan import Plan
from kcpcache.registry.caches import CacheEvent
from kcpcache.registry.logical_clusters import ROOT
from kcpcache.runtime.controller import Controller
from kcpcache.runtime.environment import Environment, either
from kcpcache.runtime.indexes import Name

SHARDS = GroupVersionResource("core.kcp.io", "v1alpha1", "shards")


class TopologyControllers:
    """The controller and what wakes it. ``controllers`` are run by the owner."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._sets: Controller[Name] = Controller("partition-set", self._partition_set, env.apply)
        self.controllers: tuple[Controller[Name], ...] = (self._sets,)
        group, _, resource = PARTITION_SETS
        env.on_event(group, resource, lambda event: self._sets.add((event.cluster, either(event).name)))
        env.on_event(PARTITIONS.group, PARTITIONS.resource, self._partition_changed)
        env.on_event(SHARDS.group, SHARDS.resource, lambda _event: self._add_all())
        self._add_all()

    def _partition_changed(self, event: CacheEvent) -> None:
        for entry in self._env.cache(PARTITION_SETS.group, PARTITION_SETS.resource).entries(event.cluster):
            self._sets.add((entry.cluster, entry.name))

    def _add_all(self) -> None:
        for entry in self._env.cache(PARTITION_SETS.group, PARTITION_SETS.resource).all_entries():
            self._sets.add((entry.cluster, entry.name))

    def _partition_set(self, key: Name) -> Plan:
        lookup = self._env.lookup
        state = partition_set.State(
            partition_set=lookup.get(PARTITION_SETS, *key),
            shards=lookup.list(SHARDS, ROOT),
            partitions=lookup.list(PARTITIONS, key[0]),
            now=self._env.now(),
        )
        return partition_set.reconcile(state)
