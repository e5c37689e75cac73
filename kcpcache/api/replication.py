"""``/services/replication/<cluster>/<cachedresource>[:<identity of the APIExport>]``: who may enter, and what is there.

Behaviour §5: read-only, one resource, aware of consumers. A caller needs ``apiexports/content`` on an APIExport
that exports the CachedResource.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from kcpcache.api.paths import WILDCARD, RequestInfo
from kcpcache.api.services import Workspace, find_in
from kcpcache.auth.attributes import content_attributes
from kcpcache.auth.authorize import Authorizer
from kcpcache.auth.user import User
from kcpcache.meta.errors import ForbiddenError, NotFoundError, forbidden
from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.objects import Object, name_of, nested
from kcpcache.meta.virtual_resources import CACHED_RESOURCES, Exported
from kcpcache.registry.catalog import ExportReference, ProjectedResource, Resource, Snapshot, SnapshotPool
from kcpcache.registry.definitions import definition_of_schema
from kcpcache.registry.lookup import Lookup
from kcpcache.registry.resource import Conversion, ResourceDefinition, ServedVersion
from kcpcache.registry.serving import Serving
from kcpcache.registry.view import NO_ADMISSION, View
from kcpcache.registry.virtual_sources import API_EXPORTS, Source, entry_of_export, exported, source_of
from kcpcache.virtual.consumers import Consumer, consumer_of, consumer_reader
from kcpcache.virtual.continuity import ContinuousView
from kcpcache.virtual.converted import converted
from kcpcache.virtual.replication import ReplicationView
from kcpcache.virtual.views import Views

API_RESOURCE_SCHEMAS = GroupVersionResource("apis.kcp.io", "v1alpha1", "apiresourceschemas")
_REMEMBERED = 1024
_READ_VERBS = frozenset({"get", "list", "watch"})


@dataclass(frozen=True, slots=True)
class Export:
    """An APIExport that exports the CachedResource, and its entry for it."""

    cluster: str
    object: Object
    entry: Object

    @property
    def name(self) -> str:
        """The APIExport's name."""
        return name_of(self.object)

    @property
    def identity_hash(self) -> str:
        """The APIExport's own identity."""
        return str(nested(self.object, "status", "identityHash", default=""))


