"""An APIBinding: what it binds, under which conditions, and what goes before it does (behaviour §6)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from kcpcache.meta import conditions
from kcpcache.meta.names import GroupResource, GroupVersionResource
from kcpcache.meta.objects import PATH_ANNOTATION, Object, annotations_of, cluster_of, copy, metadata, name_of, nested
from kcpcache.reconcilers.crd import APPROVED_ANNOTATION, TakenNames, join_taken, taken_by
from kcpcache.reconcilers.garbage import (
    NEXT_BATCH,
    WAIT,
    Remnant,
    deletes,
    has_finalizer,
    is_deleting,
    remaining_finalizers,
    remaining_resources,
    with_finalizer,
    without_finalizer,
)
from kcpcache.reconcilers.plan import NOTHING, Change, Create, Plan, Target, Update, UpdateStatus

API_BINDINGS: Final = GroupVersionResource("apis.kcp.io", "v1alpha2", "apibindings")
API_RESOURCE_SCHEMAS: Final = GroupVersionResource("apis.kcp.io", "v1alpha1", "apiresourceschemas")
FINALIZER: Final = "apis.kcp.io/apibinding-finalizer"
BOUND_SCHEMAS_CLUSTER: Final = "system:bound-crds"
"""Logical cluster that keeps a copy of every bound APIResourceSchema, under the original's uid."""
SCHEMA_CLUSTER_ANNOTATION: Final = "apis.kcp.io/schema-cluster"
SCHEMA_NAME_ANNOTATION: Final = "apis.kcp.io/schema-name"

_COMPLETED: Final = "InitialBindingCompleted"
_UP_TO_DATE: Final = "BindingUpToDate"
_DELETED: Final = "BindingResourceDeleteSuccess"


class Claim(NamedTuple):
    """What makes permission claims of an APIExport and an APIBinding the same claim; the hash of a built-in is ""."""

    group: str
    resource: str
    identity_hash: str


@dataclass(frozen=True, slots=True)
class State:
    """One APIBinding (v1alpha2) and what it depends on.

    * ``binding``: as read; None once it is gone. ``path``: canonical path of its workspace. ``now``: RFC 3339.
    * ``export``: the APIExport (v1alpha2) that its reference resolves to, None if there is none.
    * ``schemas``: by name, the APIResourceSchemas that ``export.spec.resources[].schema`` names, from the export's
      workspace; None, or left out, for those that do not exist.
    * ``kept``: which of these schemas' uids are names of objects in ``system:bound-crds`` already.
    * ``taken``: by API group of the export's resources, the names in use in the binding's workspace by CRDs
      (``status.acceptedNames``) and by ``boundResources`` of *other* APIBindings, and of this one where the export
      has dropped them (``spec.names`` of the copy in ``system:bound-crds``). As with CRDs, decide one at a time in a
      workspace.
    * ``unknown_claims``: those accepted claims whose identity hash nobody has.
    * ``remaining``: a bounded batch of the objects of its resources with crd storage in its workspace, those not yet
      being deleted first; read only while the binding is being deleted, and read after it.
    * ``workspace_deleting``: everything else in its workspace is being deleted, too.
    """

    binding: Object | None
    path: str
    now: str
    export: Object | None = None
    schemas: Mapping[str, Object | None] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()
    taken: Mapping[str, TakenNames] = field(default_factory=dict)
    unknown_claims: frozenset[Claim] = frozenset()
    remaining: tuple[Remnant, ...] = ()
    workspace_deleting: bool = False


@dataclass(slots=True)
class _Bound:
    """What one pass over the export's resources found."""

    entries: list[Object] = field(default_factory=list)
    schemas: dict[str, Object] = field(default_factory=dict)
    conflicts: list[str] = field(default_factory=list)
    invalid: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


