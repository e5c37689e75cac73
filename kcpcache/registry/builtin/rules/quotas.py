"""Rules of ResourceQuotas, after kube's core validation."""

from collections.abc import Iterable
from typing import Any, Final

from kcpcache.meta.errors import FieldError, field_invalid, field_required, field_type_invalid
from kcpcache.meta.names import qualified_name_errors
from kcpcache.meta.objects import Object
from kcpcache.registry.builtin.rules.quantities import SYNTAX, canonicalize, quantity
from kcpcache.registry.builtin.rules.rule import (
    Rules,
    entries,
    immutable,
    invalid,
    section,
    sections,
    text,
    texts,
)

_COMPUTE: Final = ("cpu", "memory", "ephemeral-storage")
_COUNTED: Final = (
    "pods",
    "services",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
)
_STANDARD: Final = frozenset(
    [
        *_COUNTED,
        *_COMPUTE,
        *(f"{prefix}.{name}" for prefix in ("requests", "limits") for name in _COMPUTE),
        "requests.storage",
    ]
)
_SCOPES: Final = frozenset(
    [
        "Terminating",
        "NotTerminating",
        "BestEffort",
        "NotBestEffort",
        "PriorityClass",
        "CrossNamespacePodAffinity",
        "VolumeAttributesClass",
    ]
)
_PODS: Final = frozenset(
    ["pods", "cpu", "memory", *(f"{prefix}.{name}" for prefix in ("requests", "limits") for name in ("cpu", "memory"))]
)
_OF_SCOPE: Final = {
    **dict.fromkeys(
        ("Terminating", "NotTerminating", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity"), _PODS
    ),
    "BestEffort": frozenset(["pods"]),
    "VolumeAttributesClass": frozenset(["persistentvolumeclaims", "requests.storage"]),
}
"""The standard resources that a scope can be about."""
_JUST_EXISTS: Final = ("Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "CrossNamespacePodAffinity")
_MUST_EXIST: Final = (
    "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
    "ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"
)
_HUGE_PAGES: Final = ("hugepages-", "requests.hugepages-")


def _default_quota(quota: Object) -> None:
    canonicalize(section(quota, "spec", "hard"))
    for name in ("hard", "used"):
        canonicalize(section(quota, "status", name))


def _resource_name_errors(name: str, path: str) -> list[FieldError]:
    errors = resource_name_errors(name, path)
    if "/" in name or _is_standard(name):
        return errors
    return [*errors, field_invalid(path, name, "must be a standard resource for quota")]


def _is_standard(name: str) -> bool:
    return name in _STANDARD or name.startswith(_HUGE_PAGES)


def resource_name_errors(name: str, path: str) -> list[FieldError]:
    """A resource's name is qualified, or one that Kubernetes knows (``validateResourceName``)."""
    errors = invalid(path, name, qualified_name_errors(name))
    if errors or "/" in name or _is_standard(name) or name == "storage":
        return errors
    return [field_invalid(path, name, "must be a standard resource type or fully qualified")]


def _amount_errors(name: str, value: Any, path: str) -> list[FieldError]:
    amount = quantity(value)
    if amount is None:
        return [field_type_invalid(path, value, SYNTAX)]
    if amount < 0:
        return [field_invalid(path, value, "must be greater than or equal to 0")]
    if (name in _COUNTED or name.startswith("count/")) and amount.denominator != 1:
        return [field_invalid(path, value, "must be an integer")]
    return []


def _validate_quota(quota: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    spec = section(quota, "spec")
    for parent, name in (("spec", "hard"), ("status", "hard"), ("status", "used")):
        for key, value in entries(section(quota, parent), name):
            path = f"{parent}.{name}[{key}]"
            errors += _resource_name_errors(key, path) + _amount_errors(key, value, path)
    return errors + _scope_errors(spec) + _selector_errors(spec)


def _scope_errors(spec: Object) -> list[FieldError]:
    path, scopes = "spec.scopes", texts(spec, "scopes")
    errors: list[FieldError] = []
    for scope in scopes:
        if scope not in _SCOPES:
            errors.append(field_invalid(path, scopes, "unsupported scope"))
        errors += [field_invalid(path, scopes, _UNSUPPORTED)] * _count_unfit(spec, scope)
    return errors + ([field_invalid(path, scopes, _CONFLICTING)] if _conflict(scopes) else [])


_UNSUPPORTED: Final = "unsupported scope applied to resource"
_CONFLICTING: Final = "conflicting scopes"


def _count_unfit(spec: Object, scope: str) -> int:
    """How many of the standard resources that are limited the scope cannot be about."""
    fit = _OF_SCOPE.get(scope)
    return 0 if fit is None else sum(_is_standard(name) and name not in fit for name, _ in entries(spec, "hard"))


def _conflict(scopes: Iterable[str]) -> bool:
    found = set(scopes)
    return {"BestEffort", "NotBestEffort"} <= found or {"Terminating", "NotTerminating"} <= found


def _selector_errors(spec: Object) -> list[FieldError]:
    path = "spec.scopeSelector.matchExpressions"
    selector = section(spec, "scopeSelector")
    errors: list[FieldError] = []
    names = []
    for _, requirement in sections(selector, "matchExpressions"):
        name, operator, values = (
            text(requirement, "scopeName"),
            text(requirement, "operator"),
            requirement.get("values"),
        )
        names.append(name)
        if name not in _SCOPES:
            errors.append(field_invalid(f"{path}.scopeName", name, "unsupported scope"))
        errors += [field_invalid(path, _in_go(selector), _UNSUPPORTED)] * _count_unfit(spec, name)
        if name in _JUST_EXISTS and operator != "Exists":
            errors.append(field_invalid(f"{path}.operator", operator, _MUST_EXIST))
        if operator in {"In", "NotIn"}:
            if not values:
                detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
                errors.append(field_required(f"{path}.values", detail))
        elif operator not in {"Exists", "DoesNotExist"}:
            errors.append(field_invalid(f"{path}.operator", operator, "not a valid selector operator"))
        elif values:
            detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
            errors.append(field_invalid(f"{path}.values", values, detail))
    return errors + ([field_invalid(path, spec.get("scopes"), _CONFLICTING)] if _conflict(names) else [])


def _in_go(selector: Object) -> Object:
    """As kube-apiserver's own types are printed, which have no names for JSON."""
    fields = (("ScopeName", "scopeName"), ("Operator", "operator"), ("Values", "values"))
    requirements = [item for _, item in sections(selector, "matchExpressions")]
    return {"MatchExpressions": [{go: item.get(name) for go, name in fields} for item in requirements]}


def _update_quota(quota: Object, old: Object) -> list[FieldError]:
    new, before = section(quota, "spec").get("scopes"), section(old, "spec").get("scopes")
    same = sorted(texts({"": new}, "")) == sorted(texts({"": before}, ""))
    return [] if same else immutable("spec.scopes", new, before)


RESOURCE_QUOTA: Final = Rules(default=_default_quota, validate=_validate_quota, validate_update=_update_quota)
