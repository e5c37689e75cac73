"""Namespaces: a phase, the ServiceAccount that each has, and on deletion everything in them goes first."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.objects import Object, cluster_of, copy, name_of, nested
from kcpcache.reconcilers.crd import set_condition
from kcpcache.reconcilers.garbage import (
    NEXT_BATCH,
    WAIT,
    Remnant,
    deletes,
    is_deleting,
    remaining_finalizers,
    remaining_resources,
)
from kcpcache.reconcilers.plan import NOTHING, Change, Create, Plan, Target, Update, UpdateStatus

NAMESPACES = GroupVersionResource("", "v1", "namespaces")
SERVICE_ACCOUNTS = GroupVersionResource("", "v1", "serviceaccounts")
SERVICE_ACCOUNT = "default"
"""The ServiceAccount in every namespace, after kube's serviceaccounts-controller."""
FINALIZER = "kubernetes"
"""In ``spec.finalizers``; while it is there the storage keeps the namespace."""


@dataclass(frozen=True, slots=True)
class State:
    """One namespace, None if it is gone.

    ``remaining``: a bounded batch of the objects in it, of every namespaced resource that the workspace stores, those
    not yet being deleted first. It is read only while the namespace is being deleted, and read after the namespace.
    ``lacks_service_account``: ServiceAccount ``default`` is missing and may be made: its workspace is not being
    deleted. ``now`` is RFC 3339.
    """

    namespace: Object | None
    now: str
    remaining: tuple[Remnant, ...] = ()
    lacks_service_account: bool = False


def reconcile(state: State) -> Plan:
    """An active namespace's ServiceAccount; of one that is being deleted, first the content and then the finalizer.

    The Update without the finalizer is a write to ``/finalize``: the object goes once ``spec.finalizers`` (and
    ``metadata.finalizers``) is empty. Contents are only believed to be gone when the phase says Terminating, since from
    then on nothing is created.
    """
    namespace = state.namespace
    if namespace is None:
        return NOTHING
    target = Target(NAMESPACES, cluster_of(namespace), name_of(namespace))
    if not is_deleting(namespace):
        missing = _service_account(target) if state.lacks_service_account else ()
        return _status(target, namespace, {**(namespace.get("status") or {}), "phase": "Active"}, before=missing)
    finalizers = nested(namespace, "spec", "finalizers") or []
    terminating = nested(namespace, "status", "phase") == "Terminating"
    if terminating and not state.remaining and FINALIZER in finalizers:
        rest = [finalizer for finalizer in finalizers if finalizer != FINALIZER]
        return Plan((Update(target, {**namespace, "spec": {**namespace["spec"], "finalizers": rest}}),))
    begun = deletes(state.remaining)
    status = _terminating(copy(namespace.get("status") or {}), state.remaining, state.now)
    wait = NEXT_BATCH if begun else WAIT if state.remaining else None
    return _status(target, namespace, status, before=begun, wait=wait)


def _service_account(namespace: Target) -> tuple[Change, ...]:
    target = Target(SERVICE_ACCOUNTS, namespace.cluster, SERVICE_ACCOUNT, namespace.name)
    obj: Object = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": SERVICE_ACCOUNT}}
    return (Create(target, obj),)


def _status(
    target: Target, namespace: Object, status: Object, *, before: Iterable[Change] = (), wait: timedelta | None = None
) -> Plan:
    changes = tuple(before)
    if status != namespace.get("status"):
        changes += (UpdateStatus(target, {**namespace, "status": status}),)
    return Plan(changes, wait)


def _terminating(status: Object, remaining: tuple[Remnant, ...], now: str) -> Object:
    """Kube's five conditions of a terminating namespace, with kube's reasons and texts."""
    status["phase"] = "Terminating"
    kinds = (
        ("NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered"),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        (
            "NamespaceDeletionContentFailure",
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
    )
    for kind, reason, message in kinds:
        set_condition(status, kind, "False", reason, message, now=now)
    left, held = remaining_resources(remaining), remaining_finalizers(remaining)
    if left:
        message = f"Some resources are remaining: {left}"
        set_condition(status, "NamespaceContentRemaining", "True", "SomeResourcesRemain", message, now=now)
    else:
        message = "All content successfully removed"
        set_condition(status, "NamespaceContentRemaining", "False", "ContentRemoved", message, now=now)
    if held:
        message = f"Some content in the namespace has finalizers remaining: {held}"
        set_condition(status, "NamespaceFinalizersRemaining", "True", "SomeFinalizersRemain", message, now=now)
    else:
        message = "All content-preserving finalizers finished"
        set_condition(status, "NamespaceFinalizersRemaining", "False", "ContentHasNoFinalizers", message, now=now)
    return status
