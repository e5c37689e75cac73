"""CustomResourceDefinitions: which names they get, when they are served, and that their objects go before them.

The conditions, their reasons and texts are those of the Kubernetes API (apiextensions.k8s.io/v1).
"""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.objects import Object, annotations_of, cluster_of, copy, name_of, nested
from kcpcache.reconcilers.garbage import (
    NEXT_BATCH,
    WAIT,
    Remnant,
    deletes,
    has_finalizer,
    is_deleting,
    with_finalizer,
    without_finalizer,
)
from kcpcache.reconcilers.plan import NOTHING, Change, Plan, Target, Update, UpdateStatus

CRDS = GroupVersionResource("apiextensions.k8s.io", "v1", "customresourcedefinitions")
FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
APPROVED_ANNOTATION = "api-approved.kubernetes.io"
_PROTECTED_GROUPS = ("k8s.io", "kubernetes.io")
_POLICY = "https://github.com/kubernetes/enhancements/pull/1111"


@dataclass(frozen=True, slots=True)
class TakenNames:
    """What names one API group has in use in one workspace, each with who uses it (for messages).

    ``resources``: plural, singular and short names; ``kinds``: kinds and list kinds. ``taken_by`` makes one entry's
    names from ``status.acceptedNames`` of a CRD or ``spec.names`` of a bound APIResourceSchema.
    """

    resources: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)


def taken_by(names: Mapping[str, Any], owner: str) -> TakenNames:
    """The names that ``owner`` takes with ``names``: a CRD's or an APIResourceSchema's names object."""
    resources = [names.get("plural"), names.get("singular"), *(names.get("shortNames") or ())]
    kinds = [names.get("kind"), names.get("listKind")]
    return TakenNames(dict.fromkeys(filter(None, resources), owner), dict.fromkeys(filter(None, kinds), owner))


def join_taken(entries: Iterable[TakenNames]) -> TakenNames:
    """The names of all entries; of two with one name the first has it."""
    resources: dict[str, str] = {}
    kinds: dict[str, str] = {}
    for entry in entries:
        for used, found in ((resources, entry.resources), (kinds, entry.kinds)):
            for name, owner in found.items():
                used.setdefault(name, owner)
    return TakenNames(resources, kinds)


@dataclass(frozen=True, slots=True)
class State:
    """One CRD, None if it is gone.

    ``taken``: names in use in the CRD's group and workspace by *other* CRDs (their ``status.acceptedNames``) and by
    resources bound through APIBindings. Of two that are decided at the same time on the same state both would win:
    decide one at a time in a workspace.
    ``remaining``: a bounded batch of the CRD's instances in every namespace and version, those not yet being deleted
    first; read only while the CRD is being deleted, and read after it. ``now`` is RFC 3339.
    """

    crd: Object | None
    now: str
    taken: TakenNames = TakenNames()
    remaining: tuple[Remnant, ...] = ()


def reconcile(state: State) -> Plan:
    """Accept names, then establish; on deletion remove the instances, then the finalizer."""
    crd = state.crd
    if crd is None:
        return NOTHING
    target = Target(CRDS, cluster_of(crd), name_of(crd))
    if is_deleting(crd):
        return _delete(target, crd, state)
    if not has_finalizer(crd, FINALIZER):
        # Before it is established, hence before the first instance: otherwise a deletion could leave instances.
        return Plan((Update(target, with_finalizer(crd, FINALIZER)),))
    status = copy(crd.get("status") or {})
    _accept_names(status, crd["spec"], state.taken, state.now)
    _check_approval(status, crd, state.now)
    storage = next((v["name"] for v in crd["spec"].get("versions") or () if v.get("storage")), None)
    stored = status.setdefault("storedVersions", [])
    if storage and storage not in stored:
        stored.append(storage)
    return Plan(_status(target, crd, status))


def _delete(target: Target, crd: Object, state: State) -> Plan:
    status = copy(crd.get("status") or {})
    deleting = condition_status(status, "Terminating")
    if state.remaining or not deleting:
        message = "CustomResource deletion is in progress"
        set_condition(status, "Terminating", "True", "InstanceDeletionInProgress", message, now=state.now)
        begun = deletes(state.remaining)
        wait = NEXT_BATCH if begun else WAIT if state.remaining else None
        return Plan((*begun, *_status(target, crd, status)), wait)
    if has_finalizer(crd, FINALIZER):
        return Plan((Update(target, without_finalizer(crd, FINALIZER)),))
    message = "removed all instances"
    set_condition(status, "Terminating", "False", "InstanceDeletionCompleted", message, now=state.now)
    return Plan(_status(target, crd, status))


def _status(target: Target, crd: Object, status: Object) -> tuple[Change, ...]:
    return () if status == crd.get("status") else (UpdateStatus(target, {**crd, "status": status}),)


