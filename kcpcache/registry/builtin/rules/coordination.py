"""Rules of Leases, after kube's ``ValidateLeaseSpec``."""

from typing import Final

from kcpcache.meta.errors import FieldError, field_forbidden, field_invalid, field_not_supported
from kcpcache.meta.names import qualified_name_errors
from kcpcache.meta.objects import Object
from kcpcache.registry.builtin.rules.rule import Rules, invalid, section, text, whole

_COORDINATED: Final = ("strategy", "preferredHolder")
"""What only coordinated leader election has, a feature of kube-apiserver that is off by default."""
_STRATEGIES: Final = ("OldestEmulationVersion",)


def _prepare_create(lease: Object) -> None:
    _drop(lease, _COORDINATED)


def _prepare_update(lease: Object, old: Object) -> None:
    _drop(lease, tuple(name for name in _COORDINATED if section(old, "spec").get(name) is None))


def _drop(lease: Object, names: tuple[str, ...]) -> None:
    spec = section(lease, "spec")
    if any(name in spec for name in names):
        lease["spec"] = {key: value for key, value in spec.items() if key not in names}


def _strategy_errors(strategy: str) -> list[FieldError]:
    path = "spec.strategy.strategy"  # kube-apiserver names it twice
    if "/" in strategy:
        return invalid(path, strategy, qualified_name_errors(strategy))
    return [] if strategy in _STRATEGIES else [field_not_supported(path, strategy, _STRATEGIES)]


def _validate(lease: Object) -> list[FieldError]:
    spec = section(lease, "spec")
    errors: list[FieldError] = []
    duration, transitions = whole(spec, "leaseDurationSeconds"), whole(spec, "leaseTransitions")
    if duration is not None and duration <= 0:
        errors.append(field_invalid("spec.leaseDurationSeconds", duration, "must be greater than 0"))
    if transitions is not None and transitions < 0:
        detail = "must be greater than or equal to 0"
        errors.append(field_invalid("spec.leaseTransitions", transitions, detail))
    if isinstance(spec.get("strategy"), str):
        errors += _strategy_errors(spec["strategy"])
    if text(spec, "preferredHolder") and not text(spec, "strategy"):
        detail = "may only be specified if `strategy` is defined"
        errors.append(field_forbidden("spec.preferredHolder", detail))
    return errors


LEASE: Final = Rules(validate=_validate, prepare_create=_prepare_create, prepare_update=_prepare_update)
