"""Rules of CertificateSigningRequests, after kube's ``pkg/apis/certificates/validation``."""

import base64
from typing import Final

from kcpcache.meta.errors import (
    FieldError,
    field_duplicate,
    field_forbidden,
    field_invalid,
    field_not_supported,
    field_required,
)
from kcpcache.meta.names import dns1123_subdomain_errors
from kcpcache.meta.objects import Object
from kcpcache.registry.builtin.rules.rule import Rules, immutable, section, sections, text, texts, whole

_SHORTEST_SECONDS: Final = 600
_USAGES: Final = (
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
)
_SIGNER_FORM: Final = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
_DECISIONS: Final = ("Approved", "Denied", "Failed")


def _request_errors(encoded: str) -> list[FieldError]:
    """The request must be a PKCS #10 request in PEM whose signature is right."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    try:
        request = x509.load_pem_x509_csr(base64.b64decode(encoded, validate=True))
        signed = request.is_signature_valid
    except (ValueError, InvalidSignature, UnsupportedAlgorithm, x509.InvalidVersion):
        return [field_invalid("spec.request", encoded, "PEM block type must be CERTIFICATE REQUEST")]
    return [] if signed else [field_invalid("spec.request", encoded, "the request's signature is not valid")]


def _signer_errors(signer: str) -> list[FieldError]:
    if not signer:
        return [field_required("spec.signerName")]
    domain, slash, path = signer.partition("/")
    if not slash or not path or dns1123_subdomain_errors(domain):
        return [field_invalid("spec.signerName", signer, _SIGNER_FORM)]
    if "." not in domain:
        return [
            field_invalid("spec.signerName", domain, "should be a domain with at least two segments separated by dots")
        ]
    return []


def _usage_errors(usages: list[str]) -> list[FieldError]:
    errors = [] if usages else [field_required("spec.usages")]
    for index, usage in enumerate(usages):
        if usage not in _USAGES:
            errors.append(field_not_supported(f"spec.usages[{index}]", usage, _USAGES))
        if usage in usages[:index]:
            errors.append(field_duplicate(f"spec.usages[{index}]", usage))
    return errors


def _spec_errors(obj: Object) -> list[FieldError]:
    spec = section(obj, "spec")
    errors = _request_errors(text(spec, "request")) + _usage_errors(texts(spec, "usages"))
    errors += _signer_errors(text(spec, "signerName"))
    seconds = whole(spec, "expirationSeconds")
    if seconds is not None and seconds < _SHORTEST_SECONDS:
        detail = f"may not specify a duration less than {_SHORTEST_SECONDS} seconds"
        errors.append(field_invalid("spec.expirationSeconds", seconds, detail))
    return errors


def _validate(obj: Object) -> list[FieldError]:
    errors = _spec_errors(obj)
    seen: set[str] = set()
    for index, condition in sections(section(obj, "status"), "conditions"):
        path, kind, status = f"status.conditions[{index}]", text(condition, "type"), text(condition, "status")
        if not kind:
            errors.append(field_required(f"{path}.type"))
        if not status:
            errors.append(field_required(f"{path}.status"))
        elif kind in _DECISIONS and status != "True":
            errors.append(field_not_supported(f"{path}.status", status, ["True"]))
        elif status not in {"True", "False", "Unknown"}:
            errors.append(field_not_supported(f"{path}.status", status, ["True", "False", "Unknown"]))
        if kind in seen:
            errors.append(field_duplicate(f"{path}.type", kind))
        if (kind == "Approved" and "Denied" in seen) or (kind == "Denied" and "Approved" in seen):
            detail = "Approved and Denied conditions are mutually exclusive"
            errors.append(field_invalid(f"{path}.type", kind, detail))
        seen.add(kind)
    return errors


def _validate_update(obj: Object, old: Object) -> list[FieldError]:
    """The request never changes; a decision once made stays, and so does a certificate once issued."""
    present = _condition_types(obj)
    errors = immutable("spec", obj.get("spec"), old.get("spec"))
    errors += [
        field_forbidden("status.conditions", f'updates may not remove a condition of type "{kind}"')
        for kind in _DECISIONS
        if kind not in present and kind in _condition_types(old)
    ]
    before, after = text(section(old, "status"), "certificate"), text(section(obj, "status"), "certificate")
    if before and after != before:
        errors.append(field_forbidden("status.certificate", "updates may not modify or remove existing certificate"))
    return errors


def _condition_types(obj: Object) -> set[str]:
    return {text(condition, "type") for _, condition in sections(section(obj, "status"), "conditions")}


def _prepare_update(obj: Object, old: Object) -> None:
    """The request stays as it was made, whatever an update says."""
    obj["spec"] = old.get("spec", {})


CERTIFICATE_SIGNING_REQUEST: Final = Rules(
    validate=_validate,
    validate_update=_validate_update,
    prepare_update=_prepare_update,
)
