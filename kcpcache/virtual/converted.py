"""Copies in versions that a webhook converts to: of a virtual resource as of any other."""

from kcpcache.meta.names import api_version
from kcpcache.registry.conversion_webhook import ConvertedWatch, entries_in, listing_in
from kcpcache.registry.read_only import ReadOnlyView
from kcpcache.registry.view import Item, Listing, ListOptions, Watch
from kcpcache.virtual.continuity import Described


def converted(view: Described) -> Described:
    """The view in its version, where it shows copies as they are stored: itself, where no webhook converts."""
    return view if view.definition.conversion is None else ConvertedView(view)


class ConvertedView(ReadOnlyView):
    """Another read-only view, of which everything is in its version. Each verb raises ConversionError, too."""

    def __init__(self, inner: Described) -> None:
        self.definition, self.version, self.cluster = inner.definition, inner.version, inner.cluster
        self.origin = inner.origin
        self._inner, self._api_version = inner, api_version(self.definition.group, self.version.name)

    async def get(self, namespace: str, name: str, *, resource_version: str = "") -> Item:
        """See ``view.View``."""
        item = await self._inner.get(namespace, name, resource_version=resource_version)
        (entry,) = await entries_in(self.definition, [item.entry], self._api_version)
        return Item(entry, item.cluster)

    async def list(self, options: ListOptions) -> Listing:
        """See ``view.View``."""
        return await listing_in(self.definition, await self._inner.list(options), self._api_version)

    async def watch(self, options: ListOptions) -> Watch:
        """See ``view.View``."""
        return ConvertedWatch(await self._inner.watch(options), self.definition, self._api_version)
