"""Paths from a client's certificate to an authority. What the names in it mean is told in ``test_certificates``."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kcpcache.auth.client_certificates import client_user
from kcpcache.meta.errors import UnauthorizedError

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Signer:
    """Somebody with a key, whatever his certificate says he may do with it."""

    def __init__(self, name, issuer=None, *, key=None, ca=True, path_length=None, days=30, usages=(), key_usage=None):
        self.key, self.name = key or ec.generate_private_key(ec.SECP256R1()), name
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        by = issuer or self
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.subject)
            .issuer_name(by.subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=1))
            .not_valid_after(NOW + timedelta(days=days))
        )
        if ca is not None:
            builder = builder.add_extension(x509.BasicConstraints(ca, path_length if ca else None), critical=True)
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if key_usage is not None:
            builder = builder.add_extension(_key_usage(sign_certificates=key_usage), critical=True)
        self.certificate = builder.sign(by.key, hashes.SHA256())

    @property
    def der(self):
        return self.certificate.public_bytes(serialization.Encoding.DER)


def _key_usage(*, sign_certificates):
    names = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign")
    rest = dict.fromkeys((*names, "encipher_only", "decipher_only"), False)
    return x509.KeyUsage(digital_signature=True, key_cert_sign=sign_certificates, **rest)


@pytest.fixture(scope="module")
def root():
    return Signer("root")


def user(root, *shown):
    return client_user(tuple(one.der for one in shown), [root.certificate], NOW.timestamp())


def good(root, *shown):
    try:
        return user(root, *shown)[0].name == shown[0].name
    except UnauthorizedError:
        return False


def test_authorities_between_may_come_in_any_order_and_with_others(root):
    one = Signer("one", root)
    two = Signer("two", one)
    alice = Signer("alice", two, ca=False)
    assert good(root, alice, two, one)
    assert good(root, alice, Signer("stranger"), one, root, two)
    assert not good(root, alice, one)
    assert not good(root, alice)
    assert not good(Signer("root"), alice, two, one)


def test_an_authority_that_another_one_signed_too_may_be_shown_in_both_forms(root):
    own = Signer("cross")
    signed = Signer("cross", root, key=own.key)
    alice = Signer("alice", own, ca=False)
    assert good(root, alice, own, signed)
    assert good(root, alice, signed, own)
    assert not good(root, alice, own)


@pytest.mark.parametrize(
    ("between", "expected"),
    [
        ({}, True),
        ({"ca": False}, False),
        ({"ca": None}, False),
        ({"path_length": 0}, True),
        ({"key_usage": True}, True),
        ({"key_usage": False}, False),
        ({"days": 0}, False),
        ({"usages": (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH)}, True),
        ({"usages": (ExtendedKeyUsageOID.SERVER_AUTH,)}, False),
    ],
)
def test_an_authority_between_must_be_one_and_be_good_for_clients_now(root, between, expected):
    middle = Signer("middle", root, **between)
    assert good(root, Signer("alice", middle, ca=False), middle) is expected


def test_a_path_may_be_no_longer_than_its_authorities_allow(root):
    short = Signer("short", root, path_length=0)
    below = Signer("below", short)
    assert not good(root, Signer("alice", below, ca=False), below, short)
    chain = [root]
    for number in range(10):
        chain.append(Signer(f"ca-{number}", chain[-1]))
    assert good(root, Signer("alice", chain[7], ca=False), *chain[1:])
    assert not good(root, Signer("alice", chain[10], ca=False), *chain[1:])


def test_an_expired_authority_vouches_for_nobody():
    root = Signer("root", days=0)
    assert not good(root, Signer("alice", root, ca=False))


def test_authorities_for_others_than_clients_are_none(root):
    authority = Signer("servers", usages=(ExtendedKeyUsageOID.SERVER_AUTH,))
    assert not good(authority, Signer("alice", authority, ca=False))


def test_the_first_of_the_path_to_expire_ends_it(root):
    middle = Signer("middle", root, days=7)
    _, expires = user(root, Signer("alice", middle, ca=False, days=20), middle)
    assert expires == (NOW + timedelta(days=7)).timestamp()


def test_no_certificate_at_all_is_nobody(root):
    with pytest.raises(UnauthorizedError):
        user(root)
