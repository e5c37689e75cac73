"""A workspace's own objects, or those of all workspaces (``*``, read-only), as a view."""

from collections.abc import Callable
from datetime import datetime
from functools import cached_property

from kcpcache.meta.errors import ForbiddenError, MethodNotAllowedError, forbidden, method_not_allowed
from kcpcache.meta.names import api_version
from kcpcache.meta.objects import Object, name_of
from kcpcache.registry.caches import Caches
from kcpcache.registry.collection import delete_each
from kcpcache.registry.conversion_webhook import ConvertedWatch, entries_in, listing_in
from kcpcache.registry.deleting import Deleter
from kcpcache.registry.reading import Reader
from kcpcache.registry.resource import ResourceDefinition, ServedVersion
from kcpcache.registry.view import (
    WILDCARD,
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
from kcpcache.registry.writing import Writer

Clock = Callable[[], datetime]
Guard = Callable[[Watch], None]
"""Told of every watch that is opened; closes it when the view goes away."""


class StoredView:
    """See ``view.View`` for what each verb promises."""

    def __init__(
        self,
        caches: Caches,
        definition: ResourceDefinition,
        version: ServedVersion,
        cluster: str,
        clock: Clock,
        *,
        guard: Guard | None = None,
    ) -> None:
        self._guard = guard
        self.definition, self.version, self.cluster = definition, version, cluster
        self._conversion, self._api_version = definition.conversion, api_version(definition.group, version.name)
        cache = caches.of(definition.storage_prefix)
        self._reader = Reader(caches, cache, definition, version, scope=cluster)
        self._caches, self._clock = caches, clock

    @cached_property
    def _writer(self) -> Writer:
        return Writer(self._caches, self._reader, self._clock)

    @cached_property
    def _deleter(self) -> Deleter:
        return Deleter(self._caches, self._reader, self._clock)

    def at_once(self, namespace: str, name: str) -> Item | None:
        """See ``view.PromptView``."""
        return self._reader.at_once(namespace, name) if self._conversion is None else None

    async def get(self, namespace: str, name: str, *, resource_version: str = "") -> Item:
        """See ``view.View``."""
        self._require("get", concrete=True)
        item = await self._reader.get(namespace, name, resource_version)
        return item if self._conversion is None else await self._converted(item)

    async def list(self, options: ListOptions) -> Listing:
        """See ``view.View``."""
        self._require("list")
        listing = await self._reader.list(options)
        return listing if self._conversion is None else await listing_in(self.definition, listing, self._api_version)

    async def watch(self, options: ListOptions) -> Watch:
        """See ``view.View``."""
        self._require("watch")
        watch = await self._reader.watch(options)
        if self._guard is not None:
            self._guard(watch)
        return watch if self._conversion is None else ConvertedWatch(watch, self.definition, self._api_version)

    async def create(self, namespace: str, obj: Object, options: WriteOptions, admission: Admission) -> Written:
        """See ``view.View``."""
        if self.definition.terminating:
            raise self._terminating(name_of(obj))
        self._require("create", concrete=True)
        return await self._writer.create(namespace, obj, options, admission)

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
        """See ``view.View``."""
        # A claim may allow but one of both verbs.
        self._require("patch" if "patch" in self.definition.verbs else "update", concrete=True)

        def changed(live: Object | None) -> Object:
            found = change(live)
            if live is None:
                if self.definition.terminating:
                    raise self._terminating(name)
                self._require("create")
            return found

        return await self._writer.update(
            namespace,
            name,
            changed if create_if_missing else change,
            options,
            admission,
            subresource=subresource,
            create_if_missing=create_if_missing,
        )

    async def delete(self, namespace: str, name: str, options: DeleteOptions, admission: Admission) -> Written:
        """See ``view.View``."""
        self._require("delete", concrete=True)
        return await self._deleter.delete(namespace, name, options, admission)

    async def delete_collection(self, selection: ListOptions, options: DeleteOptions, admission: Admission) -> Listing:
        """See ``view.View`` and ``collection.delete_each``."""
        self._require("deletecollection", concrete=True)
        listing = await self._reader.list(selection)
        delete = self._deleter.delete
        return await delete_each(listing, lambda entry: delete(entry.namespace, entry.name, options, admission))

    async def _converted(self, item: Item) -> Item:
        return Item((await entries_in(self.definition, [item.entry], self._api_version))[0], item.cluster)

    def _terminating(self, name: str) -> ForbiddenError:
        why = "create not allowed while custom resource definition is terminating"
        return forbidden(self.definition.group, self.definition.plural, name, why)

    def _require(self, verb: str, *, concrete: bool = False) -> None:
        if verb not in self.definition.verbs:
            raise method_not_allowed(self.definition.group, self.definition.plural, verb)
        if concrete and self.cluster == WILDCARD:
            raise MethodNotAllowedError(f"{verb} needs a workspace: over all of them there is only list and watch")
