"""An APIExportEndpointSlice's status: whether its export exists, and where it can be reached (behaviour §6)."""

from dataclasses import dataclass
from typing import Final

from kcpcache.meta import conditions
from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.objects import Object, cluster_of, copy, metadata, name_of, nested
from kcpcache.reconcilers.cached_resource_endpoint_slice import Shard, publish, status_plan
from kcpcache.reconcilers.plan import NOTHING, Plan

API_EXPORT_ENDPOINT_SLICES: Final = GroupVersionResource("apis.kcp.io", "v1alpha1", "apiexportendpointslices")
API_EXPORT_VALID: Final = "APIExportValid"


@dataclass(frozen=True, slots=True)
class State:
    """One slice and what it depends on.

    * ``endpoint_slice``: as read; None once it is gone.
    * ``export``: the APIExport that its path and name resolve to, or None.
    * ``partition``: the Partition that ``spec.partition`` names in the slice's workspace, or None.
    * ``shards``: those that are known, usually just this one; ``consumers`` counts the export's bound APIBindings.
    * ``now``: RFC 3339.
    """

    endpoint_slice: Object | None
    export: Object | None
    partition: Object | None
    shards: tuple[Shard, ...]
    now: str


def reconcile(state: State) -> Plan:
    """Conditions APIExportValid and PartitionValid, the shard selector and the endpoints; written only on a change."""
    endpoint_slice, export = state.endpoint_slice, state.export
    if endpoint_slice is None or "deletionTimestamp" in metadata(endpoint_slice):
        return NOTHING
    obj = copy(endpoint_slice)
    path: str | None = None
    if export is None:
        at, name = (nested(endpoint_slice, "spec", "export", key) or "" for key in ("path", "name"))
        message = f"APIExport {name!r} does not exist in {f'workspace {at}' if at else 'this workspace'}"
        conditions.mark_false(obj, API_EXPORT_VALID, "APIExportNotFound", "Error", message, now=state.now)
    else:
        conditions.mark_true(obj, API_EXPORT_VALID, now=state.now)
        path = f"services/apiexport/{cluster_of(export)}/{name_of(export)}"
    publish(obj, path, state.partition, state.shards, now=state.now)
    return status_plan(API_EXPORT_ENDPOINT_SLICES, endpoint_slice, obj)
