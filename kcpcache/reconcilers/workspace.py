"""Workspaces: each gets a logical cluster, mirrors its phase, and goes after it."""

import re
from dataclasses import dataclass
from typing import Any, Final

from kcpcache.meta import conditions
from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.objects import (
    PATH_ANNOTATION,
    REQUIRED_GROUPS_ANNOTATION,
    Object,
    annotations_of,
    cluster_of,
    copy,
    labels_of,
    metadata,
    name_of,
    nested,
)
from kcpcache.reconcilers.garbage import has_finalizer, is_deleting, resource_version, with_finalizer, without_finalizer
from kcpcache.reconcilers.logical_cluster import (
    CONTENT_DELETED,
    FINALIZER,
    LOGICAL_CLUSTERS,
    NAME,
    PHASE_LABEL,
    phase_label,
    with_phase_label,
)
from kcpcache.reconcilers.plan import NOTHING, Create, Delete, Plan, Target, Update, UpdateStatus

WORKSPACES = GroupVersionResource("tenancy.kcp.io", "v1alpha1", "workspaces")
CLUSTER_NAME_ANNOTATION = "internal.tenancy.kcp.io/cluster"
SHARD_HASH_ANNOTATION = "internal.tenancy.kcp.io/shard"
SHARD_NAME_ANNOTATION = "core.kcp.io/shard"
TYPE_ANNOTATION = "internal.tenancy.kcp.io/type"
OWNER_ANNOTATION = "experimental.tenancy.kcp.io/owner"

# A user may write annotations: no name of a system cluster may come in that way.
_CLUSTER_NAME: Final = re.compile("[a-z0-9]{1,63}")


@dataclass(frozen=True, slots=True)
class Shard:
    """Where a workspace goes: a Shard's name, the hash of it that kcp writes, and its ``spec.externalURL``."""

    name: str
    hash: str
    external_url: str


@dataclass(frozen=True, slots=True)
class State:
    """One Workspace, None if it is gone.

    ``parent_path``: canonical path of the workspace that it is in (``root:org``). ``shard``: the shard that it is on
    or is to go to; None if there is none (that ``spec.location.selector`` allows). ``fresh_cluster_name``: an unused,
    random, lower-case base36 name, taken only if the Workspace has none yet (or one that another Workspace has).
    ``logical_cluster``: the object ``cluster`` in the logical cluster that annotation
    ``internal.tenancy.kcp.io/cluster`` names; None if it or the annotation is missing. Read it after the Workspace.
    ``initializers``: those of the whole chain of types (``<cluster>:<type>`` of each with ``spec.initializer``, then
    ``system:apibindings`` if any has default bindings); None if the type cannot be resolved.
    ``bootstrap_objects``: of what the new workspace begins with (namespace ``default``, the owner's ClusterRoleBinding
    ``workspace-admin``) those that are missing in it, ready to be created; () without the annotation, and once it was
    Ready. ``now`` is RFC 3339.
    """

    workspace: Object | None
    now: str
    parent_path: str
    fresh_cluster_name: str
    shard: Shard | None = None
    logical_cluster: Object | None = None
    initializers: tuple[str, ...] | None = None
    bootstrap_objects: tuple[Create, ...] = ()


def reconcile(state: State) -> Plan:
    """The name first, then the LogicalCluster and what goes into it, then ``spec.cluster`` and URL, then the status.

    Each step looks for what the one before wrote, so that a crash between any two of them heals; a shard's new
    external URL is taken over. A Workspace with ``spec.mount`` is only stored.
    """
    workspace = state.workspace
    if workspace is None:
        return NOTHING
    target = Target(WORKSPACES, cluster_of(workspace), name_of(workspace))
    logical_cluster = state.logical_cluster if _owns(workspace, state.logical_cluster) else None
    if is_deleting(workspace):
        return _delete(target, workspace, logical_cluster, state.now)
    if nested(workspace, "spec", "mount") is not None:
        return NOTHING
    scheduled = bool(nested(workspace, "spec", "cluster"))
    if not scheduled:
        if problem := _problem(workspace, state, exists=logical_cluster is not None):
            return _unschedulable(target, workspace, problem, state.now)
        if named := _named(workspace, state):
            return Plan((Update(target, named),))
    if not has_finalizer(workspace, FINALIZER):
        return Plan((Update(target, with_finalizer(workspace, FINALIZER)),))
    if not scheduled:
        return _create(target, workspace, state, exists=logical_cluster is not None)
    located = _located(workspace, state, workspace["spec"]["cluster"])
    if located != workspace:
        return Plan((Update(target, located),))
    return _mirror(target, workspace, logical_cluster, state)


def _owns(workspace: Object, logical_cluster: Object | None) -> bool:
    uid = nested(logical_cluster, "spec", "owner", "uid")
    return logical_cluster is not None and uid == metadata(workspace).get("uid")


def _problem(workspace: Object, state: State, *, exists: bool) -> str:
    if state.shard is None or not state.shard.external_url:
        return "No available shards to schedule the workspace"
    if state.initializers is None and not exists:
        return f"WorkspaceType {_type_path(workspace)} cannot be resolved"
    return ""


def _type_path(workspace: Object) -> str:
    kind = nested(workspace, "spec", "type", default={})
    return ":".join(filter(None, (kind.get("path"), kind.get("name"))))


def _unschedulable(target: Target, workspace: Object, why: str, now: str) -> Plan:
    draft = {**workspace, "status": copy(workspace.get("status") or {})}
    draft["status"]["phase"] = "Scheduling"
    conditions.mark_false(draft, "WorkspaceScheduled", "Unschedulable", "Error", why, now=now)
    return _status_then_label(target, workspace, draft)


