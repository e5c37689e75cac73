"""Rules of what is answered and never stored: access reviews, token requests."""

from typing import Final

from kcpcache.meta.errors import FieldError, field_invalid
from kcpcache.meta.objects import Object, namespace_of
from kcpcache.registry.builtin.rules.rule import Rules, section, text, texts, whole

DEFAULT_TOKEN_SECONDS: Final = 3600
_SHORTEST_SECONDS: Final = 600
_LONGEST_SECONDS: Final = 1 << 32


def _attribute_errors(spec: Object) -> list[FieldError]:
    """Exactly one of a resource and a path must be asked about."""
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource is not None and path is not None:
        detail = "cannot be specified in combination with resourceAttributes"
        return [field_invalid("spec.nonResourceAttributes", path, detail)]
    if resource is None and path is None:
        detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        return [field_invalid("spec.resourceAttributes", None, detail)]
    return []


def _validate_self(review: Object) -> list[FieldError]:
    return _attribute_errors(section(review, "spec"))


def _validate_subject(review: Object) -> list[FieldError]:
    spec = section(review, "spec")
    errors = _attribute_errors(spec)
    if not text(spec, "user") and not texts(spec, "groups"):
        detail = "at least one of user or group must be specified"
        errors.append(field_invalid("spec.user", text(spec, "user"), detail))
    return errors


def _validate_local(review: Object) -> list[FieldError]:
    spec = section(review, "spec")
    errors = _validate_subject(review)
    namespace = text(section(spec, "resourceAttributes"), "namespace")
    if spec.get("resourceAttributes") is not None and namespace != namespace_of(review):
        errors.append(field_invalid("spec.resourceAttributes.namespace", namespace, "must match metadata.namespace"))
    if spec.get("nonResourceAttributes") is not None:
        detail = "disallowed on this kind of request"
        errors.append(field_invalid("spec.nonResourceAttributes", spec["nonResourceAttributes"], detail))
    return errors


def _default_token(request: Object) -> None:
    spec = request["spec"] = section(request, "spec")
    if spec.get("expirationSeconds") is None:
        spec["expirationSeconds"] = DEFAULT_TOKEN_SECONDS


def _validate_token(request: Object) -> list[FieldError]:
    seconds = whole(section(request, "spec"), "expirationSeconds")
    if seconds is None:
        return []
    path = "spec.expirationSeconds"
    if seconds < _SHORTEST_SECONDS:
        return [field_invalid(path, seconds, "may not specify a duration less than 10 minutes")]
    if seconds > _LONGEST_SECONDS:
        return [field_invalid(path, seconds, "may not specify a duration larger than 2^32 seconds")]
    return []


SELF_SUBJECT_ACCESS_REVIEW: Final = Rules(validate=_validate_self)
SUBJECT_ACCESS_REVIEW: Final = Rules(validate=_validate_subject)
LOCAL_SUBJECT_ACCESS_REVIEW: Final = Rules(validate=_validate_local)
TOKEN_REQUEST: Final = Rules(default=_default_token, validate=_validate_token)
