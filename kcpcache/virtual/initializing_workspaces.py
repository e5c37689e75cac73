"""LogicalClusters as an initializer sees them: those that wait for it, and nothing in them to change but that."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from weakref import WeakKeyDictionary

from kcpcache.meta.errors import ForbiddenError, MethodNotAllowedError, forbidden
from kcpcache.meta.objects import Object, copy, nested
from kcpcache.registry.caches import CacheEvent, ResourceCache
from kcpcache.registry.entry import Entry
from kcpcache.registry.field_match import Match, narrowed
from kcpcache.registry.lookup import Lookup
from kcpcache.registry.read_only import ReadOnlyView
from kcpcache.registry.reading import Reader
from kcpcache.registry.resource import ResourceDefinition, ServedVersion
from kcpcache.registry.stored_view import Guard, StoredView
from kcpcache.registry.view import (
    Admission,
    Change,
    DeleteOptions,
    Item,
    Listing,
    ListOptions,
    View,
    Watch,
    WriteOptions,
    Written,
)

VERBS: Final = ("get", "list", "patch", "update", "watch")


def waits_for(logical_cluster: Object, initializer: str) -> bool:
    """Whether the LogicalCluster is initializing and carries the initializer."""
    status = logical_cluster.get("status") or {}
    return status.get("phase") == "Initializing" and initializer in (status.get("initializers") or ())


class WaitingReader(Reader):
    """Reads the LogicalClusters (in ``scope``) that wait for an initializer."""

    def __init__(
        self,
        lookup: Lookup,
        cache: ResourceCache,
        definition: ResourceDefinition,
        version: ServedVersion,
        *,
        scope: str,
        initializer: str,
    ) -> None:
        super().__init__(lookup.caches, cache, definition, version, scope=scope)
        self._decode_shared, self._initializer = lookup.decode, initializer

    def waits(self, entry: Entry) -> bool:
        """Whether this one does."""
        return waits_for(self._decode_shared(entry), self._initializer)

    def matcher(self, options: ListOptions) -> Match:
        """See ``Reader.matcher``."""
        return narrowed(super().matcher(options), self.waits)

    def _listing(
        self, found: list[Entry], entries: list[Entry], at: int, revision: int, options: ListOptions
    ) -> Listing:
        # How many others there are is nobody's business.
        return replace(super()._listing(found, entries, at, revision, options), remaining=None)


class WaitingView(ReadOnlyView):
    """See ``view.View``. Of the writes there is one: to take the initializer out of the status."""

    origin = "the server, which makes and deletes LogicalClusters with their Workspaces"

    def __init__(self, reader: WaitingReader, behind: StoredView, initializer: str) -> None:
        self.definition, self.version, self.cluster = reader.definition, reader.version, reader.scope
        self._reader, self._behind, self._initializer = reader, behind, initializer

    async def get(self, namespace: str, name: str, *, resource_version: str = "") -> Item:
        """See ``view.View``."""
        item = await self._reader.get(namespace, name, resource_version)
        if not self._reader.waits(item.entry):
            raise self._not_waiting(name)
        return item

    async def list(self, options: ListOptions) -> Listing:
        """See ``view.View``."""
        return await self._reader.list(options)

    async def watch(self, options: ListOptions) -> Watch:
        """See ``view.View``."""
        return await self._reader.watch(options)

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
        """See ``view.View``. Raises MethodNotAllowedError for anything but the status."""
        if subresource != "status":
            raise MethodNotAllowedError("only the status of a LogicalCluster can be written here")

        def checked(live: Object | None) -> Object:
            if live is None or not waits_for(live, self._initializer):
                raise self._not_waiting(name)
            new = change(copy(live))
            self._require_removal(live, new)
            return new

        return await self._behind.update(namespace, name, checked, options, admission, subresource=subresource)

    def _require_removal(self, live: Object, new: Object) -> None:
        """Raises ForbiddenError where the status would change in any other way."""
        before: Sequence[str] = nested(live, "status", "initializers") or ()
        rest = [initializer for initializer in before if initializer != self._initializer]
        statuses = [dict(obj.get("status") or {}) for obj in (live, new)]
        left = statuses[1].pop("initializers", None) or []
        statuses[0].pop("initializers", None)
        if left not in (list(before), rest) or statuses[0] != statuses[1]:
            why = f"only removing initializer {self._initializer} from status.initializers is allowed"
            raise forbidden(self.definition.group, self.definition.plural, str(live["metadata"]["name"]), why)

    async def delete(self, namespace: str, name: str, options: DeleteOptions, admission: Admission) -> Written:
        """Raises MethodNotAllowedError."""
        self._refuse("delete")

    def _not_waiting(self, name: str) -> ForbiddenError:
        why = f"the logical cluster does not wait for initializer {self._initializer}"
        return forbidden(self.definition.group, self.definition.plural, name, why)


class OwnedView:
    """Any view of a workspace that waits; ``guard`` is told of its watches, which end when it does not wait any more.

    See ``view.View``.
    """

    def __init__(self, behind: View, guard: Guard) -> None:
        self.definition, self.version, self.cluster = behind.definition, behind.version, behind.cluster
        self.get, self.list, self.create = behind.get, behind.list, behind.create
        self.update, self.delete, self.delete_collection = behind.update, behind.delete, behind.delete_collection
        self._behind, self._guard = behind, guard

    async def watch(self, options: ListOptions) -> Watch:
        """See ``view.View``."""
        watch = await self._behind.watch(options)
        self._guard(watch)
        return watch


class WaitingGuard:
    """Ends the watches that were opened in a workspace when it no longer waits for whom they were opened for."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._watches: dict[str, WeakKeyDictionary[Watch, str]] = {}
        lookup.clusters.cache.listeners.append(self._changed)

    def guard(self, cluster: str, initializer: str) -> Guard:
        """What to tell of watches."""

        def attach(watch: Watch) -> None:
            self._watches.setdefault(cluster, WeakKeyDictionary())[watch] = initializer

        return attach

    def _changed(self, event: CacheEvent) -> None:
        watches = self._watches.get(event.cluster)
        if watches is None:
            return
        now = {} if event.entry is None else self._lookup.decode(event.entry)
        for watch, initializer in tuple(watches.items()):
            if not waits_for(now, initializer):
                watch.close()
                watches.pop(watch, None)
        if not watches:
            del self._watches[event.cluster]
