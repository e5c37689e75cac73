"""The copy of an APIResourceSchema that bindings are served by: it goes when nothing can need it any more."""

from dataclasses import dataclass

from kcpcache.meta.objects import Object, metadata, name_of
from kcpcache.reconcilers.api_binding import API_RESOURCE_SCHEMAS, BOUND_SCHEMAS_CLUSTER
from kcpcache.reconcilers.plan import NOTHING, Delete, Plan, Target


@dataclass(frozen=True, slots=True)
class State:
    """One object of ``system:bound-crds``, None if it is gone.

    ``original``: whether the APIResourceSchema that it was made from, with that uid, is still there. ``bound``: whether
    an APIBinding has it in ``status.boundResources``.
    """

    kept: Object | None
    original: bool
    bound: bool


def reconcile(state: State) -> Plan:
    """Delete a copy that is neither bound nor, since its original is gone, ever will be.

    While the original is there a binding may be about to name the copy; that costs one object per schema.
    """
    if state.kept is None or state.original or state.bound:
        return NOTHING
    target = Target(API_RESOURCE_SCHEMAS, BOUND_SCHEMAS_CLUSTER, name_of(state.kept))
    return Plan((Delete(target, metadata(state.kept)["resourceVersion"]),))
