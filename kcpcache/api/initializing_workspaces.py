"""``/services/initializingworkspaces/<initializer>``: the workspaces that wait for it, seen by who initializes them.

Behaviour §8: over ``*`` their LogicalClusters; in one of them everything, acting as its owner, but for the
LogicalCluster itself, whose status is where the initializer is taken out when all is done.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from kcpcache.api.paths import WILDCARD, RequestInfo
from kcpcache.api.services import AdmissionFor, Workspace, find_in
from kcpcache.auth.attributes import Attributes
from kcpcache.auth.authorize import Authorizer
from kcpcache.auth.user import SCOPES_EXTRA, SYSTEM_MASTERS, User, user_from_info, with_standard_group
from kcpcache.meta.errors import ForbiddenError, forbidden
from kcpcache.registry.catalog import Resource, Snapshot, SnapshotPool, StoredResource
from kcpcache.registry.logical_clusters import LOGICAL_CLUSTER_NAME, LOGICAL_CLUSTERS
from kcpcache.registry.lookup import Lookup
from kcpcache.registry.resource import ServedVersion
from kcpcache.registry.serving import Serving
from kcpcache.registry.stored_view import StoredView
from kcpcache.registry.view import NO_ADMISSION, View
from kcpcache.registry.workspace_types import WORKSPACE_TYPES
from kcpcache.virtual.initializing_workspaces import (
    VERBS,
    OwnedView,
    WaitingGuard,
    WaitingReader,
    WaitingView,
    waits_for,
)
from kcpcache.virtual.views import Views


class InitializingWorkspacesHandler:
    """See ``services.ServiceHandler``. ``admission`` is that of every workspace."""

    def __init__(
        self,
        lookup: Lookup,
        serving: Serving,
        views: Views,
        authorizer: Authorizer,
        admission: AdmissionFor,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._lookup, self._serving, self._views, self._clock = lookup, serving, views, clock
        self._authorizer, self._admission = authorizer, admission
        definition = lookup.system.definition(LOGICAL_CLUSTERS.group_resource)
        assert definition is not None, "every server has LogicalClusters"  # noqa: S101 -- tells the type checker
        self._definition = replace(definition, verbs=VERBS)
        self._guard = WaitingGuard(lookup)
        self._snapshot = SnapshotPool().intern([StoredResource(self._definition)])

    async def enter(self, info: RequestInfo, user: User) -> Workspace:
        """All that waits, or one such workspace. Raises ForbiddenError."""
        initializer = info.service.arguments[0] if info.service else ""
        self._require_initialize(initializer, user, info)
        if info.cluster == WILDCARD:
            return self._waiting(WILDCARD, user, initializer, self._snapshot)
        cluster = self._lookup.clusters.resolve(info.cluster) or ""
        found = self._lookup.get(LOGICAL_CLUSTERS, cluster, LOGICAL_CLUSTER_NAME) if cluster else None
        if found is None or not waits_for(found, initializer):
            raise _refused(info, f'workspace "{info.cluster}" does not wait for initializer {initializer}')
        if info.is_resource and (info.group, info.resource) == LOGICAL_CLUSTERS.group_resource:
            return self._waiting(cluster, user, initializer, self._snapshot)
        return self._content(info, cluster, initializer)

    def _require_initialize(self, initializer: str, user: User, info: RequestInfo) -> None:
        """The verb ``initialize`` on the WorkspaceType that has the initializer. Raises ForbiddenError."""
        place, _, name = initializer.rpartition(":")
        cluster = self._lookup.clusters.resolve(place)
        group, version, resource = WORKSPACE_TYPES
        allowed = user.is_master
        if cluster == place and name and self._lookup.get(WORKSPACE_TYPES, cluster, name) is not None:
            wanted = Attributes(
                user=user,
                verb="initialize",
                cluster=cluster,
                group=group,
                version=version,
                resource=resource,
                name=name,
            )
            allowed = self._authorizer.authorize_reference(wanted).allowed
        if not allowed:
            raise _refused(info, f'User "{user.name}" may not initialize workspaces for {initializer}')

    def _waiting(self, cluster: str, user: User, initializer: str, snapshot: Snapshot) -> Workspace:
        def view(resource: Resource, version: ServedVersion) -> View:
            definition = resource.definition
            cache = self._lookup.clusters.cache
            reader = WaitingReader(self._lookup, cache, definition, version, scope=cluster, initializer=initializer)
            behind = StoredView(self._lookup.caches, definition, version, cluster, self._clock)
            return WaitingView(reader, behind, initializer)

        return Workspace(
            cluster=cluster,
            user=user,
            snapshot=snapshot,
            find=lambda info, _metadata_only: find_in(snapshot, info),
            view=view,
            admission=lambda _attributes, _options: NO_ADMISSION,
            authorize=None,
        )

    def _content(self, info: RequestInfo, cluster: str, initializer: str) -> Workspace:
        """Everything in a workspace, as its owner. Raises ForbiddenError where nobody owns it."""
        known = self._lookup.clusters.get(cluster)
        if known is None or not known.owner.get("username"):
            raise _refused(info, f'workspace "{info.cluster}" has no owner to act as')
        owner = user_from_info(known.owner)
        # A workspace is handed over to be initialized, not what its owner may do in all others.
        groups = tuple(group for group in owner.groups if group != SYSTEM_MASTERS)
        scopes = (*owner.extra.get(SCOPES_EXTRA, ()), f"cluster:{cluster}")
        owner = replace(owner, groups=groups, extra={**owner.extra, SCOPES_EXTRA: scopes})
        snapshot, guard = self._serving.snapshot(cluster), self._guard.guard(cluster, initializer)
        return Workspace(
            cluster=cluster,
            user=with_standard_group(owner),
            snapshot=snapshot,
            find=lambda asked, _metadata_only: find_in(snapshot, asked),
            view=lambda resource, version: OwnedView(self._views.view(cluster, resource, version), guard),
            admission=self._admission,
            authorize=self._authorizer.authorize,
        )


def _refused(info: RequestInfo, why: str) -> ForbiddenError:
    if info.is_resource:
        return forbidden(info.group, info.resource, info.name, why)
    return ForbiddenError(f"forbidden: {why}")
