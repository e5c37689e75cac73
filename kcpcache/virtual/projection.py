"""The objects of a CachedResource as a consumer sees them: read-only, in the consumer's own workspace."""

from collections.abc import Callable
from typing import NoReturn

from kcpcache.meta.errors import MethodNotAllowedError, ServiceUnavailableError
from kcpcache.meta.names import GroupResource
from kcpcache.meta.objects import Object
from kcpcache.registry.caches import Caches
from kcpcache.registry.catalog import ExportReference
from kcpcache.registry.reading import Reader
from kcpcache.registry.resource import ResourceDefinition, ServedVersion
from kcpcache.registry.stored_view import Guard
from kcpcache.registry.view import (
    Admission,
    Change,
    DeleteOptions,
    Item,
    Listing,
    ListOptions,
    Watch,
    WriteOptions,
    Written,
)
from kcpcache.registry.virtual_sources import Source


class ReadOnlyView:
    """The writing verbs of a view that has none. ``origin`` says for people where its objects come from."""

    definition: ResourceDefinition
    origin: str

    async def create(self, namespace: str, obj: Object, options: WriteOptions, admission: Admission) -> Written:
        """Raises MethodNotAllowedError."""
        self._refuse("create")

    async def update(
        self,
        namespace: str,
        name: str,
        change: Change,
        options: WriteOptions,
        admission: Admission,
        *,
        subresource: str = "",
        create_if_missing: bool = False,
    ) -> Written:
        """Raises MethodNotAllowedError."""
        self._refuse("update")

    async def delete(self, namespace: str, name: str, options: DeleteOptions, admission: Admission) -> Written:
        """Raises MethodNotAllowedError."""
        self._refuse("delete")

    async def delete_collection(self, selection: ListOptions, options: DeleteOptions, admission: Admission) -> Listing:
        """Raises MethodNotAllowedError."""
        self._refuse("deletecollection")

    def _refuse(self, verb: str) -> NoReturn:
        raise read_only(self.definition.group_resource, verb, self.origin)


def origin_of(bound: ExportReference, path: str) -> str:
    """Where a bound virtual resource's objects come from, for people; ``path`` is that of the export's workspace."""
    return f'APIExport "{bound.export}" of workspace {path}'


def read_only(resource: GroupResource, verb: str, origin: str) -> MethodNotAllowedError:
    """What a write to a projected resource is answered with."""
    return MethodNotAllowedError(
        f"{verb} is not supported: {resource} is read-only here. Its objects come from {origin}; change them there",
        group=resource.group,
        kind=resource.resource,
    )


class ProjectedView(ReadOnlyView):
    """One consumer's view of a source.

    ``resolve`` finds the source anew for each call, so that a broken or changed reference is noticed at once; it raises
    ServiceUnavailableError.
    """

    def __init__(
        self,
        caches: Caches,
        definition: ResourceDefinition,
        version: ServedVersion,
        cluster: str,
        *,
        shard: str,
        resolve: Callable[[], Source],
        origin: str,
        guard: Guard | None = None,
    ) -> None:
        self.definition, self.version, self.cluster, self.origin = definition, version, cluster, origin
        self._caches, self._shard, self._resolve, self._guard = caches, shard, resolve, guard

    def at_once(self, namespace: str, name: str) -> Item | None:
        """See ``view.PromptView``."""
        try:
            return self._reader().at_once(namespace, name)
        except ServiceUnavailableError:  # a broken reference
            return None

    async def get(self, namespace: str, name: str, *, resource_version: str = "") -> Item:
        """See ``view.View``."""
        return await self._reader().get(namespace, name, resource_version)

    async def list(self, options: ListOptions) -> Listing:
        """See ``view.View``."""
        return await self._reader().list(options)

    async def watch(self, options: ListOptions) -> Watch:
        """See ``view.View``."""
        watch = await self._reader().watch(options)
        if self._guard is not None:
            self._guard(watch)
        return watch

    def _reader(self) -> Reader:
        source = self._resolve()
        cache = self._caches.of(source.prefix(self._shard))
        scope, seen_in = source.provider, self.cluster
        return Reader(self._caches, cache, self.definition, self.version, scope=scope, seen_in=seen_in)
