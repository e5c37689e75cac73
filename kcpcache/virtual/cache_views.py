"""The views of the cache server: copies, to read and to write, and kcp types straight from the workspaces, to read."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn

import msgspec

from kcpcache.meta import object_meta
from kcpcache.meta.errors import (
    BadRequestError,
    InvalidError,
    MethodNotAllowedError,
    ServiceUnavailableError,
    already_exists,
    conflict,
)
from kcpcache.meta.names import api_version, path_segment_errors
from kcpcache.meta.objects import Object, metadata, new_uid, timestamp
from kcpcache.meta.virtual_resources import (
    ORIGINAL_RESOURCE_VERSION_ANNOTATION,
    ORIGINAL_UID_ANNOTATION,
    SHARD_ANNOTATION,
)
from kcpcache.registry.caches import ResourceCache
from kcpcache.registry.collection import delete_each
from kcpcache.registry.entry import Entry, encode, entry_of
from kcpcache.registry.lookup import Lookup
from kcpcache.registry.read_only import ReadOnlyView
from kcpcache.registry.reading import Reader
from kcpcache.registry.resource import ResourceDefinition, ServedVersion
from kcpcache.registry.shelf import Block
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
from kcpcache.storage.keys import cache_prefix, object_key
from kcpcache.storage.store import KeyExistsError, Revision, RevisionConflictError, StoreUnavailableError
from kcpcache.virtual.cache_server import CacheIndex, CopiesReader, Place

_ATTEMPTS = 8


class SharedReader(Reader):
    """Reads a kcp type of this shard's workspaces as the cache server shows it: with the annotations of a copy."""

    def __init__(
        self,
        lookup: Lookup,
        cache: ResourceCache,
        definition: ResourceDefinition,
        version: ServedVersion,
        scope: str,
        shard: str,
    ) -> None:
        super().__init__(lookup.caches, cache, definition, version, scope=scope)
        self._annotations = f'","{SHARD_ANNOTATION}":"{shard}","{ORIGINAL_RESOURCE_VERSION_ANNOTATION}":"'

    def adapt(self, entry: Entry) -> Entry:
        """See ``Reader.adapt``."""
        found = super().adapt(entry)
        if found.internal:
            return found
        own = f'{self._annotations}{found.revision}","{ORIGINAL_UID_ANNOTATION}":"{found.uid}'
        return msgspec.structs.replace(found, internal=own.encode())

    def _as_they_are(self, block: Block) -> bool:
        return False


class SharedView(ReadOnlyView):
    """See ``view.View``. What is shown lies in the workspaces, and is written there (ADR 15)."""

    def __init__(self, reader: SharedReader) -> None:
        self.definition, self.version, self.cluster = reader.definition, reader.version, reader.scope
        self._reader = reader
        cluster = "<logical cluster>" if reader.scope == WILDCARD else reader.scope
        path = f"/clusters/{cluster}/apis/{api_version(self.definition.group, self.version.name)}"
        self.origin = (
            "the workspaces themselves, since a cache store inside the server keeps no copies of them: they are at"
            f" {path}/{self.definition.plural}"
        )

    async def get(self, namespace: str, name: str, *, resource_version: str = "") -> Item:
        """See ``view.View``."""
        return await self._reader.get(namespace, name, resource_version)

    async def list(self, options: ListOptions) -> Listing:
        """See ``view.View``."""
        return await self._reader.list(options)

    async def watch(self, options: ListOptions) -> Watch:
        """See ``view.View``."""
        return await self._reader.watch(options)


