"""Every error that a client can meet, as one tree of exceptions; each becomes a Kubernetes ``Status``.

* StatusError
  * BadRequestError 400, UnauthorizedError 401, ForbiddenError 403, NotFoundError 404, MethodNotAllowedError 405
  * NotAcceptableError 406, AlreadyExistsError 409, ConflictError 409, ExpiredError 410
  * RequestEntityTooLargeError 413, UnsupportedMediaTypeError 415, InvalidError 422, TooManyRequestsError 429
  * InternalError 500, ServiceUnavailableError 503, TimeoutStatusError 504

Reasons and texts follow k8s.io/apimachinery ``api/errors``, so that clients recognise them.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson

from kcpcache.meta.go_values import go_quoted, go_value

REDACTED = "<secret contents redacted>"
"""What errors say in place of what a Secret holds: they go into logs. The words are kube-apiserver's."""


def qualified_resource(group: str, resource: str) -> str:
    """``cpuflavors.cloud.example.com``, or just ``configmaps`` for the core group."""
    return f"{resource}.{group}" if group else resource


@dataclass(frozen=True, slots=True)
class StatusCause:
    """One entry of ``details.causes``."""

    reason: str
    message: str
    field: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The wire form; an empty field is left out."""
        cause = {"reason": self.reason, "message": self.message}
        return cause | {"field": self.field} if self.field else cause


class StatusError(Exception):
    """An error with a place in a Kubernetes Status. ``code`` and ``reason`` are the class's."""

    code: ClassVar[int] = 500
    reason: ClassVar[str] = "InternalError"

    def __init__(
        self,
        message: str,
        *,
        group: str = "",
        kind: str = "",
        name: str = "",
        uid: str = "",
        causes: Sequence[StatusCause] = (),
        retry_after_seconds: int = 0,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.group, self.kind, self.name, self.uid = group, kind, name, uid
        self.causes = tuple(causes)
        self.retry_after_seconds = retry_after_seconds

    def headers(self) -> Mapping[str, str]:
        """HTTP headers that belong to the answer."""
        return {"Retry-After": str(self.retry_after_seconds)} if self.retry_after_seconds else {}

    def status(self) -> dict[str, Any]:
        """The ``Status`` object (``v1``) that the client gets."""
        named = {"name": self.name, "group": self.group, "kind": self.kind, "uid": self.uid}
        details: dict[str, Any] = {key: value for key, value in named.items() if value}
        if self.causes:
            details["causes"] = [cause.to_dict() for cause in self.causes]
        if self.retry_after_seconds:
            details["retryAfterSeconds"] = self.retry_after_seconds
        status = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        return status | {"details": details} if details else status


class BadRequestError(StatusError):
    """The request itself cannot be understood."""

    code, reason = 400, "BadRequest"


class UnauthorizedError(StatusError):
    """No credentials, or none that count."""

    code, reason = 401, "Unauthorized"

    def __init__(self, message: str = "Unauthorized") -> None:
        super().__init__(message)


class ForbiddenError(StatusError):
    """Understood, but refused. See ``forbidden`` for the message about a resource."""

    code, reason = 403, "Forbidden"


class NotFoundError(StatusError):
    """No such object, resource or path. See ``not_found``."""

    code, reason = 404, "NotFound"


class MethodNotAllowedError(StatusError):
    """The resource does not have this verb."""

    code, reason = 405, "MethodNotAllowed"


class NotAcceptableError(StatusError):
    """Accept names only media types that this server does not produce."""

    code, reason = 406, "NotAcceptable"


class AlreadyExistsError(StatusError):
    """Create met an object of that name."""

    code, reason = 409, "AlreadyExists"


class ConflictError(StatusError):
    """The object changed meanwhile, or an apply conflicts with other managers."""

    code, reason = 409, "Conflict"


class ExpiredError(StatusError):
    """The resourceVersion or continue token is too old: list anew, or go on inconsistently with ``continue_token``."""

    code, reason = 410, "Expired"

    def __init__(self, message: str, *, continue_token: str = "") -> None:
        super().__init__(message)
        self.continue_token = continue_token

    def status(self) -> dict[str, Any]:
        """As always; a fresh continue token goes into the metadata."""
        status = super().status()
        return status | {"metadata": {"continue": self.continue_token}} if self.continue_token else status


class RequestEntityTooLargeError(StatusError):
    """The body is over the limit."""

    code, reason = 413, "RequestEntityTooLarge"


class UnsupportedMediaTypeError(StatusError):
    """The body's media type is not one that this verb takes."""

    code, reason = 415, "UnsupportedMediaType"


class RequestTimeoutError(StatusError):
    """A request that has not come as a whole in time."""

    code, reason = 408, "Timeout"


class RequestHeaderFieldsTooLargeError(StatusError):
    """A request whose line and headers do not end."""

    code, reason = 431, ""


class TooManyRequestsError(StatusError):
    """Over a limit; try again after ``retry_after_seconds``."""

    code, reason = 429, "TooManyRequests"


class InternalError(StatusError):
    """A defect of the server, never the client's fault; the text says nothing of its inside."""

    code, reason = 500, "InternalError"


class ServiceUnavailableError(StatusError):
    """Something that the answer needs cannot be had now."""

    code, reason = 503, "ServiceUnavailable"


class TimeoutStatusError(StatusError):
    """The server gave up waiting."""

    code, reason = 504, "Timeout"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field, after apimachinery's ``field.Error``.

    ``reason`` is the cause's reason, for example ``FieldValueInvalid``. Use the constructors below.
    """

    reason: str
    path: str
    body: str

    @property
    def message(self) -> str:
        """``spec.x: Invalid value: "a": must be …``."""
        return f"{self.path}: {self.body}" if self.path else self.body


def _shown(value: Any) -> str:
    if isinstance(value, str) and not value.isprintable():
        return go_quoted(value.encode(errors="replace").decode())
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # an integer of more than 64 bits, a lone surrogate
        return json.dumps(value, default=str)


def field_invalid(path: str, value: Any, detail: str) -> FieldError:
    """The value is there, but not right."""
    return FieldError("FieldValueInvalid", path, f"Invalid value: {_shown(value)}: {detail}")


def field_type_invalid(path: str, value: Any, detail: str) -> FieldError:
    """The value has another type than it must have."""
    return FieldError("FieldValueTypeInvalid", path, f"Invalid value: {_shown(value)}: {detail}")


def field_required(path: str, detail: str = "") -> FieldError:
    """The field must be there."""
    return FieldError("FieldValueRequired", path, f"Required value: {detail}" if detail else "Required value")


def field_forbidden(path: str, detail: str) -> FieldError:
    """The field must not be there, or must not change."""
    return FieldError("FieldValueForbidden", path, f"Forbidden: {detail}")


def field_duplicate(path: str, value: Any) -> FieldError:
    """The value stands twice in a list that is a set or a map."""
    shown = go_value(value) if isinstance(value, dict) else _shown(value)
    return FieldError("FieldValueDuplicate", path, f"Duplicate value: {shown}")


def field_not_found(path: str, value: Any) -> FieldError:
    """The value refers to something that is not there."""
    return FieldError("FieldValueNotFound", path, f"Not found: {_shown(value)}")


def field_not_supported(path: str, value: Any, supported: Iterable[str]) -> FieldError:
    """The value is none of the supported ones."""
    choices = ", ".join(_shown(choice) for choice in supported)
    return FieldError(
        "FieldValueNotSupported", path, f"Unsupported value: {_shown(value)}: supported values: {choices}"
    )


def field_too_long(path: str, limit: int) -> FieldError:
    """The value is longer than ``limit`` bytes."""
    why = f"may not be more than {limit} bytes" if limit >= 0 else "value is too long"
    return FieldError("FieldValueTooLong", path, f"Too long: {why}")


def field_too_many(path: str, actual: int, limit: int) -> FieldError:
    """There are more items than ``limit``."""
    why = f"must have at most {limit} items" if limit >= 0 else "has too many items"
    return FieldError("FieldValueTooMany", path, f"Too many: {actual}: {why}")


class InvalidError(StatusError):
    """The object breaks rules of its type: one cause per field."""

    code, reason = 422, "Invalid"

    def __init__(self, group: str, kind: str, name: str, errors: Sequence[FieldError]) -> None:
        messages = list(dict.fromkeys(error.message for error in errors))
        text = messages[0] if len(messages) == 1 else f"[{', '.join(messages)}]"
        super().__init__(
            f'{qualified_resource(group, kind)} "{name}" is invalid: {text}',
            group=group,
            kind=kind,
            name=name,
            causes=[StatusCause(error.reason, error.body, error.path) for error in errors],
        )
        self.errors = tuple(errors)


def not_found(group: str, resource: str, name: str) -> NotFoundError:
    """``cpuflavors.cloud.example.com "x" not found``."""
    return NotFoundError(
        f'{qualified_resource(group, resource)} "{name}" not found', group=group, kind=resource, name=name
    )


def path_not_found() -> NotFoundError:
    """What kube-apiserver says of a path that it does not serve."""
    return NotFoundError("the server could not find the requested resource")


def already_exists(group: str, resource: str, name: str) -> AlreadyExistsError:
    """``cpuflavors.cloud.example.com "x" already exists``."""
    return AlreadyExistsError(
        f'{qualified_resource(group, resource)} "{name}" already exists',
        group=group,
        kind=resource,
        name=name,
    )


def conflict(group: str, resource: str, name: str, why: str = "") -> ConflictError:
    """``Operation cannot be fulfilled on … "x": <why>``; by default: modified meanwhile."""
    why = why or "the object has been modified; please apply your changes to the latest version and try again"
    return ConflictError(
        f'Operation cannot be fulfilled on {qualified_resource(group, resource)} "{name}": {why}',
        group=group,
        kind=resource,
        name=name,
    )


def forbidden(group: str, resource: str, name: str, why: str) -> ForbiddenError:
    """``cpuflavors.cloud.example.com "x" is forbidden: <why>``."""
    subject = qualified_resource(group, resource)
    text = f'{subject} "{name}" is forbidden: {why}' if name else f"{subject} is forbidden: {why}"
    return ForbiddenError(text, group=group, kind=resource, name=name)


def method_not_allowed(group: str, resource: str, verb: str) -> MethodNotAllowedError:
    """``<verb> is not supported on resources of kind "<resource>"``."""
    return MethodNotAllowedError(
        f'{verb} is not supported on resources of kind "{qualified_resource(group, resource)}"',
        group=group,
        kind=resource,
    )
