"""Garbage collection after ownerReferences, and the vocabulary of deletion that the other reconcilers share.

The rules are Kubernetes' (concepts/architecture/garbage-collection): an object goes when no owner is left;
``foregroundDeletion`` on an owner keeps it until the dependents that block it are gone; with ``orphan`` they stay.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from kcpcache.meta.objects import Object, metadata
from kcpcache.reconcilers.plan import NOTHING, Change, Delete, Plan, Target, Update

ORPHAN = "orphan"
FOREGROUND = "foregroundDeletion"

NEXT_BATCH = timedelta(milliseconds=50)
"""After a batch of deletes: the next batch, without waiting for an event of each object."""
WAIT = timedelta(seconds=2)
"""While others' finalizers hold what must go first; its events need not be watched."""

OwnerStatus = Literal["absent", "present", "foreground"]


@dataclass(frozen=True, slots=True)
class Remnant:
    """An object that must be gone before something else may go.

    ``deleting``: it has a deletionTimestamp, so that only its ``finalizers`` keep it.
    """

    target: Target
    resource_version: str
    deleting: bool = False
    finalizers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Dependent:
    """An object whose ownerReferences name the reconciled one, as it was read."""

    target: Target
    object: Object


@dataclass(frozen=True, slots=True)
class State:
    """One object that has owners, or that is being deleted with one of the two finalizers.

    ``object`` is None if it is gone. ``owners`` has one entry for each of its ownerReferences, in their order, known
    by uid from a current read (never from a cache that may lag): ``absent`` (no such uid in this workspace),
    ``foreground`` (being deleted with ``foregroundDeletion``), else ``present``. ``dependents`` is a bounded batch of
    this workspace's objects that name its uid, those with ``blockOwnerDeletion`` first; it is read only where the
    object is being deleted with one of the two finalizers or one of its owners is ``foreground``.
    To be looked at again: an object when an owner of it changes or goes, an owner when a dependent changes or goes.
    """

    target: Target
    object: Object | None
    owners: tuple[OwnerStatus, ...] = ()
    dependents: tuple[Dependent, ...] = ()


def reconcile(state: State) -> Plan:
    """Delete the object, detach it from owners that are gone, or let it go once its dependents are dealt with."""
    obj = state.object
    if obj is None:
        return NOTHING
    if is_deleting(obj):
        return _deleting(state, obj)
    if not state.owners:
        return NOTHING
    if "present" in state.owners:
        return _keep(state, obj)
    if "foreground" in state.owners and state.dependents:
        return _foreground(state, obj)
    return Plan((Delete(state.target, resource_version(obj), _policy(obj)),))


def _deleting(state: State, obj: Object) -> Plan:
    uid = metadata(obj).get("uid")
    if has_finalizer(obj, ORPHAN):
        if state.dependents:
            return Plan(tuple(_orphaned(found, uid) for found in state.dependents), NEXT_BATCH)
        return Plan((Update(state.target, without_finalizer(obj, ORPHAN)),))
    if has_finalizer(obj, FOREGROUND) and not any(_blocks(found.object, uid) for found in state.dependents):
        return Plan((Update(state.target, without_finalizer(obj, FOREGROUND)),))
    return NOTHING


def _orphaned(dependent: Dependent, uid: str | None) -> Change:
    kept = [ref for ref in _references(dependent.object) if ref.get("uid") != uid]
    return Update(dependent.target, _with_references(dependent.object, kept))


def _keep(state: State, obj: Object) -> Plan:
    """Another owner is left: forget those that are gone or only wait for this object."""
    references = _references(obj)
    kept = [ref for ref, owner in zip(references, state.owners, strict=True) if owner == "present"]
    if len(kept) == len(references):
        return NOTHING
    return Plan((Update(state.target, _with_references(obj, kept)),))


def _foreground(state: State, obj: Object) -> Plan:
    """An owner waits for this object, which has dependents itself: they go first."""
    references = _references(obj)
    if any(is_deleting(found.object) and has_finalizer(found.object, FOREGROUND) for found in state.dependents):
        # A circle: the dependent waits for this object too. Whoever waits for this object stops waiting.
        freed = [
            {**ref, "blockOwnerDeletion": False} if owner == "foreground" and ref.get("blockOwnerDeletion") else ref
            for ref, owner in zip(references, state.owners, strict=True)
        ]
        if freed != references:
            return Plan((Update(state.target, _with_references(obj, freed)),))
    return Plan((Delete(state.target, resource_version(obj), "Foreground"),))


def _policy(obj: Object) -> str:
    """What an earlier request wanted for the object's own dependents."""
    if has_finalizer(obj, ORPHAN):
        return "Orphan"
    return "Foreground" if has_finalizer(obj, FOREGROUND) else "Background"


def _references(obj: Object) -> list[Object]:
    return metadata(obj).get("ownerReferences") or []


def _blocks(dependent: Object, uid: str | None) -> bool:
    return any(ref.get("uid") == uid and ref.get("blockOwnerDeletion") for ref in _references(dependent))


def _with_references(obj: Object, references: list[Object]) -> Object:
    meta = {key: value for key, value in metadata(obj).items() if key != "ownerReferences"}
    return {**obj, "metadata": {**meta, "ownerReferences": references} if references else meta}


def is_deleting(obj: Object) -> bool:
    """Whether deletion has begun: only finalizers keep the object."""
    return bool(metadata(obj).get("deletionTimestamp"))


def resource_version(obj: Object) -> str:
    """``metadata.resourceVersion``, or ""."""
    return str(metadata(obj).get("resourceVersion") or "")


def has_finalizer(obj: Object, finalizer: str) -> bool:
    """Whether ``metadata.finalizers`` names it."""
    return finalizer in (metadata(obj).get("finalizers") or ())


def with_finalizer(obj: Object, finalizer: str) -> Object:
    """The object with the finalizer; the argument stays as it is."""
    meta = metadata(obj)
    return {**obj, "metadata": {**meta, "finalizers": [*(meta.get("finalizers") or ()), finalizer]}}


def without_finalizer(obj: Object, finalizer: str) -> Object:
    """The object without the finalizer; the argument stays as it is."""
    meta = metadata(obj)
    rest = [name for name in meta.get("finalizers") or () if name != finalizer]
    kept = {key: value for key, value in meta.items() if key != "finalizers"}
    return {**obj, "metadata": {**kept, "finalizers": rest} if rest else kept}


def deletes(remaining: Iterable[Remnant]) -> tuple[Delete, ...]:
    """Begin the deletion of those for which it has not begun."""
    return tuple(Delete(found.target, found.resource_version) for found in remaining if not found.deleting)


def remaining_resources(remaining: Iterable[Remnant]) -> str:
    """``configmaps. has 2 resource instances, …``, sorted: kube's words for what is left."""
    counts = Counter(f"{r.target.resource.resource}.{r.target.resource.group}" for r in remaining)
    return ", ".join(f"{resource} has {count} resource instances" for resource, count in sorted(counts.items()))


def remaining_finalizers(remaining: Iterable[Remnant]) -> str:
    """``example.com/hold in 2 resource instances, …``, sorted; "" where no finalizer is left."""
    counts = Counter(finalizer for found in remaining for finalizer in found.finalizers)
    return ", ".join(f"{finalizer} in {count} resource instances" for finalizer, count in sorted(counts.items()))
