"""Rules of events in both wire forms, after kube's ``pkg/apis/core/validation/events.go``."""

from dataclasses import dataclass
from typing import Final

from kcpcache.meta.errors import FieldError, field_invalid, field_required
from kcpcache.meta.names import qualified_name_errors
from kcpcache.meta.objects import Object, namespace_of
from kcpcache.registry.builtin.rules.rule import Rules, immutable, invalid, section, text, whole

_SHORT: Final = 128
_LONG: Final = 1024
_ANYWHERE: Final = ("default", "kube-system")
_TYPES: Final = ("Normal", "Warning")
_AT_LEAST_TWICE: Final = 2
_MISMATCH: Final = "does not match event.namespace"
_DEPRECATED: Final = (
    "deprecatedSource",
    "deprecatedFirstTimestamp",
    "deprecatedLastTimestamp",
    "deprecatedCount",
)
_IMMUTABLE: Final = (
    "eventTime",
    "reportingController",
    "reportingInstance",
    "action",
    "reason",
    "regarding",
    "related",
    "note",
    "type",
    *_DEPRECATED,
)


@dataclass(frozen=True, slots=True)
class _Names:
    """What the fields are called in one of the two forms."""

    regarding: str
    note: str
    controller: str


_CORE: Final = _Names("involvedObject", "message", "reportingComponent")
_EVENTS: Final = _Names("regarding", "note", "reportingController")


def _namespace_errors(event: Object, names: _Names) -> list[FieldError]:
    own, other = namespace_of(event), text(section(event, names.regarding), "namespace")
    if event.get("eventTime"):
        fits = bool(other) or own in _ANYWHERE
    else:
        fits = own == other if other else own in {"", "default"}
    return [] if fits else [field_invalid(f"{names.regarding}.namespace", other, _MISMATCH)]


def _precise_errors(event: Object, names: _Names) -> list[FieldError]:
    """What an event with an eventTime must say in addition."""
    errors: list[FieldError] = []
    controller = text(event, names.controller)
    if not controller:
        errors.append(field_required(names.controller))
    errors += invalid(names.controller, controller, qualified_name_errors(controller))
    for name in ("reportingInstance", "action", "reason"):
        if not text(event, name):
            errors.append(field_required(name))
        if len(text(event, name)) > _SHORT:
            errors.append(field_invalid(name, "", f"can have at most {_SHORT} characters"))
    if len(text(event, names.note)) > _LONG:
        errors.append(field_invalid(names.note, "", f"can have at most {_LONG} characters"))
    return errors


def _validate_core(event: Object) -> list[FieldError]:
    errors = _namespace_errors(event, _CORE)
    return errors + _precise_errors(event, _CORE) if event.get("eventTime") else errors


def _validate_events(event: Object) -> list[FieldError]:
    """The newer form asks for more, and for the absence of what only v1 events have."""
    if not event.get("eventTime"):
        return [field_required("eventTime")]
    errors = _namespace_errors(event, _EVENTS) + _precise_errors(event, _EVENTS)
    kind = text(event, "type")
    if kind not in _TYPES:
        errors.append(field_invalid("type", "", f"has invalid value: {kind}"))
    if event.get("series") is not None:
        series = section(event, "series")
        if (whole(series, "count") or 0) < _AT_LEAST_TWICE:
            errors.append(field_invalid("series.count", "", "should be at least 2"))
        if not series.get("lastObservedTime"):
            errors.append(field_required("series.lastObservedTime"))
    return errors + [field_invalid(name, "", "needs to be unset") for name in _DEPRECATED if event.get(name)]


def _update_events(event: Object, old: Object) -> list[FieldError]:
    """Only the series may go on."""
    return [error for name in _IMMUTABLE for error in immutable(name, event.get(name), old.get(name))]


CORE_EVENT: Final = Rules(validate=_validate_core)
EVENTS_EVENT: Final = Rules(validate=_validate_events, validate_update=_update_events)
