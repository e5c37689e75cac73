"""``/services/apiexport/<cluster>/<apiexport>``: who may enter, and what is there (behaviour §7).

A caller needs ``apiexports/content`` with the request's verb, in the provider's workspace; nothing else is asked. What
it then sees of a consumer's workspace is what that one's APIBinding grants.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import NamedTuple
from weakref import WeakKeyDictionary

from kcpcache.api.paths import WILDCARD, RequestInfo
from kcpcache.api.services import AdmissionFor, Workspace, find_in
from kcpcache.auth.attributes import Attributes, Decision, content_attributes
from kcpcache.auth.authorize import Authorizer, forbid
from kcpcache.auth.user import User
from kcpcache.meta.errors import NotFoundError, forbidden, path_not_found
from kcpcache.meta.names import GroupResource
from kcpcache.meta.objects import nested
from kcpcache.registry.caches import CacheEvent
from kcpcache.registry.catalog import ProjectedResource, Resource
from kcpcache.registry.lookup import Lookup
from kcpcache.registry.resource import ServedVersion
from kcpcache.registry.stored_view import Guard, StoredView
from kcpcache.registry.view import View, Watch
from kcpcache.registry.virtual_sources import API_EXPORTS, resolve
from kcpcache.virtual.api_export import ApiExportView, SelectedView
from kcpcache.virtual.api_export_consumers import API_BINDINGS, Consumers
from kcpcache.virtual.api_export_grants import ALL, ClaimKey, Name, Scope, Sight
from kcpcache.virtual.api_export_projected import ClaimedProjectionView, Sees
from kcpcache.virtual.api_export_reading import ExportReader
from kcpcache.virtual.api_export_resources import ExportedResources, Served
from kcpcache.virtual.continuity import ContinuousView, Origin
from kcpcache.virtual.converted import converted
from kcpcache.virtual.projection import origin_of
from kcpcache.virtual.replication import ReplicationView
from kcpcache.virtual.views import Views

_READ_VERBS = frozenset({"get", "list", "watch"})
_ALLOWED = Decision(True)
_SCHEMAS = GroupResource("apis.kcp.io", "apiresourceschemas")


class ApiExportHandler:
    """See ``services.ServiceHandler``. ``admission`` is asked about writes to consumers' objects, as about others."""

    def __init__(
        self,
        lookup: Lookup,
        consumers: Consumers,
        resources: ExportedResources,
        views: Views,
        authorizer: Authorizer,
        admission: AdmissionFor,
        *,
        shard: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._lookup, self._resources, self._views = lookup, resources, views
        self._authorizer, self._admission, self._shard, self._clock = authorizer, admission, shard, clock
        self._consumers = consumers
        self._watches: dict[Name, WeakKeyDictionary[Watch, _Watched]] = {}
        self._consumers.listeners.append(self._consumer_changed)
        for resource in (API_EXPORTS.group_resource, _SCHEMAS):
            lookup.cache(resource).listeners.append(self._exports_changed)

    async def enter(self, info: RequestInfo, user: User) -> Workspace:
        """One consumer's workspace, or all of them. Raises ForbiddenError, NotFoundError."""
        place, name = info.service.arguments if info.service else ("", "")
        provider = self._lookup.clusters.resolve(place) or ""
        wanted = content_attributes(user, info.verb if info.is_resource else "get", provider, name)
        decision = self._authorizer.authorize_reference(wanted)
        if not decision.allowed:
            raise forbid(wanted, decision)
        if self._lookup.get(API_EXPORTS, provider, name) is None:
            raise NotFoundError(f'APIExport "{name}" of logical cluster "{place}" does not exist')
        export = (provider, name)
        if info.cluster == WILDCARD:
            return self._workspace(info, user, export, WILDCARD)
        cluster = self._lookup.clusters.resolve(info.cluster) or ""
        if not self._consumers.within(export, cluster):
            why = f'workspace "{info.cluster}" has no APIBinding that is bound to it'
            raise forbidden(API_EXPORTS.group, API_EXPORTS.resource, name, why)
        return self._workspace(info, user, export, cluster)

    def _served(self, export: Name, cluster: str) -> Served:
        if cluster == WILDCARD:
            return self._resources.everywhere(export)
        return self._resources.within(export, cluster, self._consumers.within(export, cluster))

    def _workspace(self, info: RequestInfo, user: User, export: Name, cluster: str) -> Workspace:
        served = self._served(export, cluster)
        snapshot = served.snapshot
        return Workspace(
            cluster=cluster,
            user=user,
            snapshot=snapshot,
            find=lambda asked, _metadata_only: find_in(snapshot, asked),
            view=partial(self._view, export, cluster, served, info.verb),
            admission=self._admission,
            authorize=partial(self._authorize, export, served),
        )

    def _authorize(self, export: Name, served: Served, attributes: Attributes) -> Decision:
        """What APIBindings say of a request: the workspace's own, and over all of them what is claimed."""
        key = GroupResource(attributes.group, attributes.resource)
        if not attributes.is_resource or (key == API_BINDINGS and attributes.verb in _READ_VERBS):
            return _ALLOWED
        if key in served.withheld and attributes.cluster != WILDCARD:
            return Decision(False, "no APIBinding of the workspace grants the APIExport access to this resource")
        claim = served.claims.get(key)
        if claim is None:
            return _ALLOWED
        if attributes.cluster != WILDCARD:
            grants = self._consumers.within(export, attributes.cluster).values()
            if not Sight(claim, claimed=True, verb=attributes.verb).scope(grants):
                return Decision(False, "the permission claim that the workspace has accepted does not name this verb")
        return self._authorize_by_policy(served.snapshot.resources[key], attributes)

    def _authorize_by_policy(self, resource: Resource, attributes: Attributes) -> Decision:
        """A claim on another export's resource gives no more than what that export lets its consumers do."""
        bound = resource.bound
        owner = None if bound is None else self._lookup.get(API_EXPORTS, bound.cluster, bound.export)
        if bound is None or (owner and nested(owner, "spec", "maximalPermissionPolicy", "local") is None):
            return _ALLOWED
        return self._authorizer.authorize_by_policy(attributes, bound.cluster)

    # -- views

    def _view(
        self, export: Name, cluster: str, served: Served, verb: str, resource: Resource, version: ServedVersion
    ) -> View:
        definition = resource.definition
        claim = served.claims.get(definition.group_resource)
        key = claim or ClaimKey(definition.group_resource, definition.identity_hash)
        # APIBindings that no claim is on are seen one by one: for them there is nothing in scope.
        sight = Sight(key, claim is not None or definition.group_resource == API_BINDINGS, verb)
        if isinstance(resource, ProjectedResource):
            return self._projected(export, cluster, sight, resource, version)
        caches = self._lookup.caches
        reader = ExportReader(
            caches,
            caches.of(definition.storage_prefix),
            definition,
            version,
            scope=cluster,
            export=export,
            sight=sight,
            consumers=self._consumers,
        )
        inner = StoredView(caches, definition, version, cluster, self._clock)
        return ApiExportView(reader, inner, self._guard(export, cluster, sight, resource))

    def _projected(
        self, export: Name, cluster: str, sight: Sight, resource: ProjectedResource, version: ServedVersion
    ) -> View:
        guard = self._guard(export, cluster, sight, resource)
        if cluster == WILDCARD:
            return self._projected_everywhere(export, sight, resource, version, guard)
        inner = self._views.view(cluster, resource, version)
        origin = origin_of(resource.bound, self._lookup.clusters.path(resource.bound.cluster))
        scope = sight.scope(self._consumers.within(export, cluster).values())
        if not scope:
            raise path_not_found()

        async def then(revision: int) -> Scope:
            grants = await self._consumers.at(export, revision, cluster)
            return sight.scope(grants[cluster].values())

        selected = SelectedView(inner, scope[0], origin=origin)
        return ContinuousView(selected, Origin(lambda: scope, then, guard))

    def _projected_everywhere(
        self, export: Name, sight: Sight, resource: ProjectedResource, version: ServedVersion, guard: Guard
    ) -> View:
        caches, definition, bound = self._lookup.caches, resource.definition, resource.bound
        source = resolve(self._lookup, bound, definition.group_resource)
        origin = self._views.sources.of_export(bound, definition.group_resource)
        if sight.claimed:
            sees = Sees(self._consumers, export, (bound.cluster, bound.export), sight)
            cache = caches.of(source.prefix(self._shard))
            claimed = ClaimedProjectionView(
                caches, cache, definition, version, provider=source.provider, sees=sees, guard=guard
            )
            return converted(ContinuousView(claimed, origin))
        exported = ReplicationView(
            caches,
            definition,
            version,
            source,
            shard=self._shard,
            wanted=lambda consumer: consumer.export == export,
            guard=guard,
        )
        return converted(ContinuousView(exported, origin))

    # -- the ends of watches

    def _guard(self, export: Name, cluster: str, sight: Sight, resource: Resource) -> Guard:
        """What to tell of watches: they end when the export no longer has the resource, or another one by its name.

        What a consumer takes back, views of stored objects tell by events; a watch of virtual ones in its workspace
        ends. Where those come from is watched by ``ContinuousView``.
        """
        by_consumer = cluster != WILDCARD and isinstance(resource, ProjectedResource)

        def scope() -> Scope:
            return sight.scope(self._consumers.within(export, cluster).values()) if by_consumer else ALL

        then = scope()
        clusters = frozenset({export[0], resource.bound.cluster if resource.bound else export[0]})

        def goes_on() -> bool:
            now = self._served(export, cluster).snapshot.resources.get(resource.definition.group_resource)
            return now is not None and _same_objects(now, resource) and scope() == then

        def attach(watch: Watch) -> None:
            if not goes_on():  # it has vanished while the watch was being opened
                watch.close()
                return
            self._watches.setdefault(export, WeakKeyDictionary())[watch] = _Watched(goes_on, by_consumer, clusters)

        return attach

    def _exports_changed(self, event: CacheEvent) -> None:
        for export in tuple(self._watches):
            self._end_watches(export, lambda watched: event.cluster in watched.clusters)

    def _consumer_changed(self, export: Name, _cluster: str) -> None:
        self._end_watches(export, lambda watched: watched.by_consumer)

    def _end_watches(self, export: Name, concerns: "Callable[[_Watched], bool]") -> None:
        watches = self._watches.get(export)
        if not watches:
            self._watches.pop(export, None)
            return
        for watch, watched in tuple(watches.items()):
            if concerns(watched) and not watched.goes_on():
                watch.close()
                watches.pop(watch, None)


class _Watched(NamedTuple):
    """Whether a watch goes on, which may change with APIExports in ``clusters``, and by what the consumer says."""

    goes_on: Callable[[], bool]
    by_consumer: bool
    clusters: frozenset[str]


def _same_objects(one: Resource, other: Resource) -> bool:
    """Whether both show the same objects, whatever else has changed."""
    return (
        type(one) is type(other)
        and one.definition.identity_hash == other.definition.identity_hash
        and one.definition.shows_like(other.definition)
    )
