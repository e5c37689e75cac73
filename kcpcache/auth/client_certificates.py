"""Who a client's certificate says it is: the path from it to an authority, and the names in it."""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kcpcache.auth.user import User, unique
from kcpcache.meta.errors import UnauthorizedError

CREDENTIAL_ID_EXTRA = "authentication.kubernetes.io/credential-id"
_LONGEST_PATH = 8
_CLIENT_USES = frozenset({ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})
_Extension = TypeVar("_Extension", bound=x509.ExtensionType)

CertificateChain = tuple[bytes, ...]
"""What a client showed in the TLS handshake, in DER: its certificate, then others that may lead to an authority."""


def verify_client(
    chain: CertificateChain, authorities: Sequence[x509.Certificate], now: float
) -> tuple[x509.Certificate, float]:
    """The client's certificate, and when the first of the path to an authority expires (seconds since the epoch).

    Each of the path must be valid now and signed by the next one, which must be one that may sign certificates; none
    may be restricted to other uses than client authentication. Raises UnauthorizedError, which never says why.
    """
    try:
        own, *others = (x509.load_der_x509_certificate(der) for der in chain)
        expires = _expiry([own, *_path(own, others, authorities)], now)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion):
        raise UnauthorizedError from None
    return own, expires


def client_user(chain: CertificateChain, authorities: Sequence[x509.Certificate], now: float) -> tuple[User, float]:
    """The user (CN) with its groups (O), and when the certificate expires. Raises UnauthorizedError."""
    certificate, expires = verify_client(chain, authorities, now)
    extra = {CREDENTIAL_ID_EXTRA: (f"X509SHA256={sha256(chain[0]).hexdigest()}",)}
    name = common_name(certificate)
    if not name:
        raise UnauthorizedError
    groups = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return User(name, groups=unique(str(group.value) for group in groups), extra=extra), expires


def common_name(certificate: x509.Certificate) -> str:
    """The subject's common name, or ""."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[-1].value) if names else ""


def issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether the names fit and the signature is good."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _path(
    certificate: x509.Certificate, others: list[x509.Certificate], authorities: Sequence[x509.Certificate]
) -> list[x509.Certificate]:
    """Whoever issued the certificate, and so on up to an authority. Raises UnauthorizedError where it leads nowhere."""
    found: list[x509.Certificate] = []
    while True:
        authority = _issuer(certificate, authorities, below=len(found))
        if authority is not None:
            return [*found, authority]
        between = _issuer(certificate, others, below=len(found)) if len(found) < _LONGEST_PATH else None
        if between is None:
            raise UnauthorizedError
        others.remove(between)
        found.append(between)
        certificate = between


def _issuer(
    certificate: x509.Certificate, candidates: Iterable[x509.Certificate], *, below: int
) -> x509.Certificate | None:
    return next((one for one in candidates if issued_by(certificate, one) and _may_issue(one, below)), None)


def _may_issue(authority: x509.Certificate, below: int) -> bool:
    """``below``: how many authorities there are between this one and the client's certificate."""
    constraints = _extension(authority, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        return False
    if constraints.path_length is not None and constraints.path_length < below:
        return False
    usage = _extension(authority, x509.KeyUsage)
    return usage is None or usage.key_cert_sign


def _expiry(path: Sequence[x509.Certificate], now: float) -> float:
    for certificate in path:
        if not certificate.not_valid_before_utc.timestamp() <= now < certificate.not_valid_after_utc.timestamp():
            raise UnauthorizedError
        usage = _extension(certificate, x509.ExtendedKeyUsage)
        if usage is not None and _CLIENT_USES.isdisjoint(usage):
            raise UnauthorizedError
    return min(certificate.not_valid_after_utc.timestamp() for certificate in path)


def _extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
