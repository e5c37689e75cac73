"""The objects of a CachedResource as a consumer sees them: read-only, in the consumer's own workspace."""

from collections.abc import Callable

from kcpcache.meta.errors import ServiceUnavailableError
from kcpcache.registry.caches import Caches
from kcpcache.registry.catalog import ExportReference
from kcpcache.registry.read_only import ReadOnlyView
from kcpcache.registry.reading import Reader
from kcpcache.registry.resource import ResourceDefinition, ServedVersion
from kcpcache.registry.stored_view import Guard
from kcpcache.registry.view import Item, Listing, ListOptions, Watch
from kcpcache.registry.virtual_sources import Source


def origin_of(bound: ExportReference, path: str) -> str:
    """Where a bound virtual resource's objects come from, for people; ``path`` is that of the export's workspace."""
    return f'APIExport "{bound.export}" of workspace {path}'


class ProjectedView(ReadOnlyView):
    """One consumer's view of a source.

    ``resolve`` is asked at each call, so that a broken or changed reference is noticed at once; it raises
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