class ReplicationHandler:
    """See ``services.ServiceHandler``."""

    def __init__(self, lookup: Lookup, serving: Serving, views: Views, authorizer: Authorizer, *, shard: str) -> None:
        self._lookup, self._serving, self._views = lookup, serving, views
        self._authorizer, self._shard = authorizer, shard
        self._pool = SnapshotPool()
        self._definitions: dict[tuple[str, str], ResourceDefinition] = {}

    async def enter(self, info: RequestInfo, user: User) -> Workspace:
        """One consumer's workspace, or all of them. Raises ForbiddenError, NotFoundError."""
        place, _, named = (info.service.arguments if info.service else ("", ""))[1].partition(":")
        provider = self._lookup.clusters.resolve(info.service.arguments[0] if info.service else "") or ""
        cached_resource = self._lookup.get(CACHED_RESOURCES, provider, place) if provider else None
        found = list(self._exports(cached_resource, provider)) if cached_resource else []
        allowed = [e for e in found if named in {"", e.identity_hash} and self._may(user, info, e.cluster, e.name)]
        if not allowed or cached_resource is None:
            raise self._refused(user, place, provider, exists=bool(found))
        source = source_of(cached_resource)
        if info.cluster == WILDCARD:
            return self._all_consumers(info, user, source, allowed, named)
        return self._one_consumer(info, user, source, allowed)

    def _may(self, user: User, info: RequestInfo, cluster: str, export: str) -> bool:
        """Writing verbs are judged as reading: whoever may read is told that there is no writing."""
        verb = info.verb if info.verb in _READ_VERBS else "get"
        wanted = content_attributes(user, verb, cluster, export)
        return self._authorizer.authorize_reference(wanted).allowed

    @staticmethod
    def _refused(user: User, name: str, provider: str, *, exists: bool) -> ForbiddenError | NotFoundError:
        if user.is_master and not exists:
            return NotFoundError(f'no APIExport exports CachedResource "{name}" of logical cluster "{provider}"')
        why = f'User "{user.name}" may not use the content of any APIExport that exports it'
        return forbidden(CACHED_RESOURCES.group, CACHED_RESOURCES.resource, name, why)

    def _exports(self, cached_resource: Object, provider: str) -> Iterator[Export]:
        """Those in the provider's workspace, and those of other workspaces through which somebody consumes it."""
        clusters = {provider, *(consumer.export[0] for consumer in self._consumers(source_of(cached_resource)))}
        for cluster in sorted(clusters):
            for export in self._lookup.list(API_EXPORTS, cluster):
                entry = entry_of_export(export, source_of(cached_resource).resource.group_resource)
                answer = exported(self._lookup, export, cluster, entry) if entry else None
                if isinstance(answer, Exported) and entry and answer.cached_resource is cached_resource:
                    yield Export(cluster, export, entry)

    def _consumers(self, source: Source) -> Iterator[Consumer]:
        if source.identity_hash:
            reader = consumer_reader(self._lookup.caches, self._shard, source)
            for entry in reader.cache.entries(source.provider):
                found = consumer_of(entry)
                if found.cached_resource == source.cached_resource:
                    yield found

    def _all_consumers(
        self, info: RequestInfo, user: User, source: Source, exports: list[Export], named: str
    ) -> Workspace:
        """Also through exports that come later: a record is there only where an export exports the CachedResource."""
        definition = self._definition(source, exports[0])
        bound = ExportReference(exports[0].cluster, exports[0].name)

        def wanted(consumer: Consumer) -> bool:
            return named in {"", consumer.export_identity_hash} and self._may(user, info, *consumer.export)

        def view(resource: Resource, version: ServedVersion) -> View:
            everywhere = ReplicationView(
                self._lookup.caches, resource.definition, version, source, shard=self._shard, wanted=wanted
            )
            origin = self._views.sources.of_cached_resource(source.provider, source.cached_resource)
            return converted(ContinuousView(everywhere, origin))

        return self._workspace(WILDCARD, user, self._snapshot(definition, bound), view)

    def _one_consumer(self, info: RequestInfo, user: User, source: Source, exports: list[Export]) -> Workspace:
        """The workspace must have bound one of the exports. Raises ForbiddenError."""
        cluster = self._lookup.clusters.resolve(info.cluster) or ""
        key = source.resource.group_resource
        resource = self._serving.snapshot(cluster).resources.get(key) if cluster else None
        export = next((e for e in exports if resource and resource.bound and _is_bound_to(resource.bound, e)), None)
        if not isinstance(resource, ProjectedResource) or export is None:
            why = f'workspace "{info.cluster}" is not bound to an APIExport that exports it'
            raise forbidden(CACHED_RESOURCES.group, CACHED_RESOURCES.resource, source.cached_resource, why)
        definition = self._definition(source, export)

        def view(_found: Resource, version: ServedVersion) -> View:
            # As the consumer's workspace serves it: its watches end when that does so no longer.
            return self._views.view(cluster, resource, version)

        return self._workspace(cluster, user, self._snapshot(definition, resource.bound), view)

    def _definition(self, source: Source, export: Export) -> ResourceDefinition:
        """The resource in the CachedResource's version, by the export's schema. Raises NotFoundError saying which."""
        name = str(export.entry.get("schema") or "")
        schema = self._lookup.get(API_RESOURCE_SCHEMAS, export.cluster, name)
        where = f'APIExport "{export.name}" of logical cluster "{export.cluster}"'
        if schema is None:
            raise NotFoundError(f'APIResourceSchema "{name}" of {where} does not exist')
        key = (str(schema["metadata"]["uid"]), source.resource.version)
        definition = self._definitions.get(key)
        if definition is None:
            conversion = self._serving.conversion_of(schema["spec"])
            definition = _one_version(schema, source.resource.version, conversion)
            self._remember(key, definition)
        if definition.group_resource != source.resource.group_resource:
            raise NotFoundError(f'APIResourceSchema "{name}" of {where} is not of {source.resource.group_resource}')
        if definition.version(source.resource.version) is None:
            raise NotFoundError(f'APIResourceSchema "{name}" of {where} does not serve {source.resource.version}')
        return definition

    def _remember(self, key: tuple[str, str], definition: ResourceDefinition) -> None:
        if len(self._definitions) >= _REMEMBERED:
            self._definitions.clear()
        self._definitions[key] = definition

    def _snapshot(self, definition: ResourceDefinition, bound: ExportReference) -> Snapshot:
        return self._pool.intern([ProjectedResource(definition, bound)])

    @staticmethod
    def _workspace(
        cluster: str, user: User, snapshot: Snapshot, view: Callable[[Resource, ServedVersion], View]
    ) -> Workspace:
        """Whoever got this far may do all that the view can; the view is read-only, so nothing is left to admit."""
        return Workspace(
            cluster=cluster,
            user=user,
            snapshot=snapshot,
            find=lambda info, _metadata_only: find_in(snapshot, info),
            view=view,
            admission=lambda _attributes, _options: NO_ADMISSION,
            authorize=None,
        )


def _one_version(schema: Object, version: str, conversion: Conversion | None) -> ResourceDefinition:
    """What the schema defines, of which that version alone is served, if it is at all.

    Copies are in another one where a webhook converts between the version that originals are stored in and this one.
    """
    definition = definition_of_schema(schema, identity_hash="", virtual=True)
    versions = tuple(one if one.name == version else replace(one, served=False) for one in definition.versions)
    return replace(definition, versions=versions, storage_version=version, conversion=conversion)


def _is_bound_to(bound: ExportReference, export: Export) -> bool:
    return (bound.cluster, bound.export) == (export.cluster, export.name)
