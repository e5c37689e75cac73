"""Counting objects for ResourceQuotas: the names of what is counted, and the counts of a namespace."""

from typing import Final

from kcpcache.meta.names import GroupResource
from kcpcache.registry.caches import ResourceCache
from kcpcache.registry.catalog import Snapshot

CLASSIC_NAMES: Final = (
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
)
"""Resources of the core group that quotas may name without ``count/``."""


def counted_names(resource: GroupResource) -> tuple[str, ...]:
    """How quotas name the count of a resource: ``count/<resource>.<group>``, and maybe the classic name."""
    name = f"count/{resource}"
    return (resource.resource, name) if not resource.group and resource.resource in CLASSIC_NAMES else (name,)


def resource_counted(name: str, snapshot: Snapshot) -> GroupResource | None:
    """The namespaced resource that a name counts; None where the workspace serves none."""
    plural, _, group = name.removeprefix("count/").partition(".")
    if plural == name and name not in CLASSIC_NAMES:
        return None
    key = GroupResource(group, plural)
    found = snapshot.resources.get(key)
    return key if found is not None and found.definition.namespaced else None


def count_in(cache: ResourceCache, cluster: str, namespace: str) -> int:
    """How many objects a namespace has."""
    shelf = cache.shelves.get(cluster)
    return shelf.count(namespace) if shelf is not None else 0
