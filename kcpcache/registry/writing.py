"""Create and update of one resource in one logical cluster: what Kubernetes' generic registry promises.

The order of a write: types and names, field validation, admission that may change, defaults, rules, admission that may
only refuse, managed fields, encode, store. Nothing here knows of users or HTTP.
"""

from collections.abc import Callable
from datetime import datetime

from kcpcache.meta import managed_fields, object_meta
from kcpcache.meta.errors import (
    AlreadyExistsError,
    BadRequestError,
    FieldError,
    InvalidError,
    StatusError,
    conflict,
)
from kcpcache.meta.large_json import DECODERS, LARGE_BYTES
from kcpcache.meta.names import api_version
from kcpcache.meta.objects import Object, metadata, new_uid
from kcpcache.registry.beside import LIGHT_BYTES, computed
from kcpcache.registry.caches import Caches
from kcpcache.registry.entry import Entry
from kcpcache.registry.pauses import turn
from kcpcache.registry.reading import Reader
from kcpcache.registry.scale import scale_errors
from kcpcache.registry.stored_objects import StoredObjects
from kcpcache.registry.view import Admission, Change, Item, Replacement, WriteOptions, Written
from kcpcache.registry.write_checks import check_envelope, prune, raise_invalid, raise_undecodable
from kcpcache.registry.write_steps import (
    ATTEMPTS,
    SERVER_FIELDS,
    WRITTEN_BY,
    check_owned,
    count_generation,
    encoded,
    forget_owners,
    generated_name,
    kept_by_server,
    metadata_errors,
    only_choices,
    same_object,
    timestamp_of,
    warn_of_finalizers,
    with_part_of,
    within_status,
    without_keys,
    without_status,
)

_GENERATED_NAMES = 8
"""How many generated names are tried (KEP-4420: seven retries)."""


