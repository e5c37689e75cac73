"""A CachedResourceEndpointSlice's status: whether it resolves, and where its objects can be read (behaviour §4).

``publish`` is what all endpoint slices have in common.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kcpcache.meta import conditions
from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.objects import Object, cluster_of, copy, metadata, name_of, nested
from kcpcache.meta.selectors import EVERYTHING, LabelSelector, label_selector_errors, label_selector_of
from kcpcache.meta.virtual_resources import (
    CACHED_RESOURCE,
    ENDPOINT_SLICES,
    RESOURCE_VALID,
    cached_resource_reference,
)
from kcpcache.reconcilers.plan import NOTHING, Plan, Target, UpdateStatus

PARTITION_VALID = "PartitionValid"


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard whose URL can be published: its labels, its ``spec.virtualWorkspaceURL``.

    ``consumers`` counts the APIBindings of that shard that are bound to what the slice publishes.
    """

    labels: Mapping[str, str]
    virtual_workspace_url: str
    consumers: int


@dataclass(frozen=True, slots=True)
class State:
    """One slice and what it depends on.

    * ``endpoint_slice``: as read; None once it is gone.
    * ``cached_resource``: what its path and name resolve to, from wherever, or None.
    * ``reference_allowed``: whether the slice's creator could read that CachedResource; matters only where it is in
      another workspace, and then one that he could not read is like none.
    * ``partition``: the Partition that ``spec.partition`` names in the slice's workspace, or None.
    * ``shards``: those that are known, usually just this one; ``consumers`` from the CachedResource's records.
    * ``now``: RFC 3339.
    """

    endpoint_slice: Object | None
    cached_resource: Object | None
    reference_allowed: bool
    partition: Object | None
    shards: tuple[Shard, ...]
    now: str


def reconcile(state: State) -> Plan:
    """Conditions ResourceValid and PartitionValid, the shard selector and the endpoints; written only on a change."""
    endpoint_slice, cached_resource = state.endpoint_slice, state.cached_resource
    if endpoint_slice is None or "deletionTimestamp" in metadata(endpoint_slice):
        return NOTHING
    obj = copy(endpoint_slice)
    path: str | None = None
    own = cached_resource is not None and cluster_of(cached_resource) == cluster_of(endpoint_slice)
    if cached_resource is None or not (own or state.reference_allowed):
        # The same words whether or not it is there: nobody learns by a slice what other workspaces hold.
        at, name = cached_resource_reference(endpoint_slice)
        where = f"workspace {at}, or the creator of this slice could not read it there" if at else "this workspace"
        message = f"{CACHED_RESOURCE} {name!r} does not exist in {where}"
        conditions.mark_false(obj, RESOURCE_VALID, "CachedResourceNotFound", "Error", message, now=state.now)
    else:
        conditions.mark_true(obj, RESOURCE_VALID, now=state.now)
        path = f"services/replication/{cluster_of(cached_resource)}/{name_of(cached_resource)}"
    publish(obj, path, state.partition, state.shards, now=state.now)
    return status_plan(ENDPOINT_SLICES, endpoint_slice, obj)


def publish(obj: Object, path: str | None, partition: Object | None, shards: tuple[Shard, ...], *, now: str) -> None:
    """Set PartitionValid, ``shardSelector`` and ``endpoints`` of a slice (changed in place).

    ``path`` follows a shard's virtual workspace URL; None publishes nothing. Only shards that the partition selects
    and that have a consumer are listed; an empty field is left out.
    """
    status = obj.setdefault("status", {})
    status.pop("shardSelector", None)
    status.pop("endpoints", None)
    selector = _mark_partition(obj, partition, now=now)
    if selector is None:
        return
    if selector:
        status["shardSelector"] = ",".join(sorted(_terms(nested(partition, "spec", "selector")), key=_key_of_term))
    if path is not None:
        listed = {s.virtual_workspace_url.rstrip("/") for s in shards if s.consumers > 0 and selector.matches(s.labels)}
        endpoints = [{"url": f"{url}/{path}"} for url in sorted(listed) if url]
        status.update({"endpoints": endpoints} if endpoints else {})


def status_plan(resource: GroupVersionResource, old: Object, new: Object) -> Plan:
    """Write the status of ``new`` if it differs from that of ``old``."""
    if new["status"] == old.get("status"):
        return NOTHING
    return Plan((UpdateStatus(Target(resource, cluster_of(old), name_of(old)), new),))


def _mark_partition(obj: Object, partition: Object | None, *, now: str) -> LabelSelector | None:
    """The selector of the slice's partition, everything without one, None if the partition cannot be used."""
    name = nested(obj, "spec", "partition") or ""
    message, selector = "", EVERYTHING
    if name and partition is None:
        message = f"Partition {name!r} does not exist in this workspace"
    elif name:
        found = nested(partition, "spec", "selector") or {}
        errors = label_selector_errors(found, "spec.selector")
        if errors:
            message = f"Partition {name!r} cannot be used: {errors[0]}"
        else:
            selector = label_selector_of(found)
    if message:
        conditions.mark_false(obj, PARTITION_VALID, "PartitionInvalidReference", "Error", message, now=now)
        return None
    conditions.mark_true(obj, PARTITION_VALID, now=now)
    return selector


def _terms(selector: Mapping[str, Any]) -> Iterator[str]:
    """The selector's terms in the syntax of ``?labelSelector=``."""
    for key, value in (selector.get("matchLabels") or {}).items():
        yield f"{key}={value}"
    for term in selector.get("matchExpressions") or ():
        key, values = term["key"], ",".join(sorted(term.get("values") or ()))
        yield {
            "In": f"{key} in ({values})",
            "NotIn": f"{key} notin ({values})",
            "Exists": key,
            "DoesNotExist": f"!{key}",
        }[term["operator"]]


def _key_of_term(term: str) -> str:
    return term.lstrip("!").split("=")[0].split(" ")[0]
