"""Rules of ResourceQuotas and LimitRanges, after kube's core validation."""

from fractions import Fraction
from typing import Any, Final

from kcpcache.meta.errors import FieldError, field_duplicate, field_forbidden, field_invalid
from kcpcache.meta.names import qualified_name_errors
from kcpcache.meta.objects import Object
from kcpcache.registry.builtin.rules.quantities import SYNTAX, canonical, quantity
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
_QUANTITY_MAPS: Final = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")


def _canonicalize(quantities: Object) -> None:
    """Quantities are stored in their canonical form, so that equal ones look equal."""
    for name, value in quantities.items():
        written = canonical(value)
        if written is not None:
            quantities[name] = written


def _default_quota(quota: Object) -> None:
    _canonicalize(section(quota, "spec", "hard"))
    for name in ("hard", "used"):
        _canonicalize(section(quota, "status", name))


def _resource_name_errors(name: str, path: str) -> list[FieldError]:
    errors = invalid(path, name, qualified_name_errors(name))
    if errors or "/" in name or name in _STANDARD or name.startswith(("hugepages-", "requests.hugepages-")):
        return errors
    return [field_invalid(path, name, "must be a standard resource for quota")]


def _amount_errors(name: str, value: Any, path: str) -> list[FieldError]:
    amount = quantity(value)
    if amount is None:
        return [field_invalid(path, value, SYNTAX)]
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
    scopes = texts(spec, "scopes")
    if any(scope not in _SCOPES for scope in scopes):
        errors.append(field_invalid("spec.scopes", scopes, "unsupported scope"))
    elif {"BestEffort", "NotBestEffort"} <= set(scopes) or {"Terminating", "NotTerminating"} <= set(scopes):
        errors.append(field_invalid("spec.scopes", scopes, "conflicting scopes"))
    return errors


def _update_quota(quota: Object, old: Object) -> list[FieldError]:
    new, before = section(quota, "spec").get("scopes"), section(old, "spec").get("scopes")
    same = sorted(texts({"": new}, "")) == sorted(texts({"": before}, ""))
    return [] if same else immutable("spec.scopes", new, before)


def _default_limit_range(limit_range: Object) -> None:
    """A limit's default is its maximum, and a request's default the limit's default (containers only)."""
    for _, item in sections(section(limit_range, "spec"), "limits"):
        for name in _QUANTITY_MAPS:
            _canonicalize(section(item, name))
        if item.get("type") != "Container":
            continue
        sources = (("default", "max"), ("defaultRequest", "default"), ("defaultRequest", "min"))
        for target, source in sources:
            filled = {**section(item, source), **section(item, target)}
            if filled:
                item[target] = filled


_ORDER: Final = (
    ("min", "max", "min", "min value {} is greater than max value {}"),
    ("min", "defaultRequest", "defaultRequest", "min value {} is greater than default request value {}"),
    ("defaultRequest", "max", "defaultRequest", "default request value {} is greater than max value {}"),
    (
        "defaultRequest",
        "default",
        "defaultRequest",
        "default request value {} is greater than default limit value {}",
    ),
    ("min", "default", "default", "min value {} is greater than default value {}"),
    ("default", "max", "default", "default value {} is greater than max value {}"),
)
"""Which limit must not exceed which, the field to blame, and kube's words for it."""


def _limit_errors(item: Object, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    amounts: dict[str, dict[str, Fraction]] = {}
    for name in _QUANTITY_MAPS:
        amounts[name] = {}
        for key, value in entries(item, name):
            found = quantity(value)
            if found is None:
                errors.append(field_invalid(f"{path}.{name}[{key}]", value, SYNTAX))
            else:
                amounts[name][key] = found
    for low, high, blamed, words in _ORDER:
        for key in sorted(amounts[low].keys() & amounts[high].keys()):
            if amounts[low][key] > amounts[high][key]:
                detail = words.format(item[low][key], item[high][key])
                errors.append(field_invalid(f"{path}.{blamed}[{key}]", item[blamed][key], detail))
    for key, ratio in sorted(amounts["maxLimitRequestRatio"].items()):
        if ratio < 1:
            value = item["maxLimitRequestRatio"][key]
            detail = f"ratio {value} is less than 1"
            errors.append(field_invalid(f"{path}.maxLimitRequestRatio[{key}]", value, detail))
    return errors


def _validate_limit_range(limit_range: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, item in sections(section(limit_range, "spec"), "limits"):
        path, kind = f"spec.limits[{index}]", text(item, "type")
        errors += invalid(f"{path}.type", kind, qualified_name_errors(kind))
        if kind in seen:
            errors.append(field_duplicate(f"{path}.type", kind))
        seen.add(kind)
        if kind == "Pod":
            detail = "may not be specified when `type` is 'Pod'"
            errors += [
                field_forbidden(f"{path}.{name}", detail)
                for name in ("default", "defaultRequest")
                if section(item, name)
            ]
        errors += _limit_errors(item, path)
    return errors


RESOURCE_QUOTA: Final = Rules(default=_default_quota, validate=_validate_quota, validate_update=_update_quota)
LIMIT_RANGE: Final = Rules(default=_default_limit_range, validate=_validate_limit_range)
