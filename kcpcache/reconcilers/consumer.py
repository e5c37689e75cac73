"""Consumer records of one APIBinding: who sees which CachedResource's objects, told to the cache store (behaviour §5).

Binding and unbinding change what a view shows without changing an object. The record gives that change a revision of
the store that the view counts in.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from kcpcache.meta.names import GroupResource
from kcpcache.meta.objects import Object, cluster_of, metadata, name_of, nested
from kcpcache.meta.virtual_resources import (
    API_VERSION,
    CONSUMER,
    CONSUMERS,
    Exported,
    exported_cached_resource,
    group_version_resource_of,
)
from kcpcache.reconcilers.plan import CacheTarget, Change, Create, Delete, Plan, Update


@dataclass(frozen=True, slots=True)
class Resolution:
    """What one virtual resource of the export leads to.

    ``endpoint_slice`` is the object that the export's entry for ``resource`` names, in the export's workspace;
    ``cached_resource`` what the slice resolves to; None for what does not exist. ``reference_allowed``: see
    ``exported_cached_resource``, which is asked here.
    """

    resource: GroupResource
    endpoint_slice: Object | None
    cached_resource: Object | None
    reference_allowed: bool


@dataclass(frozen=True, slots=True)
class Record:
    """A record in the cache store, as stored, with its resourceVersion there."""

    target: CacheTarget
    object: Object


@dataclass(frozen=True, slots=True)
class State:
    """One APIBinding.

    * ``shard``: this shard, under whose name its consumers' records are kept.
    * ``cluster``, ``name``: the key; ``binding``: the APIBinding as read, None once it is gone.
    * ``export``: the APIExport that it is bound to, or None.
    * ``resolutions``: one for each of the export's entries with virtual storage; others may be left out.
    * ``records``: those of this shard that exist now for this APIBinding, of any CachedResource.
    """

    shard: str
    cluster: str
    name: str
    binding: Object | None
    export: Object | None
    resolutions: tuple[Resolution, ...]
    records: tuple[Record, ...]


def reconcile(state: State) -> Plan:
    """A record exists exactly while the binding is bound and its export exports the CachedResource, which lives."""
    desired = dict(_desired(state))
    changes: list[Change] = []
    for record in state.records:
        wanted = desired.pop(record.target, None)
        if wanted is None:
            changes.append(Delete(record.target, record.object["metadata"]["resourceVersion"]))
        elif any(record.object.get(key) != wanted[key] for key in ("apiVersion", "kind", "spec")):
            changes.append(Update(record.target, {**wanted, "metadata": record.object["metadata"]}))
    changes += [Create(target, wanted) for target, wanted in desired.items()]
    return Plan(tuple(changes))


def _desired(state: State) -> Iterator[tuple[CacheTarget, Object]]:
    binding, export = state.binding, state.export
    if binding is None or export is None or "deletionTimestamp" in metadata(binding):
        return
    if nested(binding, "status", "phase") != "Bound":
        return
    entries = {_key(entry, "name"): entry for entry in nested(export, "spec", "resources") or ()}
    resolutions = {resolution.resource: resolution for resolution in state.resolutions}
    for bound in nested(binding, "status", "boundResources") or ():
        key = _key(bound, "resource")
        resolution, entry = resolutions.get(key), entries.get(key)
        if bound.get("storageVersions") or resolution is None or entry is None:
            continue
        result = exported_cached_resource(
            export,
            entry,
            resolution.endpoint_slice,
            resolution.cached_resource,
            reference_allowed=resolution.reference_allowed,
        )
        if isinstance(result, Exported) and "deletionTimestamp" not in metadata(result.cached_resource):
            yield _record(state, export, result.cached_resource)


def _record(state: State, export: Object, cached_resource: Object) -> tuple[CacheTarget, Object]:
    cluster, name = cluster_of(cached_resource), name_of(cached_resource)
    # No name can have "_" in it, so that this is unique.
    record_name = f"{state.cluster}_{state.name}_{name}"
    obj = {
        "apiVersion": API_VERSION,
        "kind": CONSUMER,
        "metadata": {"name": record_name},
        "spec": {
            "cachedResource": {"cluster": cluster, "name": name},
            "resource": group_version_resource_of(cached_resource)._asdict(),
            "consumer": {"cluster": state.cluster, "binding": state.name},
            "export": {
                "cluster": cluster_of(export),
                "name": name_of(export),
                "identityHash": nested(export, "status", "identityHash") or "",
            },
        },
    }
    return CacheTarget(state.shard, CONSUMERS, cached_resource["status"]["identityHash"], cluster, record_name), obj


def _key(entry: Object, resource: str) -> GroupResource:
    return GroupResource(entry.get("group") or "", entry.get(resource) or "")