def _named(workspace: Object, state: State) -> Object | None:
    """The Workspace with the name of its logical cluster to be; None if it has a good one."""
    annotations = annotations_of(workspace)
    foreign = state.logical_cluster is not None and not _owns(workspace, state.logical_cluster)
    good = _CLUSTER_NAME.fullmatch(annotations.get(CLUSTER_NAME_ANNOTATION, "")) is not None and not foreign
    if state.shard is None or good:
        return None
    annotations = {
        **annotations,
        CLUSTER_NAME_ANNOTATION: state.fresh_cluster_name,
        SHARD_HASH_ANNOTATION: state.shard.hash,
        SHARD_NAME_ANNOTATION: state.shard.name,
    }
    draft = {**workspace, "metadata": {**metadata(workspace), "annotations": annotations}}
    return with_phase_label(draft if has_finalizer(draft, FINALIZER) else with_finalizer(draft, FINALIZER))


def _create(target: Target, workspace: Object, state: State, *, exists: bool) -> Plan:
    """The LogicalCluster, the objects in it, and last the Workspace's spec, which says that all are there."""
    cluster = annotations_of(workspace)[CLUSTER_NAME_ANNOTATION]
    changes: list[Create | Update] = []
    if not exists:
        place = Target(LOGICAL_CLUSTERS, cluster, NAME)
        changes.append(Create(place, _logical_cluster(target, workspace, state)))
    changes += state.bootstrap_objects
    changes.append(Update(target, _located(workspace, state, cluster)))
    return Plan(tuple(changes))


def _located(workspace: Object, state: State, cluster: str) -> Object:
    spec = {**(workspace.get("spec") or {}), "cluster": cluster}
    if state.shard is not None and state.shard.external_url:
        base = state.shard.external_url.rstrip("/")
        spec["URL"] = f"{base}/clusters/{state.parent_path}:{name_of(workspace)}"
    return {**workspace, "spec": spec}


def _logical_cluster(target: Target, workspace: Object, state: State) -> Object:
    annotations = {
        PATH_ANNOTATION: f"{state.parent_path}:{name_of(workspace)}",
        TYPE_ANNOTATION: _type_path(workspace),
    }
    given = annotations_of(workspace)
    annotations |= {key: given[key] for key in (OWNER_ANNOTATION, REQUIRED_GROUPS_ANNOTATION) if key in given}
    spec: dict[str, Any] = {
        "owner": {
            "apiVersion": WORKSPACES.api_version,
            "resource": WORKSPACES.resource,
            "name": target.name,
            "cluster": target.cluster,
            "uid": metadata(workspace).get("uid", ""),
        }
    }
    if state.initializers:
        spec["initializers"] = list(state.initializers)
    return {
        "apiVersion": LOGICAL_CLUSTERS.api_version,
        "kind": "LogicalCluster",
        "metadata": {"name": NAME, "annotations": annotations, "finalizers": [FINALIZER]},
        "spec": spec,
    }


def _mirror(target: Target, workspace: Object, logical_cluster: Object | None, state: State) -> Plan:
    draft = {**workspace, "status": copy(workspace.get("status") or {})}
    status = draft["status"]
    if logical_cluster is None:
        status["phase"] = "Unavailable"
        why = f"The logical cluster {nested(workspace, 'spec', 'cluster')} disappeared"
        conditions.mark_false(draft, "WorkspaceInitialized", "WorkspaceDisappeared", "Error", why, now=state.now)
        return _status_then_label(target, workspace, draft)
    conditions.mark_true(draft, "WorkspaceScheduled", now=state.now)
    status["phase"] = nested(logical_cluster, "status", "phase") or "Scheduling"
    initializers = nested(logical_cluster, "status", "initializers") or []
    if initializers:
        status["initializers"] = list(initializers)
    else:
        status.pop("initializers", None)
    if status["phase"] == "Ready":
        conditions.mark_true(draft, "WorkspaceInitialized", now=state.now)
    elif status["phase"] != "Unavailable":
        why = f"Initializers still exist: [{' '.join(initializers)}]"
        conditions.mark_false(draft, "WorkspaceInitialized", "InitializerExists", "Info", why, now=state.now)
    plan = _status_then_label(target, workspace, draft)
    missing = () if status["phase"] in {"Ready", "Unavailable"} else state.bootstrap_objects
    return Plan((*missing, *plan.changes))


def _status_then_label(target: Target, workspace: Object, draft: Object) -> Plan:
    """The status and the label that mirrors it in one write; the label alone where a user has changed that."""
    if draft["status"] != (workspace.get("status") or {}):
        return Plan((UpdateStatus(target, with_phase_label(draft)),))
    if labels_of(workspace).get(PHASE_LABEL) != phase_label(workspace):
        return Plan((Update(target, with_phase_label(workspace)),))
    return NOTHING


def _delete(target: Target, workspace: Object, logical_cluster: Object | None, now: str) -> Plan:
    """First the LogicalCluster, which takes its content along; what holds that up is told here, too."""
    if not has_finalizer(workspace, FINALIZER):
        return NOTHING
    if logical_cluster is None:
        return Plan((Update(target, without_finalizer(workspace, FINALIZER)),))
    draft = {**workspace, "status": copy(workspace.get("status") or {})}
    content = conditions.get(logical_cluster, CONTENT_DELETED)
    if content is not None and content["status"] == "False":
        why = content["reason"], content["severity"], content["message"]
        conditions.mark_false(draft, CONTENT_DELETED, *why, now=now)
    own = _status_then_label(target, workspace, draft).changes
    if is_deleting(logical_cluster):
        return Plan(own)
    place = Target(LOGICAL_CLUSTERS, cluster_of(logical_cluster), NAME)
    return Plan((Delete(place, resource_version(logical_cluster)), *own))
