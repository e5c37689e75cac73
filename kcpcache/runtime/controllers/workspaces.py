"""The controllers of workspaces: Workspace, LogicalCluster, default APIBindings, WorkspaceType."""

import secrets
from collections.abc import Mapping

import orjson

from kcpcache.auth.bootstrap_policy import workspace_admin_binding
from kcpcache.auth.user import user_from_info
from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.objects import Object, annotations_of, labels_of, nested
from kcpcache.meta.selectors import label_selector_of
from kcpcache.reconcilers import default_api_bindings, logical_cluster, workspace, workspace_type
from kcpcache.reconcilers.garbage import Remnant
from kcpcache.reconcilers.plan import Create, Plan, Target
from kcpcache.reconcilers.workspace import CLUSTER_NAME_ANNOTATION, WORKSPACES
from kcpcache.registry import workspace_types
from kcpcache.registry.caches import CacheEvent
from kcpcache.registry.entry import Entry
from kcpcache.registry.logical_clusters import LOGICAL_CLUSTER_NAME, LOGICAL_CLUSTERS, ROOT
from kcpcache.registry.virtual_sources import API_EXPORTS
from kcpcache.registry.workspace_types import WORKSPACE_TYPES
from kcpcache.runtime.controller import Controller
from kcpcache.runtime.environment import Environment, either
from kcpcache.runtime.indexes import API_BINDINGS, Name
from kcpcache.runtime.remnants import batch, stored_caches
from kcpcache.runtime.shard_hash import shard_hash

NAMESPACES = GroupVersionResource("", "v1", "namespaces")
SHARDS = GroupVersionResource("core.kcp.io", "v1alpha1", "shards")
CLUSTER_ROLE_BINDINGS = GroupVersionResource("rbac.authorization.k8s.io", "v1", "clusterrolebindings")
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


