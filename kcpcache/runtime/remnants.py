"""What is still there of what must go, in batches, for the reconcilers that delete contents before containers."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice

from kcpcache.meta.names import GroupVersionResource, split_api_version
from kcpcache.meta.objects import metadata
from kcpcache.reconcilers.garbage import NEXT_BATCH, WAIT, Remnant
from kcpcache.reconcilers.plan import Plan, Target
from kcpcache.registry.caches import Caches, ResourceCache
from kcpcache.registry.entry import Entry
from kcpcache.storage.keys import REGISTRY

BATCH = 200


def resource_of(cache: ResourceCache, entry: Entry) -> GroupVersionResource:
    """The stored version of an entry's resource; the plural is taken from the storage prefix."""
    plural = cache.prefix.rstrip("/").rpartition("/")[2].partition(":")[0]
    group, version = split_api_version(entry.api_version)
    return GroupVersionResource(group, version, plural)


def target_of(cache: ResourceCache, entry: Entry) -> Target:
    """Where an entry is."""
    return Target(resource_of(cache, entry), entry.cluster, entry.name, entry.namespace)


def stored_caches(caches: Caches) -> Iterator[ResourceCache]:
    """The caches of what workspaces hold (not of the cache store)."""
    return (cache for cache in caches.known() if cache.prefix.startswith(REGISTRY))


def batch(caches: Iterable[ResourceCache], cluster: str, namespace: str = "") -> tuple[Remnant, ...]:
    """Up to ``BATCH`` objects of a logical cluster (in a namespace), those not yet being deleted first.

    Of these, what is in namespaces comes before they do, so that namespaces find themselves empty.
    """
    alive: list[Remnant] = []
    held: list[Remnant] = []
    for cache in caches:
        if cluster not in cache.shelves:  # of most there is nothing
            continue
        for entry in cache.entries(cluster, namespace):
            if namespace and not entry.namespace:
                continue
            if not entry.deleting:
                alive.append(Remnant(target_of(cache, entry), str(entry.revision)))
                if len(alive) >= BATCH:
                    return tuple(alive)
            elif len(held) < BATCH:
                held.append(_held(cache, entry))
    alive.sort(key=lambda remnant: not remnant.target.namespace)
    return tuple(islice((*alive, *held), BATCH))


def paced(plan: Plan, remaining: tuple[Remnant, ...]) -> Plan:
    """The plan of whoever has a batch deleted, and is told when nothing is left; there is a next one if it was full."""
    if plan.requeue_after == NEXT_BATCH and len(remaining) < BATCH:
        return replace(plan, requeue_after=WAIT)
    return plan


def _held(cache: ResourceCache, entry: Entry) -> Remnant:
    finalizers = tuple(metadata(entry.object()).get("finalizers") or ())
    return Remnant(target_of(cache, entry), str(entry.revision), deleting=True, finalizers=finalizers)