class Writer:
    """Writes objects of one definition, version and logical cluster. See ``view.View`` for each verb's promise."""

    def __init__(self, caches: Caches, reader: Reader, clock: Callable[[], datetime]) -> None:
        self.caches, self.reader, self.clock = caches, reader, clock
        self.cache, self.cluster = reader.cache, reader.scope
        self.definition, self.version = reader.definition, reader.version
        self._api_version = api_version(self.definition.group, self.version.name)
        self._stored_as_it_is = self._api_version == self.definition.storage_api_version
        self._objects = StoredObjects(caches, reader)

    # -- create

    async def create(self, namespace: str, obj: Object, options: WriteOptions, admission: Admission) -> Written:
        """See ``view.View.create``."""
        known = False
        try:
            written = await self._create(namespace, obj, options, admission)
            known = True
        except StatusError:
            known = True
            raise
        finally:
            admission.finish(known)
        return written

    async def _create(self, namespace: str, obj: Object, options: WriteOptions, admission: Admission) -> Written:
        options.weight += self.version.schema.uncompiled
        light = options.weight <= LIGHT_BYTES  # asked here each time: a call less
        if light:
            check_envelope(self.definition, self.version, self._api_version, obj, namespace)
        else:
            await computed(
                options.weight, check_envelope, self.definition, self.version, self._api_version, obj, namespace
            )
        meta: Object = obj["metadata"]
        if meta.get("resourceVersion"):
            raise BadRequestError("resourceVersion should not be set on objects to be created")
        generated = ""
        if not meta.get("name") and meta.get("generateName"):
            generated = meta["name"] = generated_name(meta)
        for key in SERVER_FIELDS:
            if key != "generation" or self.definition.tracks_generation:  # else it is the creator's word
                meta.pop(key, None)
        reported = options.trusted and "status" in obj
        if self.version.has_status and not reported:
            obj.pop("status", None)
        meta["uid"], meta["creationTimestamp"] = new_uid(), timestamp_of(self.clock())
        if self.definition.tracks_generation:
            meta["generation"] = 1
        if light:
            prune(self.definition, self.version, obj, options)
        else:
            await computed(options.weight, prune, self.definition, self.version, obj, options)
        options.own, options.owned = self._own, None
        await admission.mutate("CREATE", obj, None)
        if light:
            self._default(obj, options)
        else:
            await computed(options.weight, self._default, obj, options)
        sent = without_status(obj) if options.trusted and not reported else dict(obj)
        self.definition.rules.prepare_create(obj)
        for _ in range(_GENERATED_NAMES):
            try:
                return await self._create_once(namespace, obj, sent, options, admission)
            except AlreadyExistsError:
                if not generated or obj["metadata"]["name"] != generated:
                    raise
            generated = obj["metadata"]["name"] = generated_name(obj["metadata"])
            forget_owners(obj["metadata"], options)
        why = "already exists, the server was not able to generate a unique name for the object"
        kind = self.definition.group_resource
        raise AlreadyExistsError(
            f'{kind} "{generated}" {why}', group=kind.group, kind=kind.resource, name=generated, retry_after_seconds=1
        )

    async def _create_once(
        self, namespace: str, obj: Object, sent: Object, options: WriteOptions, admission: Admission
    ) -> Written:
        """``sent``: the object without what the server begins it with, which is nobody's; the metadata is the same.

        It has a status where the server creates the object with one that it reports.
        """
        if self.caches.company.together:  # so far half of it is done, and that is as long as a slice
            await turn()
        light = options.weight <= LIGHT_BYTES
        try:
            if light:
                self._validate_create(obj, options)
            else:
                await computed(options.weight, self._validate_create, obj, options)
        except InvalidError as error:
            raise await admission.complete(error, obj, None) from None
        await admission.validate("CREATE", obj, None)
        if light:
            self._track(None, sent, options, "")
        else:
            await computed(options.weight, self._track, None, sent, options, "")
        if options.trusted and "status" in sent:
            self._track_status(None, sent, options)
        warn_of_finalizers(self.definition, obj["metadata"], {}, options)
        name = str(obj["metadata"]["name"])
        stored = obj if self._stored_as_it_is else await self._objects.to_storage(obj)
        value = encoded(stored) if light else await computed(options.weight, encoded, stored)
        if options.dry_run:
            await self.caches.fresh()
            if self.cache.get(self.cluster, name, namespace) is not None:
                raise self._objects.exists(namespace, name)
            return Written(Item(self._objects.entry(obj, namespace, 0)), created=True)
        return await self._objects.write(namespace, name, value)

    def _validate_create(self, obj: Object, options: WriteOptions) -> None:
        wrong = self._schema_errors(obj, None, options)
        if self.version.scale is not None:
            wrong = wrong + scale_errors(obj, self.version.scale)
        if not options.trusted and only_choices(wrong):
            wrong = wrong + self.definition.rules.validate(obj)
        errors = metadata_errors(self.definition, obj["metadata"]) + wrong
        raise_invalid(self.definition, self.version, obj, errors)

    # -- update

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
        """See ``view.View.update``."""
        for number in range(ATTEMPTS):
            if number or type(change) is not Replacement:  # what was decided on came out of the caches
                await self.caches.fresh()
            entry = self.cache.get(self.cluster, name, namespace)
            if entry is None:
                if not create_if_missing or subresource:
                    raise self.reader.missing(namespace, name)
                created = await computed(options.weight, change, None)
                created.setdefault("metadata", {}).setdefault("name", name)
                check_envelope(self.definition, self.version, self._api_version, created, namespace, name)
                if metadata(created).get("uid"):
                    raise conflict(
                        self.definition.group,
                        self.definition.plural,
                        name,
                        f"Precondition failed: UID in precondition: {metadata(created)['uid']}, UID in object meta: ",
                    )
                try:
                    return await self.create(namespace, created, options, admission)
                except AlreadyExistsError:
                    if metadata(created).get("resourceVersion"):
                        raise
                    continue  # another writer was faster: what was to be created is to be updated
            light = options.weight + len(entry.tail) <= LIGHT_BYTES
            attempt = self._update_once if light else self._update_in_turn
            written = await attempt(entry, change, options, admission, subresource)
            if written is not None:
                return written
        raise conflict(self.definition.group, self.definition.plural, name)

    async def _update_in_turn(
        self, entry: Entry, change: Change, options: WriteOptions, admission: Admission, subresource: str
    ) -> Written | None:
        """As ``_update_once``, of the object as it is when the large updates before this one are done."""
        async with self.caches.write_turns.turn(self._objects.key(entry.namespace, entry.name)):
            await self.caches.fresh()
            live = self.cache.get(self.cluster, entry.name, entry.namespace)
            return None if live is None else await self._update_once(live, change, options, admission, subresource)

    async def _update_once(
        self, entry: Entry, change: Change, options: WriteOptions, admission: Admission, subresource: str
    ) -> Written | None:
        """One attempt; None where another writer was faster and the caller did not name a resourceVersion."""
        live = entry if entry.memo is self.reader.token else await self._objects.seen(entry)
        weight = options.weight + len(live.tail) + self.version.schema.uncompiled
        light = weight <= LIGHT_BYTES
        if light:
            new, old, pinned = self._changed(live, change, options, subresource)
        else:
            new, old, pinned = await computed(weight, self._changed, live, change, options, subresource)
        options.own, options.owned = self._own, None
        await admission.mutate("UPDATE", new, old)
        try:
            if light:
                new = self._completed(new, old, options, subresource)
            else:
                new = await computed(weight, self._completed, new, old, options, subresource)
        except InvalidError as error:
            raise (error if subresource else await admission.complete(error, new, old)) from None
        await admission.validate("UPDATE", new, old)
        meta = new["metadata"]
        vanishes = bool(meta.get("deletionTimestamp")) and self._objects.may_vanish(new)
        if vanishes and type(change) is Replacement:  # nobody looks at what it would have become
            return await self._objects.remove(entry, options.dry_run, pinned=pinned)
        if light:
            self._own_and_count(old, new, options, subresource)
        else:
            await computed(weight, self._own_and_count, old, new, options, subresource)
        if vanishes:
            return await self._objects.remove(entry, options.dry_run, pinned=pinned, shown=new)
        warn_of_finalizers(self.definition, meta, old["metadata"], options)
        value, changed = await computed(weight, _encoded_if_changed, await self._objects.to_storage(new), entry)
        if not changed:
            return Written(Item(live))
        if options.dry_run:
            return Written(Item(self._objects.entry(new, entry.namespace, entry.revision)))
        return await self._objects.write(entry.namespace, entry.name, value, over=entry.revision, pinned=pinned)

    def _changed(
        self, live: Entry, change: Change, options: WriteOptions, subresource: str
    ) -> tuple[Object, Object, bool]:
        """What is wanted, without what is not for this way of writing; the live object; whether the write is pinned."""
        decode = DECODERS[len(live.tail) > LARGE_BYTES]
        old = decode(live.wire())
        new = change(None if type(change) is Replacement else decode(live.wire()))
        check_envelope(self.definition, self.version, self._api_version, new, live.namespace, live.name)
        pinned = self._check_version(new["metadata"], live)
        prune(self.definition, self.version, new, options)
        new = kept_by_server(self.definition, self.version, new, old, subresource, options)
        if not subresource:
            self.definition.rules.prepare_update(new, old)
        return new, old, pinned

    def _completed(self, new: Object, old: Object, options: WriteOptions, subresource: str) -> Object:
        """The object as it is to be stored, but for its managed fields. Raises InvalidError."""
        self._default(new, options)
        if subresource in WRITTEN_BY:  # from here on nothing is changed in place but the metadata
            new = with_part_of(self.definition, new, old, subresource, labels=options.trusted)
        self._validate_update(new, old, options, status_only=subresource == "status")
        return new

    def _check_version(self, meta: Object, entry: Entry) -> bool:
        """Whether the write is pinned to a resourceVersion. Raises ConflictError where it is another one."""
        asked = str(meta.get("resourceVersion") or "")
        if asked and asked != str(entry.revision):
            raise conflict(self.definition.group, self.definition.plural, entry.name)
        return bool(asked)

    def _validate_update(self, new: Object, old: Object, options: WriteOptions, *, status_only: bool) -> None:
        meta = new["metadata"]
        errors = metadata_errors(self.definition, meta, stored=True)
        errors += object_meta.update_errors(meta, old["metadata"])
        wrong = self._schema_errors(new, old, options)
        if status_only and self.definition.is_custom:
            wrong = [within_status(error) for error in wrong]
        if self.version.scale is not None:
            wrong = wrong + scale_errors(new, self.version.scale, status_only=status_only)
        if only_choices(wrong):
            rules_of_type = self.definition.rules
            rules_of_type.accept_stored(old)
            errors += [*wrong, *rules_of_type.validate(new), *rules_of_type.validate_update(new, old)]
        else:
            errors += wrong
        raise_invalid(self.definition, self.version, new, errors)

    # -- shared steps

    def _default(self, obj: Object, options: WriteOptions) -> None:
        if options.applied and self.definition.is_custom:
            # Nulls are dropped where an object is decoded; what an apply has made of one is not decoded again.
            self.version.schema.fill(obj)
        else:
            self.version.schema.default(obj)
        self.definition.rules.default(obj)

    def _schema_errors(self, obj: Object, old: Object | None, options: WriteOptions) -> list[FieldError]:
        if self.definition.drop_nested is not None:  # there is more in it than the schema can tell
            raise_undecodable(self.definition, self.version, obj)
        own = options.weight == 0  # no client sent it
        errors = self.version.schema.validate(obj, old, rules=not options.trusted, walk=own)
        return without_keys(errors) if errors and self.definition.rules.judges_keys else errors

    async def _own(self, old: Object | None, new: Object, options: WriteOptions, subresource: str) -> None:
        """See ``view.WriteOptions``."""
        await computed(options.weight, self._track, old, new, options, subresource)
        options.owned = new["metadata"].get("managedFields") or []

    def _track(self, old: Object | None, new: Object, options: WriteOptions, subresource: str) -> None:
        if options.owned is not None:
            check_owned(new["metadata"], options.owned, options)
            return
        if options.applied:
            return
        if new["metadata"].get("managedFields") == [] and self.definition.origin != "builtin":
            del new["metadata"]["managedFields"]  # unstructured objects cannot tell it from none
        if self.version.has_status and not subresource:
            # What the server puts into the status, for example of a new object, is nobody's: writers had no say in it.
            old = old and without_status(old)
            new = without_status(new)
        managed_fields.update(
            old,
            new,
            manager=options.field_manager,
            schema=self.version.schema.schema,
            api_version=self._api_version,
            now=timestamp_of(self.clock()),
            subresource=subresource,
            always=self.definition.always,
            has_version=self._has_version,
            typed=self.definition.origin == "builtin",
        )

    def _own_and_count(self, old: Object, new: Object, options: WriteOptions, subresource: str) -> None:
        """Note who owns what, and whether it is another generation."""
        self._track(old, new, options, subresource)
        if options.whole:
            self._track_status(old, new, options)
        count_generation(self.definition, self.version, new, old)

    def _track_status(self, old: Object | None, new: Object, options: WriteOptions) -> None:
        """The status that the server writes along with the rest, whose owners have been noted, is owned as a status."""
        before = without_status(new) | {"metadata": {**new["metadata"]}}
        if old and "status" in old:
            before["status"] = old["status"]
        self._track(before, new, options, "status")

    def _has_version(self, version: str) -> bool:
        """Whether an ``apiVersion`` is one of the resource's; Events have those of both their groups."""
        definition = self.definition
        if definition.origin == "builtin" and definition.convert is not None:
            return True
        return any(version == api_version(definition.group, each.name) for each in definition.versions)


def _encoded_if_changed(obj: Object, entry: Entry) -> tuple[bytes, bool]:
    """What is to be stored, and whether it is anything else than what is."""
    value = encoded(obj)
    return value, not same_object(value, entry.stored())
