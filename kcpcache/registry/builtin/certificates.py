"""Types of ``certificates.k8s.io/v1``."""

from functools import partial

from kcpcache.registry.builtin.meta import object_type
from kcpcache.registry.builtin.types import ListOf, MapOf, Scalar, package, row

_certificates = package("io.k8s.api.certificates.v1")
_object = partial(object_type, "io.k8s.api.certificates.v1", "certificates.k8s.io/v1")
_S, _TIME = Scalar.STRING, Scalar.TIME

CERTIFICATE_SIGNING_REQUEST_CONDITION = _certificates(
    "CertificateSigningRequestCondition",
    "Approval, denial or failure of a request.",
    row("type", 1, _S, "Approved, Denied or Failed.", required=True),
    row("status", 6, _S, "True, False or Unknown.", required=True),
    row("reason", 2, _S, "Why, as one CamelCase word."),
    row("message", 3, _S, "Why, for people."),
    row("lastUpdateTime", 4, _TIME, "When the condition was last written."),
    row("lastTransitionTime", 5, _TIME, "When the status last changed."),
)

CERTIFICATE_SIGNING_REQUEST = _object(
    "CertificateSigningRequest",
    "Asks a signer for an X.509 certificate.",
    row(
        "spec",
        2,
        _certificates(
            "CertificateSigningRequestSpec",
            "The request; cannot change.",
            row("request", 1, Scalar.BYTES, "PKCS #10 request in PEM, base64.", required=True),
            row("signerName", 7, _S, "Who is to sign, as domain/path.", required=True),
            row("expirationSeconds", 8, Scalar.INT32, "Wanted lifetime, at least 600 seconds.", pointer=True),
            row("usages", 5, ListOf(_S), "Key usages wanted."),
            row("username", 2, _S, "Who asked; set by the server."),
            row("uid", 3, _S, "UID of who asked; set by the server."),
            row("groups", 4, ListOf(_S), "Groups of who asked; set by the server."),
            row("extra", 6, MapOf(Scalar.STRING_ITEMS), "More about who asked; set by the server."),
        ),
        "The request.",
        required=True,
    ),
    row(
        "status",
        3,
        _certificates(
            "CertificateSigningRequestStatus",
            "The outcome.",
            row(
                "conditions",
                1,
                ListOf(CERTIFICATE_SIGNING_REQUEST_CONDITION),
                "Approval, denial, failure.",
                keys=("type",),
            ),
            row("certificate", 2, Scalar.BYTES, "The certificate in PEM, base64."),
        ),
        "The outcome.",
    ),
)
