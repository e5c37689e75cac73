"""A WorkspaceType's status: where its initializer finds the workspaces that wait for it."""

from dataclasses import dataclass
from typing import Final

from kcpcache.meta import conditions
from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.objects import PATH_ANNOTATION, Object, annotations_of, cluster_of, copy, metadata, name_of, nested
from kcpcache.reconcilers.garbage import is_deleting
from kcpcache.reconcilers.plan import NOTHING, Plan, Target, Update, UpdateStatus

WORKSPACE_TYPES: Final = GroupVersionResource("tenancy.kcp.io", "v1alpha1", "workspacetypes")
URLS_READY: Final = "VirtualWorkspaceURLsReady"


@dataclass(frozen=True, slots=True)
class State:
    """One WorkspaceType, None once it is gone.

    ``path``: canonical path of its workspace. ``virtual_workspace_url``: this shard's ``spec.virtualWorkspaceURL``; ""
    while it is not known. ``now`` is RFC 3339.
    """

    workspace_type: Object | None
    path: str
    now: str
    virtual_workspace_url: str = ""


def initializer_of(workspace_type: Object) -> str:
    """What a LogicalCluster's ``spec.initializers`` says for this type: ``<logical cluster>:<name>``."""
    return f"{cluster_of(workspace_type)}:{name_of(workspace_type)}"


def reconcile(state: State) -> Plan:
    """The path annotation, then URLs and conditions; a type without initializer has no URLs, and is Ready."""
    found = state.workspace_type
    if found is None or is_deleting(found):
        return NOTHING
    target = Target(WORKSPACE_TYPES, cluster_of(found), name_of(found))
    if annotations_of(found).get(PATH_ANNOTATION) != state.path:
        annotations = {**annotations_of(found), PATH_ANNOTATION: state.path}
        return Plan((Update(target, {**found, "metadata": {**metadata(found), "annotations": annotations}}),))
    draft: Object = {**found, "status": copy(found.get("status") or {})}
    _publish(draft, state)
    return Plan((UpdateStatus(target, draft),)) if draft["status"] != found.get("status") else NOTHING


def _publish(draft: Object, state: State) -> None:
    initializes = bool(nested(draft, "spec", "initializer"))
    if initializes and not state.virtual_workspace_url:
        message = "the shard's virtualWorkspaceURL is not known"
        conditions.mark_false(draft, URLS_READY, "ErrorGeneratingURLs", "Error", message, now=state.now)
    else:
        conditions.mark_true(draft, URLS_READY, now=state.now)
        draft["status"].pop("virtualWorkspaces", None)
        if initializes:
            base = state.virtual_workspace_url.rstrip("/")
            url = f"{base}/services/initializingworkspaces/{initializer_of(draft)}"
            draft["status"]["virtualWorkspaces"] = [{"url": url}]
    conditions.summarize(draft, [URLS_READY], now=state.now)