@dataclass(slots=True, eq=False)
class CopiesView:
    """See ``view.View``. Writes need a concrete shard, identity and logical cluster; metadata is taken as it is given.

    Nothing here is admitted or defaulted, and no finalizer holds a copy: it is what a shard says it is.
    """

    index: CacheIndex
    place: Place
    definition: ResourceDefinition
    version: ServedVersion
    cluster: str
    clock: Callable[[], datetime]

    def _reader(self) -> CopiesReader:
        return CopiesReader(self.index, self.place, self.definition, self.version, self.cluster)

    async def get(self, namespace: str, name: str, *, resource_version: str = "") -> Item:
        """See ``view.View``."""
        return await self._reader().get(namespace, name, resource_version)

    async def list(self, options: ListOptions) -> Listing:
        """See ``view.View``."""
        return await self._reader().list(options)

    async def watch(self, options: ListOptions) -> Watch:
        """See ``view.View``."""
        return await self._reader().watch(options)

    async def create(self, namespace: str, obj: Object, options: WriteOptions, admission: Admission) -> Written:
        """See ``view.View``."""
        meta = self._checked(obj)
        if meta.pop("resourceVersion", ""):
            raise BadRequestError("resourceVersion should not be set on objects to be created")
        meta.setdefault("uid", new_uid())
        meta.setdefault("creationTimestamp", timestamp(self.clock()))
        name = meta["name"]
        key = self._key(name)
        if options.dry_run:
            return Written(self._item(encode(obj), name, 0), created=True)
        value = encode(obj)
        try:
            revision = await self.index.caches.store.create(key, value)
        except KeyExistsError:
            raise already_exists(self.definition.group, self.definition.plural, name) from None
        except StoreUnavailableError as error:
            raise _not_taken(error) from None
        await self.index.caches.reached(revision)
        return Written(self._item(value, name, revision), created=True)

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
        key = self._key(name)
        for _ in range(_ATTEMPTS):
            live = (await self.get(namespace, name)).entry
            new = change(live.object())
            meta = self._checked(new, name)
            asked = str(meta.get("resourceVersion") or live.revision)
            if asked != str(live.revision):
                raise conflict(self.definition.group, self.definition.plural, name)
            value = encode(new)
            if value == live.stored() or options.dry_run:
                return Written(self._item(value, name, live.revision))
            try:
                revision = await self.index.caches.store.update(key, value, expected=Revision(live.revision))
            except RevisionConflictError:
                continue
            except StoreUnavailableError as error:
                raise _not_taken(error) from None
            await self.index.caches.reached(revision)
            return Written(self._item(value, name, revision))
        raise conflict(self.definition.group, self.definition.plural, name)

    async def delete(self, namespace: str, name: str, options: DeleteOptions, admission: Admission) -> Written:
        """See ``view.View``. A copy is gone at once."""
        key = self._key(name)
        for _ in range(_ATTEMPTS):
            item = await self.get(namespace, name)
            live = item.entry
            if options.uid not in {"", live.uid} or options.resource_version not in {"", str(live.revision)}:
                why = "Precondition failed: the object has another UID or resourceVersion"
                raise conflict(self.definition.group, self.definition.plural, name, why)
            if options.dry_run:
                return Written(item, deleted=True)
            try:
                revision = await self.index.caches.store.delete(key, expected=Revision(live.revision))
            except RevisionConflictError:
                continue
            except StoreUnavailableError as error:
                raise _not_taken(error) from None
            await self.index.caches.reached(revision)
            return Written(Item(live.at(revision)), deleted=True)
        raise conflict(self.definition.group, self.definition.plural, name)

    async def delete_collection(self, selection: ListOptions, options: DeleteOptions, admission: Admission) -> Listing:
        """See ``view.View`` and ``collection.delete_each``."""
        listing = await self.list(selection)
        return await delete_each(listing, lambda entry: self.delete("", entry.name, options, admission))

    # -- what is written where

    def _key(self, name: str) -> str:
        """The storage key. Raises BadRequestError, MethodNotAllowedError where the URL does not say which object."""
        shard, (group, version, resource), identity_hash = self.place
        if WILDCARD in {shard, self.cluster}:
            raise MethodNotAllowedError("writing needs a shard and a logical cluster: over all there is only reading")
        if not identity_hash:
            raise BadRequestError(f"writing needs the identity of the copies: {resource}:<identityHash> in the URL")
        try:
            return object_key(cache_prefix(shard, group, version, resource, identity_hash), self.cluster, name)
        except ValueError as error:
            raise BadRequestError(str(error)) from None

    def _checked(self, obj: Object, name: str = "") -> Object:
        """The metadata of an object that can be stored here. Raises BadRequestError, InvalidError."""
        definition = self.definition
        wanted = api_version(definition.group, self.version.name)
        kind = str(obj.setdefault("kind", definition.kind) or "")
        if obj.setdefault("apiVersion", wanted) != wanted or not kind or kind != (definition.kind or kind):
            raise BadRequestError(f"the object must be of apiVersion {wanted!r} and kind {definition.kind!r}")
        meta = obj.setdefault("metadata", {})
        errors = object_meta.type_errors(meta) if isinstance(meta, dict) else self._refuse("metadata must be an object")
        if not errors:
            meta["annotations"] = (meta.get("annotations") or {}) | {SHARD_ANNOTATION: self.place.shard}
            errors = object_meta.errors(meta, namespaced=False, check_name=path_segment_errors)
        if errors:
            raise InvalidError(definition.group, kind, str(meta.get("name") or ""), errors)
        if name and meta["name"] != name:
            self._refuse(f"the name of the object ({meta['name']}) does not match the name on the URL ({name})")
        return metadata(obj)

    @staticmethod
    def _refuse(why: str) -> NoReturn:
        raise BadRequestError(why)

    def _item(self, value: bytes, name: str, revision: int) -> Item:
        return Item(entry_of(value, cluster=self.cluster, namespace="", name=name, revision=revision))


def _not_taken(error: StoreUnavailableError) -> ServiceUnavailableError:
    return ServiceUnavailableError(f"the cache store did not take the write: {error}")
