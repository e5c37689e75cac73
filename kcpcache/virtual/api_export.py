"""One resource of an APIExport's virtual workspace as a view: all consumers' objects, or one's to work on.

The provider acts on its consumers' objects as they would themselves, within what is exported and claimed: what a
claim's selector leaves out is not there for it, and what it writes must be in the selection.
"""

from dataclasses import replace

from kcpcache.meta.errors import NotFoundError, forbidden, not_found
from kcpcache.meta.names import api_version
from kcpcache.meta.objects import Object, labels_of, name_of
from kcpcache.meta.selectors import LabelSelector
from kcpcache.registry.collection import delete_each
from kcpcache.registry.conversion_webhook import ConvertedWatch, listing_in
from kcpcache.registry.read_only import ReadOnlyView
from kcpcache.registry.stored_view import Guard, StoredView
from kcpcache.registry.view import (
    Admission,
    Change,
    DeleteOptions,
    Item,
    Listing,
    ListOptions,
    Operation,
    View,
    Watch,
    WriteOptions,
    Written,
)
from kcpcache.virtual.api_export_grants import admits
from kcpcache.virtual.api_export_reading import ExportReader


class ApiExportView:
    """See ``view.View``. ``inner`` is the whole of the same resource in the same place; it does what is let through."""

    def __init__(self, reader: ExportReader, inner: StoredView, guard: Guard) -> None:
        self.definition, self.version, self.cluster = reader.definition, reader.version, reader.scope
        self._reader, self._inner, self._guard = reader, inner, guard
        self._api_version = api_version(self.definition.group, self.version.name)

    async def get(self, namespace: str, name: str, *, resource_version: str = "") -> Item:
        """See ``view.View``."""
        item = await self._inner.get(namespace, name, resource_version=resource_version)
        if not self._reader.sees(item.entry, self._reader.scope_in(self.cluster)):
            raise self._not_found(name)
        return item

    async def list(self, options: ListOptions) -> Listing:
        """See ``view.View``."""
        listing = await self._reader.list(options)
        if self.definition.conversion is None:
            return listing
        return await listing_in(self.definition, listing, self._api_version)

    async def watch(self, options: ListOptions) -> Watch:
        """See ``view.View``."""
        watch = await self._reader.watch(options)
        self._guard(watch)
        if self.definition.conversion is None:
            return watch
        return ConvertedWatch(watch, self.definition, self._api_version)

    async def create(self, namespace: str, obj: Object, options: WriteOptions, admission: Admission) -> Written:
        """See ``view.View``. The object gets the labels that the claim selects by."""
        return await self._inner.create(namespace, obj, options, self._within_scope(admission))

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

        def visible(live: Object | None) -> Object:
            if live is not None and not self._admits(live):
                raise self._not_found(name)
            return change(live)

        return await self._inner.update(
            namespace,
            name,
            visible,
            options,
            self._within_scope(admission),
            subresource=subresource,
            create_if_missing=create_if_missing,
        )

    async def delete(self, namespace: str, name: str, options: DeleteOptions, admission: Admission) -> Written:
        """See ``view.View``."""
        await self.get(namespace, name)  # a precondition that fails would tell of what is not seen
        return await self._inner.delete(namespace, name, options, self._within_scope(admission))

    async def delete_collection(self, selection: ListOptions, options: DeleteOptions, admission: Admission) -> Listing:
        """See ``view.View`` and ``collection.delete_each``."""
        listing = await self._reader.list(selection)
        delete, guarded = self._inner.delete, self._within_scope(admission)
        return await delete_each(listing, lambda entry: delete(entry.namespace, entry.name, options, guarded))

    def _within_scope(self, admission: Admission) -> Admission:
        """The same admission, for what the export may see before the write and after it."""

        async def mutate(operation: Operation, new: Object | None, old: Object | None) -> None:
            if old is not None and not self._admits(old):
                raise self._not_found(name_of(old))
            if operation == "CREATE" and new is not None:
                self._label(new)
            await admission.mutate(operation, new, old)

        async def validate(operation: Operation, new: Object | None, old: Object | None) -> None:
            if new is not None and not self._admits(new):
                why = "its labels are not among those that the accepted permission claim selects"
                raise forbidden(self.definition.group, self.definition.plural, name_of(new), why)
            await admission.validate(operation, new, old)

        return Admission(mutate=mutate, validate=validate, finish=admission.finish, complete=admission.complete)

    def _label(self, obj: Object) -> None:
        reader = self._reader
        claims = reader.sight.claims(reader.consumers.within(reader.export, self.cluster).values())
        if claims and not self._admits(obj):
            obj["metadata"]["labels"] = {**labels_of(obj), **dict(claims[0].labels)}

    def _admits(self, obj: Object) -> bool:
        return admits(self._reader.scope_in(self.cluster), labels_of(obj))

    def _not_found(self, name: str) -> NotFoundError:
        return not_found(self.definition.group, self.definition.plural, name)


class SelectedView(ReadOnlyView):
    """A read-only view of what a selector matches in another one: a virtual resource that a consumer lets be seen."""

    def __init__(self, inner: View, selector: LabelSelector, *, origin: str) -> None:
        self.definition, self.version, self.cluster = inner.definition, inner.version, inner.cluster
        self._inner, self._selector, self.origin = inner, selector, origin

    async def get(self, namespace: str, name: str, *, resource_version: str = "") -> Item:
        """See ``view.View``."""
        item = await self._inner.get(namespace, name, resource_version=resource_version)
        if not self._selector.matches(item.entry.labels):
            raise not_found(self.definition.group, self.definition.plural, name)
        return item

    async def list(self, options: ListOptions) -> Listing:
        """See ``view.View``."""
        return await self._inner.list(self._narrowed(options))

    async def watch(self, options: ListOptions) -> Watch:
        """See ``view.View``."""
        return await self._inner.watch(self._narrowed(options))

    def _narrowed(self, options: ListOptions) -> ListOptions:
        requirements = (*self._selector.requirements, *options.label_selector.requirements)
        return replace(options, label_selector=LabelSelector(requirements))
