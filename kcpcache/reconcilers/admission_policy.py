"""ValidatingAdmissionPolicies: the status says which generation was looked at. Types are not checked beforehand."""

from dataclasses import dataclass

from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.objects import Object, cluster_of, name_of, nested
from kcpcache.reconcilers.plan import NOTHING, Plan, Target, UpdateStatus

POLICIES = GroupVersionResource("admissionregistration.k8s.io", "v1", "validatingadmissionpolicies")


@dataclass(frozen=True, slots=True)
class State:
    """One policy, None if it is gone."""

    policy: Object | None


def reconcile(state: State) -> Plan:
    """Note the generation, with an empty result of type checking: its expressions compiled when it was stored."""
    policy = state.policy
    if policy is None or nested(policy, "status", "observedGeneration") == policy["metadata"].get("generation"):
        return NOTHING
    status = {
        **(policy.get("status") or {}),
        "observedGeneration": policy["metadata"]["generation"],
        "typeChecking": {},
    }
    return Plan((UpdateStatus(Target(POLICIES, cluster_of(policy), name_of(policy)), {**policy, "status": status}),))
