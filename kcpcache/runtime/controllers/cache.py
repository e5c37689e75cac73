"""The controllers of the cache side: CachedResources, their endpoint slices, and the records of their consumers.

They share two indexes (who is bound, who consumes), so they are made together.
"""

import secrets
from collections.abc import Callable, Iterable
from typing import NamedTuple

from kcpcache.meta.names import GroupResource, GroupVersionResource, version_order
from kcpcache.meta.objects import Object, annotations_of, cluster_of, name_of, nested
from kcpcache.meta.virtual_resources import (
    CACHED_RESOURCES,
    CONSUMERS,
    ENDPOINT_SLICES,
    cached_resource_reference,
    group_resource_of,
    group_version_resource_of,
    virtual_reference,
)
from kcpcache.reconcilers import (
    api_export_endpoint_slice,
    cached_resource,
    cached_resource_endpoint_slice,
    consumer,
    identity,
)
from kcpcache.reconcilers.cached_resource import Served
from kcpcache.reconcilers.cached_resource_endpoint_slice import Shard
from kcpcache.reconcilers.plan import CacheTarget, Plan
from kcpcache.registry.caches import CacheEvent, ResourceCache
from kcpcache.registry.catalog import StoredResource
from kcpcache.registry.virtual_sources import (
    API_EXPORTS,
    REFERENCE_ALLOWED_ANNOTATION,
    cached_resource_of,
    endpoint_slice_of,
    reference_allowed,
)
from kcpcache.runtime.controller import Controller
from kcpcache.runtime.controllers.replication import Replication
from kcpcache.runtime.environment import Environment, either
from kcpcache.runtime.indexes import API_BINDINGS, BindingIndex, ConsumerIndex, Name, SliceIndex

NAMESPACES = GroupVersionResource("", "v1", "namespaces")
SECRETS = GroupVersionResource("", "v1", "secrets")
PARTITIONS = GroupVersionResource("topology.kcp.io", "v1alpha1", "partitions")
SHARDS = GroupVersionResource("core.kcp.io", "v1alpha1", "shards")
EXPORT_SLICES = GroupVersionResource("apis.kcp.io", "v1alpha1", "apiexportendpointslices")
COUNTS_DELAY_SECONDS = 0.1
"""Counts are written at most this often per CachedResource, however fast objects change."""


class Usage(NamedTuple):
    """CachedResources in numbers: the originals that they select, their copies, the APIBindings that read them."""

    originals: int
    copies: int
    consumers: int


