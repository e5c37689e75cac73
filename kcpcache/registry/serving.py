"""Which workspace serves what: built-ins and system types everywhere, CRDs and bound resources where they are.

Snapshots are made when they are first asked for after a change, from the caches, on the event loop.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

import msgspec
import orjson

from kcpcache.meta import conditions
from kcpcache.meta.names import GroupResource
from kcpcache.meta.objects import Object, nested
from kcpcache.registry.caches import CacheEvent, Caches
from kcpcache.registry.catalog import (
    ExportReference,
    ProjectedResource,
    Resource,
    Snapshot,
    SnapshotPool,
    StoredResource,
)
from kcpcache.registry.definitions import definition_of_crd, definition_of_schema
from kcpcache.registry.entry import Entry
from kcpcache.registry.logical_clusters import BOUND_SCHEMAS, LOGICAL_CLUSTERS
from kcpcache.registry.resource import Conversion, ResourceDefinition
from kcpcache.registry.view import WILDCARD, Watch
from kcpcache.storage.keys import registry_prefix

CRDS = registry_prefix("apiextensions.k8s.io", "customresourcedefinitions")
API_BINDINGS = registry_prefix("apis.kcp.io", "apibindings")
LOGICAL_CLUSTER_OBJECTS = registry_prefix(LOGICAL_CLUSTERS.group, LOGICAL_CLUSTERS.resource)
API_RESOURCE_SCHEMAS = registry_prefix("apis.kcp.io", "apiresourceschemas")


class _Crd(msgspec.Struct):
    """A CRD whose spec, which may be large, is not decoded."""

    spec: msgspec.Raw
    status: dict[str, Any] | None = None


_crd_decoder = msgspec.json.Decoder(_Crd)


@dataclass(frozen=True, slots=True)
class BoundResource:
    """An item of an APIBinding's ``status.boundResources``, with where it comes from."""

    group: str
    resource: str
    schema_uid: str
    schema_name: str
    identity_hash: str
    virtual: bool
    source: ExportReference


def bound_resources(binding: Object) -> Iterator[BoundResource]:
    """What an APIBinding (in its stored version) has bound."""
    source = ExportReference(
        nested(binding, "status", "apiExportClusterName", default=""),
        nested(binding, "spec", "reference", "export", "name", default=""),
    )
    for item in nested(binding, "status", "boundResources", default=[]):
        schema = item["schema"]
        yield BoundResource(
            item.get("group") or "",
            item["resource"],
            schema["UID"],
            schema["name"],
            schema["identityHash"],
            not item.get("storageVersions"),
            source,
        )


