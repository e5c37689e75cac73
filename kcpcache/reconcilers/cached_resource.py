"""A CachedResource: its identity, its resource, its endpoint slice, its status and its end (behaviour §3.2-3.5).

The copies themselves are ``replication``'s: it removes them as soon as this one says that the resource is not valid.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, NamedTuple

from kcpcache.meta import conditions
from kcpcache.meta.conditions import Severity
from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.objects import PATH_ANNOTATION, Object, annotations_of, cluster_of, copy, metadata, name_of, nested
from kcpcache.meta.virtual_resources import (
    API_VERSION,
    CACHED_RESOURCE,
    CACHED_RESOURCES,
    ENDPOINT_SLICE,
    ENDPOINT_SLICES,
    FINALIZER,
    IDENTITY_VALID,
    REPLICATION_STARTED,
    RESOURCE_VALID,
    SKIP_ENDPOINT_SLICE_ANNOTATION,
    group_version_resource_of,
)
from kcpcache.reconcilers import identity
from kcpcache.reconcilers.plan import NOTHING, Change, Create, Plan, Target, Update, UpdateStatus

_PRECONDITIONS: Final = (IDENTITY_VALID, RESOURCE_VALID)
_ALL_CONDITIONS: Final = (*_PRECONDITIONS, REPLICATION_STARTED)
_RETRY_GENERATION_AFTER: Final = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Served:
    """How the workspace serves a group-resource: its versions, the preferred one first, and its scope."""

    versions: tuple[str, ...]
    namespaced: bool


@dataclass(frozen=True, slots=True)
class State:
    """One CachedResource and what it depends on, read from caches that have synced: what is missing counts as gone.

    * ``cached_resource``: as read; None once it is gone.
    * ``path``: canonical path of its workspace.
    * ``now``: RFC 3339.
    * ``served``: how its group-resource is served in its workspace, None where it is not.
    * ``other_with_same_gvr``: ``first_of_others`` among the workspace's CachedResources of ``resource_to_claim``.
    * ``namespace``, ``secrets``, ``fresh_key``: as in ``identity.State``.
    * ``endpoint_slice``: the CachedResourceEndpointSlice of its name, or None.
    * ``local``: how many originals match its selector (0 where the resource is not served); ``copies``: how many
      copies the cache holds for it, under whatever version; ``consumers``: how many consumer records. Each is None
      while it is not known (the cache cannot be reached); deletion then waits.
    * ``full_pass_done``: every original that matched at some moment since replication (re)started is in the cache.
    """

    cached_resource: Object | None
    path: str
    now: str
    served: Served | None
    other_with_same_gvr: str | None
    namespace: Object | None
    secrets: tuple[Object, ...]
    fresh_key: str
    endpoint_slice: Object | None
    local: int | None
    copies: int | None
    consumers: int | None
    full_pass_done: bool


class _Problem(NamedTuple):
    reason: str
    severity: Severity
    message: str


def resource_to_claim(cached_resource: Object, served: Served | None) -> GroupVersionResource | None:
    """What the CachedResource replicates, or will once its version is defaulted; None while that cannot be."""
    resource = group_version_resource_of(cached_resource)
    if resource.version:
        return resource
    if served is None or served.namespaced or not served.versions:
        return None
    return resource._replace(version=served.versions[0])


def first_of_others(cached_resource: Object, others: Iterable[Object]) -> str | None:
    """The name of the one of ``others`` that goes before this CachedResource, or None if this one is the first.

    ``others`` are those of its workspace with ``resource_to_claim`` in their spec; it may itself be among them. Who has
    a version goes before who has none, then the older one. Two that were defaulted at the same moment so agree on it.
    """
    first = min((_precedence(other) for other in others), default=None)
    return first[-1] if first is not None and first < _precedence(cached_resource) else None


def _precedence(cached_resource: Object) -> tuple[bool, str, str]:
    created = str(metadata(cached_resource).get("creationTimestamp") or "")
    return not group_version_resource_of(cached_resource).version, created, name_of(cached_resource)


def reconcile(state: State) -> Plan:
    """First spec and metadata, then status (each write is decided on the resourceVersion that the last one gave)."""
    cached_resource = state.cached_resource
    if cached_resource is None:
        return NOTHING
    if "deletionTimestamp" in metadata(cached_resource):
        return _finish(state, cached_resource)
    decision = identity.decide(
        identity.State(cached_resource, CACHED_RESOURCES, state.namespace, state.secrets, state.fresh_key)
    )
    changes: list[Change] = [*decision.changes]
    prepared = _prepared(state, cached_resource, decision)
    if prepared != cached_resource:
        changes.append(Update(_target(cached_resource), prepared))
    else:
        changes += _status_change(cached_resource, _with_status(state, cached_resource, decision))
    if state.endpoint_slice is None and SKIP_ENDPOINT_SLICE_ANNOTATION not in annotations_of(cached_resource):
        changes.append(_endpoint_slice(state, cached_resource))
    failed = decision.failure is not None and decision.failure.reason == "IdentityGenerationFailed"
    return Plan(tuple(changes), requeue_after=_RETRY_GENERATION_AFTER if failed else None)


def _prepared(state: State, cached_resource: Object, decision: identity.Decision) -> Object:
    """The object with its finalizer, path annotation, secret reference and version."""
    prepared = copy(cached_resource)
    found = prepared["metadata"]
    if FINALIZER not in (found.get("finalizers") or ()):
        found["finalizers"] = [*(found.get("finalizers") or ()), FINALIZER]
    found["annotations"] = {**(found.get("annotations") or {}), PATH_ANNOTATION: state.path}
    if decision.reference is not None:
        prepared["spec"]["identity"] = {"secretRef": decision.reference._asdict()}
    claim = resource_to_claim(cached_resource, state.served)
    if claim is not None and state.other_with_same_gvr is None:
        prepared["spec"]["version"] = claim.version
    return prepared


def _with_status(state: State, cached_resource: Object, decision: identity.Decision) -> Object:
    obj = copy(cached_resource)
    identity.record(decision, obj, now=state.now)
    problem = _resource_problem(state, cached_resource)
    if problem is None:
        conditions.mark_true(obj, RESOURCE_VALID, now=state.now)
    else:
        conditions.mark_false(obj, RESOURCE_VALID, *problem, now=state.now)
    _mark_replication(state, obj)
    _count(state, obj)
    ready = all(conditions.is_true(obj, kind) for kind in _ALL_CONDITIONS)
    obj["status"]["phase"] = "Ready" if ready else "Initializing"
    return obj


def _resource_problem(state: State, cached_resource: Object) -> _Problem | None:
    resource = group_version_resource_of(cached_resource)
    what = resource if resource.version else resource.group_resource
    served = state.served
    if served is None or not served.versions or (resource.version and resource.version not in served.versions):
        return _Problem("NoResources", "Error", f"{what} is not served in this workspace")
    if served.namespaced:
        message = f"{what} is namespaced; only cluster-scoped resources can be replicated"
        return _Problem("ResourceNotClusterScoped", "Error", message)
    if state.other_with_same_gvr is not None:
        claim = resource_to_claim(cached_resource, served)
        message = (
            f"{claim} is already replicated by {CACHED_RESOURCE} {state.other_with_same_gvr!r}; delete one of them"
        )
        return _Problem("InternalError", "Error", message)
    return None


def _mark_replication(state: State, obj: Object) -> None:
    """True stays True while nothing stops replication: a restart counts its first pass anew, but takes nothing back."""
    judged = [c for c in obj["status"]["conditions"] if c["type"] in _PRECONDITIONS]
    stopped = next((c for c in judged if c["status"] != "True"), None)
    if stopped is not None:
        reason, message = stopped["reason"], stopped["message"]
        conditions.mark_false(obj, REPLICATION_STARTED, reason, stopped["severity"], message, now=state.now)
    elif state.full_pass_done or conditions.is_true(obj, REPLICATION_STARTED):
        conditions.mark_true(obj, REPLICATION_STARTED, now=state.now)
    else:
        # Not known yet; what an earlier stop left there is no longer the reason.
        obj["status"]["conditions"] = [c for c in obj["status"]["conditions"] if c["type"] != REPLICATION_STARTED]


def _count(state: State, obj: Object) -> None:
    old = nested(obj, "status", "resourceCounts") or {}
    obj["status"]["resourceCounts"] = {
        "cache": old.get("cache", 0) if state.copies is None else state.copies,
        "local": old.get("local", 0) if state.local is None else state.local,
    }


def _finish(state: State, cached_resource: Object) -> Plan:
    """Phase Deleting until nothing of it is left in the cache, then Deleted, then the finalizer goes."""
    finalizers = metadata(cached_resource).get("finalizers") or []
    if FINALIZER not in finalizers:
        return NOTHING
    obj = copy(cached_resource)
    obj.setdefault("status", {})
    problem = _Problem("Deleting", "Info", "the CachedResource is being deleted")
    conditions.mark_false(obj, RESOURCE_VALID, *problem, now=state.now)
    conditions.mark_false(obj, REPLICATION_STARTED, *problem, now=state.now)
    _count(state, obj)
    was_deleting = nested(cached_resource, "status", "phase") in {"Deleting", "Deleted"}
    empty = state.copies == 0 and state.consumers == 0
    obj["status"]["phase"] = "Deleted" if was_deleting and empty else "Deleting"
    changes = _status_change(cached_resource, obj)
    if changes or not empty:
        return Plan(tuple(changes))
    obj["metadata"]["finalizers"] = [name for name in finalizers if name != FINALIZER]
    return Plan((Update(_target(cached_resource), obj),))


def _endpoint_slice(state: State, cached_resource: Object) -> Create:
    name = name_of(cached_resource)
    owner = {
        "apiVersion": API_VERSION,
        "kind": CACHED_RESOURCE,
        "name": name,
        "uid": metadata(cached_resource).get("uid", ""),
        "controller": True,
        "blockOwnerDeletion": True,
    }
    obj = {
        "apiVersion": API_VERSION,
        "kind": ENDPOINT_SLICE,
        "metadata": {"name": name, "ownerReferences": [owner]},
        "spec": {"cachedResource": {"name": name, "path": state.path}},
    }
    return Create(Target(ENDPOINT_SLICES, cluster_of(cached_resource), name), obj)


def _status_change(old: Object, new: Object) -> list[Change]:
    return [UpdateStatus(_target(new), new)] if new.get("status") != old.get("status") else []


def _target(cached_resource: Object) -> Target:
    return Target(CACHED_RESOURCES, cluster_of(cached_resource), name_of(cached_resource))
