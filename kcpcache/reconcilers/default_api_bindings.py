"""The initializer ``system:apibindings``: what a new workspace is bound to by its type, and stays bound to."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from kcpcache.meta import conditions
from kcpcache.meta.objects import PATH_ANNOTATION, Object, annotations_of, cluster_of, copy, name_of, nested
from kcpcache.reconcilers.api_binding import API_BINDINGS, FINALIZER, claim_of
from kcpcache.reconcilers.garbage import WAIT, is_deleting
from kcpcache.reconcilers.logical_cluster import LOGICAL_CLUSTERS
from kcpcache.reconcilers.plan import NOTHING, Create, Plan, Target, Update, UpdateStatus

INITIALIZER: Final = "system:apibindings"
CONDITION: Final = "APIBindingsInitialized"
_SUFFIX_LENGTH: Final = 5
_NAME_BYTES: Final = 253
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class DefaultBinding:
    """One entry of ``defaultAPIBindings``, resolved: ``path`` is that of the export's workspace, never empty.

    ``claims`` are the export's ``spec.permissionClaims`` (v1alpha2); None while the export cannot be found.
    ``cluster`` is the export's logical cluster where it is known: a binding may give another path for it.
    """

    path: str
    export: str
    claims: tuple[Object, ...] | None
    cluster: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """One LogicalCluster (None once it is gone) that may carry the initializer in ``status.initializers``.

    ``defaults``: those of its type and of all types that it extends, each export once; None if the type cannot be
    resolved. ``maintained``: those among them whose type says ``defaultAPIBindingLifecycle: Maintain``; read once the
    phase is Ready. ``existing``: the logical cluster's APIBindings (v1alpha2). ``now`` is RFC 3339.
    To be looked at again when one of these APIBindings changes.
    """

    logical_cluster: Object | None
    now: str
    defaults: tuple[DefaultBinding, ...] | None = ()
    existing: tuple[Object, ...] = ()
    maintained: tuple[DefaultBinding, ...] = ()


def reconcile(state: State) -> Plan:
    """Create the bindings that are missing; when all are Bound, take the initializer out of the status.

    ``spec.initializers`` stays as it is: it says what the workspace began with. In a workspace that is Ready the
    maintained bindings come back when they are deleted, and accept what their exports claim.
    """
    obj = state.logical_cluster
    initializers = nested(obj, "status", "initializers") or []
    if obj is None or is_deleting(obj):
        return NOTHING
    if INITIALIZER not in initializers:
        ready = nested(obj, "status", "phase") == "Ready"
        return Plan(tuple(_maintain(state, cluster_of(obj)))) if ready else NOTHING
    draft: Object = {**obj, "status": copy(obj["status"])}
    creates, problem = _bind(state)
    if problem is None:
        conditions.mark_true(draft, CONDITION, now=state.now)
        rest = [initializer for initializer in initializers if initializer != INITIALIZER]
        draft["status"]["initializers"] = rest
        if not rest:
            del draft["status"]["initializers"]
    else:
        reason, severity, message = problem
        conditions.mark_false(draft, CONDITION, reason, severity, message, now=state.now)
    target = Target(LOGICAL_CLUSTERS, cluster_of(obj), name_of(obj))
    status = (UpdateStatus(target, draft),) if draft["status"] != obj["status"] else ()
    # A type or an export that appears does not wake the logical cluster up.
    lost = problem is not None and problem[0] != "WaitingOnAPIBindings"
    return Plan((*creates, *status), WAIT if lost else None)


def binding_name(cluster: str, path: str, export: str) -> str:
    """``<export>-<5 characters>``: always the same for one export in one workspace, so that a retry makes no second."""
    digest = int.from_bytes(hashlib.sha224(f"{cluster}|{path}|{export}".encode()).digest())
    suffix = ""
    for _ in range(_SUFFIX_LENGTH):
        digest, digit = divmod(digest, len(_DIGITS))
        suffix += _DIGITS[digit]
    return f"{export[: _NAME_BYTES - 1 - _SUFFIX_LENGTH].rstrip('-.')}-{suffix}"


def _bind(state: State) -> tuple[tuple[Create, ...], tuple[str, conditions.Severity, str] | None]:
    """The bindings to create, and what there is to wait for."""
    if state.defaults is None:
        return (), ("WorkspaceTypesInvalid", "Error", "the workspace's type cannot be resolved")
    found = {_reference(binding): binding for binding in state.existing}
    missing = [default for default in state.defaults if (default.path, default.export) not in found]
    creates = tuple(_create(state, default, default.claims) for default in missing if default.claims is not None)
    lost = [f"{default.path}:{default.export}" for default in missing if default.claims is None]
    if lost:
        return creates, ("APIBindingErrors", "Error", f"APIExports cannot be found: {', '.join(lost)}")
    if all(_is_bound(found.get((default.path, default.export))) for default in state.defaults):
        return creates, None
    # All of them are named until the last is bound: each step on the way would be a write otherwise.
    wanted = ", ".join(f"{default.path}:{default.export}" for default in state.defaults)
    return creates, ("WaitingOnAPIBindings", "Info", f"not all of these APIBindings are bound yet: {wanted}")


def _maintain(state: State, cluster: str) -> Iterator[Create | Update]:
    """What is missing is created. Only a binding under the name that is given here is changed: others are users'."""
    for default in state.maintained:
        if default.claims is None:
            continue
        found = next((binding for binding in state.existing if _binds(binding, default)), None)
        name = binding_name(cluster, default.path, default.export)
        if found is None:
            yield _create(state, default, default.claims)
        elif name_of(found) == name and not is_deleting(found):
            before = nested(found, "spec", "permissionClaims") or []
            claims = _in_step(before, default.claims)
            if claims != before:
                spec = {**found["spec"], "permissionClaims": claims}
                yield Update(Target(API_BINDINGS, cluster, name), {**found, "spec": spec})


