"""The order in which kube-apiserver says what is wrong with policies and webhook configurations."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from kcpcache.meta.errors import FieldError

_FIELDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "": ("metadata", "spec", "webhooks"),
        "spec": (
            *("failurePolicy", "paramKind", "matchConstraints", "matchConditions", "variables", "validations"),
            "auditAnnotations",
        ),
        "webhooks": (
            *("name", "rules", "failurePolicy", "matchPolicy", "sideEffects", "timeoutSeconds", "namespaceSelector"),
            *("objectSelector", "reinvocationPolicy", "clientConfig", "matchConditions", "admissionReviewVersions"),
        ),
        "matchConditions": ("expression", "name"),
        "variables": ("name", "expression"),
        "validations": ("expression", "messageExpression", "message", "reason"),
        "auditAnnotations": ("key", "valueExpression"),
    }
)
"""The fields of a field, as ``pkg/apis/admissionregistration/validation`` looks at them; others keep their order."""
_STEP: Final = re.compile(r"([A-Za-z]+)|\[(\d+)\]")
_LAST: Final = 99


def position(error: FieldError) -> tuple[int, ...]:
    """To sort by. What stands twice in a list is said after all else about the item."""
    place: list[int] = []
    parent = ""
    for name, index in _STEP.findall(error.path):
        if index:
            place.append(int(index))
            continue
        fields = _FIELDS.get(parent)
        if fields is None:
            break
        place.append(fields.index(name) if name in fields else len(fields))
        parent = name
    if error.reason == "FieldValueDuplicate":
        place[-1:] = [_LAST]
    return tuple(place)
