"""AdmissionReview v1 (and v1beta1, which differs in less than it shows): the question, and the answer's checks."""

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from kcpcache.admission.chain import Request
from kcpcache.admission.matching import Subject
from kcpcache.meta.errors import StatusError
from kcpcache.meta.names import api_version
from kcpcache.meta.objects import CLUSTER_ANNOTATION, Object, annotations_of, metadata
from kcpcache.registry.scale import SCALE_GROUP, SCALE_KIND, SCALE_VERSION
from kcpcache.registry.view import DeleteOptions
from kcpcache.registry.webhook_client import WebhookCallError

GROUP: Final = "admission.k8s.io"
SUPPORTED: Final = ("v1", "v1beta1")
_KIND: Final = "AdmissionReview"
_LEAST_CODE, _MOST_CODE = 400, 599


class DeniedError(StatusError):
    """Somebody whom the workspace asks refused the write; code and reason are theirs."""

    def __init__(self, message: str, *, code: int, reason: str, details: Object | None = None) -> None:
        super().__init__(message)
        self.code, self.reason, self._details = code, reason, details  # type: ignore[misc]

    def status(self) -> Object:
        """As always, with the details that came with the refusal."""
        status = super().status()
        return {**status, "details": self._details} if self._details else status


def request_of(subject: Subject, version: str, uid: str) -> Object:
    """``AdmissionRequest`` without the objects, for one who wants ``version``."""
    request, attributes, definition = subject.request, subject.request.attributes, subject.definition
    kind = {"group": definition.group, "version": version, "kind": definition.kind}
    asked = {**kind, "version": attributes.version}
    if subject.scale(version) is not None:
        kind = asked = {"group": SCALE_GROUP, "version": SCALE_VERSION, "kind": SCALE_KIND}
    resource = {"group": attributes.group, "version": version, "resource": attributes.resource}
    found: Object = {
        "uid": uid,
        "kind": kind,
        "resource": resource,
        "requestKind": asked,
        "requestResource": {**resource, "version": attributes.version},
        "name": request.name,
        "namespace": attributes.namespace,
        "operation": request.operation,
        "userInfo": attributes.user.to_user_info(),
        "dryRun": request.options.dry_run,
        "options": options_of(request),
    }
    if attributes.subresource:
        found["subResource"] = found["requestSubResource"] = attributes.subresource
    return {key: value for key, value in found.items() if value != "" or key == "uid"}


def seen_in(cluster: str, obj: Object | None) -> Object | None:
    """The object as a client of the workspace reads it: with annotation ``kcp.io/cluster``. Not a deep copy."""
    if obj is None:
        return None
    annotations = {**annotations_of(obj), CLUSTER_ANNOTATION: cluster}
    return {**obj, "metadata": {**metadata(obj), "annotations": annotations}}


def unseen(obj: Object) -> None:
    """Take that annotation away again, in place."""
    annotations = annotations_of(obj)
    if CLUSTER_ANNOTATION in annotations:
        del annotations[CLUSTER_ANNOTATION]
        if not annotations:
            del obj["metadata"]["annotations"]


def options_of(request: Request) -> Object:
    """``CreateOptions``, ``UpdateOptions`` or ``DeleteOptions``: of what is done, whatever the client's verb was."""
    options = request.options
    kind = f"{request.operation.capitalize()}Options"
    found: Object = {"kind": kind, "apiVersion": "meta.k8s.io/v1"}
    if options.dry_run:
        found["dryRun"] = ["All"]
    if isinstance(options, DeleteOptions):
        preconditions = {"uid": options.uid, "resourceVersion": options.resource_version}
        if any(preconditions.values()):
            found["preconditions"] = {key: value for key, value in preconditions.items() if value}
        if options.propagation_policy:
            found["propagationPolicy"] = options.propagation_policy
        if options.grace_period_seconds is not None:
            found["gracePeriodSeconds"] = options.grace_period_seconds
        return found
    if options.field_manager:
        found["fieldManager"] = options.field_manager
    if options.field_validation != "Ignore":
        found["fieldValidation"] = options.field_validation
    return found


def review_of(version: str, request: Object, new: Object | None, old: Object | None) -> Object:
    """The ``AdmissionReview`` to send."""
    question = {**request, "object": new, "oldObject": old}
    return {"kind": _KIND, "apiVersion": api_version(GROUP, version), "request": question}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a webhook said. ``patch`` are JSON Patch operations; ``result`` is its Status; ``notes`` go to the audit."""

    allowed: bool
    patch: list[Any] = field(default_factory=list)
    warnings: tuple[str, ...] = ()
    result: Object = field(default_factory=dict)
    notes: Object = field(default_factory=dict)


def verdict_of(answer: Object, version: str, uid: str, *, may_patch: bool) -> Verdict:
    """The verdict in an answer. Raises WebhookCallError for what is no answer to the question."""
    wanted, given = (api_version(GROUP, version), _KIND), (answer.get("apiVersion"), answer.get("kind"))
    if given != wanted and (version == "v1" or any(given)):
        raise WebhookCallError(
            f"received invalid webhook response: expected webhook response of {wanted[0]}, Kind={wanted[1]}, "
            f"got {given[0] or ''}, Kind={given[1] or ''}"
        )
    response = answer.get("response")
    if not isinstance(response, dict):
        raise WebhookCallError("webhook response was absent")
    if version == "v1" and response.get("uid") != uid:
        why = f'expected response.uid="{uid}", got "{response.get("uid") or ""}"'
        raise WebhookCallError(f"received invalid webhook response: {why}")
    warnings, result, notes = (response.get(key) for key in ("warnings", "status", "auditAnnotations"))
    return Verdict(
        response.get("allowed") is True,
        _patch_of(response, version, may_patch=may_patch),
        tuple(warning for warning in warnings or () if isinstance(warning, str)),
        result if isinstance(result, dict) else {},
        notes if isinstance(notes, dict) else {},
    )


def _patch_of(response: Object, version: str, *, may_patch: bool) -> list[Any]:
    encoded, kind = response.get("patch"), response.get("patchType")
    if not encoded:
        if kind and version == "v1":
            raise WebhookCallError("webhook returned response.patchType but not response.patch")
        return []
    if not may_patch:
        raise WebhookCallError("received invalid webhook response: a validating webhook may not return response.patch")
    if kind != "JSONPatch" and (version == "v1" or kind):
        why = f'invalid response.patchType of "{kind}"' if kind else "response.patch but not response.patchType"
        raise WebhookCallError(f"received invalid webhook response: webhook returned {why}")
    try:
        operations = orjson.loads(base64.b64decode(encoded, validate=True))
    except (TypeError, ValueError, binascii.Error):
        raise WebhookCallError("received invalid webhook response: response.patch is no base64 of JSON") from None
    if not isinstance(operations, list):
        raise WebhookCallError("received invalid webhook response: response.patch is no list of operations")
    return operations


def denial(webhook: str, result: Object) -> DeniedError:
    """The error for a webhook's no, with what it says of it."""
    message, reason, code = result.get("message"), result.get("reason"), result.get("code")
    denied = f'admission webhook "{webhook}" denied the request'
    text = f"{denied}: {message or reason}" if message or reason else f"{denied} without explanation"
    known = isinstance(code, int) and _LEAST_CODE <= code <= _MOST_CODE
    details = result.get("details")
    return DeniedError(
        text,
        code=code if known and isinstance(code, int) else _LEAST_CODE,
        reason=reason if isinstance(reason, str) else "",
        details=details if isinstance(details, dict) else None,
    )