def _binds(binding: Object, default: DefaultBinding) -> bool:
    path, export = _reference(binding)
    cluster = nested(binding, "status", "apiExportClusterName") or ""
    return export == default.export and (path == default.path or bool(cluster and cluster == default.cluster))


def _in_step(before: list[Object], exported: tuple[Object, ...]) -> list[Object]:
    """The claims of the export, new ones accepted; what the workspace's owner decided about the others stays."""
    known = {claim_of(claim): claim for claim in before}
    found = []
    for claim in exported:
        own = known.get(claim_of(claim))
        found.append(_accepted(claim) if own is None else {**own, "verbs": list(claim.get("verbs") or ())})
    return found


def _accepted(claim: Object) -> Object:
    return {**copy(claim), "selector": {"matchAll": True}, "state": "Accepted"}


def _reference(binding: Object) -> tuple[str, str]:
    export = nested(binding, "spec", "reference", "export") or {}
    return export.get("path") or "", export.get("name") or ""


def _is_bound(binding: Object | None) -> bool:
    return bool(nested(binding, "status", "phase") == "Bound")


def _create(state: State, default: DefaultBinding, claims: tuple[Object, ...]) -> Create:
    """The binding as its own controller would prepare it, which saves that one a write."""
    cluster = cluster_of(state.logical_cluster or {})
    name = binding_name(cluster, default.path, default.export)
    path = annotations_of(state.logical_cluster or {}).get(PATH_ANNOTATION, cluster)
    accepted = [_accepted(claim) for claim in claims]
    spec: dict[str, Any] = {"reference": {"export": {"path": default.path, "name": default.export}}}
    if accepted:
        spec["permissionClaims"] = accepted
    obj = {
        "apiVersion": API_BINDINGS.api_version,
        "kind": "APIBinding",
        "metadata": {"name": name, "annotations": {PATH_ANNOTATION: path}, "finalizers": [FINALIZER]},
        "spec": spec,
    }
    return Create(Target(API_BINDINGS, cluster, name), obj)
