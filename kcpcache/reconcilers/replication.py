"""One object's copy in the cache: made, kept equal to the original, removed (behaviour §3.3). The hot path."""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from kcpcache.meta import conditions
from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.objects import CLUSTER_ANNOTATION, Object, cluster_of, labels_of, metadata, nested
from kcpcache.meta.selectors import LabelSelector, label_selector_of
from kcpcache.meta.virtual_resources import (
    IDENTITY_VALID,
    ORIGINAL_RESOURCE_VERSION_ANNOTATION,
    ORIGINAL_UID_ANNOTATION,
    RESOURCE_VALID,
    SHARD_ANNOTATION,
    group_version_resource_of,
)
from kcpcache.reconcilers.plan import NOTHING, CacheTarget, Create, Delete, Plan, Update


@dataclass(frozen=True, slots=True)
class Source:
    """What a CachedResource says about all of its objects; made once per change of it by ``source_of``.

    ``keeps`` is whether there may be copies at all: the resource is valid and the CachedResource is not being deleted.
    ``writes`` is whether those are created and updated, too: its identity is valid.
    """

    resource: GroupVersionResource
    identity_hash: str
    cluster: str
    selector: LabelSelector
    keeps: bool
    writes: bool


def source_of(cached_resource: Object) -> Source:
    """Compile a CachedResource, as read."""
    keeps = conditions.is_true(cached_resource, RESOURCE_VALID) and "deletionTimestamp" not in metadata(cached_resource)
    return Source(
        resource=group_version_resource_of(cached_resource),
        identity_hash=nested(cached_resource, "status", "identityHash") or "",
        cluster=cluster_of(cached_resource),
        selector=label_selector_of(nested(cached_resource, "spec", "labelSelector")),
        keeps=keeps,
        writes=conditions.is_true(cached_resource, IDENTITY_VALID),
    )


@dataclass(frozen=True, slots=True)
class State:
    """One key. ``target`` is the copy's place; the other fields are what was found.

    ``original`` is the object of that name in ``target.cluster``, as read, in the version of ``target.resource``.
    ``copy`` is what the cache store holds at ``target``, with its resourceVersion there; ``kcp.io/cluster`` is ignored.
    ``source`` is that of the CachedResource that replicates ``target.resource`` in ``target.cluster``. Each is None
    where there is none.
    """

    target: CacheTarget
    original: Object | None
    copy: Object | None
    source: Source | None


def reconcile(state: State) -> Plan:
    """Make the copy what it should be: the selected original with its annotations, or nothing.

    An original that was deleted and made again is another object: watchers see its copy go and come. While the
    identity cannot be verified nothing is written, but what must no longer be seen is still removed.
    """
    target, original, copy, source = state.target, state.original, state.copy, state.source
    if original is None or source is None or not wanted(target, labels_of(original), source):
        return NOTHING if copy is None else Plan((_delete(target, copy),))
    if not source.writes:
        return NOTHING if copy is None or _same_life(original, copy) else Plan((_delete(target, copy),))
    desired = copy_of(original, target.shard)
    if copy is None:
        return Plan((Create(target, desired),))
    if not _same_life(original, copy):
        return Plan((_delete(target, copy), Create(target, desired)))
    if _same(desired, _without_what_is_read(copy)):
        return NOTHING
    desired["metadata"]["resourceVersion"] = copy["metadata"]["resourceVersion"]
    return Plan((Update(target, desired),))


def copy_of(original: Object, shard: str) -> Object:
    """The cached copy: the whole original but its resourceVersion and ``kcp.io/cluster``, and three annotations more.

    Shares everything below ``metadata.annotations`` with the original.
    """
    found = original["metadata"].copy()
    own = {
        SHARD_ANNOTATION: shard,
        ORIGINAL_RESOURCE_VERSION_ANNOTATION: found.pop("resourceVersion"),
        ORIGINAL_UID_ANNOTATION: found.get("uid", ""),
    }
    # First in order, as they are stored: ``_same`` is fastest then.
    annotations = own | (found.get("annotations") or {}) | own
    annotations.pop(CLUSTER_ANNOTATION, None)
    found["annotations"] = annotations
    return {**original, "metadata": found}


def wanted(target: CacheTarget, labels: Mapping[str, str], source: Source) -> bool:
    """Whether there may be a copy at ``target`` of an original with these labels."""
    return (
        source.keeps
        and source.resource == target.resource
        and source.identity_hash == target.identity_hash
        and source.cluster == target.cluster
        and (not source.selector or source.selector.matches(labels))
    )


def _same_life(original: Object, copy: Object) -> bool:
    return bool(original["metadata"].get("uid") == copy["metadata"].get("uid"))


def _without_what_is_read(copy: Object) -> Object:
    found = copy["metadata"].copy()
    found.pop("resourceVersion")
    annotations = dict(found.get("annotations") or ())
    annotations.pop(CLUSTER_ANNOTATION, None)
    return {**copy, "metadata": found | {"annotations": annotations}}


def _delete(target: CacheTarget, copy: Object) -> Delete:
    return Delete(target, copy["metadata"]["resourceVersion"])


def _same(left: Object, right: Object) -> bool:
    # Compared as JSON, since Python takes 1, 1.0 and True for equal. The order of keys differs only after somebody
    # else wrote the copy.
    if orjson.dumps(left) == orjson.dumps(right):
        return True
    return left == right and (
        orjson.dumps(left, option=orjson.OPT_SORT_KEYS) == orjson.dumps(right, option=orjson.OPT_SORT_KEYS)
    )
