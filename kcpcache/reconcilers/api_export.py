"""An APIExport: its identity, its endpoint slice and its status (behaviour §6)."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from kcpcache.meta import conditions
from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.objects import PATH_ANNOTATION, Object, annotations_of, cluster_of, copy, metadata, name_of
from kcpcache.reconcilers import identity
from kcpcache.reconcilers.garbage import is_deleting
from kcpcache.reconcilers.plan import NOTHING, Change, Create, Plan, Target, Update, UpdateStatus

API_EXPORTS: Final = GroupVersionResource("apis.kcp.io", "v1alpha2", "apiexports")
ENDPOINT_SLICES: Final = GroupVersionResource("apis.kcp.io", "v1alpha1", "apiexportendpointslices")
SKIP_ENDPOINT_SLICE_ANNOTATION: Final = "apiexports.apis.kcp.io/skip-endpointslice"
URLS_READY: Final = "VirtualWorkspaceURLsReady"
_RETRY_GENERATION_AFTER: Final = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class State:
    """One APIExport (v1alpha2) and what it depends on.

    * ``export``: as read; None once it is gone.
    * ``path``: canonical path of its workspace.
    * ``namespace``, ``secrets``, ``fresh_key``: as in ``identity.State``.
    * ``endpoint_slice``: the APIExportEndpointSlice of its name, or None.
    * ``virtual_workspace_url``: this shard's ``spec.virtualWorkspaceURL``; "" while it is not known.
    * ``now``: RFC 3339.
    """

    export: Object | None
    path: str
    now: str
    namespace: Object | None = None
    secrets: tuple[Object, ...] = ()
    fresh_key: str = ""
    endpoint_slice: Object | None = None
    virtual_workspace_url: str = ""


def reconcile(state: State) -> Plan:
    """First spec and metadata, then status, one write to the export at a time; the slice beside them.

    Nothing is left to do on deletion: the slice is owned by the export, and bindings keep what they bound.
    """
    export = state.export
    if export is None or is_deleting(export):
        return NOTHING
    target = Target(API_EXPORTS, cluster_of(export), name_of(export))
    owner = identity.State(export, API_EXPORTS, state.namespace, state.secrets, state.fresh_key)
    decision = identity.decide(owner)
    changes: list[Change] = [*decision.changes]
    prepared = _prepared(export, state.path, decision)
    if prepared != export:
        changes.append(Update(target, prepared))
    else:
        status = _status(export, state, decision)
        if status != export.get("status"):
            changes.append(UpdateStatus(target, {**export, "status": status}))
    if state.endpoint_slice is None and SKIP_ENDPOINT_SLICE_ANNOTATION not in annotations_of(export):
        changes.append(_endpoint_slice(export, state.path))
    failed = decision.failure is not None and decision.failure.reason == "IdentityGenerationFailed"
    return Plan(tuple(changes), _RETRY_GENERATION_AFTER if failed else None)


def _prepared(export: Object, path: str, decision: identity.Decision) -> Object:
    annotations = {**annotations_of(export), PATH_ANNOTATION: path}
    prepared = {**export, "metadata": {**metadata(export), "annotations": annotations}}
    if decision.reference is not None:
        prepared["spec"] = {**(export.get("spec") or {}), "identity": {"secretRef": decision.reference._asdict()}}
    return prepared


def _status(export: Object, state: State, decision: identity.Decision) -> Object:
    """``virtualWorkspaces`` is deprecated in favour of the slice, but clients of v1alpha1 look there."""
    draft: Object = {**export, "status": copy(export.get("status") or {})}
    identity.record(decision, draft, now=state.now)
    if state.virtual_workspace_url:
        base = state.virtual_workspace_url.rstrip("/")
        url = f"{base}/services/apiexport/{cluster_of(export)}/{name_of(export)}"
        draft["status"]["virtualWorkspaces"] = [{"url": url}]
        conditions.mark_true(draft, URLS_READY, now=state.now)
    else:
        message = "the shard's virtualWorkspaceURL is not known"
        conditions.mark_false(draft, URLS_READY, "ErrorGeneratingURLs", "Error", message, now=state.now)
    status: Object = draft["status"]
    return status


def _endpoint_slice(export: Object, path: str) -> Create:
    name = name_of(export)
    owner = {
        "apiVersion": API_EXPORTS.api_version,
        "kind": "APIExport",
        "name": name,
        "uid": metadata(export).get("uid", ""),
        "controller": True,
        "blockOwnerDeletion": True,
    }
    obj = {
        "apiVersion": ENDPOINT_SLICES.api_version,
        "kind": "APIExportEndpointSlice",
        "metadata": {"name": name, "ownerReferences": [owner]},
        "spec": {"export": {"name": name, "path": path}},
    }
    return Create(Target(ENDPOINT_SLICES, cluster_of(export), name), obj)