def reconcile(state: State) -> Plan:
    """Path and finalizer first; then copies of the schemas, and the status that makes the resources served."""
    binding = state.binding
    if binding is None:
        return NOTHING
    target = Target(API_BINDINGS, cluster_of(binding), name_of(binding))
    if is_deleting(binding):
        return _delete(target, binding, state)
    prepared = _prepared(binding, state.path)
    if prepared != binding:
        return Plan((Update(target, prepared),))
    draft: Object = {**binding, "status": copy(binding.get("status") or {})}
    creates = _bind(draft, state)
    if not conditions.is_true(draft, _COMPLETED):
        draft["status"]["phase"] = "Binding"
    conditions.summarize(draft, [_COMPLETED], now=state.now)
    return Plan((*creates, *_status(target, binding, draft)))


def _prepared(binding: Object, path: str) -> Object:
    annotations = {**annotations_of(binding), PATH_ANNOTATION: path}
    prepared = {**binding, "metadata": {**metadata(binding), "annotations": annotations}}
    return prepared if has_finalizer(prepared, FINALIZER) else with_finalizer(prepared, FINALIZER)


def _status(target: Target, binding: Object, draft: Object) -> tuple[Change, ...]:
    return (UpdateStatus(target, draft),) if draft["status"] != (binding.get("status") or {}) else ()


def _bind(draft: Object, state: State) -> tuple[Create, ...]:
    problem = _export_problem(draft, state.export)
    if problem is not None or state.export is None:
        reason, severity, message = problem or ("", "Error", "")
        conditions.mark_false(draft, "APIExportValid", reason, severity, message, now=state.now)
        if not conditions.is_true(draft, _COMPLETED):
            conditions.mark_false(draft, _COMPLETED, reason, severity, message, now=state.now)
        return ()
    conditions.mark_true(draft, "APIExportValid", now=state.now)
    status = draft["status"]
    status["apiExportClusterName"] = cluster_of(state.export)
    bound = _bound_resources(state.export, status.get("boundResources") or [], state)
    _put(status, "boundResources", bound.entries)
    _conclude(draft, bound, state.now)
    _settle_claims(draft, nested(state.export, "spec", "permissionClaims") or [], state.unknown_claims, now=state.now)
    return tuple(_kept(schema) for uid, schema in bound.schemas.items() if uid not in state.kept)


def _export_problem(binding: Object, export: Object | None) -> tuple[str, conditions.Severity, str] | None:
    reference = nested(binding, "spec", "reference", "export") or {}
    if not reference.get("name"):
        return "APIExportInvalidReference", "Error", "spec.reference.export.name must be set"
    where = f"{reference['path']}:{reference['name']}" if reference.get("path") else reference["name"]
    if export is None:
        return "APIExportNotFound", "Error", f"APIExport {where} not found"
    known = nested(binding, "status", "apiExportClusterName")
    if known and known != cluster_of(export):
        # Whoever takes a path over that has become free takes over nobody's consumers, and what they have granted.
        why = f"APIExport {where} is not the one that was bound, which was in logical cluster {known}: bind it anew"
        return "APIExportNotFound", "Error", why
    if not nested(export, "status", "identityHash"):
        return "MissingIdentityHash", "Warning", f"APIExport {where} is missing status.identityHash"
    return None


def _bound_resources(export: Object, old_entries: list[Object], state: State) -> _Bound:
    """In the export's order; what cannot be bound, or is exported no more, stays as it was bound before."""
    found = _Bound()
    old = {GroupResource(entry.get("group") or "", entry["resource"]): entry for entry in old_entries}
    own: dict[str, TakenNames] = {}
    for exported in nested(export, "spec", "resources") or ():
        key = GroupResource(exported.get("group") or "", exported["name"])
        before = old.pop(key, None)
        schema = state.schemas.get(exported["schema"])
        if problem := _schema_problem(key, exported["schema"], schema):
            found.invalid.append(problem)
        elif schema is not None:
            names = schema["spec"]["names"]
            ours = before is not None and before["schema"]["UID"] == metadata(schema).get("uid")
            used = [by_group[key.group] for by_group in (state.taken, own) if key.group in by_group]
            if not ours and (conflict := _conflict(names, used)):
                found.conflicts.append(f"{key}: {conflict}")
            else:
                mine = taken_by(names, f"resource {key} of the same APIExport")
                own[key.group] = join_taken([own.get(key.group, TakenNames()), mine])
                found.schemas[metadata(schema)["uid"]] = schema
                before = _entry(key, exported, schema, before, nested(export, "status", "identityHash"))
        if before is not None:
            found.entries.append(before)
    found.entries += old.values()
    found.removed = [str(key) for key in old]
    return found


