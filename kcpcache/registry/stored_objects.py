"""The objects of one resource in one logical cluster, as whoever writes them has them: stored, and in one version."""

from typing import overload

import orjson

from kcpcache.meta.errors import AlreadyExistsError, ServiceUnavailableError, already_exists, conflict
from kcpcache.meta.objects import Object, copy
from kcpcache.registry.beside import computed
from kcpcache.registry.caches import Caches
from kcpcache.registry.conversion_webhook import entries_in, object_to_store
from kcpcache.registry.entry import Entry, entry_of
from kcpcache.registry.pauses import turn
from kcpcache.registry.reading import Reader
from kcpcache.registry.settling import fit
from kcpcache.registry.view import Item, Written
from kcpcache.registry.write_steps import encoded
from kcpcache.storage.store import KeyExistsError, Revision, RevisionConflictError, StoreUnavailableError


class StoredObjects:
    """What creating, updating and deleting have in common. ``reader`` has the version that is written."""

    def __init__(self, caches: Caches, reader: Reader) -> None:
        self.caches, self.reader = caches, reader
        self.cache, self.cluster, self.definition = reader.cache, reader.scope, reader.definition
        self._api_version = reader.api_version
        as_it_is = self._api_version == self.definition.storage_api_version
        # Where to note, while it is written, what is stored as it is written: it is settled under the schema.
        self._settled = self.cache.settled if as_it_is and reader.settles else {}

    async def to_storage(self, obj: Object) -> Object:
        """The object in the version that is stored. Raises ConversionError, BadRequestError."""
        stored = self.definition.storage_api_version
        if self._api_version == stored:
            return obj
        if self.definition.conversion is not None:
            return await object_to_store(self.definition, obj)
        if self.definition.convert is not None:
            return self.definition.convert(copy(obj), stored)
        if not self.definition.settles:
            return {**obj, "apiVersion": stored}
        return await computed(len(orjson.dumps(obj)), self._in_storage_version, obj)

    def _in_storage_version(self, obj: Object) -> Object:
        made: Object = {**copy(obj), "apiVersion": self.definition.storage_api_version}
        fit(made, self.definition.storage.schema)
        return made

    def key(self, namespace: str, name: str) -> str:
        """Where an object lies in the store."""
        middle = f"{namespace}/" if namespace else ""
        return f"{self.cache.prefix}{self.cluster}/{middle}{name}"

    def entry(self, obj: Object, namespace: str, revision: int) -> Entry:
        """An object that is not stored like this, as an entry: what a dry run or a deletion answers."""
        name = str(obj["metadata"]["name"])
        return entry_of(encoded(obj), cluster=self.cluster, namespace=namespace, name=name, revision=revision)

    @overload
    async def write(self, namespace: str, name: str, value: bytes) -> Written: ...

    @overload
    async def write(self, namespace: str, name: str, value: bytes, *, over: int, pinned: bool) -> Written | None: ...

    async def write(
        self, namespace: str, name: str, value: bytes, *, over: int | None = None, pinned: bool = False
    ) -> Written | None:
        """Store an encoded object, and answer it in the version that is written, once the caches show it.

        ``over``: the revision that it takes the place of; else it is created. None where another writer was faster.
        Raises AlreadyExistsError, ConflictError where ``pinned``, ServiceUnavailableError.
        """
        key, store, settled = self.key(namespace, name), self.caches.store, self._settled
        settled[id(value)] = self.reader.token
        try:
            if over is None:
                revision = await store.create(key, value)
            else:
                revision = await store.update(key, value, expected=Revision(over))
            if self.caches.revision < revision:
                await self.caches.reached(revision)
        except KeyExistsError:
            raise self.exists(namespace, name) from None
        except RevisionConflictError:
            self._lost(name, pinned=pinned)
            return None
        except StoreUnavailableError as error:
            raise ServiceUnavailableError(f"the object was not stored: {error}") from None
        finally:
            del settled[id(value)]
        await turn()
        found = self.cache.get(self.cluster, name, namespace)
        if found is None or found.revision != revision:
            found = entry_of(value, cluster=self.cluster, namespace=namespace, name=name, revision=revision)
        if found.memo is not self.reader.token:
            # Of a built-in type no more is done than has to be.
            as_stored = not self.definition.settles and self.definition.conversion is None
            found = self.reader.adapt(found) if as_stored else await self.seen(found)
        return Written(Item(found), created=over is None)

    def exists(self, namespace: str, name: str) -> AlreadyExistsError:
        """Why no object can be created under a name."""
        error = already_exists(self.definition.group, self.definition.plural, name)
        found = self.cache.get(self.cluster, name, namespace)
        if found is None or not found.deleting:
            return error
        why = f"object is being deleted: {error}"
        return AlreadyExistsError(why, group=error.group, kind=error.kind, name=error.name)

    async def seen(self, entry: Entry) -> Entry:
        """The entry in the version that is written."""
        if self.reader.settles and entry.memo is not self.reader.token:
            (entry,) = await self.reader.settle((entry,))
        else:
            entry = self.reader.adapt(entry)
        if self.definition.conversion is None:
            return entry
        return (await entries_in(self.definition, [entry], self._api_version))[0]

    def may_vanish(self, obj: Object) -> bool:
        """Whether nothing holds a deleted object any more. Namespaces have finalizers in their spec too."""
        held_by_spec = (self.definition.group, self.definition.plural) == ("", "namespaces") and bool(
            (obj.get("spec") or {}).get("finalizers")
        )
        return not obj["metadata"].get("finalizers") and not held_by_spec

    async def remove(
        self, entry: Entry, dry_run: bool, *, pinned: bool = False, shown: Object | None = None
    ) -> Written | None:
        """Remove the object. The answer is ``shown`` (None: what was stored); None where another writer was faster."""
        revision = entry.revision
        if not dry_run:
            try:
                revision = await self.caches.store.delete(
                    self.key(entry.namespace, entry.name), expected=Revision(entry.revision)
                )
            except RevisionConflictError:
                self._lost(entry.name, pinned=pinned)
                return None
            except StoreUnavailableError as error:
                raise ServiceUnavailableError(f"the object was not deleted: {error}") from None
            await self.caches.reached(revision)
            await turn()
        if shown is not None:
            return Written(Item(self.entry(shown, entry.namespace, revision)), deleted=True)
        return Written(Item(await self.seen(entry.at(revision))), deleted=True)

    def _lost(self, name: str, *, pinned: bool) -> None:
        if pinned:
            raise conflict(self.definition.group, self.definition.plural, name)