class CacheControllers:
    """The controllers and what wakes them. ``controllers`` are run by the owner."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._cached_resources: Controller[Name] = Controller("cached-resource", self._cached_resource, env.apply)
        self._slices: Controller[Name] = Controller("cached-resource-endpoint-slice", self._slice, env.apply)
        self._export_slices: Controller[Name] = Controller("api-export-endpoint-slice", self._export_slice, env.apply)
        self._consumers: Controller[Name] = Controller("consumer", self._consumer, env.apply)
        self.bindings = BindingIndex(env, self._export_bindings_changed)
        self._slice_index = SliceIndex(env)
        self._records = ConsumerIndex(env, self._records_changed)
        self.replication = Replication(env, self._counts_changed)
        self.controllers: tuple[Controller[Name] | Controller[CacheTarget], ...] = (
            self._cached_resources,
            self._slices,
            self._export_slices,
            self._consumers,
            self.replication.controller,
        )
        self._listen()
        self._seed()

    def usage(self, owner: Name) -> Usage:
        """What a CachedResource is used for now: O(1)."""
        return Usage(self.replication.local(owner), self.replication.copies(owner), self._records.count(*owner))

    def usage_of_all(self) -> Usage:
        """The same over all of them, and over copies that belong to none: O(1)."""
        return Usage(self.replication.all_local, self.replication.all_copies, self._records.total)

    # -- what wakes what

    def _listen(self) -> None:
        env = self._env
        env.on_event(*CACHED_RESOURCES.group_resource, self._cached_resource_changed)
        env.on_event(*ENDPOINT_SLICES.group_resource, self._slice_changed)
        env.on_event("apis.kcp.io", "apiexportendpointslices", lambda e: self._add(self._export_slices, e))
        env.on_event("apis.kcp.io", "apibindings", self._binding_changed)
        env.on_event("apis.kcp.io", "apiexports", self._export_changed)
        env.on_event("", "secrets", self._secret_changed)
        env.on_event("", "namespaces", self._secret_changed)
        env.on_event("apiextensions.k8s.io", "customresourcedefinitions", self._served_changed)
        for resource in ("partitions", "partitionsets"):
            env.on_event("topology.kcp.io", resource, self._topology_changed)
        env.on_event("core.kcp.io", "shards", self._topology_changed)

    def _seed(self) -> None:
        for group, resource, controller in (
            (*CACHED_RESOURCES.group_resource, self._cached_resources),
            (*ENDPOINT_SLICES.group_resource, self._slices),
            ("apis.kcp.io", "apiexportendpointslices", self._export_slices),
            ("apis.kcp.io", "apibindings", self._consumers),
        ):
            for entry in self._env.cache(group, resource).all_entries():
                controller.add((entry.cluster, entry.name))

    @staticmethod
    def _add(controller: Controller[Name], event: CacheEvent) -> None:
        controller.add((event.cluster, either(event).name))

    def _cached_resource_changed(self, event: CacheEvent) -> None:
        if not self._differs(event, _all_but_counts):
            # Looked at again at once, it would be written once per object while there are many changes, each time in
            # the way of whoever wants to write it too.
            self._counts_changed((event.cluster, either(event).name))
            return
        self._add(self._cached_resources, event)
        mine = group_resource_of(self._env.lookup.decode(event.entry) if event.entry else either(event).object())
        for obj in self._env.lookup.list(CACHED_RESOURCES, event.cluster):
            if group_resource_of(obj) == mine:  # a rival: which of them has the resource may have changed
                self._cached_resources.add((event.cluster, name_of(obj)))
        if self._differs(event, _seen_through_exports):
            key = (event.cluster, either(event).name)
            self._slices_of(key)
            for cluster, name in self._slice_index.of_cached_resource(*key):
                self._exports_through_slice(cluster, name)

    def _slices_of(self, cached: Name) -> None:
        for found in self._slice_index.of_cached_resource(*cached):
            self._slices.add(found)

    def _slice_changed(self, event: CacheEvent) -> None:
        self._add(self._slices, event)
        self._add(self._cached_resources, event)
        if self._differs(event, _reference_of_slice):
            self._exports_through_slice(event.cluster, either(event).name)

    def _exports_through_slice(self, cluster: str, name: str) -> None:
        for export in self._env.lookup.list(API_EXPORTS, cluster):
            references = (virtual_reference(entry) for entry in nested(export, "spec", "resources", default=[]))
            if any(reference is not None and reference.name == name for reference in references):
                self._export_consumers_changed((cluster, name_of(export)))

    def _export_changed(self, event: CacheEvent) -> None:
        export = (event.cluster, either(event).name)
        if self._differs(event, _exported_by):
            self._export_consumers_changed(export)
        for obj in self._env.lookup.list(EXPORT_SLICES, event.cluster):
            self._export_slices.add((event.cluster, name_of(obj)))

    def _differs(self, event: CacheEvent, what: Callable[[Object], object]) -> bool:
        """Whether what others depend on has changed: of the rest, such as counts, they need not be told."""
        before = None if event.previous is None else what(event.previous.object())
        return before != (None if event.entry is None else what(self._env.lookup.decode(event.entry)))

    def _export_consumers_changed(self, export: Name) -> None:
        for binding in self.bindings.of_export(*export):
            self._consumers.add(binding)

    def _export_bindings_changed(self, export: Name) -> None:
        cache = self._env.cache("apis.kcp.io", "apiexportendpointslices")
        for entry in cache.entries(export[0]):
            self._export_slices.add((entry.cluster, entry.name))

    def _binding_changed(self, event: CacheEvent) -> None:
        if self._may_consume(event):
            self._add(self._consumers, event)
        self._served_changed(event)

    def _may_consume(self, event: CacheEvent) -> bool:
        """Whether there are records of the binding, or may have to be: most bind nothing with virtual storage."""
        key = (event.cluster, either(event).name)
        if self._records.of_binding(*key):
            return True
        bound = nested(self._env.lookup.get(API_BINDINGS, *key), "status", "boundResources") or ()
        return not all(entry.get("storageVersions") for entry in bound)

    def _served_changed(self, event: CacheEvent) -> None:
        for entry in self._env.cache(*CACHED_RESOURCES.group_resource).entries(event.cluster):
            self._cached_resources.add((event.cluster, entry.name))

    def _secret_changed(self, event: CacheEvent) -> None:
        self._served_changed(event)

    def _topology_changed(self, event: CacheEvent) -> None:
        for resource, controller in (
            (ENDPOINT_SLICES.group_resource, self._slices),
            (("apis.kcp.io", "apiexportendpointslices"), self._export_slices),
        ):
            for entry in self._env.cache(*resource).all_entries():
                controller.add((entry.cluster, entry.name))

    def _records_changed(self, provider: Name, binding: Name) -> None:
        self._consumers.add(binding)
        self._cached_resources.add(provider)
        self._slices_of(provider)

    def _counts_changed(self, owner: Name) -> None:
        self._cached_resources.queue.add_after(owner, COUNTS_DELAY_SECONDS)

    # -- what each decides on

    def _cached_resource(self, key: Name) -> Plan:
        cluster, name = key
        lookup, replicated = self._env.lookup, self.replication
        obj = lookup.get(CACHED_RESOURCES, cluster, name)
        served = self._served(cluster, obj) if obj else None
        claimed = cached_resource.resource_to_claim(obj, served) if obj else None
        rivals = (o for o in lookup.list(CACHED_RESOURCES, cluster) if group_version_resource_of(o) == claimed)
        other = cached_resource.first_of_others(obj, rivals) if obj and claimed else None
        return cached_resource.reconcile(
            cached_resource.State(
                cached_resource=obj,
                path=lookup.clusters.path(cluster),
                now=self._env.now(),
                served=served,
                other_with_same_gvr=other,
                namespace=lookup.get(NAMESPACES, cluster, "kcp-system"),
                secrets=self._secrets(cluster, obj, CACHED_RESOURCES),
                fresh_key=secrets.token_hex(32),
                endpoint_slice=lookup.get(ENDPOINT_SLICES, cluster, name),
                local=replicated.local(key),
                copies=replicated.copies(key),
                consumers=self._records.count(cluster, name),
                full_pass_done=replicated.full_pass_done(key),
            )
        )

    def _served(self, cluster: str, obj: Object) -> Served | None:
        spec = obj["spec"]
        found = self._env.serving.snapshot(cluster).resources.get(
            GroupResource(spec.get("group") or "", spec["resource"])
        )
        if not isinstance(found, StoredResource) or not found.definition.is_custom:
            return None  # a projected one has no originals here, only copies of others'
        names = sorted((v.name for v in found.definition.versions if v.served), key=version_order)
        return Served(tuple(names), found.definition.namespaced)

    def _secrets(self, cluster: str, obj: Object | None, resource: GroupVersionResource) -> tuple[Object, ...]:
        wanted = identity.secrets_to_read(obj, resource) if obj else ()
        found = (self._env.lookup.get(SECRETS, cluster, at.name, at.namespace) for at in wanted)
        return tuple(secret for secret in found if secret is not None)

    def _slice(self, key: Name) -> Plan:
        obj = self._env.lookup.get(ENDPOINT_SLICES, *key)
        provider, found = cached_resource_of(self._env.lookup, obj, key[0]) if obj else ("", None)
        name = name_of(found) if found else ""
        return cached_resource_endpoint_slice.reconcile(
            cached_resource_endpoint_slice.State(
                endpoint_slice=obj,
                cached_resource=found,
                reference_allowed=obj is not None and reference_allowed(obj, provider, name),
                partition=self._partition(key[0], obj),
                shards=self._shards(self._records.count(provider, name)),
                now=self._env.now(),
            )
        )

    def _export_slice(self, key: Name) -> Plan:
        lookup = self._env.lookup
        obj = lookup.get(EXPORT_SLICES, *key)
        reference = nested(obj, "spec", "export", default={})
        cluster = lookup.cluster_at(str(reference.get("path") or ""), beside=key[0]) or ""
        name = str(reference.get("name") or "")
        return api_export_endpoint_slice.reconcile(
            api_export_endpoint_slice.State(
                endpoint_slice=obj,
                export=lookup.get(API_EXPORTS, cluster, name),
                partition=self._partition(key[0], obj),
                shards=self._shards(self.bindings.bound_count(cluster, name)),
                now=self._env.now(),
            )
        )

    def _partition(self, cluster: str, obj: Object | None) -> Object | None:
        name = nested(obj, "spec", "partition")
        return self._env.lookup.get(PARTITIONS, cluster, name) if name else None

    def _shards(self, consumers: int) -> tuple[Shard, ...]:
        found = self._env.lookup.get(SHARDS, "root", self._env.shard.name)
        labels = nested(found, "metadata", "labels", default={}) or {}
        return (Shard(labels, self._env.shard.virtual_workspace_url, consumers),)

    def _consumer(self, key: Name) -> Plan:
        lookup = self._env.lookup
        binding = lookup.get(API_BINDINGS, *key)
        cluster = str(nested(binding, "status", "apiExportClusterName") or "")
        name = str(nested(binding, "spec", "reference", "export", "name") or "")
        export = lookup.get(API_EXPORTS, cluster, name) if cluster else None
        records = tuple(
            consumer.Record(_record_target(cache, entry.cluster, entry.name), entry.object())
            for cache, entry in self._records.of_binding(*key)
        )
        resolutions = tuple(self._resolutions(export)) if export else ()
        state = consumer.State(self._env.shard.name, *key, binding, export, resolutions, records)
        return consumer.reconcile(state)

    def _resolutions(self, export: Object) -> Iterable[consumer.Resolution]:
        cluster = cluster_of(export)
        for entry in nested(export, "spec", "resources", default=[]):
            if virtual_reference(entry) is None:
                continue
            endpoint_slice = endpoint_slice_of(self._env.lookup, export, cluster, entry)
            provider, found = "", None
            if endpoint_slice is not None:
                provider, found = cached_resource_of(self._env.lookup, endpoint_slice, cluster)
            allowed = endpoint_slice is not None and reference_allowed(endpoint_slice, provider, name_of(found or {}))
            key = GroupResource(entry.get("group") or "", entry["name"])
            yield consumer.Resolution(key, endpoint_slice, found, allowed)


def _all_but_counts(cached_resource: Object) -> object:
    """Everything that a decision depends on, or that was written by somebody else."""
    status = {key: value for key, value in (cached_resource.get("status") or {}).items() if key != "resourceCounts"}
    ignored = ("resourceVersion", "managedFields")
    meta = {key: value for key, value in cached_resource["metadata"].items() if key not in ignored}
    return {**cached_resource, "metadata": meta, "status": status}


def _seen_through_exports(cached_resource: Object) -> object:
    """What decides whether an export exports it, and where its copies lie."""
    meta, resource = cached_resource["metadata"], group_version_resource_of(cached_resource)
    deleting, identity_hash = "deletionTimestamp" in meta, nested(cached_resource, "status", "identityHash")
    return meta.get("uid"), deleting, resource, identity_hash


def _reference_of_slice(endpoint_slice: Object) -> object:
    allowed = annotations_of(endpoint_slice).get(REFERENCE_ALLOWED_ANNOTATION)
    return endpoint_slice["metadata"].get("uid"), cached_resource_reference(endpoint_slice), allowed


def _exported_by(export: Object) -> object:
    identity_hash = nested(export, "status", "identityHash")
    return export["metadata"].get("uid"), nested(export, "spec", "resources"), identity_hash


def _record_target(cache: ResourceCache, cluster: str, name: str) -> CacheTarget:
    shard = cache.prefix.split("/")[2]
    identity_hash = cache.prefix.rstrip("/").rpartition(":")[2]
    return CacheTarget(shard, CONSUMERS, identity_hash, cluster, name)