def _accept_names(status: Object, spec: Object, taken: TakenNames, now: str) -> None:
    """Take what is free; what is not keeps the name accepted before. Established never goes back to False."""
    wanted = spec.get("names") or {}
    accepted = dict(status.get("acceptedNames") or {})
    reason = message = ""
    for name, used, why in (
        ("plural", taken.resources, "PluralConflict"),
        ("singular", taken.resources, "SingularConflict"),
        ("shortNames", taken.resources, "ShortNamesConflict"),
        ("kind", taken.kinds, "KindConflict"),
        ("listKind", taken.kinds, "ListKindConflict"),
    ):
        conflicts = _conflicts(wanted.get(name), accepted.get(name), used)
        if conflicts:
            reason, message = why, conflicts
        else:
            _put(accepted, name, wanted.get(name))
    _put(accepted, "categories", wanted.get("categories"))
    # The API requires plural and kind: of a CRD without any accepted name they are empty.
    status["acceptedNames"] = {"plural": "", "kind": "", **accepted}
    if reason:
        set_condition(status, "NamesAccepted", "False", reason, message, now=now)
    else:
        set_condition(status, "NamesAccepted", "True", "NoConflicts", "no conflicts found", now=now)
    if condition_status(status, "Established") == "True":
        return
    if reason:
        set_condition(status, "Established", "False", "NotAccepted", "not all names are accepted", now=now)
    elif not _is_ca_bundle(nested(spec, "conversion", "webhook", "clientConfig", "caBundle")):
        # Not a reason to refuse it: who injects the certificate comes later.
        message = "The conversion webhook CABundle is invalid"
        set_condition(status, "Established", "False", "InvalidCABundle", message, now=now)
    else:
        message = "the initial names have been accepted"
        set_condition(status, "Established", "True", "InitialNamesAccepted", message, now=now)


def _is_ca_bundle(encoded: Any) -> bool:
    if not encoded:
        return True
    from cryptography.x509 import InvalidVersion, load_pem_x509_certificates

    try:
        return bool(load_pem_x509_certificates(base64.b64decode(encoded)))
    except (ValueError, InvalidVersion):
        return False


def _conflicts(wanted: Any, accepted: Any, used: Mapping[str, str]) -> str:
    """Kube's text for those of the wanted names that others use; "" where none."""
    names = _listed(wanted)
    own = _listed(accepted)
    errors = [f'"{name}" is already in use' for name in dict.fromkeys(names) if name in used and name not in own]
    return errors[0] if len(errors) == 1 else f"[{', '.join(errors)}]" if errors else ""


def _listed(names: Any) -> list[str]:
    return list(names) if isinstance(names, list) else [names] if names else []


def _put(accepted: Object, name: str, value: Any) -> None:
    if value:
        accepted[name] = value
    else:
        accepted.pop(name, None)


def _check_approval(status: Object, crd: Object, now: str) -> None:
    """Groups of the Kubernetes community need an approval; the condition is there for those groups only."""
    group = str(nested(crd, "spec", "group", default=""))
    if not any(group == protected or group.endswith(f".{protected}") for protected in _PROTECTED_GROUPS):
        return
    value = annotations_of(crd).get(APPROVED_ANNOTATION, "")
    needed = f'protected groups must have approval annotation "{APPROVED_ANNOTATION}"'
    if not value:
        outcome = ("False", "MissingAnnotation", f"{needed}, see {_POLICY}")
    elif value.startswith("unapproved"):
        outcome = ("False", "UnapprovedAnnotation", f'not approved: "{value}"')
    elif value.startswith(("https://", "http://")):
        outcome = ("True", "ApprovedAnnotation", f"approved in {value}")
    else:
        why = f'{needed} with either a URL or a reason starting with "unapproved", see {_POLICY}'
        outcome = ("False", "InvalidAnnotation", why)
    set_condition(status, "KubernetesAPIApprovalPolicyConformant", *outcome, now=now)


def set_condition(status: Object, kind: str, value: str, reason: str, message: str, *, now: str) -> None:
    """Set a condition of Kubernetes' own shape in ``status`` (kcp's, with a severity, are in ``meta.conditions``).

    ``lastTransitionTime`` changes with ``value`` only.
    """
    conditions: list[Object] = status.setdefault("conditions", [])
    old = next((condition for condition in conditions if condition.get("type") == kind), None)
    since = old.get("lastTransitionTime", now) if old and old.get("status") == value else now
    new = {"type": kind, "status": value, "lastTransitionTime": since, "reason": reason, "message": message}
    if old is None:
        conditions.append(new)
    else:
        conditions[conditions.index(old)] = new


def condition_status(status: Object, kind: str) -> str:
    """``True``, ``False`` or ``Unknown``; "" where ``status`` has no such condition."""
    return next((str(c.get("status")) for c in status.get("conditions") or () if c.get("type") == kind), "")
