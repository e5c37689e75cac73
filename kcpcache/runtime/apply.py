"""Carries out plans: each change on the resourceVersion it was decided on, through the views that clients use."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import groupby
from typing import TypeAlias

from kcpcache.meta.errors import ServiceUnavailableError, StatusError, already_exists, conflict, not_found
from kcpcache.meta.names import GroupResource
from kcpcache.meta.objects import Object, copy, metadata, nested
from kcpcache.reconcilers.plan import CacheTarget, Change, Create, Delete, Plan, PutCopy, Target, Update, UpdateStatus
from kcpcache.registry.caches import Caches, CopyInWriting
from kcpcache.registry.entry import encode
from kcpcache.registry.resource import ResourceDefinition
from kcpcache.registry.serving import Serving
from kcpcache.registry.stored_view import StoredView
from kcpcache.registry.view import NO_ADMISSION, DeleteOptions, Replacement, WriteOptions
from kcpcache.storage.keys import cache_prefix, object_key, registry_prefix
from kcpcache.storage.store import (
    KeyExistsError,
    Put,
    Revision,
    RevisionConflictError,
    StoreError,
    StoreUnavailableError,
)

FIELD_MANAGER = "kcpcache"
_DELETES_AT_ONCE = 20
_prefix = lru_cache(maxsize=1024)(cache_prefix)
_NAMESPACES = GroupResource("", "namespaces")
_ObjectChange: TypeAlias = Create | Update | UpdateStatus | Delete


class Applier:
    """``await applier(plan)``. ``system`` has the definitions of bound kcp types, which need no binding here."""

    def __init__(
        self,
        caches: Caches,
        serving: Serving,
        system: Callable[[GroupResource], ResourceDefinition | None],
        clock: Callable[[], datetime],
    ) -> None:
        self._caches, self._serving, self._system, self._clock = caches, serving, system, clock

    async def __call__(self, plan: Plan) -> None:
        """Apply the changes in order. Raises StatusError at the first that fails.

        Deletes that follow each other are under way at the same time, so that they share a commit.
        """
        if len(plan.changes) == 1:
            await self._change(plan.changes[0])
            return
        for deletes, changes in groupby(plan.changes, lambda change: isinstance(change, Delete)):
            rest = tuple(changes)
            size = _DELETES_AT_ONCE if deletes else 1
            while rest:
                await self._together(rest[:size])
                rest = rest[size:]

    async def _together(self, changes: tuple[Change, ...]) -> None:
        if len(changes) == 1:
            await self._change(changes[0])
            return
        results = await asyncio.gather(*map(self._change, changes), return_exceptions=True)
        failure = next((result for result in results if isinstance(result, BaseException)), None)
        if failure is not None:
            try:
                raise failure
            finally:
                del results, failure  # they lead back here: all of it would be left to the collector

    async def _change(self, change: Change) -> None:
        target = change.target
        if isinstance(target, CacheTarget):
            await self._apply_to_cache(change)
        elif not isinstance(change, PutCopy):
            await self._apply(change, target)

    def view(self, target: Target) -> StoredView:
        """The view that writes a target. Raises NotFoundError where its workspace does not serve the resource."""
        resource = target.resource
        definition = self._system(resource.group_resource)
        if definition is None:
            found = self._serving.snapshot(target.cluster).find(*resource)
            if found is None:
                raise not_found(resource.group, resource.resource, target.name)
            definition = found[0].definition
        version = definition.version(resource.version)
        if version is None:
            raise not_found(resource.group, resource.resource, target.name)
        return StoredView(self._caches, definition, version, target.cluster, self._clock)

    def _served(self, target: Target) -> bool:
        found = self._system(target.resource.group_resource)
        return found is not None or self._serving.snapshot(target.cluster).find(*target.resource) is not None

    async def _remove(self, change: Delete, target: Target) -> None:
        """Remove what outlived its definition. Nobody can reach it, so nobody could remove its finalizers."""
        group, plural = target.resource.group_resource
        own = registry_prefix(group, plural).removesuffix("/")
        for cache in self._caches.known():
            entry = cache.get(target.cluster, target.name, target.namespace)
            of_resource = cache.prefix.rstrip("/").partition(":")[0] == own
            if of_resource and entry is not None and str(entry.revision) == change.resource_version:
                key = object_key(cache.prefix, target.cluster, target.name, namespace=target.namespace)
                try:
                    revision = await self._caches.store.delete(key, expected=Revision(entry.revision))
                except RevisionConflictError:
                    raise conflict(group, plural, target.name) from None
                except StoreUnavailableError as error:
                    raise ServiceUnavailableError(f"the object was not deleted: {error}") from None
                await self._caches.reached(revision)

    async def _apply(self, change: _ObjectChange, target: Target) -> None:
        if isinstance(change, Delete) and not self._served(target):
            await self._remove(change, target)
            return
        view = self.view(target)
        options = WriteOptions(
            field_manager=FIELD_MANAGER,
            trusted=isinstance(change, Create | UpdateStatus),
            whole=isinstance(change, Update) and change.status,
        )
        if isinstance(change, Create):
            await view.create(target.namespace, copy(change.object), options, NO_ADMISSION)
        elif isinstance(change, Delete):
            how = DeleteOptions(
                resource_version=change.resource_version,
                propagation_policy=change.propagation_policy,  # type: ignore[arg-type]
            )
            await self._delete(view, target, how)
        else:
            subresource = (
                "status" if isinstance(change, UpdateStatus) else await _subresource(view, target, change.object)
            )
            wanted = Replacement(change.object)
            await view.update(target.namespace, target.name, wanted, options, NO_ADMISSION, subresource=subresource)

    @staticmethod
    async def _delete(view: StoredView, target: Target, options: DeleteOptions) -> None:
        try:
            await view.delete(target.namespace, target.name, options, NO_ADMISSION)
        except StatusError as error:
            if error.reason != "NotFound":
                raise

    async def apply_each(self, plans: Sequence[Plan]) -> list[Exception | None]:
        """Apply plans that change one thing in the cache store each, all in one go.

        Why each failed, None if it did not: one that cannot be written keeps none of the others back. Raises
        ServiceUnavailableError for all of them.
        """
        changes = [plan.changes[0] for plan in plans]
        puts = [_built(change) for change in changes]
        sent = [(change, put) for change, put in zip(changes, puts, strict=True) if isinstance(put, Put)]
        with self._copies_known(change for change, _ in sent):
            try:
                outcomes = await self._caches.store.write_each([put for _, put in sent])
            except StoreUnavailableError as error:
                raise _not_taken(error) from None
            newest = max((outcome for outcome in outcomes if isinstance(outcome, int)), default=0)
            if newest:
                await self._caches.reached(newest)
        answers = iter(outcomes)
        return [
            put if isinstance(put, Exception) else _failure(change, next(answers))
            for change, put in zip(changes, puts, strict=True)
        ]

    @contextlib.contextmanager
    def _copies_known(self, changes: Iterable[Change]) -> Iterator[None]:
        """While copies are written, their cache makes their entries of their originals'."""
        told: list[tuple[dict[int, CopyInWriting], int]] = []
        for change in changes:
            if isinstance(change, PutCopy) and isinstance(change.made_of, CopyInWriting):
                copied = self._caches.of(_prefix_of(change.target)).copied
                copied[id(change.value)] = change.made_of
                told.append((copied, id(change.value)))
        try:
            yield
        finally:
            for copied, value in told:
                copied.pop(value, None)

    async def _apply_to_cache(self, change: Change) -> None:
        (failure,) = await self.apply_each((Plan((change,)),))
        if failure is not None:
            try:
                raise failure
            finally:
                del failure


