import ssl
import stat
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kcpcache.auth.certificates import (
    CertificateError,
    ensure_authority,
    ensure_certificates,
    ensure_client_certificate,
    ensure_serving_certificate,
    load_authorities,
    serving_hosts,
)
from kcpcache.auth.client_certificates import client_user
from kcpcache.meta.errors import UnauthorizedError

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HOSTS = ("localhost", "127.0.0.1", "::1")
PAIRS = ("ca", "client-ca", "apiserver", "admin", "shard-admin")


def user_from_certificate(certificate, authorities, now):
    return client_user((certificate,), authorities, now.timestamp())[0]


def contents(root):
    return {path.name: path.read_bytes() for path in root.iterdir()}


def der(pair):
    return pair.certificate.public_bytes(serialization.Encoding.DER)


def signed_by(authority, *, subject=(), usages=None, more=(), not_before=NOW, lifetime=timedelta(days=1)):
    """A certificate of any shape, as somebody with an authority's key could make."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(oid, value) for oid, value in subject]))
        .issuer_name(authority.certificate.subject)
        .public_key(ec.generate_private_key(ec.SECP256R1()).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_before + lifetime)
    )
    if usages is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    for extension in more:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(authority.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


@pytest.fixture
def authority(tmp_path):
    return ensure_authority(tmp_path, "client-ca", "test-ca", NOW)


def test_a_first_start_makes_all_pairs_and_nothing_else(tmp_path):
    root = tmp_path / "new" / "root"
    ensure_certificates(root, HOSTS, NOW)
    assert set(contents(root)) == {f"{name}.{suffix}" for name in PAIRS for suffix in ("crt", "key")}


def test_keys_are_for_their_owner_only(tmp_path):
    root = tmp_path / "root"
    ensure_certificates(root, HOSTS, NOW)
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in root.iterdir()}
    assert modes == {name: 0o600 if name.endswith(".key") else 0o644 for name in modes}


def test_a_second_start_changes_nothing(tmp_path):
    first = ensure_certificates(tmp_path, HOSTS, NOW)
    before = contents(tmp_path)
    second = ensure_certificates(tmp_path, HOSTS, NOW + timedelta(days=300))
    assert contents(tmp_path) == before
    assert second.serving.key_pem() == first.serving.key_pem() == before["apiserver.key"]
    assert second.kcp_admin.certificate_pem() == first.kcp_admin.certificate_pem() == before["admin.crt"]


def test_what_expires_within_a_month_is_issued_anew_for_the_same_key(tmp_path):
    ensure_certificates(tmp_path, HOSTS, NOW)
    before = contents(tmp_path)
    ensure_certificates(tmp_path, HOSTS, NOW + timedelta(days=340))
    changed = {name for name, content in contents(tmp_path).items() if content != before[name]}
    assert changed == {"apiserver.crt", "admin.crt", "shard-admin.crt"}


@pytest.mark.parametrize(
    ("hosts", "anew"),
    [
        (HOSTS, False),
        (("localhost",), False),
        (("127.0.0.2",), True),
        (("kcp.example.com",), True),
        (("bücher.example",), True),
    ],
)
def test_a_serving_certificate_is_issued_anew_for_a_name_that_it_lacks(tmp_path, hosts, anew):
    authority = ensure_authority(tmp_path, "ca", "test-ca", NOW)
    first = ensure_serving_certificate(tmp_path, "apiserver", authority, HOSTS, NOW)
    second = ensure_serving_certificate(tmp_path, "apiserver", authority, hosts, NOW)
    assert (second.certificate != first.certificate) is anew


def test_leaf_certificates_follow_a_new_authority(tmp_path):
    first = ensure_certificates(tmp_path, HOSTS, NOW)
    for name in ("ca", "client-ca"):
        (tmp_path / f"{name}.crt").unlink()
        (tmp_path / f"{name}.key").unlink()
    second = ensure_certificates(tmp_path, HOSTS, NOW)
    second.serving.certificate.verify_directly_issued_by(second.serving_authority.certificate)
    second.kcp_admin.certificate.verify_directly_issued_by(second.client_authority.certificate)
    assert second.serving.key_pem() == first.serving.key_pem()


def test_a_changed_group_is_put_into_a_new_certificate(tmp_path, authority):
    ensure_client_certificate(tmp_path, "x", authority, "x", ["a"], NOW)
    pair = ensure_client_certificate(tmp_path, "x", authority, "x", ["b"], NOW)
    assert user_from_certificate(der(pair), [authority.certificate], NOW).groups == ("b",)


def test_a_leaf_does_not_outlive_its_authority(tmp_path, authority):
    later = authority.certificate.not_valid_after_utc - timedelta(days=60)
    pair = ensure_client_certificate(tmp_path, "x", authority, "x", [], later)
    assert pair.certificate.not_valid_after_utc == authority.certificate.not_valid_after_utc


@pytest.mark.parametrize("name", PAIRS)
def test_a_start_that_died_after_a_key_goes_on_from_there(tmp_path, name):
    ensure_certificates(tmp_path, HOSTS, NOW)
    key = (tmp_path / f"{name}.key").read_bytes()
    (tmp_path / f"{name}.crt").unlink()
    ensure_certificates(tmp_path, HOSTS, NOW)
    assert (tmp_path / f"{name}.key").read_bytes() == key
    assert (tmp_path / f"{name}.crt").exists()


def test_an_authoritys_certificate_made_anew_for_its_key_still_knows_what_it_signed(tmp_path, authority):
    pair = ensure_client_certificate(tmp_path, "x", authority, "x", [], NOW)
    authority.certificate_path.unlink()
    again = ensure_authority(tmp_path, "client-ca", "test-ca", NOW)
    assert user_from_certificate(der(pair), [again.certificate], NOW).name == "x"


@pytest.mark.parametrize("name", PAIRS)
def test_a_certificate_without_its_key_is_an_error_that_names_the_file(tmp_path, name):
    ensure_certificates(tmp_path, HOSTS, NOW)
    (tmp_path / f"{name}.key").unlink()
    before = contents(tmp_path)
    with pytest.raises(CertificateError, match=rf"/{name}\.key is missing beside {name}\.crt: restore it"):
        ensure_certificates(tmp_path, HOSTS, NOW)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", [f"{pair}.{suffix}" for pair in PAIRS for suffix in ("crt", "key")])
@pytest.mark.parametrize(
    "content", [b"", b"\x00garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_damaged_file_is_an_error_and_is_not_overwritten(tmp_path, name, content):
    ensure_certificates(tmp_path, HOSTS, NOW)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CertificateError) as caught:
        ensure_certificates(tmp_path, HOSTS, NOW)
    assert f"/{name}: not a PEM file" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (tmp_path / name).read_bytes() == content


@pytest.mark.parametrize("name", ["ca", "admin"])
def test_a_key_of_another_certificate_is_an_error(tmp_path, name):
    ensure_certificates(tmp_path, HOSTS, NOW)
    (tmp_path / f"{name}.key").write_bytes((tmp_path / "apiserver.key").read_bytes())
    with pytest.raises(CertificateError, match=rf"{name}\.key is not the key of {name}\.crt"):
        ensure_certificates(tmp_path, HOSTS, NOW)


@pytest.mark.parametrize(
    ("key", "encryption", "message"),
    [
        (ec.generate_private_key(ec.SECP256R1()), serialization.BestAvailableEncryption(b"x"), "not a PEM file"),
        (ed25519.Ed25519PrivateKey.generate(), serialization.NoEncryption(), "neither an ECDSA nor an RSA key"),
    ],
)
def test_a_key_that_cannot_be_used_is_an_error(tmp_path, key, encryption, message):
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    (tmp_path / "ca.key").write_bytes(pem)
    with pytest.raises(CertificateError, match=message):
        ensure_certificates(tmp_path, HOSTS, NOW)


@pytest.mark.usefixtures("authority")
def test_an_expired_authority_is_an_error_and_not_replaced(tmp_path):
    before = contents(tmp_path)
    with pytest.raises(CertificateError, match=r"client-ca\.crt expired on 2036-02-27"):
        ensure_authority(tmp_path, "client-ca", "test-ca", NOW + timedelta(days=3651))
    assert contents(tmp_path) == before


def test_what_cannot_be_written_or_read_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CertificateError, match="cannot make the directory"):
        ensure_certificates(tmp_path / "file" / "root", HOSTS, NOW)
    with pytest.raises(CertificateError, match=r"cannot write .*/none/ca\.key"):
        ensure_authority(tmp_path / "none", "ca", "test-ca", NOW)
    (tmp_path / "ca.key").mkdir()
    with pytest.raises(CertificateError, match=r"cannot read .*/ca\.key: Is a directory"):
        ensure_authority(tmp_path, "ca", "test-ca", NOW)


@pytest.mark.parametrize("host", ["", "a b", "https://x", "a..b\u00fc", "x" * 64 + "\u00fc.example"])
def test_what_is_no_host_is_an_error(tmp_path, host):
    authority = ensure_authority(tmp_path, "ca", "test-ca", NOW)
    with pytest.raises(CertificateError, match="neither a host name nor an IP address"):
        ensure_serving_certificate(tmp_path, "apiserver", authority, [host], NOW)
    assert not (tmp_path / "apiserver.key").exists()


def test_the_server_answers_to_every_name_of_this_machine_but_to_no_wildcard(monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "box")
    assert serving_hosts("10.0.0.1") == ("localhost", "127.0.0.1", "::1", "box", "10.0.0.1")
    assert serving_hosts("0.0.0.0", ["::", "kcp.example"]) == ("localhost", "127.0.0.1", "::1", "box", "kcp.example")
    assert serving_hosts("127.0.0.1") == ("localhost", "127.0.0.1", "::1", "box")


def test_a_client_certificate_says_user_and_groups(tmp_path, authority):
    pair = ensure_client_certificate(tmp_path, "x", authority, "alice", ["devs", "ops"], NOW)
    user = user_from_certificate(der(pair), [authority.certificate], NOW)
    assert (user.name, user.groups) == ("alice", ("devs", "ops"))
    (credential,) = user.extra["authentication.kubernetes.io/credential-id"]
    assert credential == f"X509SHA256={pair.certificate.fingerprint(hashes.SHA256()).hex()}"


ALICE = ((NameOID.COMMON_NAME, "alice"),)
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


@pytest.mark.parametrize(
    ("shape", "good"),
    [
        ({"subject": ALICE, "usages": [CLIENT]}, True),
        ({"subject": ALICE, "usages": [SERVER, CLIENT]}, True),
        ({"subject": ALICE, "usages": [ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]}, True),
        ({"subject": ALICE}, True),
        ({"subject": ALICE, "usages": [SERVER]}, False),
        ({"subject": ((NameOID.ORGANIZATION_NAME, "system:masters"),), "usages": [CLIENT]}, False),
        ({"usages": [CLIENT]}, False),
        ({"subject": ALICE, "usages": [CLIENT], "not_before": NOW + timedelta(seconds=1)}, False),
        ({"subject": ALICE, "usages": [CLIENT], "not_before": NOW - timedelta(days=1)}, False),
        ({"subject": ALICE, "usages": [CLIENT], "not_before": NOW - timedelta(hours=23)}, True),
    ],
)
def test_a_client_certificate_must_be_valid_now_for_clients_and_name_a_user(authority, shape, good):
    certificate = signed_by(authority, **shape)
    if good:
        assert user_from_certificate(certificate, [authority.certificate], NOW).name == "alice"
    else:
        with pytest.raises(UnauthorizedError, match=r"^Unauthorized$"):
            user_from_certificate(certificate, [authority.certificate], NOW)


def test_a_certificate_of_another_authority_of_the_same_name_is_refused(tmp_path, authority):
    other = ensure_authority(tmp_path, "other", "test-ca", NOW)
    certificate = signed_by(other, subject=ALICE, usages=[CLIENT])
    with pytest.raises(UnauthorizedError):
        user_from_certificate(certificate, [authority.certificate], NOW)
    assert user_from_certificate(certificate, [authority.certificate, other.certificate], NOW).name == "alice"


def test_a_certificate_that_a_client_signed_is_refused(tmp_path, authority):
    client = ensure_client_certificate(tmp_path, "x", authority, "alice", [], NOW)
    certificate = signed_by(client, subject=ALICE, usages=[CLIENT])
    with pytest.raises(UnauthorizedError):
        user_from_certificate(certificate, [authority.certificate], NOW)


@pytest.mark.parametrize(
    "damage", [lambda _: b"", lambda _: b"\x30\x03abc", lambda good: good[:-1], lambda good: good[:-1] + b"\x00"]
)
def test_a_damaged_certificate_is_refused(authority, damage):
    certificate = damage(signed_by(authority, subject=ALICE, usages=[CLIENT]))
    with pytest.raises(UnauthorizedError):
        user_from_certificate(certificate, [authority.certificate], NOW)


def test_authorities_of_ones_own_come_as_a_bundle(tmp_path, authority):
    other = ensure_authority(tmp_path, "other", "other", NOW)
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(authority.certificate_pem() + other.certificate_pem())
    assert load_authorities(bundle) == (authority.certificate, other.certificate)
    for content in (b"", b"garbage"):
        bundle.write_bytes(content)
        with pytest.raises(CertificateError, match=r"bundle\.pem: not a PEM file"):
            load_authorities(bundle)
    with pytest.raises(CertificateError, match=r"none\.pem: No such file.*; it has to hold certificates in PEM$"):
        load_authorities(tmp_path / "none.pem")


def shake_hands(server_context, client_context, host):
    """A TLS handshake in memory; the client's certificate as the server sees it."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=host)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    done = set()
    while len(done) < 2:
        for side in (client, server):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                pass
    return server.getpeercert(binary_form=True)


@pytest.mark.parametrize("host", HOSTS)
def test_tls_clients_that_check_strictly_are_content_and_known_by_their_certificate(tmp_path, host):
    now = datetime.now(UTC)
    made = ensure_certificates(tmp_path, HOSTS, now)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(made.serving.certificate_path, made.serving.key_path)
    server.load_verify_locations(made.client_authority.certificate_path)
    server.verify_mode = ssl.CERT_OPTIONAL
    client = ssl.create_default_context(cafile=str(made.serving_authority.certificate_path))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    client.load_cert_chain(made.shard_admin.certificate_path, made.shard_admin.key_path)
    seen = shake_hands(server, client, host)
    user = user_from_certificate(seen, [made.client_authority.certificate], now)
    assert (user.name, user.groups) == ("shard-admin", ("system:masters",))
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        shake_hands(server, client, "elsewhere.example")
