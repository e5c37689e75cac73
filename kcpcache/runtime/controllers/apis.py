"""The controllers of what is served: CRDs, APIExports, APIBindings.

Names in one workspace are given away one at a time: CRDs and APIBindings are decided per workspace, in order.
"""

import secrets
from collections.abc import Iterator, Mapping

from kcpcache.meta.names import GroupResource, GroupVersionResource
from kcpcache.meta.objects import Object, name_of, nested
from kcpcache.reconcilers import api_binding, api_export, crd, identity
from kcpcache.reconcilers.crd import CRDS, TakenNames, join_taken, taken_by
from kcpcache.reconcilers.garbage import Remnant
from kcpcache.reconcilers.plan import Plan
from kcpcache.registry.caches import CacheEvent
from kcpcache.registry.logical_clusters import BOUND_SCHEMAS
from kcpcache.registry.serving import BoundResource, bound_resources
from kcpcache.registry.virtual_sources import API_EXPORTS
from kcpcache.runtime.controller import Controller
from kcpcache.runtime.controllers.bound_schemas import BoundSchemaController
from kcpcache.runtime.environment import Environment, either, first_plan, joined
from kcpcache.runtime.indexes import API_BINDINGS, BindingIndex, Name
from kcpcache.runtime.remnants import batch, stored_caches
from kcpcache.storage.keys import registry_prefix

SCHEMAS = GroupVersionResource("apis.kcp.io", "v1alpha1", "apiresourceschemas")
EXPORT_SLICES = GroupVersionResource("apis.kcp.io", "v1alpha1", "apiexportendpointslices")
NAMESPACES = GroupVersionResource("", "v1", "namespaces")
SECRETS = GroupVersionResource("", "v1", "secrets")