def _prefix_of(target: CacheTarget) -> str:
    resource = target.resource
    return _prefix(target.shard, resource.group, resource.version, resource.resource, target.identity_hash)


def _built(change: Change) -> Put | Exception:
    """What a change of the cache store writes there, or why it cannot be said."""
    try:
        put = _put_of(change)
        put.check()
    except Exception as error:  # noqa: BLE001 -- it is told of
        return error
    return put


def _put_of(change: Change) -> Put:
    """What a change of the cache store writes there. Raises ValueError, TypeError and the like where it is none."""
    target = change.target
    assert isinstance(target, CacheTarget), "it changes the cache store"  # noqa: S101 -- tells the type checker
    key = object_key(_prefix_of(target), target.cluster, target.name, namespace=_namespace(change))
    if isinstance(change, Delete):
        return Put(key, None, Revision(int(change.resource_version)))
    value, expected = _stored_form(change)
    return Put(key, value, Revision(expected) if expected else None)


def _failure(change: Change, error: Revision | StoreError) -> Exception | None:
    """What is raised of a write to the cache store, by its answer; None where there is nothing left to do."""
    if isinstance(error, int):
        return None
    resource, name = change.target.resource, change.target.name
    if isinstance(error, KeyExistsError):
        return already_exists(resource.group, resource.resource, name)
    if isinstance(error, RevisionConflictError):
        gone = isinstance(change, Delete) and error.current is None
        return None if gone else conflict(resource.group, resource.resource, name)
    if isinstance(error, StoreUnavailableError):
        return _not_taken(error)
    return error


def _not_taken(error: StoreUnavailableError) -> ServiceUnavailableError:
    return ServiceUnavailableError(f"the cache store did not take the write: {error}")


def _namespace(change: Change) -> str:
    if isinstance(change, Delete | PutCopy):
        return ""
    return str(metadata(change.object).get("namespace") or "")


def _stored_form(change: Create | Update | UpdateStatus | PutCopy) -> tuple[bytes, int]:
    """What is to be written into the cache, and over which revision (0: where there is nothing)."""
    if isinstance(change, PutCopy):
        return change.value, change.revision
    expected = 0 if isinstance(change, Create) else int(metadata(change.object)["resourceVersion"])
    return encode(change.object), expected


async def _subresource(view: StoredView, target: Target, wanted: Object) -> str:
    """``finalize`` for a Namespace whose finalizers in the spec change: an ordinary update leaves those alone."""
    if target.resource.group_resource != _NAMESPACES:
        return ""
    live = (await view.get("", target.name)).object()
    return "" if nested(live, "spec", "finalizers") == nested(wanted, "spec", "finalizers") else "finalize"