class Serving:
    """The catalog of every workspace: ``base`` is served by all; ``system`` has the rules of bound kcp types.

    ``conversion(spec)`` is the webhook that converts objects of a CRD or APIResourceSchema with that spec, if any.
    """

    def __init__(
        self,
        caches: Caches,
        base: Iterable[ResourceDefinition],
        system: Mapping[GroupResource, ResourceDefinition],
        *,
        conversion: Callable[[Object], Conversion | None] = lambda _spec: None,
    ) -> None:
        self._caches, self.conversion_of = caches, conversion
        self._base: tuple[Resource, ...] = tuple(StoredResource(definition) for definition in base)
        self._system = system
        self._pool = SnapshotPool()
        self._snapshots: dict[str, Snapshot] = {}
        self._crd_definitions: dict[str, tuple[int, ResourceDefinition]] = {}
        # Equal definitions are one, so that workspaces that serve the same share one snapshot.
        self._shared: WeakValueDictionary[bytes, ResourceDefinition] = WeakValueDictionary()
        self._as_written: WeakValueDictionary[bytes, ResourceDefinition] = WeakValueDictionary()
        self._schema_definitions: WeakValueDictionary[tuple[str, str, bool], ResourceDefinition] = WeakValueDictionary()
        self._incomplete: set[str] = set()
        self._crds = caches.of(CRDS)
        self._bindings = caches.of(API_BINDINGS)
        self._schemas = caches.of(API_RESOURCE_SCHEMAS)
        for cache in (self._crds, self._bindings):
            cache.listeners.append(self._changed)
        self._schemas.listeners.append(self._schema_changed)
        caches.of(LOGICAL_CLUSTER_OBJECTS).listeners.append(self._cluster_changed)
        self._watches: dict[str, WeakKeyDictionary[Watch, Resource]] = {}
        self._bare = self._pool.intern(self._base)

    def snapshot(self, cluster: str) -> Snapshot:
        """What the workspace serves now; for ``*`` and unknown clusters what every workspace serves."""
        if cluster == WILDCARD:
            return self._bare
        found = self._snapshots.get(cluster)
        if found is None:
            if not self._crds.count(cluster) and not self._bindings.count(cluster):
                return self._bare
            found = self._snapshots[cluster] = self._pool.intern(self._resources(cluster))
        return found

    def guard(self, cluster: str, resource: Resource) -> Callable[[Watch], None]:
        """What to tell of watches on a resource of a workspace: they end when it is no longer served, or another is."""

        def attach(watch: Watch) -> None:
            if cluster != WILDCARD and not self._serves(cluster, resource):
                watch.close()  # it vanished while the watch was being opened
                return
            self._watches.setdefault(cluster, WeakKeyDictionary())[watch] = resource

        return attach

    def definition_of_bound(self, bound: BoundResource) -> ResourceDefinition | None:
        """The shared definition of a bound resource; None where its schema is not there."""
        key = (bound.schema_uid, bound.identity_hash, bound.virtual)
        found = self._schema_definitions.get(key)
        if found is None:
            entry = self._schemas.get(BOUND_SCHEMAS, bound.schema_uid)
            if entry is None:
                return None
            found = self._definition_of_schema(entry, bound.identity_hash, virtual=bound.virtual)
            self._schema_definitions[key] = found
        return found

    def definition_of_exported(
        self, cluster: str, schema: str, identity_hash: str, *, virtual: bool
    ) -> ResourceDefinition | None:
        """By an APIResourceSchema of the provider's workspace, shared with those who have bound it; None if missing."""
        entry = self._schemas.get(cluster, schema)
        if entry is None:
            return None
        key = (entry.uid, identity_hash, virtual)
        found = self._schema_definitions.get(key)
        if found is None:
            found = self._schema_definitions[key] = self._definition_of_schema(entry, identity_hash, virtual=virtual)
        return found

    def _definition_of_schema(self, entry: Entry, identity_hash: str, *, virtual: bool) -> ResourceDefinition:
        schema = entry.object()
        key = GroupResource(schema["spec"]["group"], schema["spec"]["names"]["plural"])
        known = self._system.get(key)
        made = definition_of_schema(schema, identity_hash=identity_hash, virtual=virtual, fresh=True)
        if known is None:
            return replace(made, conversion=self.conversion_of(schema["spec"]))
        return replace(
            made,
            rules=known.rules,
            convert=known.convert,
            normalize=known.normalize,
            normalize_patch=known.normalize_patch,
        )

    def _resources(self, cluster: str) -> Iterator[Resource]:
        taken: set[GroupResource] = set()
        for resource in self._base:
            taken.add(resource.definition.group_resource)
            yield resource
        for entry in self._crds.entries(cluster):
            definition = self._definition_of_crd(entry)
            if definition is not None and definition.group_resource not in taken:
                taken.add(definition.group_resource)
                yield StoredResource(definition)
        for entry in self._bindings.entries(cluster):
            for bound in bound_resources(entry.object()):
                bound_definition = self.definition_of_bound(bound)
                if bound_definition is None:
                    self._incomplete.add(cluster)
                    continue
                if bound_definition.group_resource in taken:
                    continue
                taken.add(bound_definition.group_resource)
                if entry.deleting:
                    bound_definition = _without_create(bound_definition)
                if bound.virtual:
                    yield ProjectedResource(bound_definition, bound.source)
                else:
                    yield StoredResource(bound_definition, bound.source)

    def _definition_of_crd(self, entry: Entry) -> ResourceDefinition | None:
        known = self._crd_definitions.get(entry.uid)
        if known is not None and known[0] == entry.revision:
            return known[1]
        crd = _crd_decoder.decode(entry.stored())
        if not conditions.is_true({"status": crd.status}, "Established"):
            return None
        accepted = nested(crd.status, "acceptedNames")
        written = sha256(crd.spec)
        written.update(orjson.dumps([accepted, entry.deleting]))
        definition = self._as_written.get(written.digest())
        if definition is None:
            definition = self._as_written[written.digest()] = self._shared_definition(entry)
        self._crd_definitions[entry.uid] = (entry.revision, definition)
        return definition

    def _shared_definition(self, entry: Entry) -> ResourceDefinition:
        """The one definition of all CRDs that say the same, in whatever order."""
        crd = entry.object()
        spec = crd["spec"]
        made = definition_of_crd(crd, conversion=self.conversion_of(spec), fresh=True)
        schemas = (version.schema.hash for version in made.versions)
        versions = [{**version, "schema": next(schemas)} for version in spec["versions"]]
        content = [{**spec, "versions": versions}, nested(crd, "status", "acceptedNames"), entry.deleting]
        digest = sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).digest()
        found = self._shared.get(digest)
        if found is None:
            found = self._shared[digest] = _without_create(made) if entry.deleting else made
        return found

    def _changed(self, event: CacheEvent) -> None:
        self._forget(event.cluster)
        self._end_watches(event.cluster)
        if event.entry is None and event.previous is not None:
            self._crd_definitions.pop(event.previous.uid, None)

    def _schema_changed(self, _event: CacheEvent) -> None:
        for cluster in tuple(self._incomplete):
            self._forget(cluster)

    def _forget(self, cluster: str) -> None:
        self._snapshots.pop(cluster, None)
        self._incomplete.discard(cluster)

    def _cluster_changed(self, event: CacheEvent) -> None:
        """Nothing is kept of a workspace that is gone, and nobody watches it any more."""
        if event.entry is None:
            self._forget(event.cluster)
            for watch in tuple(self._watches.pop(event.cluster, ())):
                watch.close()

    def _end_watches(self, cluster: str) -> None:
        watches = self._watches.get(cluster)
        if not watches:
            self._watches.pop(cluster, None)
            return
        for watch, resource in tuple(watches.items()):
            if not self._serves(cluster, resource):
                watch.close()
                watches.pop(watch, None)

    def _serves(self, cluster: str, resource: Resource) -> bool:
        now = self.snapshot(cluster).resources.get(resource.definition.group_resource)
        return now is not None and _same_objects(now, resource)


def _without_create(definition: ResourceDefinition) -> ResourceDefinition:
    """What is going away takes nothing new."""
    return replace(definition, verbs=tuple(verb for verb in definition.verbs if verb != "create"), terminating=True)


def _same_objects(one: Resource, other: Resource) -> bool:
    """Whether both show the same objects, whatever else has changed."""
    return (
        type(one) is type(other)
        and one.bound == other.bound
        and one.definition.identity_hash == other.definition.identity_hash
        and one.definition.shows_like(other.definition)
    )
