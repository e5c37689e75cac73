"""Aggregated ClusterRoles: their rules are those of the ClusterRoles that their selectors match.

After kube's controller ``clusterroleaggregation``; each workspace is a world of its own.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.objects import Object, cluster_of, labels_of, name_of, nested
from kcpcache.meta.selectors import label_selector_of
from kcpcache.reconcilers.plan import NOTHING, Plan, Target, Update

CLUSTER_ROLES = GroupVersionResource("rbac.authorization.k8s.io", "v1", "clusterroles")
MOST_RULES_BYTES = 256 * 1024
"""Roles that gather roles that gather roles must not grow beyond what one object may be."""


@dataclass(frozen=True, slots=True)
class State:
    """One ClusterRole, None if it is gone, and all of its logical cluster, itself among them."""

    role: Object | None
    all_roles: tuple[Object, ...]


def reconcile(state: State) -> Plan:
    """Write the gathered rules where they are others; nothing where they are too large, so that the old ones stay."""
    role = state.role
    if role is None or not is_aggregated(role):
        return NOTHING
    rules = aggregated_rules(role, state.all_roles)
    if rules is None or rules == (role.get("rules") or []):
        return NOTHING
    return Plan((Update(Target(CLUSTER_ROLES, cluster_of(role), name_of(role)), {**role, "rules": rules}),))


def is_aggregated(role: Object) -> bool:
    """Whether the rules are the server's to write."""
    return role.get("aggregationRule") is not None


def aggregated_rules(role: Object, all_roles: Iterable[Object]) -> list[Object] | None:
    """The rules of all other roles that any selector matches: selector by selector, by name, each rule once.

    None where they are too large.
    """
    found: dict[bytes, Object] = {}
    size = 0
    others = sorted((other for other in all_roles if name_of(other) != name_of(role)), key=name_of)
    for selector in nested(role, "aggregationRule", "clusterRoleSelectors", default=None) or ():
        wanted = label_selector_of(selector)
        for other in others:
            if wanted.matches(labels_of(other)):
                for rule in other.get("rules") or ():
                    key = orjson.dumps(rule, option=orjson.OPT_SORT_KEYS)
                    size += 0 if key in found else len(key)
                    if size > MOST_RULES_BYTES:
                        return None
                    found[key] = rule
    return list(found.values())
