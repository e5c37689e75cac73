"""The view of any resource that a workspace serves."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from kcpcache.registry.catalog import ProjectedResource, Resource
from kcpcache.registry.lookup import Lookup
from kcpcache.registry.resource import ServedVersion
from kcpcache.registry.serving import Serving
from kcpcache.registry.stored_view import Guard, StoredView
from kcpcache.registry.view import View
from kcpcache.registry.virtual_sources import Resolved, broken, other_reference
from kcpcache.virtual.continuity import ContinuousView, Sources
from kcpcache.virtual.converted import converted
from kcpcache.virtual.projection import ProjectedView, origin_of
from kcpcache.virtual.proxied import Endpoints, ProxiedView, References


class Views:
    """Makes views; a view is cheap and made per request. ``shard`` is this shard's name.

    ``sources`` is for whoever makes other views of the same objects.
    ``endpoints`` None: no endpoint URL is ever followed.
    """

    def __init__(
        self,
        lookup: Lookup,
        serving: Serving,
        *,
        shard: str,
        clock: Callable[[], datetime],
        endpoints: Endpoints | None = None,
    ) -> None:
        self._lookup, self._serving, self._shard, self._clock = lookup, serving, shard, clock
        self._endpoints, self._references = endpoints, References(lookup, serving, clock)
        self.sources, self._resolved = Sources(lookup), Resolved(lookup)

    def view(self, cluster: str, resource: Resource, version: ServedVersion, *, guard: Guard | None = None) -> View:
        """The view of ``resource`` in a workspace; its watches end when it is no longer served there.

        ``guard``: whoever ends them elsewhere.
        """
        definition, guard = resource.definition, guard or self._serving.guard(cluster, resource)
        if not isinstance(resource, ProjectedResource):
            return StoredView(self._lookup.caches, definition, version, cluster, self._clock, guard=guard)
        bound, key = resource.bound, definition.group_resource
        path = self._lookup.clusters.path(bound.cluster)
        reference = other_reference(self._lookup, bound, key) if self._endpoints is not None else None
        if self._endpoints is not None and reference is not None:
            return ProxiedView(
                self._endpoints,
                definition,
                version,
                cluster,
                urls=partial(self._references.urls, bound.cluster, reference),
                unavailable=partial(broken, self._lookup, bound, key),
                origin=origin_of(bound, path),
                guard=guard,
            )
        projected = ProjectedView(
            self._lookup.caches,
            definition,
            version,
            cluster,
            shard=self._shard,
            resolve=partial(self._resolved, bound, key),
            origin=origin_of(bound, path),
            guard=guard,
        )
        return converted(ContinuousView(projected, self.sources.in_workspace(cluster, bound, key)))