def _schema_problem(key: GroupResource, name: str, schema: Object | None) -> str:
    if schema is None:
        return f"{key}: APIResourceSchema {name} does not exist"
    described = GroupResource(nested(schema, "spec", "group") or "", nested(schema, "spec", "names", "plural") or "")
    if described != key:
        return f"{key}: APIResourceSchema {name} describes {described}"
    return "" if _storage_version(schema) else f"{key}: APIResourceSchema {name} has no storage version"


def _storage_version(schema: Object) -> str:
    versions = nested(schema, "spec", "versions") or ()
    return next((str(version["name"]) for version in versions if version.get("storage")), "")


def _conflict(names: Object, used: Iterable[TakenNames]) -> str:
    wanted = taken_by(names, "")
    found: list[str] = []
    for taken in used:
        found += [
            f'name "{name}" is in use by {taken.resources[name]}'
            for name in wanted.resources
            if name in taken.resources
        ]
        found += [f'kind "{name}" is in use by {taken.kinds[name]}' for name in wanted.kinds if name in taken.kinds]
    return ", ".join(found)


def _entry(key: GroupResource, exported: Object, schema: Object, before: Object | None, identity_hash: str) -> Object:
    """``storageVersions`` only grows: objects may be stored in any version that ever was the storage version."""
    entry: dict[str, Any] = {
        "group": key.group,
        "resource": key.resource,
        "schema": {"name": name_of(schema), "UID": metadata(schema)["uid"], "identityHash": identity_hash},
    }
    if nested(exported, "storage", "virtual") is None:
        stored = list((before or {}).get("storageVersions") or ())
        version = _storage_version(schema)
        entry["storageVersions"] = stored if version in stored else [*stored, version]
    return entry


def _conclude(draft: Object, bound: _Bound, now: str) -> None:
    problem = ("", "")
    if bound.conflicts:
        problem = ("NamingConflicts", f"Unable to bind APIs: {'; '.join(bound.conflicts)}")
    elif bound.invalid:
        problem = ("APIResourceSchemaInvalid", f"Unable to bind APIs: {'; '.join(bound.invalid)}")
    if any(problem):
        conditions.mark_false(draft, _UP_TO_DATE, problem[0], "Error", problem[1], now=now)
        if not conditions.is_true(draft, _COMPLETED):
            conditions.mark_false(draft, _COMPLETED, problem[0], "Error", problem[1], now=now)
        return
    conditions.mark_true(draft, _COMPLETED, now=now)
    draft["status"]["phase"] = "Bound"
    if bound.removed:
        message = f"The APIExport does not export any more: {', '.join(bound.removed)}; they stay bound"
        conditions.mark_false(draft, _UP_TO_DATE, "ResourcesNotExported", "Warning", message, now=now)
    else:
        conditions.mark_true(draft, _UP_TO_DATE, now=now)


def claim_of(claim: Object) -> Claim:
    """The key of one entry of ``permissionClaims``."""
    return Claim(claim.get("group") or "", claim.get("resource") or "", claim.get("identityHash") or "")


def common_verbs(accepted: Iterable[str], exported: Iterable[str]) -> list[str]:
    """The verbs that both sides name, sorted; ``*`` on either side stands for all of the other's."""
    left, right = set(accepted), set(exported)
    return sorted(right if "*" in left else left if "*" in right else left & right)


