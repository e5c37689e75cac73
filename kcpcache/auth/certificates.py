"""TLS certificates: two authorities of our own, and what they sign."""

import ipaddress
import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kcpcache.auth.client_certificates import issued_by
from kcpcache.auth.user import SYSTEM_KCP_ADMIN, SYSTEM_MASTERS, unique
from kcpcache.private_files import make_private_directory, write_atomically

_AUTHORITY_LIFETIME = timedelta(days=3650)
_LIFETIME = timedelta(days=365)
_RENEW_BEFORE = timedelta(days=30)
_CLOCK_SKEW = timedelta(hours=2)
"""How far another machine's clock may lag behind and still take a new certificate as valid."""
_PUBLIC_MODE = 0o644
_HOST_NAME = re.compile(r"(?:\*\.)?[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*")

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class CertificateError(Exception):
    """A certificate or key file cannot be used; one line that names the file and what to do."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate with its private key, and the files that they are in."""

    certificate: x509.Certificate
    key: PrivateKey
    certificate_path: Path
    key_path: Path

    def certificate_pem(self) -> bytes:
        """The certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def key_pem(self) -> bytes:
        """The private key as PEM (PKCS 8, not encrypted)."""
        return _key_pem(self.key)


@dataclass(frozen=True, slots=True)
class Certificates:
    """All pairs of one server. ``kcp_admin`` is of group system:kcp:admin, ``shard_admin`` of system:masters."""

    serving_authority: KeyPair
    client_authority: KeyPair
    serving: KeyPair
    kcp_admin: KeyPair
    shard_admin: KeyPair


def ensure_certificates(root: Path, hosts: Iterable[str], now: datetime) -> Certificates:
    """The pairs under ``root``: reused where they are there, made where they are not.

    Files: ``ca``, ``client-ca``, ``apiserver``, ``admin``, ``shard-admin``, each ``.crt`` and ``.key``. A key is
    never overwritten, nor an authority's certificate; a leaf certificate is issued anew, for the same key, when it
    expires within 30 days, is of another authority, or lacks one of ``hosts``. Raises CertificateError.
    """
    try:
        make_private_directory(root)
    except OSError as error:
        raise CertificateError(f"cannot make the directory {root}: {error.strerror}; give another --root-dir") from None
    serving_authority = ensure_authority(root, "ca", "kcpcache-ca", now)
    client_authority = ensure_authority(root, "client-ca", "kcpcache-client-ca", now)
    return Certificates(
        serving_authority,
        client_authority,
        ensure_serving_certificate(root, "apiserver", serving_authority, hosts, now),
        ensure_client_certificate(root, "admin", client_authority, "kcp-admin", [SYSTEM_KCP_ADMIN], now),
        ensure_client_certificate(root, "shard-admin", client_authority, "shard-admin", [SYSTEM_MASTERS], now),
    )


def serving_hosts(bind_address: str, more: Iterable[str] = ()) -> tuple[str, ...]:
    """The names and addresses that clients on this machine may use, the address listened on, and ``more``.

    The address that means all addresses (0.0.0.0, ::) is nobody's, so it is left out.
    """
    hosts = ["localhost", "127.0.0.1", "::1", socket.gethostname(), bind_address, *more]
    return unique(host for host in hosts if host and not _is_unspecified(host))


def ensure_authority(root: Path, name: str, common_name: str, now: datetime) -> KeyPair:
    """The authority ``<root>/<name>.crt`` and ``.key``, made on first use. Raises CertificateError.

    A key that is alone (the process died between the two files) gets its certificate.
    """
    certificate_path, key_path = root / f"{name}.crt", root / f"{name}.key"
    key = _ensure_key(certificate_path, key_path)
    certificate = _load_certificate(certificate_path)
    if certificate is None:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        builder = _builder(subject, key, now, _AUTHORITY_LIFETIME, authority=True)
        builder = builder.issuer_name(subject).add_extension(_authority_key_id(key), critical=False)
        certificate = _signed(builder, key, certificate_path)
    _check_pair(certificate, key, certificate_path, key_path)
    if certificate.not_valid_after_utc <= now:
        raise CertificateError(
            f"{certificate_path} expired on {certificate.not_valid_after_utc:%Y-%m-%d}: "
            f"put a new authority in its place, or remove it to have one made for the same key"
        )
    return KeyPair(certificate, key, certificate_path, key_path)


def ensure_serving_certificate(
    root: Path, name: str, authority: KeyPair, hosts: Iterable[str], now: datetime
) -> KeyPair:
    """The serving certificate, valid for all of ``hosts`` (names and IP addresses). Raises CertificateError."""
    names = [_general_name(host) for host in hosts]
    certificate_path, key_path = root / f"{name}.crt", root / f"{name}.key"
    key = _ensure_key(certificate_path, key_path)
    certificate = _load_certificate(certificate_path)
    if certificate is not None:
        _check_pair(certificate, key, certificate_path, key_path)
    if certificate is None or not _is_current(certificate, authority, now) or set(names) - _names(certificate):
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kcpcache")])
        builder = _leaf_builder(subject, key, authority, now, ExtendedKeyUsageOID.SERVER_AUTH)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = _signed(builder, authority.key, certificate_path)
    return KeyPair(certificate, key, certificate_path, key_path)


def ensure_client_certificate(
    root: Path, name: str, authority: KeyPair, user: str, groups: Sequence[str], now: datetime
) -> KeyPair:
    """A client certificate for the user (CN) and groups (O). Raises CertificateError."""
    certificate_path, key_path = root / f"{name}.crt", root / f"{name}.key"
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    subject = x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, user)])
    key = _ensure_key(certificate_path, key_path)
    certificate = _load_certificate(certificate_path)
    if certificate is not None:
        _check_pair(certificate, key, certificate_path, key_path)
    if certificate is None or not _is_current(certificate, authority, now) or certificate.subject != subject:
        builder = _leaf_builder(subject, key, authority, now, ExtendedKeyUsageOID.CLIENT_AUTH)
        certificate = _signed(builder, authority.key, certificate_path)
    return KeyPair(certificate, key, certificate_path, key_path)


def load_authorities(path: Path) -> tuple[x509.Certificate, ...]:
    """The certificates in a PEM file, for example of ``--client-ca-file``. Raises CertificateError."""
    try:
        return tuple(x509.load_pem_x509_certificates(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise CertificateError(f"cannot read {path}: {_why(error)}; it has to hold certificates in PEM") from None


def _is_current(certificate: x509.Certificate, authority: KeyPair, now: datetime) -> bool:
    lasts = now + _RENEW_BEFORE < certificate.not_valid_after_utc and certificate.not_valid_before_utc <= now
    return lasts and issued_by(certificate, authority.certificate)


def _names(certificate: x509.Certificate) -> set[x509.GeneralName]:
    try:
        return set(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return set()


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        name = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        name = ""
    if not _HOST_NAME.fullmatch(name):
        raise CertificateError(f'"{host}" is neither a host name nor an IP address: correct the setting')
    return x509.DNSName(name)


def _is_unspecified(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _builder(
    subject: x509.Name, key: PrivateKey, now: datetime, lifetime: timedelta, *, authority: bool
) -> x509.CertificateBuilder:
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before((now - _CLOCK_SKEW).astimezone(UTC))
        .not_valid_after((now + lifetime).astimezone(UTC))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=0 if authority else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _leaf_builder(
    subject: x509.Name, key: PrivateKey, authority: KeyPair, now: datetime, usage: x509.ObjectIdentifier
) -> x509.CertificateBuilder:
    lifetime = min(_LIFETIME, authority.certificate.not_valid_after_utc - now)
    return (
        _builder(subject, key, now, lifetime, authority=False)
        .issuer_name(authority.certificate.subject)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(_authority_key_id(authority.key), critical=False)
    )


def _authority_key_id(key: PrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _signed(builder: x509.CertificateBuilder, key: PrivateKey, path: Path) -> x509.Certificate:
    certificate = builder.sign(key, hashes.SHA256())
    _write(path, certificate.public_bytes(serialization.Encoding.PEM), _PUBLIC_MODE)
    return certificate


def _ensure_key(certificate_path: Path, key_path: Path) -> PrivateKey:
    """The key comes first: alone it can be given a certificate, while a certificate alone is of no use."""
    try:
        pem = key_path.read_bytes()
    except FileNotFoundError:
        if certificate_path.exists():
            raise CertificateError(
                f"{key_path} is missing beside {certificate_path.name}: restore it from a backup, "
                f"or remove {certificate_path.name} too to have a new pair made"
            ) from None
        key = ec.generate_private_key(ec.SECP256R1())
        _write(key_path, _key_pem(key), 0o600)
        return key
    except OSError as error:
        raise _unusable(key_path, error) from None
    try:
        loaded = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _unusable(key_path, error) from None
    if not isinstance(loaded, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise CertificateError(f"{key_path} is neither an ECDSA nor an RSA key: put one of these in its place")
    return loaded


def _load_certificate(path: Path) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _unusable(path, error) from None


def _check_pair(certificate: x509.Certificate, key: PrivateKey, certificate_path: Path, key_path: Path) -> None:
    if certificate.public_key() != key.public_key():
        raise CertificateError(
            f"{key_path} is not the key of {certificate_path.name}: restore the two from one backup, "
            "or remove both to have a new pair made"
        )


def _key_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes, mode: int) -> None:
    try:
        write_atomically(path, content, mode)
    except OSError as error:
        raise CertificateError(f"cannot write {path}: {error.strerror}; make the directory writable") from None


def _why(error: Exception) -> str:
    return (error.strerror or "I/O error") if isinstance(error, OSError) else "not a PEM file of the right kind"


def _unusable(path: Path, error: Exception) -> CertificateError:
    return CertificateError(
        f"cannot read {path}: {_why(error)}; make it readable, restore it from a backup, "
        "or remove the .crt and .key of that name to have a new pair made"
    )
