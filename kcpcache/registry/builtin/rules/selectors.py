"""Label selectors within objects, after apimachinery's ``ValidateLabelSelector``."""

from typing import Final

from kcpcache.meta.errors import FieldError, field_forbidden, field_invalid, field_required
from kcpcache.meta.names import label_value_errors, qualified_name_errors
from kcpcache.meta.objects import Object
from kcpcache.registry.builtin.rules.rule import entries, invalid, sections, text, texts

_WITH_VALUES: Final = ("In", "NotIn")
_WITHOUT_VALUES: Final = ("Exists", "DoesNotExist")


def label_selector_errors(selector: Object, path: str) -> list[FieldError]:
    """What is wrong with the selector at ``path``."""
    errors: list[FieldError] = []
    for key, value in entries(selector, "matchLabels"):
        errors += invalid(f"{path}.matchLabels", key, qualified_name_errors(key))
        errors += invalid(f"{path}.matchLabels[{key}]", value, label_value_errors(str(value)))
    for index, requirement in sections(selector, "matchExpressions"):
        errors += _requirement_errors(requirement, f"{path}.matchExpressions[{index}]")
    return errors


def _requirement_errors(requirement: Object, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    key, operator = text(requirement, "key"), text(requirement, "operator")
    values = texts(requirement, "values")
    if operator in _WITH_VALUES:
        if not values:
            errors.append(field_required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
    elif operator in _WITHOUT_VALUES:
        if values:
            detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            errors.append(field_forbidden(f"{path}.values", detail))
    else:
        errors.append(field_invalid(f"{path}.operator", operator, "not a valid selector operator"))
    errors += invalid(f"{path}.key", key, qualified_name_errors(key))
    for index, value in enumerate(values):
        errors += invalid(f"{path}.values[{index}]", value, label_value_errors(value))
    return errors
