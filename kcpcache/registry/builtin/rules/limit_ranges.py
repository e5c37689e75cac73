"""Rules of LimitRanges, after kube's ``ValidateLimitRange``; what they limit does not run here."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Final

from kcpcache.meta.errors import (
    FieldError,
    field_duplicate,
    field_forbidden,
    field_invalid,
    field_required,
    field_type_invalid,
)
from kcpcache.meta.names import qualified_name_errors
from kcpcache.meta.objects import Object
from kcpcache.registry.builtin.rules.quantities import SYNTAX, canonicalize, quantity
from kcpcache.registry.builtin.rules.quotas import resource_name_errors
from kcpcache.registry.builtin.rules.rule import Rules, entries, invalid, section, sections, text

_QUANTITY_MAPS: Final = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")
_KINDS: Final = ("Pod", "Container", "PersistentVolumeClaim")
_COMPUTE: Final = ("cpu", "memory", "ephemeral-storage")
_HUGE_PAGES: Final = "hugepages-"


def _default_limit_range(limit_range: Object) -> None:
    """A limit's default is its maximum, and a request's default the limit's default (containers only)."""
    for _, item in sections(section(limit_range, "spec"), "limits"):
        for name in _QUANTITY_MAPS:
            canonicalize(section(item, name))
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
    kind = text(item, "type")
    errors: list[FieldError] = []
    amounts: dict[str, dict[str, Fraction]] = {}
    for name in _QUANTITY_MAPS:
        amounts[name] = {}
        for key, value in entries(item, name):
            found, place = quantity(value), f"{path}.{name}[{key}]"
            errors += _resource_errors(kind, key, place)
            if found is None:
                errors.append(field_type_invalid(place, value, SYNTAX))
            else:
                amounts[name][key] = found
    if kind == "PersistentVolumeClaim" and "storage" not in amounts["min"] | amounts["max"]:
        why = "either minimum or maximum storage value is required, but neither was provided"
        errors.append(field_required(f"{path}.limits", why))
    for low, high, blamed, words in _ORDER:
        for key in sorted(amounts[low].keys() & amounts[high].keys()):
            if amounts[low][key] > amounts[high][key]:
                detail = words.format(item[low][key], item[high][key])
                errors.append(field_invalid(f"{path}.{blamed}[{key}]", item[blamed][key], detail))
    return errors + _ratio_errors(item, amounts, path) + _overcommit_errors(item, amounts, path)


def _resource_errors(kind: str, name: str, path: str) -> list[FieldError]:
    errors = resource_name_errors(name, path)
    if kind not in {"Pod", "Container"}:
        return errors
    if "/" not in name:
        if name not in _COMPUTE and not name.startswith(_HUGE_PAGES):
            errors.append(field_invalid(path, name, "must be a standard resource for containers"))
    elif "kubernetes.io/" not in name and (name.startswith("requests.") or qualified_name_errors(f"requests.{name}")):
        errors.append(field_invalid(path, name, "doesn't follow extended resource name standard"))
    return errors


def _ratio_errors(item: Object, amounts: Mapping[str, Mapping[str, Fraction]], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for key, ratio in sorted(amounts["maxLimitRequestRatio"].items()):
        value, place = item["maxLimitRequestRatio"][key], f"{path}.maxLimitRequestRatio[{key}]"
        if ratio < 1:
            errors.append(field_invalid(place, value, f"ratio {value} is less than 1"))
        low, high = amounts["min"].get(key), amounts["max"].get(key)
        if low and high is not None and ratio > high / low:
            why = f"ratio {value} is greater than max/min = {float(high / low):f}"
            errors.append(field_invalid(place, value, why))
    return errors


def _overcommit_errors(item: Object, amounts: Mapping[str, Mapping[str, Fraction]], path: str) -> list[FieldError]:
    """What cannot be shared, such as huge pages and devices, is requested as it is limited."""
    errors: list[FieldError] = []
    for key in sorted(amounts["default"].keys() & amounts["defaultRequest"].keys()):
        shared = ("/" not in key or "kubernetes.io/" in key) and not key.startswith(_HUGE_PAGES)
        if not shared and amounts["default"][key] != amounts["defaultRequest"][key]:
            limit, request = item["default"][key], item["defaultRequest"][key]
            why = f"default value {limit} must equal to defaultRequest value {request} in {key}"
            errors.append(field_invalid(f"{path}.defaultRequest[{key}]", request, why))
    return errors


def _kind_errors(kind: str, path: str) -> list[FieldError]:
    errors = invalid(path, kind, qualified_name_errors(kind))
    if errors or "/" in kind or kind in _KINDS:
        return errors
    return [field_invalid(path, kind, "must be a standard limit type or fully qualified")]


def _validate_limit_range(limit_range: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, item in sections(section(limit_range, "spec"), "limits"):
        path, kind = f"spec.limits[{index}]", text(item, "type")
        errors += _kind_errors(kind, f"{path}.type")
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


LIMIT_RANGE: Final = Rules(default=_default_limit_range, validate=_validate_limit_range)