class ApiControllers:
    """The controllers and what wakes them. ``controllers`` are run by the owner."""

    def __init__(self, env: Environment, bindings: BindingIndex) -> None:
        self._env, self._index = env, bindings
        self._crds: Controller[str] = Controller("crd", self._plan_crds, env.apply)
        self._exports: Controller[Name] = Controller("api-export", self._export, env.apply)
        self._bindings: Controller[str] = Controller("api-binding", self._plan_bindings, env.apply)
        self.controllers: tuple[Controller[Name] | Controller[str], ...] = (
            self._crds,
            self._exports,
            self._bindings,
            BoundSchemaController(env).controller,
        )
        env.on_event("apiextensions.k8s.io", "customresourcedefinitions", self._names_changed)
        env.on_event("apis.kcp.io", "apibindings", self._names_changed)
        env.on_event("apis.kcp.io", "apiexports", self._export_changed)
        env.on_event("apis.kcp.io", "apiresourceschemas", self._schema_changed)
        env.on_event("apis.kcp.io", "apiexportendpointslices", self._wake_exports)
        env.on_event("", "secrets", self._wake_exports)
        env.on_event("", "namespaces", self._wake_exports)
        env.on_event("core.kcp.io", "logicalclusters", self._workspace_changed)
        self._seed()

    def _seed(self) -> None:
        for entry in self._env.cache("apis.kcp.io", "apiexports").all_entries():
            self._exports.add((entry.cluster, entry.name))
        for cluster in self._env.cache("apis.kcp.io", "apibindings").shelves:
            self._bindings.add(cluster)
        for cluster in self._env.cache("apiextensions.k8s.io", "customresourcedefinitions").shelves:
            self._crds.add(cluster)

    # -- what wakes what

    def _names_changed(self, event: CacheEvent) -> None:
        self._add_if_any(self._crds, CRDS, event.cluster)
        self._add_if_any(self._bindings, API_BINDINGS, event.cluster)

    def _add_if_any(self, controller: Controller[str], resource: GroupVersionResource, cluster: str) -> None:
        """Have a workspace looked at, unless there is nothing in it to decide on."""
        if cluster in self._env.cache(*resource.group_resource).shelves:
            controller.add(cluster)

    def _export_changed(self, event: CacheEvent) -> None:
        key = (event.cluster, either(event).name)
        self._exports.add(key)
        self._wake_bindings(*key)

    def _wake_bindings(self, cluster: str, export: str) -> None:
        for consumer, _ in self._index.of_export(cluster, export):
            self._bindings.add(consumer)

    def _wake_exports(self, event: CacheEvent) -> None:
        for entry in self._env.cache("apis.kcp.io", "apiexports").entries(event.cluster):
            self._exports.add((event.cluster, entry.name))

    def _schema_changed(self, event: CacheEvent) -> None:
        for entry in self._env.cache("apis.kcp.io", "apiexports").entries(event.cluster):
            self._wake_bindings(event.cluster, entry.name)

    def _workspace_changed(self, event: CacheEvent) -> None:
        """A workspace that comes to be makes references by path resolve."""
        if event.previous is None:
            self._add_if_any(self._bindings, API_BINDINGS, event.cluster)
            self._wake_exports(event)

    # -- what each decides on

    def _plan_crds(self, cluster: str) -> Plan:
        return first_plan(self._crd(obj) for obj in self._env.lookup.list(CRDS, cluster))

    def _crd(self, obj: Object) -> Plan:
        cluster, spec = obj["metadata"]["annotations"]["kcp.io/cluster"], obj["spec"]
        remaining: tuple[Remnant, ...] = ()
        if obj["metadata"].get("deletionTimestamp"):
            prefix = registry_prefix(spec["group"], spec["names"]["plural"])
            remaining = batch([self._env.lookup.caches.of(prefix)], cluster)
        taken = join_taken(self._taken(cluster, spec["group"], but_crd=name_of(obj)))
        return crd.reconcile(crd.State(obj, self._env.now(), taken, remaining))

    def _taken(self, cluster: str, group: str, *, but_crd: str = "", but_binding: str = "") -> Iterator[TakenNames]:
        """The names in use in a group by CRDs and bound resources of a workspace, but for one CRD or one binding."""
        for other in self._env.lookup.list(CRDS, cluster):
            if other["spec"]["group"] == group and name_of(other) != but_crd:
                yield taken_by(nested(other, "status", "acceptedNames", default={}), name_of(other))
        for binding in self._env.lookup.list(API_BINDINGS, cluster):
            if name_of(binding) == but_binding:
                continue
            for bound in bound_resources(binding):
                names = self._names(bound) if bound.group == group else None
                if names is not None:
                    yield taken_by(names, f"APIBinding {name_of(binding)}")

    def _names(self, bound: BoundResource) -> Mapping[str, object] | None:
        schema = self._env.lookup.get(SCHEMAS, BOUND_SCHEMAS, bound.schema_uid)
        names: Mapping[str, object] | None = nested(schema, "spec", "names")
        return names

    def _export(self, key: Name) -> Plan:
        lookup = self._env.lookup
        obj = lookup.get(API_EXPORTS, *key)
        wanted = identity.secrets_to_read(obj, API_EXPORTS) if obj else ()
        found = (lookup.get(SECRETS, key[0], at.name, at.namespace) for at in wanted)
        return api_export.reconcile(
            api_export.State(
                export=obj,
                path=lookup.clusters.path(key[0]),
                now=self._env.now(),
                namespace=lookup.get(NAMESPACES, key[0], "kcp-system"),
                secrets=tuple(secret for secret in found if secret is not None),
                fresh_key=secrets.token_hex(32),
                endpoint_slice=lookup.get(EXPORT_SLICES, *key),
                virtual_workspace_url=self._env.shard.virtual_workspace_url,
            )
        )

    def _plan_bindings(self, cluster: str) -> Plan:
        """Those that are being deleted do not get into each other's way."""
        bindings = self._env.lookup.list(API_BINDINGS, cluster)
        going = [obj for obj in bindings if "deletionTimestamp" in obj["metadata"]]
        own = joined([self._binding(cluster, obj) for obj in going])
        if own.changes or len(going) == len(bindings):
            return own
        return first_plan((own, *(self._binding(cluster, obj) for obj in bindings if obj not in going)))

    def _binding(self, cluster: str, obj: Object) -> Plan:
        lookup = self._env.lookup
        reference = nested(obj, "spec", "reference", "export", default={})
        provider = lookup.cluster_at(str(reference.get("path") or ""), beside=cluster)
        export = lookup.get(API_EXPORTS, provider, str(reference.get("name") or "")) if provider else None
        entries = nested(export, "spec", "resources", default=None) or []
        schemas = {entry["schema"]: lookup.get(SCHEMAS, provider or "", entry["schema"]) for entry in entries}
        uids = {schema["metadata"]["uid"] for schema in schemas.values() if schema is not None}
        kept = frozenset(uid for uid in uids if lookup.get(SCHEMAS, BOUND_SCHEMAS, uid) is not None)
        name = name_of(obj)
        groups = {entry.get("group") or "" for entry in entries}
        deleting = bool(obj["metadata"].get("deletionTimestamp"))
        return api_binding.reconcile(
            api_binding.State(
                binding=obj,
                path=lookup.clusters.path(cluster),
                now=self._env.now(),
                export=export,
                schemas=schemas,
                kept=kept,
                taken={group: join_taken(self._taken(cluster, group, but_binding=name)) for group in groups},
                unknown_claims=self._unknown_claims(obj),
                remaining=self._remaining(cluster, obj) if deleting else (),
                workspace_deleting=deleting and self._is_going(cluster),
            )
        )

    def _is_going(self, cluster: str) -> bool:
        workspace = self._env.lookup.clusters.get(cluster)
        return workspace is not None and workspace.deleting

    def _remaining(self, cluster: str, binding: Object) -> tuple[Remnant, ...]:
        definitions = [
            self._env.serving.definition_of_bound(bound) for bound in bound_resources(binding) if not bound.virtual
        ]
        prefixes = [definition.storage_prefix for definition in definitions if definition is not None]
        return batch([self._env.lookup.caches.of(prefix) for prefix in prefixes], cluster)

    def _unknown_claims(self, binding: Object) -> frozenset[api_binding.Claim]:
        """Accepted claims whose identity hash no stored resource has."""
        claims = nested(binding, "spec", "permissionClaims", default=None) or []
        wanted = {api_binding.claim_of(claim) for claim in claims if claim.get("identityHash")}
        if not wanted:
            return frozenset()
        known = {cache.prefix for cache in stored_caches(self._env.lookup.caches)}
        return frozenset(
            claim
            for claim in wanted
            if registry_prefix(claim.group, claim.resource, identity=claim.identity_hash) not in known
            and not self._exported_with(claim)
        )

    def _exported_with(self, claim: api_binding.Claim) -> bool:
        for entry in self._env.cache("apis.kcp.io", "apiexports").all_entries():
            export = self._env.lookup.get(API_EXPORTS, entry.cluster, entry.name)
            if nested(export, "status", "identityHash") == claim.identity_hash:
                resources = nested(export, "spec", "resources", default=None) or []
                if any(GroupResource(r.get("group") or "", r["name"]) == claim[:2] for r in resources):
                    return True
        return False