def _settle_claims(draft: Object, exported: list[Object], unknown: frozenset[Claim], *, now: str) -> None:
    """What the export asks for, and what of that the binding grants."""
    asked = {claim_of(claim): claim for claim in exported}
    invalid: list[str] = []
    mismatched: list[str] = []
    applied: list[Object] = []
    before = {claim_of(c): c.get("selector") for c in nested(draft, "status", "appliedPermissionClaims") or ()}
    for claim in nested(draft, "spec", "permissionClaims") or ():
        key = claim_of(claim)
        if claim.get("state") != "Accepted":
            continue
        if key not in asked:
            invalid.append(f"{_shown(key)} is not claimed by the APIExport")
        elif key in unknown:
            invalid.append(f"{_shown(key)} has an unknown identity hash {key.identity_hash}")
        else:
            wanted = asked[key].get("verbs") or []
            verbs = common_verbs(claim.get("verbs") or (), wanted)
            if verbs != sorted(wanted):
                mismatched.append(f"{_shown(key)} (accepted {claim.get('verbs')}, exported {wanted})")
            selector = copy(claim.get("selector") or {})
            # An applied selector cannot be changed: another one is applied in the pass after the old one went.
            if verbs and before.get(key, selector) == selector:
                applied.append({**_key_fields(key), "verbs": verbs, "selector": selector})
    asks = [{**_key_fields(key), "verbs": list(claim.get("verbs") or ())} for key, claim in asked.items()]
    _put(draft["status"], "exportPermissionClaims", asks)
    _put(draft["status"], "appliedPermissionClaims", applied)
    if invalid:
        message = f"{len(invalid)} unexpected and/or invalid permission claims: {'; '.join(invalid)}"
        conditions.mark_false(draft, "PermissionClaimsValid", "InvalidPermissionClaims", "Error", message, now=now)
    elif mismatched:
        message = f"{len(mismatched)} permission claims grant less than is claimed: {'; '.join(mismatched)}"
        conditions.mark_false(draft, "PermissionClaimsValid", "PermissionClaimsMismatch", "Warning", message, now=now)
    else:
        conditions.mark_true(draft, "PermissionClaimsValid", now=now)
    conditions.mark_true(draft, "PermissionClaimsApplied", now=now)


def _shown(claim: Claim) -> str:
    return str(GroupResource(claim.group, claim.resource))


def _key_fields(claim: Claim) -> Object:
    # With the schema's defaults: otherwise what is read back would differ from what was decided.
    return {"group": claim.group, "resource": claim.resource, "identityHash": claim.identity_hash}


def _put(status: Object, name: str, entries: list[Object]) -> None:
    if entries:
        status[name] = entries
    else:
        status.pop(name, None)


def _kept(schema: Object) -> Create:
    """The copy that outlives the original."""
    name = str(metadata(schema)["uid"])
    annotations = {SCHEMA_CLUSTER_ANNOTATION: cluster_of(schema), SCHEMA_NAME_ANNOTATION: name_of(schema)}
    approval = annotations_of(schema).get(APPROVED_ANNOTATION)
    if approval is not None:  # without it no type of Kubernetes' own groups can be created
        annotations[APPROVED_ANNOTATION] = approval
    obj = {
        "apiVersion": API_RESOURCE_SCHEMAS.api_version,
        "kind": "APIResourceSchema",
        "metadata": {"name": name, "annotations": annotations},
        "spec": schema["spec"],
    }
    return Create(Target(API_RESOURCE_SCHEMAS, BOUND_SCHEMAS_CLUSTER, name), obj)


def _delete(target: Target, binding: Object, state: State) -> Plan:
    """The instances, then the finalizer; that none is left counts once the status says that deletion is under way.

    Where the workspace goes, that waits for whatever may still come.
    """
    if not has_finalizer(binding, FINALIZER):
        return NOTHING
    stored = any(entry.get("storageVersions") for entry in nested(binding, "status", "boundResources") or ())
    noted = not stored or state.workspace_deleting or bool(conditions.status_of(binding, _DELETED))
    if noted and not state.remaining:
        return Plan((Update(target, without_finalizer(binding, FINALIZER)),))
    draft: Object = {**binding, "status": copy(binding.get("status") or {})}
    left, held = remaining_resources(state.remaining), remaining_finalizers(state.remaining)
    message = f"Some resources are remaining: {left}" if left else "The resources' objects are being deleted"
    reason = "SomeFinalizersRemain" if held else "SomeResourcesRemain"
    if held:
        message += f"; Some content has finalizers remaining: {held}"
    conditions.mark_false(draft, _DELETED, reason, "Info", message, now=state.now)
    begun = deletes(state.remaining)
    wait = NEXT_BATCH if begun else WAIT if state.remaining else None
    return Plan((*begun, *_status(target, binding, draft)), wait)
