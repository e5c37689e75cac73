"""LogicalClusters: from Scheduling over Initializing to Ready, and everything in them goes before they do."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from kcpcache.meta import conditions
from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.objects import Object, cluster_of, copy, labels_of, metadata, name_of, nested
from kcpcache.reconcilers.garbage import (
    NEXT_BATCH,
    WAIT,
    Remnant,
    deletes,
    has_finalizer,
    is_deleting,
    remaining_finalizers,
    remaining_resources,
    with_finalizer,
    without_finalizer,
)
from kcpcache.reconcilers.plan import NOTHING, Change, Create, Plan, Target, Update, UpdateStatus

LOGICAL_CLUSTERS = GroupVersionResource("core.kcp.io", "v1alpha1", "logicalclusters")
NAME = "cluster"
"""Of the one LogicalCluster in each logical cluster."""
FINALIZER = "core.kcp.io/logicalcluster"
"""On the LogicalCluster while it has content, and on the Workspace while it has a LogicalCluster."""
PHASE_LABEL = "tenancy.kcp.io/phase"
CONTENT_DELETED = "WorkspaceContentDeleted"
"""The condition that says what is left while it is being deleted; on the Workspace, too."""
UNIVERSAL_INITIALIZER = "root:universal"
"""The initializer of the one built-in type that has one: it stands for the objects every workspace begins with."""


@dataclass(frozen=True, slots=True)
class State:
    """One LogicalCluster, None if it is gone.

    ``external_url``: the shard's ``spec.externalURL``. ``bootstrap_objects``: of the objects that a workspace begins
    with (namespace ``default``, the owner's ClusterRoleBinding) those that are missing in it, ready to be created;
    read only until the phase is Ready, so that a user may delete them later.
    ``remaining``: a bounded batch of everything that the logical cluster stores but the LogicalCluster itself, those
    not yet being deleted first; read only while it is being deleted, and read after it. ``now`` is RFC 3339.
    """

    logical_cluster: Object | None
    now: str
    external_url: str = ""
    bootstrap_objects: tuple[Create, ...] = ()
    remaining: tuple[Remnant, ...] = ()


def reconcile(state: State) -> Plan:
    """One write to the LogicalCluster at a time: the finalizer, then the status with the label that mirrors the phase.

    The bootstrap objects of a logical cluster that a Workspace owns are the Workspace's to create; for any other
    (home workspaces, ``root``) they are created here. Ready waits for them in any case.
    """
    obj = state.logical_cluster
    if obj is None:
        return NOTHING
    target = Target(LOGICAL_CLUSTERS, cluster_of(obj), name_of(obj))
    if is_deleting(obj):
        return _delete(target, obj, state)
    if not has_finalizer(obj, FINALIZER):
        return Plan((Update(target, with_finalizer(obj, FINALIZER)),))
    draft = {**obj, "status": copy(obj.get("status") or {})}
    _advance(draft, state)
    owned = nested(obj, "spec", "owner", "resource") == "workspaces"
    return _written(target, obj, draft, before=() if owned or _is_ready(obj) else state.bootstrap_objects)


def _is_ready(obj: Object) -> bool:
    return nested(obj, "status", "phase") in {"Ready", "Unavailable"}


def _advance(draft: Object, state: State) -> None:
    status = draft["status"]
    if state.external_url:
        status["URL"] = f"{state.external_url.rstrip('/')}/clusters/{cluster_of(draft)}"
    if status.get("phase") in {None, "", "Scheduling"}:
        status["phase"] = "Initializing"
        _set_initializers(status, nested(draft, "spec", "initializers") or [])
    if _is_ready(draft):
        return
    left = status.get("initializers") or []
    if not state.bootstrap_objects:
        left = [initializer for initializer in left if initializer != UNIVERSAL_INITIALIZER]
        _set_initializers(status, left)
    if left or state.bootstrap_objects:
        why = f"Initializers still exist: [{' '.join(left)}]" if left else "Bootstrap objects are still missing"
        conditions.mark_false(draft, "WorkspaceInitialized", "InitializerExists", "Info", why, now=state.now)
    else:
        status["phase"] = "Ready"
        conditions.mark_true(draft, "WorkspaceInitialized", now=state.now)


def _set_initializers(status: Object, initializers: list[str]) -> None:
    if initializers:
        status["initializers"] = list(initializers)
    else:
        status.pop("initializers", None)


def _delete(target: Target, obj: Object, state: State) -> Plan:
    if not has_finalizer(obj, FINALIZER):
        return NOTHING
    noted = conditions.status_of(obj, CONTENT_DELETED)
    if noted and not state.remaining:
        return Plan((Update(target, without_finalizer(obj, FINALIZER)),))
    draft = {**obj, "status": copy(obj.get("status") or {})}
    texts = []
    if left := remaining_resources(state.remaining):
        texts.append(f"Some resources are remaining: {left}")
    if held := remaining_finalizers(state.remaining):
        texts.append(f"Some content in the logical cluster has finalizers remaining: {held}")
    text = "; ".join(texts) or "The content is being looked for"
    conditions.mark_false(draft, CONTENT_DELETED, "SomeResourcesRemain", "Info", text, now=state.now)
    begun = deletes(state.remaining)
    wait = NEXT_BATCH if begun else WAIT if state.remaining else None
    return _written(target, obj, draft, before=begun, wait=wait)


def _written(
    target: Target, obj: Object, draft: Object, *, before: Iterable[Change] = (), wait: timedelta | None = None
) -> Plan:
    changes = tuple(before)
    if draft["status"] != (obj.get("status") or {}):
        changes += (UpdateStatus(target, with_phase_label(draft)),)
    elif labels_of(obj).get(PHASE_LABEL) != phase_label(obj):
        changes += (Update(target, with_phase_label(obj)),)
    return Plan(changes, wait)


def phase_label(obj: Object) -> str:
    """What the label ``tenancy.kcp.io/phase`` of a LogicalCluster or Workspace says: the phase, or ``Deleting``."""
    return "Deleting" if is_deleting(obj) else str(nested(obj, "status", "phase") or "Scheduling")


def with_phase_label(obj: Object) -> Object:
    """The object with that label; the argument stays as it is."""
    labels = {**labels_of(obj), PHASE_LABEL: phase_label(obj)}
    return {**obj, "metadata": {**metadata(obj), "labels": labels}}