class WorkspaceControllers:
    """The controllers and what wakes them. ``controllers`` are run by the owner."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._workspaces: Controller[Name] = Controller("workspace", self._workspace, env.apply)
        self._clusters: Controller[str] = Controller("logical-cluster", self._logical_cluster, env.apply)
        self._defaults: Controller[str] = Controller("default-api-bindings", self._default_bindings, env.apply)
        self._types: Controller[Name] = Controller("workspace-type", self._workspace_type, env.apply)
        self.controllers: tuple[Controller[Name] | Controller[str], ...] = (
            self._workspaces,
            self._clusters,
            self._defaults,
            self._types,
        )
        self._by_cluster: dict[str, Name] = {}
        env.on_event("tenancy.kcp.io", "workspaces", self._workspace_changed)
        env.on_event("tenancy.kcp.io", "workspacetypes", self._type_changed)
        env.on_event("core.kcp.io", "logicalclusters", self._cluster_changed)
        env.on_event("apis.kcp.io", "apibindings", lambda event: self._defaults.add(event.cluster))
        env.on_event("apis.kcp.io", "apiexports", self._export_changed)
        env.on_event(SHARDS.group, SHARDS.resource, lambda _event: self._add_unready())
        env.lookup.caches.on_new_cache(lambda cache: cache.listeners.append(self._vanished))
        self._seed()

    def _seed(self) -> None:
        for entry in self._env.cache("tenancy.kcp.io", "workspaces").all_entries():
            self._know((entry.cluster, entry.name))
            self._workspaces.add((entry.cluster, entry.name))
        for entry in self._env.cache("tenancy.kcp.io", "workspacetypes").all_entries():
            self._types.add((entry.cluster, entry.name))
        for cluster in self._env.lookup.clusters.names():
            self._clusters.add(cluster)
            self._defaults.add(cluster)

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
        changed = _spec(event.entry) != _spec(event.previous)
        for name in self._env.lookup.clusters.names():
            found = self._env.lookup.clusters.get(name)
            if found is not None and (changed or found.state != "ready"):
                self._defaults.add(name)

    def _add_unready(self) -> None:
        for entry in self._env.cache("tenancy.kcp.io", "workspaces").all_entries():
            if nested(self._env.lookup.decode(entry), "status", "phase") != "Ready":
                self._workspaces.add((entry.cluster, entry.name))

    def _export_changed(self, event: CacheEvent) -> None:
        """Where a type maintains a binding to the export, all workspaces are looked at: any may be of that type."""
        before, after = (e and _spec(e).get("permissionClaims", []) for e in (event.previous, event.entry))
        if before == after:
            return
        name = either(event).name
        for entry in self._env.cache("tenancy.kcp.io", "workspacetypes").all_entries():
            maintained = workspace_types.maintained_bindings(self._env.lookup, (self._env.lookup.decode(entry),))
            if any(export == name for _, export in maintained):
                for cluster in self._env.lookup.clusters.names():
                    self._defaults.add(cluster)
                return

    def _cluster_changed(self, event: CacheEvent) -> None:
        self._clusters.add(event.cluster)
        self._defaults.add(event.cluster)
        owner = self._by_cluster.get(event.cluster)
        if owner is not None:
            self._workspaces.add(owner)

    def _vanished(self, event: CacheEvent) -> None:
        """A logical cluster that is being deleted may go as soon as nothing is left in it."""
        if event.entry is not None:
            return
        found = self._env.lookup.clusters.get(event.cluster)
        if found is None or not found.deleting:
            return
        own, cluster = self._env.lookup.clusters.cache, event.cluster
        caches = stored_caches(self._env.lookup.caches)
        if not any(cluster in cache.shelves and cache is not own for cache in caches):
            self._clusters.add(cluster)

    # -- what each decides on

    def _workspace(self, key: Name) -> Plan:
        env = self._env
        obj = env.lookup.get(WORKSPACES, *key)
        cluster = annotations_of(obj or {}).get(CLUSTER_NAME_ANNOTATION, "")
        found = env.lookup.get(LOGICAL_CLUSTERS, cluster, LOGICAL_CLUSTER_NAME) if cluster else None
        settled = nested(obj, "status", "phase") == "Ready"
        return workspace.reconcile(
            workspace.State(
                workspace=obj,
                now=env.now(),
                parent_path=env.lookup.clusters.path(key[0]),
                fresh_cluster_name="" if nested(obj, "spec", "cluster") else self._unused_name(),
                shard=self._shard_for(obj) if obj else None,
                logical_cluster=found,
                initializers=self._initializers(obj, key[0]) if obj else None,
                bootstrap_objects=self._bootstrap(cluster, obj) if obj and cluster and not settled else (),
            )
        )

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

    def _bootstrap(self, cluster: str, owned: Object) -> tuple[Create, ...]:
        """Namespace ``default`` and the owner's binding, those that are missing."""
        wanted: list[tuple[GroupVersionResource, Object]] = [
            (NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}})
        ]
        owner = _owner(owned)
        if owner:
            wanted.append((CLUSTER_ROLE_BINDINGS, workspace_admin_binding(user_from_info(owner))))
        return tuple(
            Create(Target(resource, cluster, obj["metadata"]["name"]), obj)
            for resource, obj in wanted
            if self._env.lookup.get(resource, cluster, obj["metadata"]["name"]) is None
        )

    def _logical_cluster(self, cluster: str) -> Plan:
        env = self._env
        obj = env.lookup.get(LOGICAL_CLUSTERS, cluster, LOGICAL_CLUSTER_NAME)
        deleting = obj is not None and bool(obj["metadata"].get("deletionTimestamp"))
        settled = nested(obj, "status", "phase") == "Ready"
        remaining: tuple[Remnant, ...] = ()
        if deleting:
            own = env.lookup.clusters.cache
            remaining = batch((cache for cache in stored_caches(env.lookup.caches) if cache is not own), cluster)
        return logical_cluster.reconcile(
            logical_cluster.State(
                logical_cluster=obj,
                now=env.now(),
                external_url=env.shard.external_url,
                bootstrap_objects=self._bootstrap(cluster, obj) if obj and not settled and not deleting else (),
                remaining=remaining,
            )
        )

    def _default_bindings(self, cluster: str) -> Plan:
        lookup = self._env.lookup
        obj = lookup.get(LOGICAL_CLUSTERS, cluster, LOGICAL_CLUSTER_NAME)
        waiting = workspace_types.API_BINDINGS_INITIALIZER in (nested(obj, "status", "initializers") or ())
        defaults: tuple[default_api_bindings.DefaultBinding, ...] | None = ()
        maintained: tuple[default_api_bindings.DefaultBinding, ...] = ()
        if obj is not None and "deletionTimestamp" not in obj["metadata"]:
            reference = workspace_types.parse_reference(annotations_of(obj).get(workspace.TYPE_ANNOTATION, ""))
            types = workspace_types.chain(lookup, reference)
            if waiting:
                exports = None if types is None else workspace_types.default_bindings(lookup, types)
                defaults = None if exports is None else tuple(self._default(path, name) for path, name in exports)
            else:
                kept = workspace_types.maintained_bindings(lookup, types or ())
                maintained = tuple(self._default(path, name) for path, name in kept)
        return default_api_bindings.reconcile(
            default_api_bindings.State(
                logical_cluster=obj,
                now=self._env.now(),
                defaults=defaults,
                existing=lookup.list(API_BINDINGS, cluster) if waiting or maintained else (),
                maintained=maintained,
            )
        )

    def _default(self, path: str, name: str) -> default_api_bindings.DefaultBinding:
        cluster = self._env.lookup.clusters.resolve(path)
        export = self._env.lookup.get(API_EXPORTS, cluster, name) if cluster else None
        claims = None if export is None else tuple(nested(export, "spec", "permissionClaims", default=None) or ())
        return default_api_bindings.DefaultBinding(path, name, claims, cluster or "")

    def _workspace_type(self, key: Name) -> Plan:
        return workspace_type.reconcile(
            workspace_type.State(
                workspace_type=self._env.lookup.get(WORKSPACE_TYPES, *key),
                path=self._env.lookup.clusters.path(key[0]),
                now=self._env.now(),
                virtual_workspace_url=self._env.shard.virtual_workspace_url,
            )
        )


def _spec(entry: Entry | None) -> Object:
    found = None if entry is None else entry.object().get("spec")
    return found if isinstance(found, dict) else {}


def _owner(obj: Object) -> Mapping[str, object]:
    text = annotations_of(obj).get(workspace.OWNER_ANNOTATION)
    try:
        found = orjson.loads(text) if text else {}
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
