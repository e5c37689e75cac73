"""Deletion of objects of one resource in one logical cluster: at once, or once no finalizer holds them any more."""

from collections.abc import Callable
from datetime import datetime

from kcpcache.meta.errors import conflict
from kcpcache.meta.objects import Object
from kcpcache.registry.caches import Caches
from kcpcache.registry.entry import Entry
from kcpcache.registry.reading import Reader
from kcpcache.registry.stored_objects import StoredObjects
from kcpcache.registry.view import Admission, DeleteOptions, Item, Written
from kcpcache.registry.write_steps import ATTEMPTS, check_preconditions, encoded, same_object, timestamp_of

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"


class Deleter:
    """Deletes objects of one definition, version and logical cluster."""

    def __init__(self, caches: Caches, reader: Reader, clock: Callable[[], datetime]) -> None:
        self.caches, self.reader, self.clock = caches, reader, clock
        self.cache, self.cluster, self.definition = reader.cache, reader.scope, reader.definition
        self._objects = StoredObjects(caches, reader)

    async def delete(self, namespace: str, name: str, options: DeleteOptions, admission: Admission) -> Written:
        """See ``view.View.delete``."""
        for _ in range(ATTEMPTS):
            await self.caches.fresh()
            entry = self.cache.get(self.cluster, name, namespace)
            if entry is None:
                raise self.reader.missing(namespace, name)
            check_preconditions(self.definition, entry, options)
            old = (await self._objects.seen(entry)).object()
            await admission.mutate("DELETE", None, old)
            await admission.validate("DELETE", None, old)
            written = await self._delete_once(entry, options)
            if written is not None:
                return written
        raise conflict(self.definition.group, self.definition.plural, name)

    async def _delete_once(self, entry: Entry, options: DeleteOptions) -> Written | None:
        obj = (await self._objects.seen(entry)).object()
        meta = obj["metadata"]
        _note_propagation(meta, options)
        if self._objects.may_vanish(obj):
            return await self._objects.remove(entry, options.dry_run, pinned=bool(options.resource_version))
        if not meta.get("deletionTimestamp"):
            meta["deletionTimestamp"] = timestamp_of(self.clock())
            meta["deletionGracePeriodSeconds"] = 0
            if meta.get("generation"):
                meta["generation"] += 1
            self.definition.rules.prepare_delete(obj)
        if options.dry_run:
            return Written(Item(self._objects.entry(obj, entry.namespace, entry.revision)))
        value = encoded(await self._objects.to_storage(obj))
        if same_object(value, entry.stored()):
            return Written(Item(await self._objects.seen(entry)))
        pinned = bool(options.resource_version)
        return await self._objects.write(entry.namespace, entry.name, value, over=entry.revision, pinned=pinned)


def _note_propagation(meta: Object, options: DeleteOptions) -> None:
    """Have the finalizers of what is to be deleted, in place, say what becomes of its dependents."""
    given = meta.get("finalizers") or ()
    wanted = {"Foreground": [FOREGROUND], "Orphan": [ORPHAN]}.get(options.propagation_policy, [])
    if not options.propagation_policy:
        wanted = [name for name in given if name in {FOREGROUND, ORPHAN}]
    meta["finalizers"] = [*(name for name in given if name not in {FOREGROUND, ORPHAN}), *wanted]
    if not meta["finalizers"]:
        del meta["finalizers"]
