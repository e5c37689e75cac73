"""Rules of Leases, after kube's ``ValidateLeaseSpec``."""

from typing import Final

from kcpcache.meta.errors import FieldError, field_forbidden, field_invalid
from kcpcache.meta.objects import Object
from kcpcache.registry.builtin.rules.rule import Rules, section, text, whole


def _validate(lease: Object) -> list[FieldError]:
    spec = section(lease, "spec")
    errors: list[FieldError] = []
    duration, transitions = whole(spec, "leaseDurationSeconds"), whole(spec, "leaseTransitions")
    if duration is not None and duration <= 0:
        errors.append(field_invalid("spec.leaseDurationSeconds", duration, "must be greater than 0"))
    if transitions is not None and transitions < 0:
        detail = "must be greater than or equal to 0"
        errors.append(field_invalid("spec.leaseTransitions", transitions, detail))
    if text(spec, "preferredHolder") and not text(spec, "strategy"):
        detail = "may only be specified if `strategy` is defined"
        errors.append(field_forbidden("spec.preferredHolder", detail))
    return errors


LEASE: Final = Rules(validate=_validate)
