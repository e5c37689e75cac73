"""CertificateSigningRequests: who asked is for the server to say, and who may decide is told by the signer.

After kube's strategy of the type, and its admission plugins CertificateApproval, CertificateSigning and
CertificateSubjectRestriction.
"""

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from kcpcache.admission.chain import Request
from kcpcache.auth.attributes import Attributes
from kcpcache.auth.authorize import Authorizer
from kcpcache.auth.user import SYSTEM_MASTERS
from kcpcache.meta.errors import FieldError, InvalidError, field_forbidden, forbidden
from kcpcache.meta.objects import Object, nested, timestamp

CERTIFICATES_GROUP: Final = "certificates.k8s.io"
_REQUESTER: Final = ("username", "uid", "groups", "extra")
_DECISIONS: Final = ("Approved", "Denied")
_CLIENT_SIGNER: Final = "kubernetes.io/kube-apiserver-client"
_VERBS: Final = {"approval": "approve", "status": "sign"}


class SigningRequests:
    """For certificatesigningrequests."""

    def __init__(self, authorizer: Authorizer, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._authorizer, self._clock = authorizer, clock

    async def mutate(self, request: Request) -> None:
        """Note the requester on creation, whatever the client says of him, and later the times of conditions."""
        obj, attributes = request.new, request.attributes
        if obj is None:
            return
        if request.operation == "CREATE" and isinstance(obj.get("spec"), dict):
            spec = {key: value for key, value in obj["spec"].items() if key not in _REQUESTER}
            obj["spec"] = spec | attributes.user.to_user_info()
        elif attributes.subresource in _VERBS:
            now = timestamp(self._clock())
            before = {(found.get("type"), found.get("status")): found for found in _conditions(request.old)}
            for condition in _conditions(obj):
                known = before.get((condition.get("type"), condition.get("status")), {})
                _fill(condition, "lastUpdateTime", now)
                _fill(condition, "lastTransitionTime", known.get("lastTransitionTime") or now)

    async def validate(self, request: Request) -> None:
        """Raises ForbiddenError where the requests of this signer are not for the user to decide on or to sign.

        Raises InvalidError where anything but ``/approval`` decides. Nobody asks for a certificate that makes him a
        member of system:masters.
        """
        obj, old, attributes = request.new, request.old, request.attributes
        if request.operation == "CREATE" and obj is not None:
            _refuse_masters(request.name, obj)
        verb = _VERBS.get(attributes.subresource)
        if obj is None or old is None or verb is None:
            return
        if verb == "sign":
            if obj.get("status") == old.get("status"):
                return
            if errors := _decision_errors(obj, old):
                raise InvalidError(CERTIFICATES_GROUP, "CertificateSigningRequest", request.name, errors)
        signer = str(nested(old, "spec", "signerName") or "")
        if not any(self._allowed(attributes, verb, name) for name in (signer, f"{signer.partition('/')[0]}/*")):
            why = f'user not permitted to {verb} requests with signerName "{signer}"'
            raise forbidden(CERTIFICATES_GROUP, attributes.resource, request.name, why)

    def _allowed(self, attributes: Attributes, verb: str, signer: str) -> bool:
        wanted = Attributes(
            user=attributes.user,
            verb=verb,
            cluster=attributes.cluster,
            group=CERTIFICATES_GROUP,
            version="*",
            resource="signers",
            name=signer,
        )
        return self._authorizer.authorize(wanted).allowed


def _refuse_masters(name: str, obj: Object) -> None:
    """After kube's plugin CertificateSubjectRestriction. The rules of the type have read the request before."""
    if nested(obj, "spec", "signerName") != _CLIENT_SIGNER:
        return
    from cryptography import x509

    request = x509.load_pem_x509_csr(base64.b64decode(obj["spec"]["request"]))
    organizations = request.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)
    if any(organization.value == SYSTEM_MASTERS for organization in organizations):
        why = f"use of {_CLIENT_SIGNER} signer with {SYSTEM_MASTERS} group is not allowed"
        raise forbidden(CERTIFICATES_GROUP, "certificatesigningrequests", name, why)


def _fill(condition: Object, key: str, value: Any) -> None:
    if not condition.get(key):
        condition[key] = value


def _conditions(obj: Object | None) -> list[Object]:
    status = (obj or {}).get("status")
    found = status.get("conditions") if isinstance(status, dict) else None
    return [condition for condition in found if isinstance(condition, dict)] if isinstance(found, list) else []


def _decision_errors(obj: Object, old: Object) -> list[FieldError]:
    errors = []
    for kind in _DECISIONS:
        after, before = ([c for c in _conditions(o) if c.get("type") == kind] for o in (obj, old))
        if after != before:
            change = "add" if len(after) > len(before) else "remove" if len(after) < len(before) else "modify"
            detail = f'updates may not {change} a condition of type "{kind}"'
            errors.append(field_forbidden("status.conditions", detail))
    return errors
