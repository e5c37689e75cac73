"""ResourceQuotas: the status says what the limits are and what of them is used."""

from collections.abc import Mapping
from dataclasses import dataclass

from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.objects import Object, cluster_of, name_of, namespace_of, nested
from kcpcache.reconcilers.plan import NOTHING, Plan, Target, UpdateStatus

RESOURCE_QUOTAS = GroupVersionResource("", "v1", "resourcequotas")


@dataclass(frozen=True, slots=True)
class State:
    """One quota, None if it is gone. ``used`` has the names in ``spec.hard`` that can be counted, as quantities."""

    quota: Object | None
    used: Mapping[str, str]


def reconcile(state: State) -> Plan:
    """Write limits and counts into the status where they are not there yet; what cannot be counted is left out."""
    quota = state.quota
    if quota is None:
        return NOTHING
    hard = nested(quota, "spec", "hard", default=None) or {}
    status = {"hard": dict(hard), "used": {name: state.used[name] for name in hard if name in state.used}}
    before = quota.get("status") or {}
    if {key: before.get(key) or {} for key in status} == status:
        return NOTHING
    target = Target(RESOURCE_QUOTAS, cluster_of(quota), name_of(quota), namespace_of(quota))
    return Plan((UpdateStatus(target, {**quota, "status": status}),))
