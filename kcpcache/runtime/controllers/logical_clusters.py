"""The controller of LogicalClusters: their phases, what they begin with, the default APIBindings, and their end."""

from collections.abc import Iterator, Mapping
from functools import partial

import orjson

from kcpcache.auth.bootstrap_policy import workspace_admin_binding
from kcpcache.auth.user import user_from_info
from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.objects import CLUSTER_ANNOTATION, Object, annotations_of, nested
from kcpcache.reconcilers import default_api_bindings, logical_cluster, workspace
from kcpcache.reconcilers.garbage import Remnant
from kcpcache.reconcilers.in_one_write import Decide, begun, in_one_write
from kcpcache.reconcilers.plan import NOTHING, Create, Plan, Target
from kcpcache.registry import workspace_types
from kcpcache.registry.caches import CacheEvent, ResourceCache
from kcpcache.registry.entry import Entry
from kcpcache.registry.logical_clusters import LOGICAL_CLUSTER_NAME, LOGICAL_CLUSTERS
from kcpcache.registry.virtual_sources import API_EXPORTS
from kcpcache.registry.workspace_types import API_BINDINGS_INITIALIZER
from kcpcache.runtime.controller import Controller
from kcpcache.runtime.environment import Environment, either
from kcpcache.runtime.indexes import API_BINDINGS
from kcpcache.runtime.remnants import batch, paced, stored_caches

NAMESPACES = GroupVersionResource("", "v1", "namespaces")
CLUSTER_ROLE_BINDINGS = GroupVersionResource("rbac.authorization.k8s.io", "v1", "clusterrolebindings")


class LogicalClusterController:
    """``controller``, keyed by logical cluster, is run by the owner. Nobody else in the server changes their status."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self.controller: Controller[str] = Controller("logical-cluster", self._plan, env.apply)
        env.on_event("core.kcp.io", "logicalclusters", self._changed)
        env.on_event("tenancy.kcp.io", "workspacetypes", self._type_changed)
        env.on_event("apis.kcp.io", "apibindings", self._binding_changed)
        env.on_event("apis.kcp.io", "apiexports", self._export_changed)
        for resource in (NAMESPACES, CLUSTER_ROLE_BINDINGS):
            env.on_event(resource.group, resource.resource, self._first_object_changed)
        env.lookup.caches.on_new_cache(lambda cache: cache.listeners.append(self._vanished))
        for cluster in env.lookup.clusters.names():
            self.controller.add(cluster)

    # -- what wakes it

    def _changed(self, event: CacheEvent) -> None:
        """While it empties itself, it is looked at when nothing is left, and a while after each look."""
        entry, before = event.entry, event.previous
        goes_on = entry is not None and entry.deleting and before is not None and before.deleting
        if entry is not None and (not goes_on or self._is_empty(event.cluster)):
            self.controller.add(event.cluster)

    def _is_empty(self, cluster: str) -> bool:
        """But for the LogicalCluster itself."""
        return not any(cluster in cache.shelves for cache in self._contents())

    def _contents(self) -> Iterator[ResourceCache]:
        """The caches of what is in logical clusters."""
        own = self._env.lookup.clusters.cache
        return (cache for cache in stored_caches(self._env.lookup.caches) if cache is not own)

    def _type_changed(self, event: CacheEvent) -> None:
        changed = _spec(event.entry) != _spec(event.previous)
        for name in self._env.lookup.clusters.names():
            found = self._env.lookup.clusters.get(name)
            if found is not None and (changed or found.state != "ready"):
                self.controller.add(name)

    def _binding_changed(self, event: CacheEvent) -> None:
        """While it waits for several bindings, it is looked at once all of them have been decided on, or are going."""
        found = self._env.lookup.clusters.get(event.cluster)
        if found is None or found.deleting:
            return
        bindings = () if found.state == "ready" else self._env.lookup.list(API_BINDINGS, event.cluster)
        if all(
            nested(binding, "status", "phase") or nested(binding, "metadata", "deletionTimestamp")
            for binding in bindings
        ):
            self.controller.add(event.cluster)

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
                    self.controller.add(cluster)
                return

    def _first_object_changed(self, event: CacheEvent) -> None:
        """Of what it begins with, the last is there; where it waits for bindings, those will tell."""
        found = self._env.lookup.clusters.get(event.cluster)
        if event.previous is not None or found is None or found.deleting or found.state != "initializing":
            return
        obj = self._env.lookup.get(LOGICAL_CLUSTERS, event.cluster, LOGICAL_CLUSTER_NAME)
        if API_BINDINGS_INITIALIZER not in (nested(obj, "status", "initializers") or ()):
            self.controller.add(event.cluster)

    def _vanished(self, event: CacheEvent) -> None:
        """A logical cluster that is being deleted may go as soon as nothing is left in it."""
        if event.entry is not None:
            return
        found = self._env.lookup.clusters.get(event.cluster)
        if found is not None and found.deleting and self._is_empty(event.cluster):
            self.controller.add(event.cluster)

    # -- what it decides

    def _plan(self, cluster: str) -> Plan:
        obj = self._env.lookup.get(LOGICAL_CLUSTERS, cluster, LOGICAL_CLUSTER_NAME)
        if obj is None:
            return NOTHING
        missing: tuple[Create, ...] = ()
        if nested(obj, "status", "phase") != "Ready" and "deletionTimestamp" not in obj["metadata"]:
            missing = self.first_objects(cluster, obj)
        target = Target(LOGICAL_CLUSTERS, cluster, LOGICAL_CLUSTER_NAME)
        return in_one_write(target, obj, self._reconcilers(cluster, missing))

    def begun(self, create: Create, missing: tuple[Create, ...]) -> Create:
        """A logical cluster as its Workspace creates it, with the status that it would be given next.

        ``missing``: what of its first objects is not there yet.
        """
        meta, cluster = create.object["metadata"], create.target.cluster
        annotations = {**meta["annotations"], CLUSTER_ANNOTATION: cluster}
        obj = {**create.object, "metadata": {**meta, "annotations": annotations}}
        return begun(create, obj, self._reconcilers(cluster, missing))

    def _reconcilers(self, cluster: str, missing: tuple[Create, ...]) -> tuple[Decide, Decide]:
        return partial(self._phase, cluster, missing), partial(self._default_bindings, cluster)

    def _phase(self, cluster: str, missing: tuple[Create, ...], obj: Object) -> Plan:
        remaining: tuple[Remnant, ...] = ()
        if "deletionTimestamp" in obj["metadata"]:
            remaining = batch(self._contents(), cluster)
        plan = logical_cluster.reconcile(
            logical_cluster.State(
                logical_cluster=obj,
                now=self._env.now(),
                external_url=self._env.shard.external_url,
                bootstrap_objects=missing,
                remaining=remaining,
            )
        )
        return paced(plan, remaining)

    def first_objects(self, cluster: str, owned: Object) -> tuple[Create, ...]:
        """Namespace ``default`` and the binding of the owner, who is named by ``owned``: those that are missing."""
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

    def _default_bindings(self, cluster: str, obj: Object) -> Plan:
        lookup = self._env.lookup
        waiting = API_BINDINGS_INITIALIZER in (nested(obj, "status", "initializers") or ())
        defaults: tuple[default_api_bindings.DefaultBinding, ...] | None = ()
        maintained: tuple[default_api_bindings.DefaultBinding, ...] = ()
        if "deletionTimestamp" not in obj["metadata"]:
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
