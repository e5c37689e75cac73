"""The controllers of workspaces: Workspace and WorkspaceType, beside that of LogicalClusters."""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.objects import Object, annotations_of, labels_of, nested
from kcpcache.meta.selectors import label_selector_of
from kcpcache.reconcilers import workspace, workspace_type
from kcpcache.reconcilers.in_one_write import with_next_status
from kcpcache.reconcilers.plan import NOTHING, Change, Create, Plan, Update
from kcpcache.reconcilers.workspace import CLUSTER_NAME_ANNOTATION, WORKSPACES
from kcpcache.registry import workspace_types
from kcpcache.registry.caches import CacheEvent
from kcpcache.registry.logical_clusters import LOGICAL_CLUSTER_NAME, LOGICAL_CLUSTERS, ROOT
from kcpcache.registry.workspace_types import WORKSPACE_TYPES
from kcpcache.runtime.controller import Controller
from kcpcache.runtime.controllers.logical_clusters import LogicalClusterController
from kcpcache.runtime.environment import Environment, either
from kcpcache.runtime.indexes import Name
from kcpcache.runtime.shard_hash import shard_hash

SHARDS = GroupVersionResource("core.kcp.io", "v1alpha1", "shards")
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_LETTERS = _ALPHABET[10:]
_CLUSTER_NAME_LENGTH = 16
_CLUSTER_NAMES = len(_LETTERS) * len(_ALPHABET) ** (_CLUSTER_NAME_LENGTH - 1)


def fresh_cluster_name() -> str:
    """A random logical cluster name: base36, beginning with a letter."""
    number, letter = divmod(secrets.randbelow(_CLUSTER_NAMES), len(_LETTERS))
    digits = []
    for _ in range(_CLUSTER_NAME_LENGTH - 1):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return _LETTERS[letter] + "".join(digits)


def _next(state: workspace.State, obj: Object) -> Plan:
    return workspace.reconcile(replace(state, workspace=obj))


class WorkspaceControllers:
    """The controllers and what wakes them. ``controllers`` are run by the owner."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._workspaces: Controller[Name] = Controller("workspace", self._workspace, env.apply)
        self._clusters = LogicalClusterController(env)
        self._types: Controller[Name] = Controller("workspace-type", self._workspace_type, env.apply)
        self.controllers: tuple[Controller[Name] | Controller[str], ...] = (
            self._workspaces,
            self._clusters.controller,
            self._types,
        )
        self._by_cluster: dict[str, Name] = {}
        env.on_event("tenancy.kcp.io", "workspaces", self._workspace_changed)
        env.on_event("tenancy.kcp.io", "workspacetypes", self._type_changed)
        env.on_event("core.kcp.io", "logicalclusters", self._cluster_changed)
        env.on_event(SHARDS.group, SHARDS.resource, lambda _event: self._add_unready())
        self._seed()

    def _seed(self) -> None:
        for entry in self._env.cache("tenancy.kcp.io", "workspaces").all_entries():
            self._know((entry.cluster, entry.name))
            self._workspaces.add((entry.cluster, entry.name))
        for entry in self._env.cache("tenancy.kcp.io", "workspacetypes").all_entries():
            self._types.add((entry.cluster, entry.name))

    def _know(self, key: Name) -> None:
        obj = self._env.lookup.get(WORKSPACES, *key)
        cluster = annotations_of(obj or {}).get(CLUSTER_NAME_ANNOTATION)
        if cluster:
            self._by_cluster[cluster] = key

    def _workspace_changed(self, event: CacheEvent) -> None:
        key = (event.cluster, either(event).name)
        self._know(key)
        if event.entry is None and event.previous is not None:
            cluster = annotations_of(event.previous.object()).get(CLUSTER_NAME_ANNOTATION, "")
            self._by_cluster.pop(cluster, None)
        self._workspaces.add(key)

    def _type_changed(self, event: CacheEvent) -> None:
        """Workspaces that are not ready may have waited for the type; also those that have no logical cluster yet."""
        self._types.add((event.cluster, either(event).name))
        self._add_unready()

    def _add_unready(self) -> None:
        for entry in self._env.cache("tenancy.kcp.io", "workspaces").all_entries():
            if nested(self._env.lookup.decode(entry), "status", "phase") != "Ready":
                self._workspaces.add((entry.cluster, entry.name))

    def _cluster_changed(self, event: CacheEvent) -> None:
        owner = self._by_cluster.get(event.cluster)
        if owner is not None:
            self._workspaces.add(owner)

    # -- what each decides on

    def _workspace(self, key: Name) -> Plan:
        env = self._env
        obj = env.lookup.get(WORKSPACES, *key)
        if obj is None:
            return NOTHING
        cluster = annotations_of(obj).get(CLUSTER_NAME_ANNOTATION, "")
        found = env.lookup.get(LOGICAL_CLUSTERS, cluster, LOGICAL_CLUSTER_NAME) if cluster else None
        scheduled = bool(nested(obj, "spec", "cluster"))
        begins = cluster and nested(obj, "status", "phase") != "Ready" and "deletionTimestamp" not in obj["metadata"]
        missing = self._clusters.first_objects(cluster, obj) if begins else ()
        state = workspace.State(
            workspace=obj,
            now=env.now(),
            parent_path=env.lookup.clusters.path(key[0]),
            fresh_cluster_name="" if scheduled else self._unused_name(),
            shard=self._shard_for(obj),
            logical_cluster=found,
            initializers=None if scheduled else self._initializers(obj, key[0]),
            bootstrap_objects=missing,
        )
        plan = workspace.reconcile(state)
        return replace(plan, changes=tuple(self._whole(plan, state)))

    def _whole(self, plan: Plan, state: workspace.State) -> Iterator[Change]:
        """The changes, a new logical cluster with its first status, and where it is written together with its phase."""
        for change in plan.changes:
            if isinstance(change, Create) and change.target.resource == LOGICAL_CLUSTERS:
                created = self._clusters.begun(change, state.bootstrap_objects)
                state = replace(state, logical_cluster=created.object)
                yield created
            elif isinstance(change, Update) and nested(change.object, "spec", "cluster"):
                yield with_next_status(change, partial(_next, replace(state, bootstrap_objects=())))
            else:
                yield change

    def _shard_for(self, obj: Object) -> workspace.Shard | None:
        """The shard that this process is, if ``spec.location.selector`` allows it."""
        shard = self._env.shard
        selector = nested(obj, "spec", "location", "selector")
        if selector and not label_selector_of(selector).matches(labels_of(self._own_shard())):
            return None
        return workspace.Shard(shard.name, shard_hash(shard.name), shard.external_url)

    def _own_shard(self) -> Object:
        return self._env.lookup.get(SHARDS, ROOT, self._env.shard.name) or {}

    def _unused_name(self) -> str:
        while (name := fresh_cluster_name()) and self._env.lookup.clusters.get(name) is not None:
            pass
        return name

    def _initializers(self, obj: Object, cluster: str) -> tuple[str, ...] | None:
        value = nested(obj, "spec", "type")
        if not value:
            return None
        reference = workspace_types.reference_of(value, path=self._env.lookup.clusters.path(cluster))
        types = workspace_types.chain(self._env.lookup, reference)
        return None if types is None else workspace_types.initializers(types)

    def _workspace_type(self, key: Name) -> Plan:
        return workspace_type.reconcile(
            workspace_type.State(
                workspace_type=self._env.lookup.get(WORKSPACE_TYPES, *key),
                path=self._env.lookup.clusters.path(key[0]),
                now=self._env.now(),
                virtual_workspace_url=self._env.shard.virtual_workspace_url,
            )
        )
